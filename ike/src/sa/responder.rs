//! Setting a tunnel up as its responder: `IKE_SA_INIT`, then `IKE_AUTH` (RFC 7296 §1.2).
//!
//! Nobody's identity is known before `IKE_AUTH`, so the suite is chosen from all connections that the peer's address
//! may belong to, and checked again once the identities have named one.

use std::sync::Arc;

use super::child_exchange::{Asked, ChildRefusal, IKE_AUTH, accept};
use super::context::{Context, DropReason};
use super::ike_sa::{Channel, IkeSa, NewIkeSa, OtherKeys, Place};
use super::spis::IkeSpiLease;
use super::tunnel::{Origin, Tunnel};
use super::window::{Arrival, Window};
use crate::config::{Connection, Encapsulation};
use crate::crypto::sha256;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::NatStatus;
use crate::exchange::{
    AuthRequest, AuthResponse, ChildAnswer, ChildOffer, InitRequest, InitResponse, KeyExchangeData,
    OpenError, Protected,
};
use crate::identity::{Covered, Identity, ProofError, VerifiedPeer, prove, verify, verify_nobody};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::limits;
use crate::negotiate::nat;
use crate::negotiate::proposal::{Choice, choose_ike, describe};
use crate::path::Path;
use crate::suite::{IkeProposal, IkeSuite};
use crate::time::Instant;
use crate::wire::{
    Body, Datagram, ExchangeType, Header, IkeSpi, Notify, NotifyType, Payload, PayloadType, emit_clear,
};

/// An SA whose initiator has not proved anything yet.
pub(crate) struct HalfOpen {
    lease: IkeSpiLease,
    channel: Channel,
    keys: OtherKeys,
    suite: IkeSuite,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    init_request: Vec<u8>,
    init_digest: [u8; 32],
    init_response: Vec<u8>,
    nat: NatStatus,
    path: Path,
    started: Instant,
    expires_at: Instant,
    /// The answer to its `IKE_AUTH`, if that was refused.
    refused: Option<Window<()>>,
}

/// What became of an `IKE_SA_INIT` request; the answer is queued already.
pub(crate) enum InitOutcome {
    Opened(Box<HalfOpen>),
    Refused(Option<Box<Diagnosis>>),
}

/// What became of an `IKE_AUTH` request; the answer is queued already.
pub(crate) enum AuthOutcome {
    /// It stays half-open: the message was not for it, or it was refused before.
    Pending(Box<HalfOpen>),
    /// The tunnel stands.
    Established { tunnel: Box<Tunnel>, initial_contact: bool },
    /// It was refused; what is left answers a repeated request.
    Refused { half_open: Box<HalfOpen>, connection: Option<Arc<Connection>>, diagnosis: Box<Diagnosis> },
}

