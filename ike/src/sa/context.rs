//! What every step needs from its surroundings and where it leaves what it has to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::claims::Claims;
use super::pools::Pools;
use super::spis::SpiPool;
use super::staples::Staples;
use crate::config::EndpointConfig;
use crate::config::Name;
use crate::crypto::Provider;
use crate::event::{ChildSaId, Event, Job, JobId, JobKind, Payload, Transmit, TunnelId};
use crate::exchange::{Message, OpenError};
use crate::limits;
use crate::path::Path;
use crate::random::SecureRandom;
use crate::time::Now;
use crate::wire::IkeSpi;
use crate::work::{Class, Work};

/// Handed down through every step of one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) random: &'a mut dyn SecureRandom,
    pub(crate) provider: &'a Provider,
    pub(crate) config: &'a EndpointConfig,
    pub(crate) spis: &'a mut SpiPool,
    pub(crate) pools: &'a mut Pools,
    pub(crate) ids: &'a mut Ids,
    pub(crate) output: &'a mut Output,
    pub(crate) staples: &'a Staples,
    /// When all was last to be asked anew about revocation.
    pub(crate) review_ordered: Option<Now>,
}

impl Context<'_> {
    /// A fresh nonce: 32 bytes, "at least half the key size of the negotiated PRF" (RFC 7296 §2.10).
    pub(crate) fn nonce(&mut self) -> Vec<u8> {
        self.random.bytes::<32>().to_vec()
    }

    /// A duration drawn evenly from `least` to `most`, so that two ends do not move in step.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let fraction = f64::from(u32::from_be_bytes(self.random.bytes())) / f64::from(u32::MAX);
        least + most.saturating_sub(least).mul_f64(fraction)
    }

    /// Has this computed elsewhere; what comes of it is brought to its owner.
    pub(crate) fn work(&mut self, owner: JobOwner, work: Work) -> JobId {
        self.job(owner, JobKind::Compute(work))
    }

    /// Has this done elsewhere.
    pub(crate) fn job(&mut self, owner: JobOwner, kind: JobKind) -> JobId {
        let id = JobId(self.ids.next());
        self.output.job(Job { id, class: owner.class(), kind }, owner);
        id
    }

    /// A duration within a tenth of `about`.
    pub(crate) fn jitter(&mut self, about: Duration) -> Duration {
        self.between(about.saturating_sub(about / 10), about + about / 10)
    }
}

/// Gives out the endpoint's ids.
#[derive(Debug, Default)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    pub(crate) fn tunnel(&mut self) -> TunnelId {
        TunnelId(self.next())
    }

    pub(crate) fn child_sa(&mut self) -> ChildSaId {
        ChildSaId(self.next())
    }
}

/// What a job is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobOwner {
    HalfOpen(IkeSpi),
    Attempt(IkeSpi),
    Tunnel(TunnelId),
    /// A host of this connection is being resolved.
    Connection(Name),
    /// This tunnel's way to its peer is being looked up anew.
    Path(TunnelId),
    /// What a responder says of our own certificate with this fingerprint.
    Staple([u8; 32]),
}

impl JobOwner {
    fn class(&self) -> Class {
        match self {
            Self::Tunnel(_) | Self::Path(_) => Class::Established,
            Self::Attempt(_) | Self::Connection(_) | Self::Staple(_) => Class::Attempt,
            Self::HalfOpen(_) => Class::Stranger,
        }
    }
}

