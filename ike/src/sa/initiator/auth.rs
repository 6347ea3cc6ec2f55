//! The second exchange: `IKE_AUTH`, and the one place where an initiator's tunnel comes to be.

use std::sync::Arc;

use super::init::Agreeing;
use super::{Attempt, AttemptStep, Phase};
use crate::config::RemoteAuth;
use crate::crypto::CryptoError;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::{JobId, NatStatus};
use crate::exchange::{
    AuthRequest, AuthResponse, ChildAnswer, ConfigReply, ConfigRequest, Informational, Protected,
};
use crate::identity::{Examination, Identity, Proof, Proving, SignedOctets, Verdict, VerifiedPeer};
use crate::keys::{IkeKeys, Nonces};
use crate::path::Path;
use crate::pki::{self, Answer, SigningError};
use crate::sa::addresses::{Addresses, Networks};
use crate::sa::child_exchange::{PendingChild, refused_there};
use crate::sa::context::{Context, JobOwner};
use crate::sa::gathering::Gathering;
use crate::sa::ike_sa::{Channel, IkeSa, NewIkeSa, OtherKeys, Place};
use crate::sa::tasks::Task;
use crate::sa::tunnel::{Origin, Tunnel};
use crate::sa::window::Window;
use crate::secret::Secret;
use crate::suite::IkeSuite;
use crate::wire::{AuthData, CertEncoding, ExchangeType, IdData, NotifyType};
use crate::work::Work;

/// Everything that `IKE_AUTH` needs, and what its answer is read with.
pub(super) struct AuthSent {
    pub(super) channel: Channel,
    keys: OtherKeys,
    suite: IkeSuite,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    /// The responder's `IKE_SA_INIT`, which its proof covers.
    init_response: Vec<u8>,
    nat: NatStatus,
    /// The child that it asks for, unless it is childless.
    child: Option<PendingChild>,
}

impl std::fmt::Debug for AuthSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSent").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The responder's answer whose proof is being examined.
#[derive(Debug)]
pub(super) struct Examining {
    id_r: IdData,
    pub(super) configuration: Option<ConfigReply>,
    pub(super) answer: ChildAnswer,
    path: Path,
}

impl Attempt {
    /// The shared secret is there: derives the keys, and has our proof made.
    pub(super) fn agreed(
        mut self,
        ctx: &mut Context<'_>,
        agreeing: Agreeing,
        secret: Result<Secret, CryptoError>,
    ) -> Result<Self, Diagnosis> {
        let Agreeing { spis, suite, nonce_i, nonce_r, init_response, nat, fragmentation, wishes } = agreeing;
        let shared =
            secret.map_err(|error| diagnose::malformed(ExchangeType::IKE_SA_INIT, &error.to_string()))?;
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let keys = IkeKeys::derive(ctx.provider, suite, nonces, spis, &shared);
        let keys = keys.map_err(|error| diagnose::local(&error.to_string()))?;
        let (channel, keys) = Channel::new(keys, spis, true, fragmentation);
        if nat.encapsulates() {
            self.path = self.path.floated(ctx.config.nat_port, peer_nat_port(ctx, self.path));
        }
        let child = match self.children.first() {
            _ if self.childless => None,
            Some(first) => {
                let packet = self.packets.remove(first).flatten();
                Some(PendingChild::begin(ctx, self.path, *first, None, None)?.triggered_by(packet))
            }
            None => return Err(diagnose::no_childless_there()),
        };
        // Still the message of the exchange before: our IKE_SA_INIT.
        let id_i = self.connection.local_id.to_wire();
        self.line.init = self.message.first().to_vec();
        let octets = SignedOctets::new(&*keys.auth_i, self.message.first(), &nonce_r, &id_i);
        let proving = Proving {
            provider: *ctx.provider,
            prf: suite.prf,
            connection: Arc::clone(&self.connection),
            octets,
            wishes,
            staple: ctx.staples.of(&self.connection),
            wall: ctx.now.wall,
        };
        let job = ctx.work(JobOwner::Attempt(self.spi()), Work::prove(proving));
        let auth = AuthSent { channel, keys, suite, nonce_i, nonce_r, init_response, nat, child };
        Ok(self.working(ctx, Phase::Proving(job, Box::new(auth))))
    }