impl HalfOpen {
    /// Answers a first message.
    pub(crate) fn open(
        ctx: &mut Context<'_>,
        acceptable: &Acceptable,
        path: Path,
        datagram: &Datagram<'_>,
        request: InitRequest,
    ) -> InitOutcome {
        let refuse = |ctx: &mut Context<'_>, response: InitResponse, diagnosis: Option<Diagnosis>| {
            answer_init(ctx, path, datagram, IkeSpi::ZERO, response);
            InitOutcome::Refused(diagnosis.map(Box::new))
        };
        let ours = &acceptable.proposals;
        let sent = request.key_exchange.group;
        let Some(choice) = choose_ike(&request.proposals, ours, Some(sent)) else {
            let diagnosis = diagnose::no_ike_proposal_here(describe(&request.proposals), ours);
            return refuse(ctx, InitResponse::Error(NotifyType::NO_PROPOSAL_CHOSEN), Some(diagnosis));
        };
        if choice.suite.group.number() != sent {
            return refuse(ctx, InitResponse::InvalidKe(choice.suite.group.number()), None);
        }
        match Self::accept(ctx, acceptable.encapsulation, path, datagram, request, choice) {
            Ok(half_open) => {
                ctx.output.transmit(path, half_open.init_response.clone());
                InitOutcome::Opened(Box::new(half_open))
            }
            Err(diagnosis) => refuse(ctx, InitResponse::Error(NotifyType::INVALID_SYNTAX), Some(diagnosis)),
        }
    }

    fn accept(
        ctx: &mut Context<'_>,
        encapsulation: Encapsulation,
        path: Path,
        datagram: &Datagram<'_>,
        request: InitRequest,
        choice: Choice<IkeSuite>,
    ) -> Result<Self, Diagnosis> {
        let malformed = |error: &dyn ToString| diagnose::malformed("IKE_SA_INIT", &error.to_string());
        let suite = choice.suite;
        let nat = nat::detect(&request.notifies, datagram.header.spi_i, IkeSpi::ZERO, path);
        let nat = nat.ok_or_else(diagnose::no_nat_traversal)?;
        let answer = ctx.provider.key_exchange.respond(suite.group, &request.key_exchange.data, ctx.random);
        let (data, shared) = answer.map_err(|error| malformed(&error))?;
        let (lease, nonce_r) = (ctx.spis.ike(ctx.random), ctx.nonce());
        let spis = Spis { initiator: datagram.header.spi_i, responder: lease.spi() };
        let nonces = Nonces { initiator: &request.nonce, responder: &nonce_r };
        let keys = IkeKeys::derive(ctx.provider, suite, nonces, spis, &shared);
        let keys = keys.map_err(|error| diagnose::local(&error.to_string()))?;
        let (channel, keys) = Channel::new(keys, spis, false);
        let response = InitResponse::Accept {
            proposals: vec![choice.answer(&[])],
            key_exchange: KeyExchangeData { group: suite.group.number(), data },
            nonce: nonce_r.clone(),
            notifies: nat::notifies(spis.initiator, spis.responder, path, encapsulation, ctx.random).into(),
        };
        Ok(Self {
            channel,
            keys,
            suite,
            nonce_i: request.nonce,
            nonce_r,
            init_request: datagram.bytes.to_vec(),
            init_digest: sha256(&[datagram.bytes]),
            init_response: emit_clear(init_header(datagram, spis.responder), &response.write()),
            nat,
            path,
            started: ctx.now.boot,
            expires_at: ctx.now.boot + limits::HALF_OPEN_LIFETIME,
            refused: None,
            lease,
        })
    }

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

    /// The first message came again: the same answer.
    pub(crate) fn repeat_answer(&self, ctx: &mut Context<'_>, path: Path) {
        ctx.output.transmit(path, self.init_response.clone());
    }

    /// A message came in for this SPI. `find` names the connection for the identities, if one is configured.
    pub(crate) fn handle_datagram(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        directory: &dyn Directory,
    ) -> AuthOutcome {
        let header = datagram.header;
        let dropped = |ctx: &mut Context<'_>, reason, half_open| {
            ctx.output.drop(reason);
            AuthOutcome::Pending(half_open)
        };
        if let Some(window) = &self.refused {
            match window.arrival(header.message_id, datagram.bytes) {
                Arrival::Repeated(answer) if !header.response => ctx.output.transmit(path, answer),
                _ => ctx.output.drop(DropReason::OutsideWindow),
            }
            return AuthOutcome::Pending(self);
        }
        if !header.from_initiator || header.spi_i != self.channel.spis.initiator {
            return dropped(ctx, DropReason::UnknownSpi, self);
        }
        if header.response || header.exchange != ExchangeType::IKE_AUTH || header.message_id != 1 {
            return dropped(ctx, DropReason::UnexpectedExchange, self);
        }
        let Body::Encrypted(sk) = &datagram.body else { return dropped(ctx, DropReason::Unprotected, self) };
        let opened = self.channel.open(sk);
        match opened.and_then(|p| p.try_map(AuthRequest::read).map_err(OpenError::Malformed)) {
            Ok(request) => self.authenticate(ctx, path, datagram, directory, request),
            Err(OpenError::Forged) => dropped(ctx, DropReason::Forged, self),
            Err(OpenError::Malformed(error)) => {
                let diagnosis = diagnose::malformed(IKE_AUTH, &error.to_string());
                self.refuse(ctx, path, datagram, (Notify::refusing(error), None, diagnosis))
            }
        }
    }

    /// The initiator's identity and proof decide: only here does a responder's tunnel come to be.
    fn authenticate(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        directory: &dyn Directory,
        request: Protected<AuthRequest>,
    ) -> AuthOutcome {
        let request = request.into_inner();
        let (peer, connection) = match self.verify_initiator(ctx, directory, &request) {
            Ok(peer) => {
                let connection = Arc::clone(peer.connection());
                (peer, connection)
            }
            Err((connection, diagnosis)) => {
                let refusal = (Notify::new(NotifyType::AUTHENTICATION_FAILED, []), connection, diagnosis);
                return self.refuse(ctx, path, datagram, refusal);
            }
        };
        if directory.is_down(&connection) {
            let diagnosis = diagnose::admin_down(&connection);
            return self.refuse(
                ctx,
                path,
                datagram,
                (Notify::new(NotifyType::AUTHENTICATION_FAILED, []), Some(connection), diagnosis),
            );
        }
        if !connection.proposals.iter().any(|p| p.holds(self.suite)) {
            let diagnosis =
                diagnose::suite_not_for_connection(&self.suite.to_string(), &connection.proposals);
            return self.refuse(
                ctx,
                path,
                datagram,
                (Notify::new(NotifyType::NO_PROPOSAL_CHOSEN, []), Some(connection), diagnosis),
            );
        }
        self.establish(ctx, path, datagram, peer, &request)
    }

    fn verify_initiator(
        &self,
        ctx: &Context<'_>,
        directory: &dyn Directory,
        request: &AuthRequest,
    ) -> Result<VerifiedPeer, (Option<Arc<Connection>>, Diagnosis)> {
        let covered = Covered {
            provider: ctx.provider,
            prf: self.suite.prf,
            key: &*self.keys.auth_i,
            message: &self.init_request,
            nonce: &self.nonce_r,
            id: &request.id_i,
        };
        let theirs = Identity::from_wire(&request.id_i);
        let ours = request.id_r.as_ref().map(Identity::from_wire);
        let found = match (&theirs, &ours) {
            (Some(theirs), None) => directory.find(theirs, None),
            (Some(theirs), Some(Some(ours))) => directory.find(theirs, Some(ours)),
            _ => None,
        };
        let Some(connection) = found else {
            if let Some(auth) = &request.auth {
                verify_nobody(&covered, auth);
            }
            let asked = request.id_r.as_ref().map(Identity::describe);
            let theirs = Identity::describe(&request.id_i);
            return Err((
                None,
                diagnose::unknown_identity(&theirs, asked.as_deref(), &directory.identities()),
            ));
        };
        let refuse = |diagnosis| (Some(Arc::clone(&connection)), diagnosis);
        let Some(auth) = &request.auth else { return Err(refuse(diagnose::no_auth(&connection.remote_id))) };
        verify(&connection, &covered, auth).map_err(|error| {
            let peer = &connection.remote_id;
            refuse(match error {
                ProofError::Value => diagnose::wrong_proof(peer),
                ProofError::Method(method) => diagnose::other_auth_method(peer, method),
                ProofError::Identity => diagnose::wrong_identity(&Identity::describe(&request.id_i), peer),
            })
        })
    }

    fn establish(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        peer: VerifiedPeer,
        request: &AuthRequest,
    ) -> AuthOutcome {
        let connection = Arc::clone(peer.connection());
        let id_r = connection.local_id.to_wire();
        let proof = prove(
            &connection,
            &Covered {
                provider: ctx.provider,
                prf: self.suite.prf,
                key: &*self.keys.auth_r,
                message: &self.init_response,
                nonce: &self.nonce_i,
                id: &id_r,
            },
        );
        let Self { lease, channel, keys, suite, nonce_i, nonce_r, nat, started, .. } = *self;
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let new = NewIkeSa {
            lease,
            channel,
            child_source: keys.child,
            suite,
            nonces,
            window: Window::new(0, 1),
            place: Place::Current,
        };
        let ike_sa = IkeSa::new(ctx, &connection, new);
        let lowest_nonce = ike_sa.lowest_nonce.clone();
        let origin = Origin { initiated: false, started, established: ctx.now.boot, lowest_nonce };
        let spi = ike_sa.spi();
        let mut tunnel = Tunnel::new(ctx, peer, path, nat, origin, ike_sa);
        let child = tunnel.answer_first_child(ctx, spi, request.child.as_ref(), nonces);
        let response = AuthResponse::Accept { id_r, auth: proof, child };
        tunnel.send_answer(ctx, spi, path, datagram, &response.write());
        AuthOutcome::Established { tunnel: Box::new(tunnel), initial_contact: request.initial_contact }
    }

    fn refuse(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        (notify, connection, diagnosis): (Notify, Option<Arc<Connection>>, Diagnosis),
    ) -> AuthOutcome {
        let payloads = [Payload::Notify(notify)];
        let mut window = Window::new(0, 1);
        if let Ok(answer) = self.channel.seal(ExchangeType::IKE_AUTH, true, 1, &payloads) {
            window.answer(datagram.bytes, answer.clone());
            ctx.output.transmit(path, answer);
        }
        // What is left only answers a repeated request: not as long as one that waits for its proof.
        self.expires_at = self.expires_at.min(ctx.now.boot + limits::REFUSED_LIFETIME);
        self.refused = Some(window);
        AuthOutcome::Refused { half_open: self, connection, diagnosis: Box::new(diagnosis) }
    }
}