/// Why a datagram changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DropReason {
    /// Its form is wrong.
    Malformed,
    /// Its SPIs are nobody's.
    UnknownSpi,
    /// Its tag is wrong.
    Forged,
    /// In clear text where it must be protected, or the other way round.
    Unprotected,
    /// A message id outside the window, or an answer to nothing.
    OutsideWindow,
    /// From the wrong side: our own message came back.
    Reflected,
    /// The exchange is not one for this state.
    UnexpectedExchange,
    /// Too many half-open SAs.
    HalfOpenLimit,
    /// A request without the cookie that was asked for.
    CookieWanted,
    /// A wrong or stale cookie.
    BadCookie,
    /// A request again whose answer is being worked out.
    InProgress,
    /// A fragment that is here already, of an older cut of its message, or of a message that was answered.
    RepeatedFragment,
    /// A fragment of more, or larger, than is gathered.
    FragmentLimit,
    /// A message of which some fragments came, and never all: counted once.
    FragmentsIncomplete,
    /// A half-open SA whose initiator was not heard again: counted once.
    HalfOpenExpired,
    /// A stranger's request that was refused like many before it, and not told of.
    RefusalUntold,
    /// More strangers' work than is done at once.
    Busy,
    /// More requests of a tunnel's peer than are answered in their time, or a first message repeated too often.
    TooManyRequests,
    /// A peer asked for an address, and its pool has none left.
    PoolExhausted,
    /// The output queue is full.
    QueueFull,
    /// The endpoint is stopping.
    Stopping,
}

impl DropReason {
    /// Why a message was dropped that could not be opened; `None` if it was not dropped: it is gathered, or the peer's
    /// fault and to be answered.
    pub(crate) fn of(error: &OpenError) -> Option<Self> {
        Some(match error {
            OpenError::Forged => Self::Forged,
            OpenError::Unprotected => Self::Unprotected,
            OpenError::Repeated => Self::RepeatedFragment,
            OpenError::TooLarge => Self::FragmentLimit,
            OpenError::NotNegotiated => Self::UnexpectedExchange,
            OpenError::Incomplete | OpenError::Malformed(_) => return None,
        })
    }

    pub(crate) const ALL: [Self; 21] = [
        Self::Malformed,
        Self::UnknownSpi,
        Self::Forged,
        Self::Unprotected,
        Self::OutsideWindow,
        Self::Reflected,
        Self::UnexpectedExchange,
        Self::HalfOpenLimit,
        Self::CookieWanted,
        Self::BadCookie,
        Self::InProgress,
        Self::RepeatedFragment,
        Self::FragmentLimit,
        Self::FragmentsIncomplete,
        Self::HalfOpenExpired,
        Self::RefusalUntold,
        Self::Busy,
        Self::TooManyRequests,
        Self::PoolExhausted,
        Self::QueueFull,
        Self::Stopping,
    ];

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "ike_malformed",
            Self::UnknownSpi => "ike_unknown_spi",
            Self::Forged => "ike_forged",
            Self::Unprotected => "ike_unprotected",
            Self::OutsideWindow => "ike_outside_window",
            Self::Reflected => "ike_reflected",
            Self::UnexpectedExchange => "ike_unexpected_exchange",
            Self::HalfOpenLimit => "ike_half_open_limit",
            Self::CookieWanted => "ike_cookie_wanted",
            Self::BadCookie => "ike_bad_cookie",
            Self::InProgress => "ike_in_progress",
            Self::RepeatedFragment => "ike_fragment_repeated",
            Self::FragmentLimit => "ike_fragment_limit",
            Self::FragmentsIncomplete => "ike_fragments_incomplete",
            Self::HalfOpenExpired => "ike_half_open_expired",
            Self::RefusalUntold => "ike_refusal_untold",
            Self::Busy => "ike_busy",
            Self::TooManyRequests => "ike_too_many_requests",
            Self::PoolExhausted => "ike_pool_exhausted",
            Self::QueueFull => "ike_queue_full",
            Self::Stopping => "ike_stopping",
        }
    }
}

/// What the steps of one input leave for the driver.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) events: VecDeque<Event>,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) jobs: VecDeque<Job>,
    owners: BTreeMap<JobId, JobOwner>,
    /// How many of them are strangers' arithmetic.
    strangers: usize,
    /// The strangers' questions about revocation among them.
    questions: BTreeSet<JobId>,
    /// Local SPIs of IKE SAs made by a rekey, for the endpoint's look-up.
    pub(crate) new_ike_spis: Vec<IkeSpi>,
    drops: BTreeMap<DropReason, u64>,
    /// The tunnel of each Child SA that the shell knows.
    tunnel_of: BTreeMap<ChildSaId, TunnelId>,
    /// What is carried for whom, where the peers of a connection are many.
    pub(super) claims: Claims,
}

