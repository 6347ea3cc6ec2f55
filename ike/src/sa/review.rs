//! A peer whose tunnel stands is judged again: by a new configuration, and as time passes.
//!
//! Whoever is known to be revoked, has expired, or is not believed any more, is out at once. Silence is another matter: a
//! line that is down must not take down what stands. Under `soft` it never does; under `strict` it does when the last
//! answer has been old for `REVOCATION_GRACE`.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, JobOwner};
use super::gathering::Gathering;
use super::tunnel::Tunnel;
use crate::config::{Connection, RemoteAuth};
use crate::diagnose;
use crate::event::{EndReason, JobId};
use crate::identity::{PeerProof, ProofError, Renewal, Review, Reviewed, Revocation, VerifiedPeer};
use crate::limits;
use crate::pki::{Answer, RevocationPolicy};
use crate::time::{Instant, Now};
use crate::work::Work;

/// When a peer is judged again and by whose trust.
#[derive(Debug)]
pub(super) struct Reviewing {
    /// `None` while it is being judged, and if nothing can change by itself.
    next_at: Option<Instant>,
    phase: Phase,
    /// The new configuration by which it is judged, until it has passed.
    adopting: Option<Arc<Connection>>,
    clock: Clock,
    /// When the last answer about revocation was or is to be replaced, seconds since 1970 UTC; without any answer, since
    /// when the policy asks for one.
    known_until: u64,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Judging(JobId),
    Gathering(Gathering<Review>),
}

/// The wall clock, which may be set wrong at any moment, held against the boot clock, which runs on.
///
/// One that jumps is not believed against a tunnel that stands: until it has gone on from there for `CLOCK_DOUBT`, the
/// time is what it would have been without the jump.
#[derive(Debug)]
struct Clock {
    /// Both clocks, when the wall clock was last believed.
    anchor: Now,
    /// Both, when it was first seen to have jumped to where it is.
    doubt: Option<Now>,
}

impl Clock {
    fn read(&mut self, now: Now) -> u64 {
        let expected = self.anchor.wall_at(now.boot);
        let steady = |since: &Now| since.wall_at(now.boot).abs_diff(now.wall) <= limits::CLOCK_STEP;
        let since = self.doubt.filter(steady).unwrap_or(now);
        if steady(&self.anchor) || now.boot.since(since.boot) >= limits::CLOCK_DOUBT {
            *self = Self { anchor: now, doubt: None };
            return now.wall;
        }
        self.doubt = Some(since);
        expected
    }
}

impl Now {
    /// What the wall clock shows at another time if nobody sets it.
    fn wall_at(self, boot: Instant) -> u64 {
        self.wall.saturating_add(boot.since(self.boot).as_secs())
    }
}

impl Reviewing {
    /// For a peer that has just been examined, in a negotiation that began at `started`; `None` for one with a pre-shared key.
    pub(super) fn begin(ctx: &mut Context<'_>, peer: &VerifiedPeer, started: Instant) -> Option<Box<Self>> {
        policy(peer.connection())?;
        let revocation = peer.proof().revocation;
        let known_until = revocation.and_then(|revocation| revocation.until);
        // What was asked for before the order may have been answered before it, too.
        let overtaken = revocation.is_some() && ctx.review_ordered.is_some_and(|order| started <= order.boot);
        let next_at = if overtaken { Some(ctx.now.boot) } else { next(ctx, peer.proof(), ctx.now.wall) };
        Some(Box::new(Self {
            next_at,
            phase: Phase::Idle,
            adopting: None,
            clock: Clock { anchor: ctx.now, doubt: None },
            known_until: known_until.unwrap_or(ctx.now.wall),
        }))
    }

