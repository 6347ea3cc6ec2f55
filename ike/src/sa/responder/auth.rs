//! `IKE_AUTH`: the initiator's identity and proof, and the one place where a responder's tunnel comes to be.

use std::sync::Arc;

use super::init::Answered;
use super::{Directory, HalfOpen, HalfOpenStep, Phase, Refusal, Standing};
use crate::config::{Childless, Connection};
use crate::crypto::sha256;
use crate::diagnose;
use crate::exchange::{AuthRequest, AuthResponse, ChildAnswer, ChildOffer, OpenError, Received};
use crate::identity::{
    Examination, Identity, Ours, PeerWishes, Proof, ProofError, SignedOctets, Verdict, VerifiedPeer,
};
use crate::keys::Nonces;
use crate::limits;
use crate::path::Path;
use crate::sa::child_exchange::{Asked, ChildRefusal, accept};
use crate::sa::context::{Context, DropReason, JobOwner};
use crate::sa::gathering::Gathering;
use crate::sa::ike_sa::{IkeSa, NewIkeSa, Place};
use crate::sa::tunnel::{Origin, Tunnel};
use crate::sa::window::{Request, Window};
use crate::suite::IkeSuite;
use crate::wire::{AuthData, Body, Datagram, ExchangeType, IdData, IkeSpi, Notify, NotifyType, Payload};
use crate::work::Work;

/// The request whose proof is being examined.
pub(super) struct Examining {
    asked: Request,
    path: Path,
    request: AuthRequest,
    connection: Option<Arc<Connection>>,
}

impl HalfOpen {
    /// `IKE_AUTH` came in, or something else.
    pub(super) fn auth_asked(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        datagram: &Datagram<'_>,
        directory: &dyn Directory,
        mut answered: Box<Answered>,
    ) -> HalfOpenStep {
        let (asked, request) = match read(&mut answered, datagram) {
            Ok(read) => read,
            Err(ReadError::Drop(reason)) => {
                reason.into_iter().for_each(|reason| ctx.output.drop(reason));
                self.phase = Phase::Answered(answered);
                return HalfOpenStep::Pending(self);
            }
            Err(ReadError::Refuse(refusal)) => {
                // Of a message that is too large, the first fragment may be here already.
                let gathered = matches!(datagram.body, Body::Fragment(_));
                let digest = answered.channel.digest_of_request().filter(|_| gathered);
                let digest = digest.unwrap_or_else(|| sha256(&[datagram.bytes]));
                let asked = Request::new(&datagram.header, digest);
                return self.refuse(ctx, path, &asked, answered, refusal);
            }
        };
        let connection = find(directory, &request);
        let Some(proof) = request.auth.clone() else {
            let refusal = Self::without_proof(directory, &request, connection);
            return self.refuse(ctx, path, &asked, answered, refusal);
        };
        let mut examination = self.examination(ctx, &answered, &request, proof, connection.clone());
        examination.decoy = directory.decoy();
        let job = ctx.work(JobOwner::HalfOpen(self.spi()), Work::examine(examination));
        let examining = Examining { asked, path, request, connection };
        self.phase = Phase::Examining(job, answered, Box::new(examining));
        HalfOpenStep::Pending(self)
    }

    fn without_proof(
        directory: &dyn Directory,
        request: &AuthRequest,
        connection: Option<Arc<Connection>>,
    ) -> Refusal {
        let unknown = Refusal::unknown(directory, request);
        let Some(connection) = connection else { return unknown };
        let diagnosis = diagnose::no_auth(&connection.remote_id);
        Refusal::new(NotifyType::AUTHENTICATION_FAILED, connection, diagnosis)
    }

    /// The initiator's claim, and what our own proof will cover.
    fn examination(
        &self,
        ctx: &Context<'_>,
        answered: &Answered,
        request: &AuthRequest,
        proof: AuthData,
        connection: Option<Arc<Connection>>,
    ) -> Box<Examination> {
        let Answered { keys, nonce_i, nonce_r, .. } = answered;
        let octets = SignedOctets::new(&*keys.auth_i, &self.init_request, nonce_r, &request.id_i);
        let ours = connection.as_ref().map(|connection| {
            let id_r = connection.local_id.to_wire();
            let octets = SignedOctets::new(&*keys.auth_r, &answered.init_response, nonce_i, &id_r);
            let cert_requests = request.cert_requests.clone();
            let wishes = PeerWishes { cert_requests, ..answered.wishes.clone() };
            Ours { octets, wishes, staple: ctx.staples.of(connection) }
        });
        Box::new(Examination {
            provider: *ctx.provider,
            prf: answered.suite.prf,
            connection,
            decoy: None,
            id: request.id_i.clone(),
            octets,
            proof,
            certificates: request.certificates.clone(),
            answers: Vec::new(),
            wall: ctx.now.wall,
            ordered: ctx.review_ordered.map_or(0, |order| order.wall),
            ours,
        })
    }

