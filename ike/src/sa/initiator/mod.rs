//! Setting a tunnel up as its initiator: `IKE_SA_INIT`, then `IKE_AUTH` (RFC 7296 §1.2).
//!
//! ```text
//! Beginning ──► Init ──► Agreeing ──► Proving ──► Auth ──► Examining ──► Tunnel
//!     ▲          │ another group                               │ ▲ all is fetched
//!     └──────────┘                        something is missing ▼ │
//!                                                          Gathering
//! ```
//! Init and Auth wait for the peer, Gathering for answers about revocation; in the others something is being computed.

mod addresses;
mod auth;
mod early;
mod init;
mod line;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use auth::{AuthSent, Examining};
use early::Early;
use init::{Agreeing, Beginning, InitSent};
use line::Line;

use super::context::{Context, DropReason};
use super::gathering::Gathering;
use super::retransmission::{Overdue, Retransmission};
use super::spis::IkeSpiLease;
use super::tunnel::Tunnel;
use crate::config::{Childless, Connection};
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::{Awaited, JobId, Trigger};
use crate::exchange::{AuthResponse, InitResponse, Message, OpenError, Protected};
use crate::limits;
use crate::negotiate::TrafficSelector;
use crate::path::Path;
use crate::time::Instant;
use crate::wire::{Body, Datagram, ExchangeType, IkeSpi};
use crate::work::Outcome;

/// What is known of the address that we ask for, if we do.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// What is other tunnels', and no address for us.
    pub(crate) others: Vec<TrafficSelector>,
    /// The ends of other tunnels outside: what we send there must not stay here.
    pub(crate) ends: Vec<IpAddr>,
    /// What we had last.
    pub(crate) last: Vec<IpAddr>,
}

/// An attempt to set up a tunnel.
#[derive(Debug)]
pub(crate) struct Attempt {
    connection: Arc<Connection>,
    lease: IkeSpiLease,
    path: Path,
    /// The way of `IKE_SA_INIT`.
    first_path: Path,
    line: Line,
    started: Instant,
    initial_contact: bool,
    /// The children that it is to set up, by their place; the first by `IKE_AUTH`.
    children: Vec<usize>,
    /// The packets that asked for them.
    packets: BTreeMap<usize, Option<Box<Trigger>>>,
    asking: Asking,
    /// `IKE_AUTH` is to set up none.
    childless: bool,
    /// Of the message that waits for its answer.
    retransmission: Retransmission,
    message: Message,
    /// When work is taken for lost.
    work_until: Instant,
    early: Early,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Our public value is being computed.
    Beginning(JobId, Beginning),
    /// `IKE_SA_INIT` waits for its answer.
    Init(InitSent),
    /// The shared secret is being computed.
    Agreeing(JobId, Box<Agreeing>),
    /// Our proof of identity is being made.
    Proving(JobId, Box<AuthSent>),
    /// `IKE_AUTH` waits for its answer.
    Auth(Box<AuthSent>),
    /// The responder's proof is being examined.
    Examining(JobId, Box<AuthSent>, Box<Examining>),
    /// It is good, and it is being found out whether its certificates were revoked.
    Gathering(Gathering, Box<AuthSent>, Box<Examining>),
    /// Between two phases.
    Gone,
}

/// What a message, a job or a deadline made of an attempt.
#[expect(clippy::large_enum_variant, reason = "moved at once, never stored")]
pub(crate) enum AttemptStep {
    /// It goes on.
    Pending(Attempt),
    /// The tunnel stands.
    Established(Box<Tunnel>),
    /// It is over.
    Failed(Box<Diagnosis>),
}

impl From<Result<Attempt, Diagnosis>> for AttemptStep {
    fn from(result: Result<Attempt, Diagnosis>) -> Self {
        match result {
            Ok(attempt) => Self::Pending(attempt),
            Err(diagnosis) => Self::Failed(Box::new(diagnosis)),
        }
    }
}

