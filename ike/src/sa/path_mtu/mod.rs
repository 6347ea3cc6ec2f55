//! How large the packets may be that a path carries, found out without the help of routers (RFC 8899; RFC 7383 §2.5.2).
//!
//! A request that says nothing is sent in an IP packet of the size in question, which nobody may fragment. If it is answered,
//! that size passes. If it gets lost, a short request that says nothing is sent in its place: so the IKE SA outlives a path that
//! swallows large packets in silence, and what is learned holds for ESP, which goes the same way.
//!
//! Why not the same request in fragments, as RFC 7383 §2.5.2 has it: strongSwan, as distributions build it, takes an INFORMATIONAL
//! request in fragments for something else and never answers. A peer that has not got the large request does not know
//! the short one from any other; one that has, and whose answer got lost, gets that again too, bit for bit the same.

mod round_trip;
mod search;

use std::time::Duration;

use super::context::Context;
use super::ike_sa::Exchange;
use super::retransmission::Retransmission;
use super::tasks::Task;
use super::tunnel::Tunnel;
use super::window::Outstanding;
use crate::config::DontFragment;
use crate::event::Event;
use crate::exchange::Message;
use crate::limits;
use crate::path::Path;
use crate::time::Instant;
use crate::wire::ExchangeType;

use round_trip::RoundTrip;
use search::{Outcome, Search};

/// What is known of a tunnel's path. Nothing is sought before the shell has said what the line carries.
#[derive(Debug, Default)]
pub(super) struct PathMtu {
    search: Option<Search>,
    /// When a search goes on whose probe has got lost with its IKE SA.
    next_at: Instant,
    /// When it is tried again whether more passes.
    again_at: Instant,
    /// How long after the last time that is.
    again_after: Duration,
    /// Until then a router's word is not doubted.
    heeded_until: Instant,
    /// When a search ended last.
    settled_at: Instant,
    /// What the Child SAs have carried since then.
    use_of_it: Use,
    /// From when on a probe of the peer is a reason to verify what was found.
    hint_from: Instant,
    /// What the shell was told last.
    told: Option<(u16, bool)>,
    round_trip: RoundTrip,
}

/// What a path has carried: reasons to see whether it still carries as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    #[default]
    None,
    /// Packets were sent.
    Sent,
    /// Packets were sent, and none has come for a while.
    Unanswered,
}

/// A request whose size is in question.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Bytes that the IP packet was to have.
    size: u16,
    /// Bytes that it has: a few less with a cipher of blocks.
    packet: u16,
    /// A short one in its place.
    small: Message,
    resent: u32,
}

impl PathMtu {
    /// A request was answered now.
    pub(super) fn answered(&mut self, now: Instant, asked: &Outstanding<Exchange>) {
        // What it takes to find a size lost is our own waiting.
        if !matches!(&asked.exchange, Exchange::ProbePath(probe) if probe.resent > 0) {
            let (after, again) =
                (now.since(asked.retransmission.first_sent()), asked.retransmission.attempt() > 0);
            self.round_trip.answered(after, again);
        }
    }

    /// Bytes of the largest IP packet that is believed to pass.
    pub(super) fn believed(&self) -> Option<u16> {
        self.search.as_ref().map(Search::believed)
    }

    /// When the search goes on, if nothing is under way; or when what it found is verified.
    fn next_at(&self) -> Option<Instant> {
        let verify_after = match self.use_of_it {
            Use::None => None,
            Use::Sent => Some(limits::PATH_MTU_VERIFIED),
            Use::Unanswered => Some(limits::PATH_MTU_DOUBTED),
        };
        let verify_at = verify_after.map(|after| self.settled_at + after);
        let settled_next = verify_at.map_or(self.again_at, |at| at.min(self.again_at));
        self.search.as_ref().map(|search| if search.next().is_some() { self.next_at } else { settled_next })
    }

    /// What follows a search that has ended, at its time.
    fn begin_anew(&mut self, ctx: &mut Context<'_>) {
        let Some(search) = self.search.as_mut().filter(|search| search.next().is_none()) else { return };
        if self.again_at > ctx.now.boot {
            *search = search.verify();
        } else {
            *search = search.raise();
            self.again_after = (self.again_after * 2).min(limits::PATH_MTU_AGAIN);
            self.again_at = ctx.now.boot + ctx.jitter(self.again_after);
        }
    }

