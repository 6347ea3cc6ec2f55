//! When a request is sent again, and when it is given up (RFC 7296 §2.1, §2.4).

use std::time::Duration;

use super::context::Context;
use crate::config::Retransmit;
use crate::time::Instant;

/// The schedule of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retransmission {
    schedule: Retransmit,
    attempt: u32,
    next: Instant,
    first_sent: Instant,
    /// The schedule begins only when this first wait has passed.
    early: bool,
}

/// What a passed deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    SendAgain,
    /// After this long without an answer.
    GiveUp(Duration),
}

impl Retransmission {
    /// The request was sent just now.
    pub(crate) fn new(schedule: Retransmit, ctx: &mut Context<'_>) -> Self {
        let now = ctx.now.boot;
        let wait = ctx.jitter(schedule.wait(0));
        Self { schedule, attempt: 0, next: now + wait, first_sent: now, early: false }
    }

    /// The request was sent just now, and may well get lost: after this long what is sent in its place has the whole schedule.
    pub(crate) fn after(wait: Duration, schedule: Retransmit, ctx: &mut Context<'_>) -> Self {
        let now = ctx.now.boot;
        Self { schedule, attempt: 0, next: now + ctx.jitter(wait), first_sent: now, early: true }
    }

    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// How often it was sent again.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(crate) fn first_sent(&self) -> Instant {
        self.first_sent
    }

    /// What is to be done now, if the deadline has passed.
    pub(crate) fn check(&mut self, ctx: &mut Context<'_>) -> Option<Overdue> {
        let now = ctx.now.boot;
        if now < self.next {
            return None;
        }
        if self.attempt >= self.schedule.tries {
            return Some(Overdue::GiveUp(now.since(self.first_sent)));
        }
        if !std::mem::take(&mut self.early) {
            self.attempt += 1;
        }
        self.next = now + ctx.jitter(self.schedule.wait(self.attempt));
        Some(Overdue::SendAgain)
    }
}
