//! Setting a tunnel up as its responder: `IKE_SA_INIT`, then `IKE_AUTH` (RFC 7296 §1.2).
//!
//! ```text
//! Agreeing ──► Answered ──► Examining ──► Tunnel
//!                             │ ▲  └────► Refused
//!        something is missing ▼ │ all is fetched
//!                          Gathering
//! ```
//! Nobody's identity is known before `IKE_AUTH`, so the suite is chosen from all connections that the peer's address
//! may belong to, and checked again once the identities have named one.

mod auth;
mod init;
mod refusal;

use std::sync::Arc;

use auth::Examining;
use init::{Agreeing, Answered};

use super::context::{Context, DropReason, JobOwner};
use super::gathering::Gathering;
use super::spis::IkeSpiLease;
use super::tunnel::Tunnel;
use super::window::{Arrival, Window};
use crate::config::{Connection, Encapsulation};
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::JobId;
use crate::identity::Identity;
use crate::limits;
use crate::path::Path;
use crate::pki::Answer;
use crate::suite::IkeProposal;
use crate::time::Instant;
use crate::wire::{CertEncoding, Datagram, IdData, IkeSpi};
use crate::work::{Outcome, Work};

pub(crate) use init::answer_init;
pub(crate) use refusal::Refusal;

/// An SA whose initiator has not proved anything yet.
pub(crate) struct HalfOpen {
    lease: IkeSpiLease,
    spi_i: IkeSpi,
    path: Path,
    sender: Sender,
    init_request: Vec<u8>,
    init_digest: [u8; 32],
    /// How often the first message was answered again.
    repeats: u32,
    started: Instant,
    expires_at: Instant,
    phase: Phase,
}

/// What is known of who sent a first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The address may be forged.
    Claimed,
    /// The message brought our cookie: whoever sent it receives there.
    Proved,
}

enum Phase {
    /// The key exchange is being computed.
    Agreeing(JobId, Box<Agreeing>),
    /// `IKE_SA_INIT` is answered, `IKE_AUTH` awaited.
    Answered(Box<Answered>),
    /// The initiator's proof is being examined.
    Examining(JobId, Box<Answered>, Box<Examining>),
    /// It is good, and it is being found out whether its certificates were revoked.
    Gathering(Gathering, Box<Answered>, Box<Examining>),
    /// `IKE_AUTH` was refused: what is left answers it again if it is repeated.
    Refused(Window<()>),
    /// Between two phases.
    Gone,
}

/// What became of an `IKE_SA_INIT` request.
pub(crate) enum InitOutcome {
    /// It goes on; it is answered when the key exchange is computed.
    Opened(Box<HalfOpen>),
    /// It was answered, and that was all.
    Refused(Option<Box<Diagnosis>>),
}

/// How a half-open SA ended that nothing came of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// Its initiator was not heard after our answer.
    Silent,
    /// This many fragments of its `IKE_AUTH` came.
    Fragments(usize),
}

/// What a message or a finished job made of a half-open SA; the answer is queued already.
pub(crate) enum HalfOpenStep {
    /// It stays half-open.
    Pending(Box<HalfOpen>),
    /// The tunnel stands.
    Established { tunnel: Box<Tunnel>, initial_contact: bool },
    /// It was refused; what is left, if anything, answers a repeated request.
    Refused { left: Option<Box<HalfOpen>>, refusal: Refusal },
}

/// What we would accept from an address, before its identity is known.
#[derive(Clone, Debug)]
pub(crate) struct Acceptable {
    pub(crate) proposals: Vec<IkeProposal>,
    pub(crate) encapsulation: Encapsulation,
    /// Whether an IKE SA without a Child SA may do.
    pub(crate) childless: bool,
    /// Our CERTREQ payloads: the authorities of all.
    pub(crate) cert_requests: Vec<(CertEncoding, Vec<u8>)>,
}

/// The configured connections, as a responder needs them.
pub(crate) trait Directory {
    /// The connection for the peer's identity and, if it named one, ours.
    fn find(&self, theirs: &Identity, ours: Option<&Identity>) -> Option<Arc<Connection>>;
    /// Whether a connection that was found before may be set up now by a peer that has proved to be this one, and may
    /// have said that it has no other.
    fn standing(&self, connection: &Arc<Connection>, peer: &Identity, initial_contact: bool) -> Standing;
    /// One whose peer signs, if there is any: strangers are judged by it.
    fn decoy(&self) -> Option<Arc<Connection>>;
    /// The connection that a peer perhaps means for whose identities there is none.
    fn meant(&self, theirs: &IdData) -> Option<Arc<Connection>>;
    /// Pairs of identities that are configured, for a diagnosis; first that of this one.
    fn identities(&self, meant: Option<&Connection>) -> Vec<diagnose::Pair>;
}

