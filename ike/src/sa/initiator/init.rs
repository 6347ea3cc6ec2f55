//! The first exchange: `IKE_SA_INIT`, again with a cookie or another group where the responder asks for it.

use super::{Attempt, AttemptStep, Phase};
use crate::crypto::ActiveKeyExchange;
use crate::diagnose::{self, Negotiated};
use crate::diagnosis::Diagnosis;
use crate::event::NatStatus;
use crate::exchange::{InitRequest, InitResponse, KeyExchangeData, Message};
use crate::identity::{PeerWishes, our_hashes};
use crate::keys::Spis;
use crate::limits;
use crate::negotiate::proposal::{accept_ike, offer_ike};
use crate::negotiate::{fragmentation, nat};
use crate::sa::context::{Context, DropReason, JobOwner};
use crate::sa::share::{Tried, other_group};
use crate::suite::{Group, IkeSuite};
use crate::wire::{
    CertEncoding, Datagram, ExchangeType, Header, IkeSpi, Notify, NotifyType, PayloadType, Proposal,
    emit_clear,
};
use crate::work::Work;

/// What the request will hold beside our public value, which is being computed.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) cookie: Option<Vec<u8>>,
    pub(super) nonce: Vec<u8>,
    pub(super) restarts: u32,
}

/// `IKE_SA_INIT` waits for its answer.
#[derive(Debug)]
pub(super) struct InitSent {
    request: InitRequest,
    key_exchange: Box<dyn ActiveKeyExchange>,
    restarts: u32,
    /// How often the responder said what this request does already.
    repeats: u32,
}

impl InitSent {
    /// Whether this request brings what the answer asks for.
    fn does(&self, response: &InitResponse) -> bool {
        match response {
            InitResponse::Cookie(cookie) => self.request.cookie.as_ref() == Some(cookie),
            InitResponse::InvalidKe(wanted) => self.key_exchange.group().number() == *wanted,
            InitResponse::Accept { .. } | InitResponse::Error(_) => false,
        }
    }
}

/// What both ends have said, while the shared secret is being computed.
#[derive(Debug)]
pub(super) struct Agreeing {
    pub(super) spis: Spis,
    pub(super) suite: IkeSuite,
    pub(super) nonce_i: Vec<u8>,
    pub(super) nonce_r: Vec<u8>,
    /// The responder's `IKE_SA_INIT`, which its proof covers.
    pub(super) init_response: Vec<u8>,
    pub(super) nat: NatStatus,
    pub(super) fragmentation: bool,
    pub(super) wishes: PeerWishes,
}

/// A responder's `IKE_SA_INIT` that goes on.
struct Accepted<'a> {
    datagram: &'a Datagram<'a>,
    proposals: Vec<Proposal>,
    key_exchange: KeyExchangeData,
    nonce: Vec<u8>,
    notifies: Vec<Notify>,
    cert_requests: Vec<(CertEncoding, Vec<u8>)>,
}

impl Attempt {
    /// Has our public value in this group computed.
    pub(super) fn begin_key_exchange(
        self,
        ctx: &mut Context<'_>,
        group: Group,
        beginning: Beginning,
    ) -> Result<Self, Diagnosis> {
        let private = ctx.provider.key_exchange.draw(group, ctx.random);
        let private = private.map_err(|error| diagnose::local(&error.to_string()))?;
        let job = ctx.work(JobOwner::Attempt(self.spi()), Work::begin(private));
        Ok(self.working(ctx, Phase::Beginning(job, beginning)))
    }

    /// Our public value is there.
    pub(super) fn send_init(
        self,
        ctx: &mut Context<'_>,
        beginning: Beginning,
        key_exchange: Box<dyn ActiveKeyExchange>,
    ) -> AttemptStep {
        let Beginning { cookie, nonce, restarts } = beginning;
        let (spi, encapsulation) = (self.spi(), self.connection.encapsulation);
        let data = key_exchange.public().to_vec();
        let nat = nat::notifies(spi, IkeSpi::ZERO, self.path, encapsulation);
        let request = InitRequest {
            cookie,
            proposals: offer_ike(&self.connection.proposals, &[]),
            key_exchange: KeyExchangeData { group: key_exchange.group().number(), data },
            nonce,
            notifies: nat.into_iter().chain([fragmentation::notify(), our_hashes()]).collect(),
        };
        self.resend_init(ctx, InitSent { request, key_exchange, restarts, repeats: 0 })
    }