    /// Our proof is there.
    pub(super) fn send_auth(
        self,
        ctx: &mut Context<'_>,
        mut auth: Box<AuthSent>,
        proof: Result<Proof, SigningError>,
    ) -> Result<Self, Diagnosis> {
        let Proof { certificates, auth: proof } = proof.map_err(|error| diagnose::no_signature(&error))?;
        let cert_requests = match &self.connection.remote_auth {
            RemoteAuth::Signature(trust) => pki::cert_requests(trust),
            RemoteAuth::Psk(_) => Vec::new(),
        };
        let wanted = self.connection.internal_address;
        let asks = wanted.is_asked().then(|| ConfigRequest::new(wanted, &self.asking.last));
        let child = auth.child.as_ref().and_then(|child| {
            let config = self.connection.children.get(child.index)?;
            let networks = if asks.is_some() {
                Networks::while_asking(&self.connection, config)
            } else {
                Addresses::default().networks(&self.connection, config)
            };
            Some(child.offer(config, &networks, false))
        });
        let request = AuthRequest {
            id_i: self.connection.local_id.to_wire(),
            id_r: self.connection.remote_id.exact().map(Identity::to_wire),
            certificates,
            cert_requests,
            auth: Some(proof),
            configuration: asks,
            child,
            initial_contact: self.initial_contact,
        };
        let most = self.path.room(self.connection.fragment_size);
        let sealed = auth.channel.seal(ExchangeType::IKE_AUTH, false, 1, &request.write(), most);
        let message = sealed.map_err(|error| diagnose::local(&error.to_string()))?;
        Ok(self.sent(ctx, message, Phase::Auth(auth)))
    }

    pub(super) fn auth_answered(
        mut self,
        ctx: &mut Context<'_>,
        path: Path,
        response: Protected<AuthResponse>,
    ) -> AttemptStep {
        let Phase::Auth(auth) = std::mem::replace(&mut self.phase, Phase::Gone) else {
            return AttemptStep::Pending(self);
        };
        match response.into_inner() {
            AuthResponse::Error(kind) => AttemptStep::Failed(Box::new(match kind {
                NotifyType::AUTHENTICATION_FAILED => {
                    diagnose::auth_refused_there(&self.connection, ctx.now.wall)
                }
                NotifyType::NO_PROPOSAL_CHOSEN => {
                    diagnose::no_ike_proposal_there(&self.connection.proposals, ExchangeType::IKE_AUTH)
                }
                NotifyType::TEMPORARY_FAILURE => diagnose::put_off_there(),
                other => diagnose::peer_error(ExchangeType::IKE_AUTH, other),
            })),
            AuthResponse::Accept { child: answer, .. } if !answer.fits(auth.child.is_some()) => {
                AttemptStep::Failed(Box::new(diagnose::bad_answer(ExchangeType::IKE_AUTH)))
            }
            AuthResponse::Accept { id_r, certificates, auth: proof, configuration, child: answer } => {
                let examination = self.examination(ctx, &auth, &id_r, proof, certificates);
                let job = ctx.work(JobOwner::Attempt(self.spi()), Work::examine(examination));
                let examining = Box::new(Examining { id_r, configuration, answer, path });
                AttemptStep::Pending(self.working(ctx, Phase::Examining(job, auth, examining)))
            }
        }
    }

    /// The responder's answer is of more fragments, or larger, than is gathered: it will not come otherwise.
    pub(super) fn answer_too_large(mut self, ctx: &mut Context<'_>) -> AttemptStep {
        if let Phase::Auth(mut auth) = std::mem::replace(&mut self.phase, Phase::Gone) {
            self.refuse_responder(ctx, &mut auth.channel);
        }
        AttemptStep::Failed(Box::new(diagnose::certificate::message_too_large("answer")))
    }

    /// The responder's claim.
    fn examination(
        &self,
        ctx: &Context<'_>,
        auth: &AuthSent,
        id_r: &IdData,
        proof: AuthData,
        certificates: Vec<(CertEncoding, Vec<u8>)>,
    ) -> Box<Examination> {
        Box::new(Examination {
            provider: *ctx.provider,
            prf: auth.suite.prf,
            connection: Some(Arc::clone(&self.connection)),
            decoy: None,
            octets: SignedOctets::new(&*auth.keys.auth_r, &auth.init_response, &auth.nonce_i, id_r),
            id: id_r.clone(),
            proof,
            certificates,
            answers: Vec::new(),
            wall: ctx.now.wall,
            ordered: ctx.review_ordered.map_or(0, |order| order.wall),
            ours: None,
        })
    }

