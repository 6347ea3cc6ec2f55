//! The second phase: `IKE_AUTH`, and the one place where an initiator's tunnel comes to be.

use super::init::InitSent;
use super::{Attempt, AttemptStep, IKE_SA_INIT, Phase};
use crate::config::Encapsulation;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::NatStatus;
use crate::exchange::{AuthRequest, AuthResponse, ChildAnswer, Informational, KeyExchangeData, Protected};
use crate::identity::{Covered, Identity, ProofError, prove, verify};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::negotiate::nat;
use crate::negotiate::proposal::accept_ike;
use crate::path::Path;
use crate::sa::child_exchange::{IKE_AUTH, PendingChild};
use crate::sa::context::Context;
use crate::sa::ike_sa::{Channel, IkeSa, NewIkeSa, OtherKeys, Place};
use crate::sa::retransmission::Retransmission;
use crate::sa::tasks::Task;
use crate::sa::tunnel::{Origin, Tunnel};
use crate::sa::window::Window;
use crate::suite::IkeSuite;
use crate::wire::{AuthMethod, Datagram, ExchangeType, IdData, IkeSpi, Notify, NotifyType, Proposal};

/// `IKE_AUTH` waits for its answer.
pub(super) struct AuthSent {
    pub(super) channel: Channel,
    pub(super) keys: OtherKeys,
    pub(super) suite: IkeSuite,
    pub(super) nonce_i: Vec<u8>,
    pub(super) nonce_r: Vec<u8>,
    /// The responder's `IKE_SA_INIT`, which its proof covers.
    pub(super) init_response: Vec<u8>,
    pub(super) nat: NatStatus,
    pub(super) child: PendingChild,
}

impl std::fmt::Debug for AuthSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSent").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// A responder's `IKE_SA_INIT` that goes on.
pub(super) struct Accepted<'a> {
    pub(super) datagram: &'a Datagram<'a>,
    pub(super) proposals: Vec<Proposal>,
    pub(super) key_exchange: KeyExchangeData,
    pub(super) nonce: Vec<u8>,
    pub(super) notifies: Vec<Notify>,
}

impl Attempt {
    /// The responder goes on: derives the keys and sends our proof.
    pub(super) fn send_auth(
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

    pub(super) fn auth_answered(
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

/// The peer's port for UDP encapsulation: 4500 like ours, unless we were told to use others throughout.
fn peer_nat_port(ctx: &Context<'_>, path: Path) -> u16 {
    if path.remote.port() == ctx.config.ike_port { ctx.config.nat_port } else { 4500 }
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
