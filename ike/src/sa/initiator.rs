//! Setting a tunnel up as its initiator: `IKE_SA_INIT`, then `IKE_AUTH` (RFC 7296 §1.2).

use std::sync::Arc;

use super::child_exchange::{IKE_AUTH, PendingChild};
use super::context::{Context, DropReason};
use super::ike_sa::{Channel, IkeSa, NewIkeSa, OtherKeys, Place};
use super::retransmission::{Overdue, Retransmission};
use super::spis::IkeSpiLease;
use super::tasks::Task;
use super::tunnel::{Origin, Tunnel};
use super::window::Window;
use crate::config::{Connection, Encapsulation};
use crate::crypto::ActiveKeyExchange;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::NatStatus;
use crate::exchange::{
    AuthRequest, AuthResponse, ChildAnswer, Informational, InitRequest, InitResponse, KeyExchangeData,
    OpenError, Protected,
};
use crate::identity::{Covered, Identity, ProofError, prove, verify};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::limits;
use crate::negotiate::nat;
use crate::negotiate::proposal::{accept_ike, offer_ike};
use crate::path::Path;
use crate::suite::{Group, IkeSuite};
use crate::time::Instant;
use crate::wire::{
    AuthMethod, Body, Datagram, ExchangeType, Header, IdData, IkeSpi, Notify, NotifyType, PayloadType,
    Proposal, emit_clear,
};

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

/// `IKE_SA_INIT` waits for its answer.
struct InitSent {
    request: InitRequest,
    key_exchange: Box<dyn ActiveKeyExchange>,
    restarts: u32,
}

/// `IKE_AUTH` waits for its answer.
struct AuthSent {
    channel: Channel,
    keys: OtherKeys,
    suite: IkeSuite,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    /// The responder's `IKE_SA_INIT`, which its proof covers.
    init_response: Vec<u8>,
    nat: NatStatus,
    child: PendingChild,
}