    fn resend_init(self, ctx: &mut Context<'_>, init: InitSent) -> AttemptStep {
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
        let message = emit_clear(header, &init.request.clone().write());
        AttemptStep::Pending(self.sent(ctx, Message::whole(message), Phase::Init(init)))
    }

    pub(super) fn init_answered(
        mut self,
        ctx: &mut Context<'_>,
        datagram: &Datagram<'_>,
        response: InitResponse,
    ) -> AttemptStep {
        let Phase::Init(mut init) = std::mem::replace(&mut self.phase, Phase::Gone) else {
            return AttemptStep::Pending(self);
        };
        let fail = |diagnosis| AttemptStep::Failed(Box::new(diagnosis));
        // Doubled on its way, or said to a repetition of the request before: only one who says so again and again means it.
        if init.does(&response) && init.repeats < limits::INIT_REPEATS {
            init.repeats += 1;
            ctx.output.drop(DropReason::OutsideWindow);
            return AttemptStep::Pending(Self { phase: Phase::Init(init), ..self });
        }
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
                self.resend_init(ctx, init)
            }
            InitResponse::InvalidKe(wanted) => self.change_group(ctx, init, wanted).into(),
            InitResponse::Error(NotifyType::NO_PROPOSAL_CHOSEN) => {
                fail(diagnose::no_ike_proposal_there(&self.connection.proposals, ExchangeType::IKE_SA_INIT))
            }
            InitResponse::Error(kind) => fail(diagnose::peer_error(ExchangeType::IKE_SA_INIT, kind)),
            InitResponse::Accept { proposals, key_exchange, nonce, notifies, cert_requests } => {
                let accepted = Accepted { datagram, proposals, key_exchange, nonce, notifies, cert_requests };
                self.agree(ctx, init, accepted).into()
            }
        }
    }

    fn change_group(self, ctx: &mut Context<'_>, init: InitSent, wanted: u16) -> Result<Self, Diagnosis> {
        let ours: Vec<Group> = self.connection.proposals.iter().flat_map(|p| p.groups.clone()).collect();
        // How often is counted together with the cookies.
        let tried = Tried { group: Some(init.key_exchange.group()), too_often: false };
        let group = other_group(wanted, &ours, tried, (Negotiated::IkeSa, ExchangeType::IKE_SA_INIT))?;
        // A cookie given before is still good: it does not cover the key exchange.
        let InitRequest { cookie, nonce, .. } = init.request;
        self.begin_key_exchange(ctx, group, Beginning { cookie, nonce, restarts: init.restarts })
    }

    /// The responder goes on: has the shared secret computed.
    fn agree(
        mut self,
        ctx: &mut Context<'_>,
        init: InitSent,
        accepted: Accepted<'_>,
    ) -> Result<Self, Diagnosis> {
        let bad = || diagnose::bad_answer(ExchangeType::IKE_SA_INIT);
        let spis = Spis { initiator: self.lease.spi(), responder: accepted.datagram.header.spi_r };
        // A message of ours that was sent back carries our own SPI or nonce.
        if spis.responder == IkeSpi::ZERO
            || spis.responder == spis.initiator
            || accepted.nonce == init.request.nonce
        {
            return Err(diagnose::reflected(ExchangeType::IKE_SA_INIT));
        }
        let suite = accept_ike(&accepted.proposals, &self.connection.proposals).ok_or_else(bad)?.suite;
        if suite.group != init.key_exchange.group() || accepted.key_exchange.group != suite.group.number() {
            return Err(bad());
        }
        let can_childless = |n: &Notify| n.kind == NotifyType::CHILDLESS_IKEV2_SUPPORTED;
        self.childless = self.wants_childless() && accepted.notifies.iter().any(can_childless);
        let encapsulation = self.connection.encapsulation;
        let nat = nat::detect(&accepted.notifies, spis.initiator, spis.responder, self.path, encapsulation);
        let nat = nat.ok_or_else(diagnose::no_nat_traversal)?;
        let work = Work::complete(init.key_exchange, accepted.key_exchange.data);
        let job = ctx.work(JobOwner::Attempt(self.spi()), work);
        let agreeing = Agreeing {
            spis,
            suite,
            nonce_i: init.request.nonce,
            nonce_r: accepted.nonce,
            init_response: accepted.datagram.bytes.to_vec(),
            nat,
            fragmentation: fragmentation::is_supported(&accepted.notifies),
            wishes: PeerWishes::new(&accepted.notifies, accepted.cert_requests),
        };
        Ok(self.working(ctx, Phase::Agreeing(job, Box::new(agreeing))))
    }
}