impl Output {
    pub(crate) fn event(&mut self, event: Event) {
        match &event {
            Event::InboundReady(child) => {
                self.tunnel_of.insert(child.id, child.tunnel);
            }
            Event::Retired { child_sa, .. } => {
                self.tunnel_of.remove(child_sa);
                self.claims.remove(*child_sa);
            }
            _ => {}
        }
        self.events.push_back(event);
    }

    fn job(&mut self, job: Job, owner: JobOwner) {
        match job.kind {
            _ if job.class != Class::Stranger => {}
            JobKind::Compute(_) => self.strangers += 1,
            JobKind::Fetch(_) | JobKind::Resolve { .. } => {
                self.questions.insert(job.id);
            }
        }
        self.owners.insert(job.id, owner);
        self.jobs.push_back(job);
    }

    /// What a finished job is for.
    pub(crate) fn owner_of(&mut self, job: JobId) -> Option<JobOwner> {
        let owner = self.owners.remove(&job)?;
        if !self.questions.remove(&job) {
            self.strangers -= usize::from(owner.class() == Class::Stranger);
        }
        Some(owner)
    }

    /// Whether no more work for strangers is taken on. What only waits for a server is counted by itself: one that hangs is
    /// not to keep out those who need nothing of it.
    pub(crate) fn is_busy_with_strangers(&self) -> bool {
        self.strangers >= limits::STRANGER_WORK || self.questions.len() >= limits::STRANGER_QUESTIONS
    }

    /// The tunnel of a Child SA that the shell speaks of.
    pub(crate) fn tunnel_of(&self, child_sa: ChildSaId) -> Option<TunnelId> {
        self.tunnel_of.get(&child_sa).copied()
    }

    /// Queues an IKE message. A full queue drops it as the network might: it will be sent again.
    pub(crate) fn transmit(&mut self, path: Path, message: &Message) {
        message.datagrams().for_each(|datagram| self.transmit_datagram(path, datagram.clone()));
    }

    /// Queues a message that is one datagram.
    pub(crate) fn transmit_datagram(&mut self, path: Path, message: Vec<u8>) {
        self.push(Transmit { path, payload: Payload::Ike(message), dont_fragment: false });
    }

    /// Queues a message that is one datagram and may become no more on its way.
    pub(crate) fn transmit_whole(&mut self, path: Path, message: &Message) {
        let payload = Payload::Ike(message.first().to_vec());
        self.push(Transmit { path, payload, dont_fragment: true });
    }

    pub(crate) fn keepalive(&mut self, path: Path) {
        self.push(Transmit { path, payload: Payload::Keepalive, dont_fragment: false });
    }

    fn push(&mut self, transmit: Transmit) {
        if self.transmits.len() >= limits::OUTPUT_QUEUE {
            return self.drop(DropReason::QueueFull);
        }
        self.transmits.push_back(transmit);
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        *self.drops.entry(reason).or_default() += 1;
    }

    pub(crate) fn drops(&self) -> Vec<(&'static str, u64)> {
        DropReason::ALL.iter().map(|r| (r.code(), self.drops.get(r).copied().unwrap_or(0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Transport;

    /// A driver that does not come to drain it costs datagrams, as a line does, and no memory.
    #[test]
    fn a_full_queue_drops_datagrams_and_counts_them() {
        let address = "192.0.2.1:4500".parse().unwrap();
        let path = Path { local: address, remote: address, transport: Transport::UdpEncap };
        let mut output = Output::default();
        (0..limits::OUTPUT_QUEUE + 3).for_each(|_| output.keepalive(path));
        assert_eq!(output.transmits.len(), limits::OUTPUT_QUEUE);
        assert!(output.drops().contains(&("ike_queue_full", 3)));
    }
}