impl Tunnel {
    /// The Child SA of the initiator's `IKE_AUTH`; without one the IKE SA stands all the same.
    fn answer_first_child(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        offer: Option<&ChildOffer>,
        nonces: Nonces<'_>,
    ) -> ChildAnswer {
        let Some(offer) = offer else { return ChildAnswer::Refused(NotifyType::TS_UNACCEPTABLE) };
        let connection = self.connection().clone();
        let asked = Asked { offer, key_exchange: None, rekeys: None, exchange: IKE_AUTH };
        match accept(ctx, &connection, &asked) {
            Ok((agreed, answer, _)) => match self.install(ctx, spi, agreed, nonces) {
                Ok(new) => {
                    self.send_on(ctx, new);
                    ChildAnswer::Accept(answer)
                }
                Err(_) => ChildAnswer::Refused(NotifyType::NO_ADDITIONAL_SAS),
            },
            Err(ChildRefusal::InvalidKe(_)) => ChildAnswer::Refused(NotifyType::NO_PROPOSAL_CHOSEN),
            Err(ChildRefusal::Error(kind, diagnosis)) => {
                self.fail(*diagnosis);
                ChildAnswer::Refused(kind)
            }
        }
    }
}

/// What we would accept from an address, before its identity is known.
#[derive(Clone, Debug)]
pub(crate) struct Acceptable {
    pub(crate) proposals: Vec<IkeProposal>,
    pub(crate) encapsulation: Encapsulation,
}

/// The configured connections, as a responder needs them.
pub(crate) trait Directory {
    /// The connection for the peer's identity and, if it named one, ours.
    fn find(&self, theirs: &Identity, ours: Option<&Identity>) -> Option<Arc<Connection>>;
    /// Whether an operator took it down.
    fn is_down(&self, connection: &Connection) -> bool;
    /// The pairs of identities that are configured, for a diagnosis.
    fn identities(&self) -> Vec<String>;
}

fn init_header(request: &Datagram<'_>, spi_r: IkeSpi) -> Header {
    Header {
        spi_i: request.header.spi_i,
        spi_r,
        next_payload: PayloadType::NONE,
        exchange: ExchangeType::IKE_SA_INIT,
        from_initiator: false,
        response: true,
        message_id: 0,
        length: 0,
    }
}

/// An answer to `IKE_SA_INIT` that leaves nothing behind.
pub(crate) fn answer_init(
    ctx: &mut Context<'_>,
    path: Path,
    request: &Datagram<'_>,
    spi_r: IkeSpi,
    response: InitResponse,
) {
    ctx.output.transmit(path, emit_clear(init_header(request, spi_r), &response.write()));
}