impl Attempt {
    /// Begins. `Err` if we cannot.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        connection: Arc<Connection>,
        path: Path,
        (children, packets): (Vec<usize>, BTreeMap<usize, Option<Box<Trigger>>>),
        asking: Asking,
        initial_contact: bool,
    ) -> Result<Self, Diagnosis> {
        let first = connection.proposals.iter().find_map(|p| p.groups.first());
        let group = *first.ok_or_else(|| diagnose::local("no key exchange group is configured"))?;
        let attempt = Self {
            lease: ctx.spis.ike(ctx.random),
            path,
            first_path: path,
            line: Line::default(),
            started: ctx.now.boot,
            initial_contact,
            children,
            packets,
            asking,
            childless: false,
            retransmission: Retransmission::new(connection.retransmit, ctx),
            message: Message::whole(Vec::new()),
            work_until: ctx.now.boot,
            early: Early::default(),
            phase: Phase::Gone,
            connection,
        };
        let beginning = Beginning { cookie: None, nonce: ctx.nonce(), restarts: 0 };
        attempt.begin_key_exchange(ctx, group, beginning)
    }

    /// Whether `IKE_AUTH` is to set up no child, if the responder can do without.
    fn wants_childless(&self) -> bool {
        match self.connection.childless {
            Childless::Never => false,
            Childless::Allowed => self.children.is_empty(),
            Childless::Preferred => true,
        }
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.lease.spi()
    }

    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        match &self.phase {
            Phase::Init(_) | Phase::Auth(_) => self.retransmission.next(),
            _ => self.work_until,
        }
    }

    /// Whether the peer cannot have set up the tunnel yet: it has no proof of ours.
    pub(crate) fn can_be_abandoned(&self) -> bool {
        !matches!(self.phase, Phase::Auth(_) | Phase::Examining(..) | Phase::Gathering(..))
    }

    /// What it waits for that may be long in coming.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let exchange = match &self.phase {
            Phase::Init(_) => ExchangeType::IKE_SA_INIT,
            Phase::Auth(_) => ExchangeType::IKE_AUTH,
            Phase::Gathering(..) => return Some(Awaited::Revocation),
            _ => return None,
        };
        let sent = self.retransmission.attempt().saturating_add(1);
        Some(Awaited::Answer { exchange, path: self.path, sent, since: self.retransmission.first_sent() })
    }

    /// Whether it waits for answers about revocation.
    pub(crate) fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::Gathering(..))
    }

    /// In this phase we wait for a job.
    fn working(self, ctx: &Context<'_>, phase: Phase) -> Self {
        Self { phase, work_until: ctx.now.boot + limits::WORK_TIME, ..self }
    }

    /// Sends a message and waits for its answer in this phase.
    fn sent(mut self, ctx: &mut Context<'_>, message: Message, phase: Phase) -> Self {
        self.line.unsent = None;
        let retransmission = Retransmission::new(self.connection.retransmit, ctx);
        ctx.output.transmit(self.path, &message);
        Self { retransmission, message, phase, ..self }
    }

    /// Sends the request of this phase again, or gives up.
    pub(crate) fn handle_timeout(mut self, ctx: &mut Context<'_>) -> AttemptStep {
        let exchange = match &self.phase {
            Phase::Init(_) => ExchangeType::IKE_SA_INIT,
            Phase::Auth(_) => ExchangeType::IKE_AUTH,
            _ if self.work_until <= ctx.now.boot => {
                let diagnosis = diagnose::local("a computation did not come back in time");
                return AttemptStep::Failed(Box::new(diagnosis));
            }
            _ => return AttemptStep::Pending(self),
        };
        match self.retransmission.check(ctx) {
            None => {}
            Some(Overdue::SendAgain) => {
                self.line.unsent = None;
                ctx.output.transmit(self.path, &self.message);
                self.sound(ctx);
            }
            Some(Overdue::GiveUp(silent)) => {
                let diagnosis = diagnose::silence(&self.silence(exchange, silent.as_secs()));
                return AttemptStep::Failed(Box::new(diagnosis));
            }
        }
        AttemptStep::Pending(self)
    }

    /// A message came in for this attempt's SPI.
    pub(crate) fn handle_datagram(
        mut self,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
    ) -> AttemptStep {
        let header = datagram.header;
        let dropped = |ctx: &mut Context<'_>, reason, attempt| {
            ctx.output.drop(reason);
            AttemptStep::Pending(attempt)
        };
        if header.from_initiator {
            return dropped(ctx, DropReason::Reflected, self);
        }
        if self.is_early(path, datagram) {
            self.early.keep(ctx, path, datagram);
            return AttemptStep::Pending(self);
        }
        if !header.response || path.remote.ip() != self.path.remote.ip() {
            return dropped(ctx, DropReason::UnexpectedExchange, self);
        }
        if self.is_echo(path.transport, datagram) {
            return AttemptStep::Pending(self);
        }
        match (&mut self.phase, &datagram.body, header.exchange, header.message_id) {
            (Phase::Init(_), Body::Clear(payloads), ExchangeType::IKE_SA_INIT, 0) => {
                match InitResponse::read(payloads.clone()) {
                    Ok(response) => self.init_answered(ctx, datagram, response),
                    Err(_) => dropped(ctx, DropReason::Malformed, self),
                }
            }
            (Phase::Auth(_), Body::Clear(_), ..) => dropped(ctx, DropReason::Unprotected, self),
            (Phase::Auth(auth), _, ExchangeType::IKE_AUTH, 1) => {
                if header.spi_r != auth.channel.spis.responder {
                    return dropped(ctx, DropReason::UnknownSpi, self);
                }
                let opened = auth.channel.open(datagram).and_then(|received| {
                    received.payloads.try_map(AuthResponse::read).map_err(OpenError::Malformed)
                });
                self.auth_opened(ctx, path, opened)
            }
            _ => dropped(ctx, DropReason::UnexpectedExchange, self),
        }
    }

    /// The answer to `IKE_AUTH`, or a part of it, came.
    fn auth_opened(
        self,
        ctx: &mut Context<'_>,
        path: Path,
        opened: Result<Protected<AuthResponse>, OpenError>,
    ) -> AttemptStep {
        match opened {
            Ok(response) => self.auth_answered(ctx, path, response),
            Err(OpenError::Malformed(error)) => {
                let diagnosis = diagnose::malformed(ExchangeType::IKE_AUTH, &error.to_string());
                AttemptStep::Failed(Box::new(diagnosis))
            }
            Err(OpenError::TooLarge) => self.answer_too_large(ctx),
            Err(error) => {
                DropReason::of(&error).into_iter().for_each(|reason| ctx.output.drop(reason));
                AttemptStep::Pending(self)
            }
        }
    }

    /// Whether it is a request of the responder, whose tunnel may stand already.
    fn is_early(&self, path: Path, datagram: &Datagram<'_>) -> bool {
        let (Phase::Auth(auth) | Phase::Examining(_, auth, _) | Phase::Gathering(_, auth, _)) = &self.phase
        else {
            return false;
        };
        let header = datagram.header;
        !header.response
            && header.spi_r == auth.channel.spis.responder
            && path.remote.ip() == self.path.remote.ip()
    }

    /// A job of this attempt is done.
    pub(crate) fn completed(mut self, ctx: &mut Context<'_>, job: JobId, outcome: Outcome) -> AttemptStep {
        match (std::mem::replace(&mut self.phase, Phase::Gone), outcome) {
            (Phase::Beginning(asked, beginning), Outcome::Begun(half)) if asked == job => {
                self.send_init(ctx, beginning, half)
            }
            (Phase::Agreeing(asked, agreeing), Outcome::Completed(secret)) if asked == job => {
                self.agreed(ctx, *agreeing, secret).into()
            }
            (Phase::Proving(asked, auth), Outcome::Proved(proof)) if asked == job => {
                self.send_auth(ctx, auth, proof).into()
            }
            (Phase::Examining(asked, auth, examining), Outcome::Examined(verdict)) if asked == job => {
                self.examined(ctx, *auth, *examining, *verdict)
            }
            (phase, _) => {
                self.phase = phase;
                AttemptStep::Pending(self)
            }
        }
    }
}