    /// The verdict on the responder's proof is here.
    pub(super) fn examined(
        self,
        ctx: &mut Context<'_>,
        mut auth: AuthSent,
        examining: Examining,
        verdict: Verdict,
    ) -> AttemptStep {
        match verdict {
            Verdict::Accepted { peer, .. } => match self.given_addresses(&examining) {
                Ok(addresses) => {
                    let tunnel = self.establish(ctx, auth, examining, (peer, addresses));
                    AttemptStep::Established(Box::new(tunnel))
                }
                Err(diagnosis) => {
                    let delete = Informational { delete_ike: true, ..Informational::default() };
                    self.dismiss_responder(ctx, &mut auth.channel, delete);
                    AttemptStep::Failed(Box::new(diagnosis))
                }
            },
            Verdict::Unsettled { examination, missing } => {
                let owner = JobOwner::Attempt(self.spi());
                let gathering = Gathering::begin(ctx, &owner, examination, missing);
                let phase = Phase::Gathering(gathering, Box::new(auth), Box::new(examining));
                AttemptStep::Pending(self.working(ctx, phase))
            }
            Verdict::Refused(error) => {
                self.refuse_responder(ctx, &mut auth.channel);
                let diagnosis = diagnose::proof(&error, &examining.id_r, &self.connection.remote_id)
                    .during(ExchangeType::IKE_AUTH);
                AttemptStep::Failed(Box::new(diagnosis))
            }
        }
    }

    /// A fetch of this attempt is done.
    pub(crate) fn fetched(
        mut self,
        ctx: &mut Context<'_>,
        job: JobId,
        answer: Result<Answer, String>,
    ) -> AttemptStep {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Gathering(mut gathering, auth, examining) => {
                gathering.take(job, answer);
                match gathering.finish() {
                    Ok(examination) => {
                        let job = ctx.work(JobOwner::Attempt(self.spi()), Work::examine(examination));
                        Phase::Examining(job, auth, examining)
                    }
                    Err(gathering) => Phase::Gathering(gathering, auth, examining),
                }
            }
            other => other,
        };
        AttemptStep::Pending(self)
    }

    /// The responder's identity is proved: only here does an initiator's tunnel come to be.
    fn establish(
        mut self,
        ctx: &mut Context<'_>,
        auth: AuthSent,
        examining: Examining,
        (peer, addresses): (VerifiedPeer, Addresses),
    ) -> Tunnel {
        self.path.remote = examining.path.remote;
        let spi = self.spi();
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
        tunnel.take_addresses(ctx, addresses);
        let by_auth = auth.child.iter().len();
        if let Some(child) = auth.child {
            tunnel.first_child_answered(ctx, child, examining.answer, nonces);
        }
        let others = self.children.into_iter().skip(by_auth);
        for index in others {
            tunnel.starts.note_packet(index, self.packets.remove(&index).flatten());
            tunnel.tasks.push(ctx, Task::CreateChild(index));
        }
        self.early.give(ctx, &mut tunnel, spi);
        tunnel
    }

    fn refuse_responder(&self, ctx: &mut Context<'_>, channel: &mut Channel) {
        let told = Some(NotifyType::AUTHENTICATION_FAILED);
        self.dismiss_responder(ctx, channel, Informational { error: told, ..Informational::default() });
    }

    /// RFC 7296 §2.21.2: the responder believes that the SA stands; told once, it need not wait for its probes.
    fn dismiss_responder(&self, ctx: &mut Context<'_>, channel: &mut Channel, word: Informational) {
        let most = self.path.room(self.connection.fragment_size);
        if let Ok(message) = channel.seal(ExchangeType::INFORMATIONAL, false, 2, &word.write(), most) {
            ctx.output.transmit(self.path, &message);
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
        let index = pending.index;
        let Some(config) = connection.children.get(index) else { return };
        let networks = self.addresses.networks(&connection, config);
        let made_there = matches!(answer, ChildAnswer::Accept(_)).then(|| pending.spi_in());
        let made = match answer {
            ChildAnswer::Accept(answer) => pending
                .complete(config, &networks, &answer, None, ExchangeType::IKE_AUTH)
                .and_then(|agreed| self.install(ctx, self.current, agreed, nonces)),
            ChildAnswer::Refused(kind) => {
                Err(refused_there(config, &networks, kind, ExchangeType::IKE_AUTH, None))
            }
            ChildAnswer::None => Err(diagnose::bad_answer(ExchangeType::IKE_AUTH)),
        };
        match made {
            Ok(new) => self.send_on(ctx, new),
            Err(diagnosis) => {
                self.fail(diagnosis);
                made_there.into_iter().for_each(|spi| self.tasks.push(ctx, Task::DeclineChild(spi)));
                self.try_child_later(ctx, &Task::CreateChild(index));
            }
        }
    }
}