    /// The verdict on the initiator's proof is here.
    pub(super) fn examined(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        directory: &dyn Directory,
        answered: Box<Answered>,
        examining: Examining,
        verdict: Verdict,
    ) -> HalfOpenStep {
        let Examining { asked, path, ref request, ref connection } = examining;
        let accepted = match verdict {
            Verdict::Unsettled { examination, missing } => {
                let gathering = Gathering::begin(ctx, &JobOwner::HalfOpen(self.spi()), examination, missing);
                self.phase = Phase::Gathering(gathering, answered, Box::new(examining));
                return HalfOpenStep::Pending(self);
            }
            Verdict::Accepted { peer, ours: Some(proof) } => {
                may_stand(directory, &peer, request.initial_contact, answered.suite)
                    .and_then(|()| may_be_childless(peer.connection(), request))
                    .map(|()| (peer, proof))
            }
            Verdict::Accepted { peer, ours: None } => {
                let diagnosis = diagnose::local("our own proof of identity was not made");
                let connection = Arc::clone(peer.connection());
                Err(Refusal::new(NotifyType::AUTHENTICATION_FAILED, connection, diagnosis))
            }
            Verdict::Refused(error) => Err(proof_refused(directory, request, connection.clone(), &error)),
        };
        match accepted {
            Ok((peer, proof)) => self.establish(ctx, path, &asked, *answered, request, (peer, proof)),
            Err(refusal) => self.refuse(ctx, path, &asked, answered, refusal),
        }
    }

    fn establish(
        self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        asked: &Request,
        answered: Answered,
        request: &AuthRequest,
        (peer, proof): (VerifiedPeer, Proof),
    ) -> HalfOpenStep {
        let connection = Arc::clone(peer.connection());
        let id_r: IdData = connection.local_id.to_wire();
        let Answered { channel, keys, suite, nonce_i, nonce_r, nat, .. } = answered;
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let new = NewIkeSa {
            lease: self.lease,
            channel,
            child_source: keys.child,
            suite,
            nonces,
            window: Window::new(0, 1),
            place: Place::Current,
        };
        let ike_sa = IkeSa::new(ctx, &connection, new);
        let lowest_nonce = ike_sa.lowest_nonce.clone();
        let origin =
            Origin { initiated: false, started: self.started, established: ctx.now.boot, lowest_nonce };
        let spi = ike_sa.spi();
        let mut tunnel = Tunnel::new(ctx, peer, path, nat, origin, ike_sa);
        let given = request.configuration.as_ref().map(|asks| tunnel.assign(ctx, asks)).transpose();
        let (configuration, child) = match given {
            Ok(reply) => (reply, tunnel.answer_first_child(ctx, spi, request.child.as_ref(), nonces)),
            Err(refusal) => {
                tunnel.refused_child = true;
                (None, ChildAnswer::Refused(refusal))
            }
        };
        let Proof { certificates, auth } = proof;
        let response = AuthResponse::Accept { id_r, certificates, auth, configuration, child };
        tunnel.send_answer(ctx, spi, path, asked, &response.write());
        HalfOpenStep::Established { tunnel: Box::new(tunnel), initial_contact: request.initial_contact }
    }

    fn refuse(
        mut self: Box<Self>,
        ctx: &mut Context<'_>,
        path: Path,
        asked: &Request,
        mut answered: Box<Answered>,
        refusal: Refusal,
    ) -> HalfOpenStep {
        let mut window = Window::new(0, 1);
        let payloads = [Payload::Notify(refusal.notify.clone())];
        let most = path.room(limits::FRAGMENT_SIZE);
        if let Ok(answer) = answered.channel.seal(ExchangeType::IKE_AUTH, true, 1, &payloads, most) {
            ctx.output.transmit(path, &answer);
            window.answer(asked, answer);
        }
        // What is left only answers a repeated request: not as long as one that waits for its proof.
        self.expires_at = self.expires_at.min(ctx.now.boot + limits::REFUSED_LIFETIME);
        self.phase = Phase::Refused(window);
        HalfOpenStep::Refused { left: Some(self), refusal }
    }
}

/// Why a message is no `IKE_AUTH` request to go on with.
enum ReadError {
    /// It is not from the initiator, or not for this state; or not all of it is here.
    Drop(Option<DropReason>),
    /// It is from the initiator, and malformed, or larger than is gathered.
    Refuse(Refusal),
}

fn read(answered: &mut Answered, datagram: &Datagram<'_>) -> Result<(Request, AuthRequest), ReadError> {
    let header = datagram.header;
    if header.response || header.exchange != ExchangeType::IKE_AUTH || header.message_id != 1 {
        return Err(ReadError::Drop(Some(DropReason::UnexpectedExchange)));
    }
    let read = |received: Received| {
        let request = received.payloads.try_map(AuthRequest::read).map_err(OpenError::Malformed)?;
        Ok((Request::new(&header, received.digest), request.into_inner()))
    };
    answered.channel.open(datagram).and_then(read).map_err(|error| match error {
        OpenError::Malformed(error) => {
            let diagnosis = diagnose::malformed(ExchangeType::IKE_AUTH, &error.to_string());
            ReadError::Refuse(Refusal::nameless(Notify::refusing(error), diagnosis))
        }
        OpenError::TooLarge => {
            let diagnosis = diagnose::certificate::message_too_large("request");
            ReadError::Refuse(Refusal::nameless(
                Notify::new(NotifyType::AUTHENTICATION_FAILED, []),
                diagnosis,
            ))
        }
        other => ReadError::Drop(DropReason::of(&other)),
    })
}