    /// A search has ended. A path that has just changed may be the way round a failure, and change back: it is tried soon whether more
    /// passes, and later and later if not, so that a path is believed to be narrow for no more than twice as long as it was.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        (self.settled_at, self.use_of_it) = (ctx.now.boot, Use::None);
        if let Some(search) = self.search.as_ref().filter(|search| search.has_changed()) {
            self.again_after =
                if search.is_narrow() { limits::PATH_MTU_SOON } else { limits::PATH_MTU_AGAIN };
            self.again_at = (ctx.now.boot + ctx.jitter(self.again_after)).max(self.heeded_until);
        }
    }

    /// When it is tried again whether more passes than is believed, if the line carries more and nothing is being tried now.
    pub(super) fn raised_at(&self) -> Option<Instant> {
        let settled = |search: &&Search| search.is_narrow() && search.next().is_none();
        self.search.as_ref().filter(settled).map(|_| self.again_at)
    }
}

impl Probe {
    /// What is sent when it is not answered: the short one, for a peer that has not got it; and whether, every other time, the
    /// same as it was too, for one that has and knows a repeated request by its bytes alone.
    pub(crate) fn again(&mut self) -> (Option<&Message>, bool) {
        self.resent += 1;
        (Some(&self.small), self.resent.is_multiple_of(2))
    }

    fn outcome(&self) -> Outcome {
        match self.resent {
            0 => Outcome::Passed(self.packet),
            1 => Outcome::Lost,
            _ => Outcome::Unclear,
        }
    }
}

impl Tunnel {
    /// The line to the peer carries packets of this many bytes: how much of that the path carries is to be found out.
    pub(crate) fn line_carries(&mut self, ctx: &mut Context<'_>, most: u16) {
        self.path_mtu.heeded_until = ctx.now.boot;
        self.seek(ctx, Search::new(self.path.least_mtu(), most, most));
    }

    /// A router says that the path carries no more than this: "an attempt to detect an increase ... MUST NOT be done less than 5
    /// minutes after a Packet Too Big message", and 10 are recommended (RFC 8201 §4).
    pub(crate) fn path_too_narrow(&mut self, ctx: &mut Context<'_>, mtu: u16) {
        let Some(most) = self.path_mtu.search.as_ref().map(Search::most) else { return };
        self.path_mtu.heeded_until = ctx.now.boot + limits::PATH_MTU_AGAIN;
        self.seek(ctx, Search::told(self.path.least_mtu(), most, mtu));
    }

    fn seek(&mut self, ctx: &mut Context<'_>, search: Search) {
        if self.ended().is_some() || !self.can_probe_path() {
            return;
        }
        self.path_mtu.search = Some(search);
        self.path_mtu.again_after = limits::PATH_MTU_AGAIN;
        self.path_mtu.again_at = ctx.now.boot + ctx.jitter(limits::PATH_MTU_AGAIN);
        self.go_on_with_path(ctx);
        self.start_tasks(ctx);
    }

    /// The way to the peer is another one: nothing is known of it.
    pub(super) fn forget_path_mtu(&mut self) {
        self.path_mtu = PathMtu::default();
    }

    /// A peer that takes no fragments is old: what it makes of long messages is not tried out.
    fn can_probe_path(&self) -> bool {
        let peer_takes_fragments = self.current().is_some_and(|sa| sa.channel.fragmentation);
        peer_takes_fragments && self.connection().dont_fragment != DontFragment::Never
    }

    /// When the path is to be probed (again), if nothing is under way.
    pub(super) fn probe_path_at(&self) -> Option<Instant> {
        self.path_mtu.search.as_ref()?;
        let is_probe = |sa: &Outstanding<Exchange>| matches!(sa.exchange, Exchange::ProbePath(_));
        let asked = self.ike_sas.values().any(|sa| sa.window.outstanding().is_some_and(is_probe));
        self.path_mtu.next_at().filter(|_| !asked && !self.tasks.contains(&Task::ProbePath))
    }

    pub(super) fn check_path(&mut self, ctx: &mut Context<'_>) {
        if self.probe_path_at().is_some_and(|at| at <= ctx.now.boot) {
            self.path_mtu.begin_anew(ctx);
            self.go_on_with_path(ctx);
        }
    }