impl std::fmt::Debug for InitSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitSent").field("restarts", &self.restarts).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AuthSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSent").field("suite", &self.suite).finish_non_exhaustive()
    }
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

    /// Sends the `IKE_SA_INIT` request of this phase, and waits anew.
    fn send_init(mut self, ctx: &mut Context<'_>, init: InitSent) -> AttemptStep {
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

    fn init_answered(
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

    /// The responder goes on: derives the keys and sends our proof.
    fn send_auth(
        mut self,
        ctx: &mut Context<'_>,
        init: InitSent,
        accepted: Accepted<'_>,
    ) -> Result<Self, Diagnosis> {
        let bad = || diagnose::bad_answer(IKE_SA_INIT);
        let spis = Spis { initiator: self.lease.spi(), responder: accepted.datagram.header.spi_r };
        // A message of ours that was sent back carries our own SPI or nonce.
        if spis.responder == IkeSpi::ZERO
            || spis.responder == spis.initiator
            || accepted.nonce == init.request.nonce
        {
            return Err(diagnose::reflected(IKE_SA_INIT));
        }
        let suite = accept_ike(&accepted.proposals, &self.connection.proposals).ok_or_else(bad)?.suite;
        if suite.group != init.key_exchange.group() || accepted.key_exchange.group != suite.group.number() {
            return Err(bad());
        }
        let shared = init.key_exchange.complete(&accepted.key_exchange.data);
        let shared = shared.map_err(|error| diagnose::malformed(IKE_SA_INIT, &error.to_string()))?;
        let (nonce_i, nonce_r) = (init.request.nonce, accepted.nonce);
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let keys = IkeKeys::derive(ctx.provider, suite, nonces, spis, &shared);
        let keys = keys.map_err(|error| diagnose::local(&error.to_string()))?;
        let (channel, keys) = Channel::new(keys, spis, true);
        let nat = nat::detect(&accepted.notifies, spis.initiator, spis.responder, self.path);
        let nat = nat.ok_or_else(diagnose::no_nat_traversal)?;
        if nat.here || nat.there || self.connection.encapsulation == Encapsulation::Forced {
            self.path = self.path.floated(ctx.config.nat_port, peer_nat_port(ctx, self.path));
        }
        let child = PendingChild::begin(ctx, 0, None, None)?;
        let init_response = accepted.datagram.bytes.to_vec();
        let mut auth = AuthSent { channel, keys, suite, nonce_i, nonce_r, init_response, nat, child };
        let request = self.auth_request(ctx, &auth)?;
        let sealed = auth.channel.seal(ExchangeType::IKE_AUTH, false, 1, &request.write());
        self.message = sealed.map_err(|error| diagnose::local(&error.to_string()))?;
        self.retransmission = Retransmission::new(self.connection.retransmit, ctx);
        ctx.output.transmit(self.path, self.message.clone());
        Ok(Self { phase: Phase::Auth(Box::new(auth)), ..self })
    }

    fn auth_request(&self, ctx: &Context<'_>, auth: &AuthSent) -> Result<AuthRequest, Diagnosis> {
        let id_i = self.connection.local_id.to_wire();
        let covered = Covered {
            provider: ctx.provider,
            prf: auth.suite.prf,
            key: &*auth.keys.auth_i,
            // Still the message of the phase before: our IKE_SA_INIT.
            message: &self.message,
            nonce: &auth.nonce_r,
            id: &id_i,
        };
        let proof = prove(&self.connection, &covered);
        let config = self.connection.children.first();
        let config = config.ok_or_else(|| diagnose::local("no Child SA is configured"))?;
        Ok(AuthRequest {
            id_r: Some(self.connection.remote_id.to_wire()),
            auth: Some(proof),
            child: Some(auth.child.offer(config, false)),
            initial_contact: self.initial_contact,
            id_i,
        })
    }

    fn auth_answered(
        self,
        ctx: &mut Context<'_>,
        path: Path,
        response: Protected<AuthResponse>,
    ) -> AttemptStep {
        let Self { phase: Phase::Auth(auth), .. } = self else { return AttemptStep::Pending(self) };
        let attempt = Self { phase: Phase::Gone, ..self };
        match response.into_inner() {
            AuthResponse::Error(kind) => AttemptStep::Failed(Box::new(match kind {
                NotifyType::AUTHENTICATION_FAILED => diagnose::auth_refused_there(&attempt.connection),
                NotifyType::NO_PROPOSAL_CHOSEN => {
                    diagnose::no_ike_proposal_there(&attempt.connection.proposals)
                }
                other => diagnose::peer_error(IKE_AUTH, other),
            })),
            AuthResponse::Accept { id_r, auth: proof, child } => {
                attempt.verify_responder(ctx, path, *auth, (id_r, proof, child))
            }
        }
    }

    /// The responder's identity and proof decide: only here does an initiator's tunnel come to be.
    fn verify_responder(
        mut self,
        ctx: &mut Context<'_>,
        path: Path,
        mut auth: AuthSent,
        (id_r, proof, answer): (IdData, (AuthMethod, Vec<u8>), ChildAnswer),
    ) -> AttemptStep {
        let covered = Covered {
            provider: ctx.provider,
            prf: auth.suite.prf,
            key: &*auth.keys.auth_r,
            message: &auth.init_response,
            nonce: &auth.nonce_i,
            id: &id_r,
        };
        let peer = match verify(&self.connection, &covered, &proof) {
            Ok(peer) => peer,
            Err(error) => {
                self.refuse_responder(ctx, &mut auth.channel);
                return AttemptStep::Failed(Box::new(self.refusal(error, &id_r)));
            }
        };
        self.path.remote = path.remote;
        let nonces = Nonces { initiator: &auth.nonce_i, responder: &auth.nonce_r };
        let new = NewIkeSa {
            lease: self.lease,
            channel: auth.channel,
            child_source: auth.keys.child,
            suite: auth.suite,
            nonces,
            window: Window::new(2, 0),
            place: Place::Current,
        };
        let ike_sa = IkeSa::new(ctx, &self.connection, new);
        let origin = Origin {
            initiated: true,
            started: self.started,
            established: ctx.now.boot,
            lowest_nonce: ike_sa.lowest_nonce.clone(),
        };
        let mut tunnel = Tunnel::new(ctx, peer, self.path, auth.nat, origin, ike_sa);
        tunnel.first_child_answered(ctx, auth.child, answer, nonces);
        AttemptStep::Established(Box::new(tunnel))
    }

    /// RFC 7296 §2.21.2: the responder believes that the SA stands; told once, it need not wait for its probes.
    fn refuse_responder(&self, ctx: &mut Context<'_>, channel: &mut Channel) {
        let refusal =
            Informational { error: Some(NotifyType::AUTHENTICATION_FAILED), ..Informational::default() };
        if let Ok(message) = channel.seal(ExchangeType::INFORMATIONAL, false, 2, &refusal.write()) {
            ctx.output.transmit(self.path, message);
        }
    }

    fn refusal(&self, error: ProofError, id_r: &IdData) -> Diagnosis {
        let configured = &self.connection.remote_id;
        match error {
            ProofError::Value => diagnose::wrong_proof(configured),
            ProofError::Method(method) => diagnose::other_auth_method(configured, method),
            ProofError::Identity => diagnose::wrong_identity(&Identity::describe(id_r), configured),
        }
    }
}

/// A responder's `IKE_SA_INIT` that goes on.
struct Accepted<'a> {
    datagram: &'a Datagram<'a>,
    proposals: Vec<Proposal>,
    key_exchange: KeyExchangeData,
    nonce: Vec<u8>,
    notifies: Vec<Notify>,
}

/// The peer's port for UDP encapsulation: 4500 like ours, unless we were told to use others throughout.
fn peer_nat_port(ctx: &Context<'_>, path: Path) -> u16 {
    if path.remote.port() == ctx.config.ike_port { ctx.config.nat_port } else { 4500 }
}

impl InitSent {
    fn new(
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

impl Tunnel {
    /// What the responder's `IKE_AUTH` says of the first Child SA. Without one the IKE SA stands all the same.
    fn first_child_answered(
        &mut self,
        ctx: &mut Context<'_>,
        pending: PendingChild,
        answer: ChildAnswer,
        nonces: Nonces<'_>,
    ) {
        let connection = self.connection().clone();
        let Some(config) = connection.children.first() else { return };
        let made = match answer {
            ChildAnswer::Accept(answer) => {
                pending.complete(config, &answer, None, IKE_AUTH).and_then(|agreed| {
                    let new = self.install(ctx, self.current, agreed, nonces);
                    new.map_err(|error| diagnose::local(&error.to_string()))
                })
            }
            ChildAnswer::Refused(NotifyType::NO_PROPOSAL_CHOSEN) => {
                Err(diagnose::no_child_proposal_there(&config.proposals))
            }
            ChildAnswer::Refused(NotifyType::TS_UNACCEPTABLE) => {
                Err(diagnose::selectors_there(&config.local, &config.remote))
            }
            ChildAnswer::Refused(kind) => Err(diagnose::peer_error(IKE_AUTH, kind)),
        };
        match made {
            Ok(new) => self.send_on(ctx, new),
            Err(diagnosis) => {
                self.fail(diagnosis);
                self.try_child_later(ctx, &Task::CreateChild(0));
            }
        }
        (1..connection.children.len()).for_each(|index| self.tasks.push(ctx, Task::CreateChild(index)));
    }
}