/// The connection for both identities.
fn find(directory: &dyn Directory, request: &AuthRequest) -> Option<Arc<Connection>> {
    let theirs = Identity::from_wire(&request.id_i)?;
    match &request.id_r {
        None => directory.find(&theirs, None),
        Some(ours) => directory.find(&theirs, Some(&Identity::from_wire(ours)?)),
    }
}

/// The peer is who it says; whether its connection may be set up with this suite.
fn may_stand(
    directory: &dyn Directory,
    peer: &VerifiedPeer,
    initial_contact: bool,
    suite: IkeSuite,
) -> Result<(), Refusal> {
    let connection = peer.connection();
    let refuse = |kind, diagnosis| Err(Refusal::new(kind, Arc::clone(connection), diagnosis));
    match directory.standing(connection, peer.identity(), initial_contact) {
        Standing::Allowed => {}
        // It is the peer, and nothing is wrong with its proof: "a request that cannot be completed due to a temporary condition"
        // (RFC 7296 §2.25).
        Standing::Down => return refuse(NotifyType::TEMPORARY_FAILURE, diagnose::admin_down(connection)),
        Standing::NotUnique => {
            let diagnosis = diagnose::not_unique(peer.identity());
            let refusal = refuse(NotifyType::AUTHENTICATION_FAILED, diagnosis);
            return refusal.map_err(|refusal| Refusal { rival: Some(peer.identity().clone()), ..refusal });
        }
        Standing::Gone => {
            let diagnosis = diagnose::local("the configuration changed while the peer was examined");
            return refuse(NotifyType::TEMPORARY_FAILURE, diagnosis);
        }
    }
    // A responder asks for nothing, and without an address of ours nothing could pass.
    if connection.internal_address.is_asked() {
        return refuse(NotifyType::AUTHENTICATION_FAILED, diagnose::started_by_peer(&connection.name));
    }
    if !connection.proposals.iter().any(|p| p.holds(suite)) {
        let diagnosis = diagnose::suite_not_for_connection(suite, &connection.proposals);
        return refuse(NotifyType::NO_PROPOSAL_CHOSEN, diagnosis);
    }
    Ok(())
}

/// RFC 6023 §3: a responder that has not said that it can do without a Child SA takes a request without one as any other
/// that lacks a mandatory payload.
fn may_be_childless(connection: &Arc<Connection>, request: &AuthRequest) -> Result<(), Refusal> {
    if request.child.is_some() || connection.childless != Childless::Never {
        return Ok(());
    }
    let diagnosis = diagnose::childless_here();
    Err(Refusal::new(NotifyType::INVALID_SYNTAX, Arc::clone(connection), diagnosis))
}

fn proof_refused(
    directory: &dyn Directory,
    request: &AuthRequest,
    connection: Option<Arc<Connection>>,
    error: &ProofError,
) -> Refusal {
    // Looked for also where it is known whom the peer means: the answer's time must not tell which identities exist.
    let unknown = Refusal::unknown(directory, request);
    match (connection, error) {
        (None, _) => unknown,
        (connection, ProofError::Nobody) => Refusal { connection, ..unknown },
        (Some(connection), error) => {
            let diagnosis =
                diagnose::proof(error, &request.id_i, &connection.remote_id).during(ExchangeType::IKE_AUTH);
            Refusal::new(NotifyType::AUTHENTICATION_FAILED, connection, diagnosis)
        }
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
        let Some(offer) = offer else { return ChildAnswer::None };
        let connection = self.connection().clone();
        let asked = Asked {
            offer,
            key_exchange: None,
            rekeys: None,
            exchange: ExchangeType::IKE_AUTH,
            peer: self.remote_id(),
            path: self.path,
        };
        match accept(ctx, &connection, &self.addresses, &asked, None) {
            Ok((agreed, answer, _)) => match self.install(ctx, spi, agreed, nonces) {
                Ok(new) => {
                    self.send_on(ctx, new);
                    ChildAnswer::Accept(answer)
                }
                Err(diagnosis) => {
                    self.fail(diagnosis);
                    ChildAnswer::Refused(NotifyType::NO_ADDITIONAL_SAS)
                }
            },
            Err(ChildRefusal::InvalidKe(_) | ChildRefusal::Compute(_)) => {
                ChildAnswer::Refused(NotifyType::NO_PROPOSAL_CHOSEN)
            }
            Err(ChildRefusal::Error(kind, diagnosis)) => {
                self.fail(*diagnosis);
                self.refused_child = true;
                ChildAnswer::Refused(kind)
            }
        }
    }
}
