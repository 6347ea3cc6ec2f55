//! Setting a tunnel up as its initiator: `IKE_SA_INIT`, then `IKE_AUTH` (RFC 7296 §1.2).

mod auth;
mod init;

use std::sync::Arc;

use auth::AuthSent;
use init::InitSent;

use super::child_exchange::IKE_AUTH;
use super::context::{Context, DropReason};
use super::retransmission::{Overdue, Retransmission};
use super::spis::IkeSpiLease;
use super::tunnel::Tunnel;
use crate::config::Connection;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::exchange::{AuthResponse, InitResponse, OpenError};
use crate::path::Path;
use crate::time::Instant;
use crate::wire::{Body, Datagram, ExchangeType, IkeSpi};

const IKE_SA_INIT: &str = "IKE_SA_INIT";

/// An attempt to set up a tunnel.
#[derive(Debug)]
pub(crate) struct Attempt {
    connection: Arc<Connection>,
    lease: IkeSpiLease,
    path: Path,
    started: Instant,
    initial_contact: bool,
    retransmission: Retransmission,
    /// The message that waits for its answer.
    message: Vec<u8>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Init(InitSent),
    Auth(Box<AuthSent>),
    /// Between two phases.
    Gone,
}

/// What a message or a deadline made of an attempt.
#[expect(clippy::large_enum_variant, reason = "moved at once, never stored")]
pub(crate) enum AttemptStep {
    /// It goes on.
    Pending(Attempt),
    /// The tunnel stands.
    Established(Box<Tunnel>),
    /// It is over.
    Failed(Box<Diagnosis>),
}

impl Attempt {
    /// Sends the first message. `Err` if we cannot.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        connection: Arc<Connection>,
        path: Path,
        initial_contact: bool,
    ) -> Result<Self, Diagnosis> {
        let first = connection.proposals.iter().find_map(|p| p.groups.first());
        let group = *first.ok_or_else(|| diagnose::local("no key exchange group is configured"))?;
        let lease = ctx.spis.ike(ctx.random);
        let init = InitSent::new(ctx, &connection, lease.spi(), path, group)?;
        let attempt = Self {
            lease,
            path,
            started: ctx.now.boot,
            initial_contact,
            retransmission: Retransmission::new(connection.retransmit, ctx),
            message: Vec::new(),
            phase: Phase::Gone,
            connection,
        };
        match attempt.send_init(ctx, init) {
            AttemptStep::Pending(attempt) => Ok(attempt),
            _ => Err(diagnose::local("the attempt could not begin")),
        }
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.lease.spi()
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        self.retransmission.next()
    }

    /// Whether the peer cannot have set up the tunnel yet: it has no proof of ours.
    pub(crate) fn can_be_abandoned(&self) -> bool {
        matches!(self.phase, Phase::Init(_))
    }

    /// Sends the request of this phase again, or gives up.
    pub(crate) fn handle_timeout(mut self, ctx: &mut Context<'_>) -> AttemptStep {
        match self.retransmission.check(ctx) {
            None => {}
            Some(Overdue::SendAgain) => ctx.output.transmit(self.path, self.message.clone()),
            Some(Overdue::GiveUp(silent)) => {
                let exchange = if self.can_be_abandoned() { IKE_SA_INIT } else { IKE_AUTH };
                let diagnosis = diagnose::no_answer(self.path.remote, exchange, silent.as_secs());
                return AttemptStep::Failed(Box::new(diagnosis));
            }
        }
        AttemptStep::Pending(self)
    }

    /// A message came in for this attempt's SPI.
    pub(crate) fn handle_datagram(
        self,
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
        if !header.response || path.remote.ip() != self.path.remote.ip() {
            return dropped(ctx, DropReason::UnexpectedExchange, self);
        }
        match (&self.phase, &datagram.body, header.exchange, header.message_id) {
            (Phase::Init(_), Body::Clear(payloads), ExchangeType::IKE_SA_INIT, 0) => {
                match InitResponse::read(payloads.clone()) {
                    Ok(response) => self.init_answered(ctx, datagram, response),
                    Err(_) => dropped(ctx, DropReason::Malformed, self),
                }
            }
            (Phase::Auth(auth), Body::Encrypted(sk), ExchangeType::IKE_AUTH, 1) => {
                if header.spi_r != auth.channel.spis.responder {
                    return dropped(ctx, DropReason::UnknownSpi, self);
                }
                let opened = auth
                    .channel
                    .open(sk)
                    .and_then(|payloads| payloads.try_map(AuthResponse::read).map_err(OpenError::Malformed));
                match opened {
                    Ok(response) => self.auth_answered(ctx, path, response),
                    Err(OpenError::Forged) => dropped(ctx, DropReason::Forged, self),
                    Err(OpenError::Malformed(error)) => {
                        AttemptStep::Failed(Box::new(diagnose::malformed(IKE_AUTH, &error.to_string())))
                    }
                }
            }
            (Phase::Auth(_), Body::Clear(_), ..) => dropped(ctx, DropReason::Unprotected, self),
            _ => dropped(ctx, DropReason::UnexpectedExchange, self),
        }
    }
}
