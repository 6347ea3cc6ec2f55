//! The first phase: `IKE_SA_INIT`, again with a cookie or another group where the responder asks for it.

use super::auth::Accepted;
use super::{Attempt, AttemptStep, IKE_SA_INIT, Phase};
use crate::config::Connection;
use crate::crypto::ActiveKeyExchange;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::exchange::{InitRequest, InitResponse, KeyExchangeData};
use crate::limits;
use crate::negotiate::nat;
use crate::negotiate::proposal::offer_ike;
use crate::path::Path;
use crate::sa::context::{Context, DropReason};
use crate::sa::retransmission::Retransmission;
use crate::suite::Group;
use crate::wire::{Datagram, ExchangeType, Header, IkeSpi, NotifyType, PayloadType, emit_clear};

/// `IKE_SA_INIT` waits for its answer.
pub(super) struct InitSent {
    pub(super) request: InitRequest,
    pub(super) key_exchange: Box<dyn ActiveKeyExchange>,
    pub(super) restarts: u32,
}

impl std::fmt::Debug for InitSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitSent").field("restarts", &self.restarts).finish_non_exhaustive()
    }
}

impl Attempt {
    /// Sends the `IKE_SA_INIT` request of this phase, and waits anew.
    pub(super) fn send_init(mut self, ctx: &mut Context<'_>, init: InitSent) -> AttemptStep {
        let header = Header {
            spi_i: self.lease.spi(),
            spi_r: IkeSpi::ZERO,
            next_payload: PayloadType::NONE,
            exchange: ExchangeType::IKE_SA_INIT,
            from_initiator: true,
            response: false,
            message_id: 0,
            length: 0,
        };
        self.message = emit_clear(header, &init.request.clone().write());
        self.retransmission = Retransmission::new(self.connection.retransmit, ctx);
        ctx.output.transmit(self.path, self.message.clone());
        AttemptStep::Pending(Self { phase: Phase::Init(init), ..self })
    }

    pub(super) fn init_answered(
        self,
        ctx: &mut Context<'_>,
        datagram: &Datagram<'_>,
        response: InitResponse,
    ) -> AttemptStep {
        let Self { phase: Phase::Init(mut init), .. } = self else { return AttemptStep::Pending(self) };
        let fail = |diagnosis| AttemptStep::Failed(Box::new(diagnosis));
        if matches!(response, InitResponse::Cookie(_) | InitResponse::InvalidKe(_)) {
            init.restarts += 1;
            if init.restarts > limits::INIT_RESTARTS {
                return fail(diagnose::too_many_restarts());
            }
        }
        match response {
            InitResponse::Cookie(cookie) if cookie.is_empty() || cookie.len() > limits::COOKIE => {
                ctx.output.drop(DropReason::Malformed);
                AttemptStep::Pending(Self { phase: Phase::Init(init), ..self })
            }
            // RFC 7296 §2.6: again, "with the cookie as the first payload and all other payloads unchanged".
            InitResponse::Cookie(cookie) => {
                init.request.cookie = Some(cookie);
                Self { phase: Phase::Gone, ..self }.send_init(ctx, init)
            }
            InitResponse::InvalidKe(wanted) => {
                let ours: Vec<Group> =
                    self.connection.proposals.iter().flat_map(|p| p.groups.clone()).collect();
                let tried = init.key_exchange.group();
                let Some(group) = Group::from_number(wanted).filter(|g| ours.contains(g) && *g != tried)
                else {
                    let ours: Vec<_> = ours.iter().map(Group::to_string).collect();
                    return fail(diagnose::key_exchange_group(wanted, &ours));
                };
                match InitSent::new(ctx, &self.connection, self.lease.spi(), self.path, group) {
                    // A cookie given before is still good: it does not cover the key exchange.
                    Ok(new) => {
                        let request = InitRequest {
                            cookie: init.request.cookie,
                            nonce: init.request.nonce,
                            ..new.request
                        };
                        let init = InitSent { request, restarts: init.restarts, ..new };
                        Self { phase: Phase::Gone, ..self }.send_init(ctx, init)
                    }
                    Err(diagnosis) => fail(diagnosis),
                }
            }
            InitResponse::Error(NotifyType::NO_PROPOSAL_CHOSEN) => {
                fail(diagnose::no_ike_proposal_there(&self.connection.proposals))
            }
            InitResponse::Error(kind) => fail(diagnose::peer_error(IKE_SA_INIT, kind)),
            InitResponse::Accept { proposals, key_exchange, nonce, notifies } => {
                let accepted = Accepted { datagram, proposals, key_exchange, nonce, notifies };
                let attempt = Self { phase: Phase::Gone, ..self };
                match attempt.send_auth(ctx, init, accepted) {
                    Ok(attempt) => AttemptStep::Pending(attempt),
                    Err(diagnosis) => fail(diagnosis),
                }
            }
        }
    }
}

impl InitSent {
    pub(super) fn new(
        ctx: &mut Context<'_>,
        connection: &Connection,
        spi_i: IkeSpi,
        path: Path,
        group: Group,
    ) -> Result<Self, Diagnosis> {
        let key_exchange = ctx.provider.key_exchange.begin(group, ctx.random);
        let key_exchange = key_exchange.map_err(|error| diagnose::local(&error.to_string()))?;
        let request = InitRequest {
            cookie: None,
            proposals: offer_ike(&connection.proposals, &[]),
            key_exchange: KeyExchangeData { group: group.number(), data: key_exchange.public().to_vec() },
            nonce: ctx.nonce(),
            notifies: nat::notifies(spi_i, IkeSpi::ZERO, path, connection.encapsulation, ctx.random).into(),
        };
        Ok(Self { request, key_exchange, restarts: 0 })
    }
}