/// Whether a connection may be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may.
    Allowed,
    /// An operator took it down.
    Down,
    /// It is not configured any more.
    Gone,
    /// The peer has a tunnel of it, and is to have no other.
    NotUnique,
}

impl HalfOpen {
    pub(crate) fn spi(&self) -> IkeSpi {
        self.lease.spi()
    }

    pub(crate) fn path(&self) -> Path {
        self.path
    }

    /// The hash of the first message: with its sender's address, what tells a repeated one.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.init_digest
    }

    pub(crate) fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// The same, begun by this sender.
    pub(crate) fn of(mut self: Box<Self>, sender: Sender) -> Box<Self> {
        self.sender = sender;
        self
    }

    pub(crate) fn sender(&self) -> Sender {
        self.sender
    }

    /// How it ends if it ends now; `None` if it was refused, or is not done with.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        let Phase::Answered(answered) = &self.phase else { return None };
        Some(match answered.channel.held_of_request() {
            0 => Unfinished::Silent,
            pieces => Unfinished::Fragments(pieces),
        })
    }

    /// The first message came again: the same answer, once there is one.
    pub(crate) fn repeat_answer(&mut self, ctx: &mut Context<'_>, path: Path) {
        match &self.phase {
            Phase::Answered(answered)
            | Phase::Examining(_, answered, _)
            | Phase::Gathering(_, answered, _) => {
                if self.repeats >= limits::FIRST_ANSWER_REPEATS {
                    return ctx.output.drop(DropReason::TooManyRequests);
                }
                self.repeats += 1;
                ctx.output.transmit_datagram(path, answered.init_response.clone());
            }
            Phase::Agreeing(..) | Phase::Refused(_) | Phase::Gone => ctx.output.drop(DropReason::InProgress),
        }
    }

    /// A message came in for this SPI.
    pub(crate) fn handle_datagram(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        directory: &dyn Directory,
    ) -> HalfOpenStep {
        let header = datagram.header;
        if !header.from_initiator || header.spi_i != self.spi_i {
            ctx.output.drop(DropReason::UnknownSpi);
            return HalfOpenStep::Pending(self);
        }
        match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Answered(answered) => self.auth_asked(ctx, path, datagram, directory, answered),
            other => {
                match &other {
                    Phase::Refused(window) => match window.arrival(datagram) {
                        Arrival::Repeated(answer) if !header.response => ctx.output.transmit(path, &answer),
                        _ => ctx.output.drop(DropReason::OutsideWindow),
                    },
                    Phase::Examining(..) | Phase::Gathering(..) => ctx.output.drop(DropReason::InProgress),
                    _ => ctx.output.drop(DropReason::UnexpectedExchange),
                }
                self.phase = other;
                HalfOpenStep::Pending(self)
            }
        }
    }

    /// One of its jobs was lost. The initiator asks again; what stands then is all that it needs, if it is anything.
    pub(crate) fn job_lost(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        job: JobId,
        why: &str,
    ) -> Option<Box<Self>> {
        match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Examining(_, answered, _) => self.phase = Phase::Answered(answered),
            Phase::Gathering(gathering, answered, examining) => {
                self.phase = self.gather(ctx, (job, Err(why.to_owned())), gathering, answered, examining);
            }
            _ => return None,
        }
        Some(self)
    }

    /// A job of this half-open SA is done.
    pub(crate) fn completed(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        job: JobId,
        outcome: Outcome,
        directory: &dyn Directory,
    ) -> HalfOpenStep {
        match (std::mem::replace(&mut self.phase, Phase::Gone), outcome) {
            (Phase::Agreeing(asked, agreeing), Outcome::Responded(agreement)) if asked == job => {
                self.agreed(ctx, *agreeing, agreement)
            }
            (Phase::Examining(asked, answered, examining), Outcome::Examined(verdict)) if asked == job => {
                self.examined(ctx, directory, answered, *examining, *verdict)
            }
            (phase, _) => {
                self.phase = phase;
                HalfOpenStep::Pending(self)
            }
        }
    }

    /// A fetch of this half-open SA is done.
    pub(crate) fn fetched(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        job: JobId,
        answer: Result<Answer, String>,
    ) -> HalfOpenStep {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Gathering(gathering, answered, examining) => {
                self.gather(ctx, (job, answer), gathering, answered, examining)
            }
            other => other,
        };
        HalfOpenStep::Pending(self)
    }

    fn gather(
        &self,
        ctx: &mut Context<'_>,
        (job, answer): (JobId, Result<Answer, String>),
        mut gathering: Gathering,
        answered: Box<Answered>,
        examining: Box<Examining>,
    ) -> Phase {
        gathering.take(job, answer);
        match gathering.finish() {
            Ok(examination) => {
                let job = ctx.work(JobOwner::HalfOpen(self.spi()), Work::examine(examination));
                Phase::Examining(job, answered, examining)
            }
            Err(gathering) => Phase::Gathering(gathering, answered, examining),
        }
    }
}