    /// A judgement in favour. Returns whether the peer may stay: not if the strict policy has had no answer for too long.
    fn may_hold(
        &mut self,
        ctx: &mut Context<'_>,
        before: Option<RevocationPolicy>,
        renewal: &Renewal,
    ) -> bool {
        let wall = self.clock.read(ctx.now);
        let proof = renewal.proof();
        let until = proof.revocation.and_then(|revocation| revocation.until);
        self.known_until = match (until, &renewal.unknown) {
            (Some(until), _) => until,
            (None, Some(_)) if before == Some(RevocationPolicy::Strict) => self.known_until,
            (None, _) => self.known_until.max(wall),
        };
        let end = self.silence_ends();
        let at_end = renewal.unknown.is_some().then(|| ctx.now.boot + seconds(wall, end));
        self.next_at = next(ctx, proof, wall).into_iter().chain(at_end).min();
        self.adopting = None;
        renewal.unknown.is_none() || wall <= end
    }

    /// How long the strict policy bears with the silence of all whom it asks, seconds since 1970 UTC.
    fn silence_ends(&self) -> u64 {
        self.known_until.saturating_add(limits::REVOCATION_GRACE)
    }
}

impl Tunnel {
    pub(super) fn review_at(&self) -> Option<Instant> {
        self.reviewing.as_ref()?.next_at
    }

    /// When it is ended for the silence of all who could say whether the peer was revoked, seconds since 1970 UTC, if they are
    /// silent and the policy is strict.
    pub(super) fn revocation_ends(&self) -> Option<u64> {
        let silent = self.peer.proof().revocation.is_some_and(|revocation| !revocation.good);
        let strict = policy(self.connection()) == Some(RevocationPolicy::Strict);
        self.reviewing.as_ref().filter(|_| silent && strict).map(|reviewing| reviewing.silence_ends())
    }

    /// A new configuration that differs from ours in certificates alone. If it is our own, we go on with it; if it is whom
    /// we believe, the peer is judged first, within this time.
    pub(crate) fn adopt(&mut self, ctx: &mut Context<'_>, connection: &Arc<Connection>, within: Duration) {
        if self.ended().is_some() {
            return;
        }
        self.peer.renew(Arc::clone(connection));
        let as_it_stands = self.connection() == connection;
        let Some(reviewing) = &mut self.reviewing else { return };
        if as_it_stands && reviewing.adopting.is_none() {
            return;
        }
        // What is being judged is of no use any more.
        reviewing.phase = Phase::Idle;
        reviewing.adopting = (!as_it_stands).then(|| Arc::clone(connection));
        reviewing.next_at = Some(ctx.now.boot + ctx.between(Duration::ZERO, within));
    }

    /// What is known of revocation may be out of date: the peer is judged by new answers within this time.
    pub(crate) fn review_anew(&mut self, ctx: &mut Context<'_>, within: Duration) {
        if self.ended().is_some() {
            return;
        }
        let asked = self.peer.proof().revocation.is_some();
        let Some(reviewing) = &mut self.reviewing else { return };
        if !asked && reviewing.adopting.is_none() {
            return;
        }
        // What is being judged is of no use any more, nor are answers on their way.
        reviewing.phase = Phase::Idle;
        let at = ctx.now.boot + ctx.between(Duration::ZERO, within);
        reviewing.next_at = Some(reviewing.next_at.map_or(at, |next| next.min(at)));
    }

    /// Has the peer judged, if it is time.
    pub(super) fn check_review(&mut self, ctx: &mut Context<'_>) {
        let Some(reviewing) = &mut self.reviewing else { return };
        if reviewing.next_at.is_none_or(|at| at > ctx.now.boot) {
            return;
        }
        reviewing.next_at = None;
        let wall = reviewing.clock.read(ctx.now);
        let connection = reviewing.adopting.as_ref().unwrap_or(self.peer.connection());
        if let Some(review) = self.peer.review(Arc::clone(connection), wall) {
            let job = ctx.work(JobOwner::Tunnel(self.id), Work::review(review));
            reviewing.phase = Phase::Judging(job);
        }
    }