    /// A Child SA has sent packets since it was asked last; when the last packet came, if any did. A path that became narrower in
    /// silence swallows the long ones, and whoever waits for them sends nothing back.
    pub(super) fn path_used(&mut self, now: Instant, last_in: Option<Instant>) {
        let answered = last_in.is_some_and(|at| now.since(at) < limits::PATH_MTU_SILENCE);
        let use_of_it = if answered { Use::Sent } else { Use::Unanswered };
        self.path_mtu.use_of_it = self.path_mtu.use_of_it.max(use_of_it);
    }

    /// The peer tries whether a message of so many bytes gets here. If that is less than we believe to pass, larger ones got lost, or
    /// their answers did: so what we believe is verified, also by an end that sends next to nothing itself. A probe of as much or
    /// more is no reason, and one end's verifying is none for the other's: they do not set each other going for ever.
    pub(super) fn peer_probes_path(&mut self, ctx: &mut Context<'_>, path: Path, message: usize) {
        let less = self.path_mtu.believed().is_some_and(|mtu| path.packet(message) < usize::from(mtu));
        let settled = self.path_mtu.search.as_ref().is_some_and(|search| search.next().is_none());
        let idle = settled && self.probe_path_at().is_some() && self.ended().is_none();
        if less && idle && path == self.path && self.path_mtu.hint_from <= ctx.now.boot {
            self.path_mtu.hint_from = ctx.now.boot + limits::PATH_MTU_HINTED;
            self.path_mtu.begin_anew(ctx);
            self.go_on_with_path(ctx);
        }
    }

    /// Tells what is believed by now, and tries the next size, if there is one.
    fn go_on_with_path(&mut self, ctx: &mut Context<'_>) {
        let Some(search) = &self.path_mtu.search else { return };
        let (believed, next) = ((search.believed(), search.is_proven()), search.next());
        if self.path_mtu.told != Some(believed) {
            self.path_mtu.told = Some(believed);
            let (mtu, proven) = believed;
            ctx.output.event(Event::PathMtu { tunnel: self.id, mtu, proven });
        }
        if next.is_none() {
            return self.path_mtu.settle(ctx);
        }
        // An IKE SA that goes with a probe outstanding takes it along: then the search goes on by itself.
        self.path_mtu.next_at = ctx.now.boot + ctx.jitter(limits::PATH_MTU_WAIT);
        self.tasks.push(ctx, Task::ProbePath);
    }

    /// Sends the next probe. Before the first it must be known how long an answer takes: one that is waited for too
    /// shortly would be taken for lost.
    pub(super) fn start_probe_path(&mut self, ctx: &mut Context<'_>) {
        let Some(search) = &self.path_mtu.search else { return };
        let Some(size) = search.next() else { return };
        let Some(late) = self.path_mtu.round_trip.late() else {
            self.tasks.push(ctx, Task::ProbePath);
            return self.send_request(ctx, self.current, ExchangeType::INFORMATIONAL, &[], Exchange::Probe);
        };
        let schedule = self.connection().retransmit;
        // "The host MUST set RTO <- RTO * 2" (RFC 6298 §5.5): the answer may have been late all the same.
        let longest = limits::PATH_MTU_WAIT.max(schedule.first);
        let wait = (late.max(schedule.first) * 2_u32.pow(search.losses().min(4))).min(longest);
        let retransmission = Retransmission::after(wait, schedule, ctx);
        let path = self.path;
        let Some(ike_sa) = self.ike_sas.get_mut(&self.current) else { return };
        let Some(message_id) = ike_sa.window.free() else { return };
        let Ok((message, small)) = ike_sa.channel.seal_of_size(message_id, path.room(size)) else {
            return;
        };
        let packet = u16::try_from(path.packet(message.first().len())).unwrap_or(u16::MAX);
        ctx.output.transmit_whole(path, &message);
        let exchange = Exchange::ProbePath(Box::new(Probe { size, packet, small, resent: 0 }));
        ike_sa.window.sent(Outstanding { message_id, message, retransmission, exchange, is_answered: false });
    }

    /// A probe was answered, or what was sent in its place.
    pub(super) fn path_probed(&mut self, ctx: &mut Context<'_>, probe: &Probe) {
        if let Some(search) = &mut self.path_mtu.search {
            search.tried(probe.size, probe.outcome());
            self.go_on_with_path(ctx);
        }
    }
}
