//! How often something may be done that strangers bring about: so many times in each period.

use std::time::Duration;

use crate::time::Instant;

/// What is left of an allowance.
#[derive(Debug)]
pub(in crate::endpoint) struct Allowance {
    most: u32,
    period: Duration,
    since: Instant,
    used: u32,
}

impl Allowance {
    pub(super) fn new(most: u32, period: Duration) -> Self {
        Self { most, period, since: Instant::from_boot(Duration::ZERO), used: 0 }
    }

    /// Whether any is left.
    pub(in crate::endpoint) fn is_left(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= self.period {
            (self.since, self.used) = (now, 0);
        }
        self.used < self.most
    }

    /// Takes one, if any is left.
    pub(in crate::endpoint) fn take(&mut self, now: Instant) -> bool {
        let left = self.is_left(now);
        self.used = self.used.saturating_add(u32::from(left));
        left
    }
}