    /// The peer was judged.
    pub(super) fn reviewed(&mut self, ctx: &mut Context<'_>, job: JobId, reviewed: Reviewed) {
        let Some(reviewing) = &mut self.reviewing else { return };
        if !matches!(reviewing.phase, Phase::Judging(judging) if judging == job) {
            return;
        }
        reviewing.phase = Phase::Idle;
        match reviewed {
            Reviewed::Unsettled { review, missing } => {
                let gathering = Gathering::begin(ctx, &JobOwner::Tunnel(self.id), review, missing);
                reviewing.phase = Phase::Gathering(gathering);
            }
            Reviewed::Refused(error) => self.disbelieve(ctx, &error),
            Reviewed::Holds(renewal) => {
                let before = policy(self.peer.connection());
                if reviewing.may_hold(ctx, before, &renewal) {
                    self.peer.reviewed(renewal);
                } else if let Some(unknown) = renewal.unknown {
                    self.disbelieve(ctx, &ProofError::Revocation(unknown));
                }
            }
        }
    }

    /// A fetch of this tunnel is done.
    pub(crate) fn fetched(&mut self, ctx: &mut Context<'_>, job: JobId, answer: Result<Answer, String>) {
        let Some(reviewing) = &mut self.reviewing else { return };
        reviewing.phase = match std::mem::replace(&mut reviewing.phase, Phase::Idle) {
            Phase::Gathering(mut gathering) => {
                gathering.take(job, answer);
                match gathering.finish() {
                    Ok(review) => Phase::Judging(ctx.work(JobOwner::Tunnel(self.id), Work::review(review))),
                    Err(gathering) => Phase::Gathering(gathering),
                }
            }
            other => other,
        };
    }

    /// A job of this tunnel was lost: an answer less, or the judgement is to be made again.
    pub(super) fn review_lost(&mut self, ctx: &mut Context<'_>, job: JobId, why: &str) {
        self.fetched(ctx, job, Err(why.to_owned()));
        let Some(reviewing) = &mut self.reviewing else { return };
        if matches!(reviewing.phase, Phase::Judging(judging) if judging == job) {
            reviewing.phase = Phase::Idle;
            reviewing.next_at = Some(ctx.now.boot + ctx.jitter(limits::REVIEW_LEAST));
        }
    }

    /// The peer is told, and everything ends.
    fn disbelieve(&mut self, ctx: &mut Context<'_>, error: &ProofError) {
        let id = self.remote_id().to_wire();
        let diagnosis = diagnose::proof(error, &id, &self.connection().remote_id);
        self.fail(diagnosis.clone());
        self.delete(ctx, EndReason::Failed(Box::new(diagnosis)));
    }
}

/// What is done if revocation cannot be found out; `None` if the peer has no certificate.
fn policy(connection: &Connection) -> Option<RevocationPolicy> {
    match &connection.remote_auth {
        RemoteAuth::Signature(trust) => Some(trust.revocation),
        RemoteAuth::Psk(_) => None,
    }
}

/// When a peer with this proof is judged again, at `wall`, seconds since 1970 UTC.
fn next(ctx: &mut Context<'_>, proof: &PeerProof, wall: u64) -> Option<Instant> {
    let (ordered, since) =
        ctx.review_ordered.map_or((0, Duration::MAX), |order| (order.wall, ctx.now.boot.since(order.boot)));
    // Nobody could be asked, or not since all was to be asked anew: soon after that an operator waits for the answer.
    let in_vain = |known: &Revocation| !known.good || known.checked.is_some_and(|at| at < ordered);
    let usual = match &proof.revocation {
        Some(known) if in_vain(known) => since.clamp(limits::REVIEW_LEAST, limits::REVIEW_RETRY),
        _ => limits::REVIEW,
    };
    let due = proof.revocation.and_then(|revocation| revocation.until);
    let due = due.map(|until| seconds(wall, until).max(limits::REVIEW_LEAST));
    // A pinned key may come in a certificate that has expired.
    let expiry = proof.not_after.filter(|end| *end > wall).map(|end| seconds(wall, end.saturating_add(1)));
    if proof.revocation.is_none() && expiry.is_none() {
        return None;
    }
    let wait = [Some(ctx.jitter(usual)), due, expiry].into_iter().flatten().min()?;
    Some(ctx.now.boot + wait)
}

/// The time from one second to another.
fn seconds(from: u64, to: u64) -> Duration {
    Duration::from_secs(to.saturating_sub(from))
}
