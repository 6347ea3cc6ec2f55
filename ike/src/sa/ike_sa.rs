//! One IKE SA: its keys, its window and its place in the succession of a tunnel's IKE SAs.

use std::time::Duration;

use super::child_exchange::PendingChild;
use super::collision::{Collision, lowest_nonce};
use super::context::Context;
use super::crossing::IkeActivity;
use super::offloaded::{Answering, Held};
use super::path_mtu::Probe;
use super::rekey_ike::PendingIke;
use super::spis::IkeSpiLease;
use super::window::Window;
use crate::config::Connection;
use crate::crypto::{CryptoError, PrfKey, sha256};
use crate::event::ChildSaId;
use crate::exchange::{Message, OpenError, Protected, Reassembly, Received, seal};
use crate::keys::{ChildKeySource, DirectionProtection, IkeKeys, Nonces, Spis};
use crate::suite::IkeSuite;
use crate::time::{Instant, Now};
use crate::wire::{Body, Datagram, ExchangeType, Header, IkeSpi, Notify, NotifyType, Payload, PayloadType};

/// Seals what we send on an IKE SA and opens what we receive.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) spis: Spis,
    /// We are the initiator of this IKE SA.
    pub(crate) initiator: bool,
    /// Both ends take messages in fragments.
    pub(crate) fragmentation: bool,
    outgoing: DirectionProtection,
    incoming: DirectionProtection,
    /// What has come of the peer's next request, and of its answer to ours.
    requests: Reassembly,
    responses: Reassembly,
}

/// The keys of an IKE SA that are not its channel's.
pub(crate) struct OtherKeys {
    pub(crate) child: ChildKeySource,
    pub(crate) auth_i: Box<dyn PrfKey>,
    pub(crate) auth_r: Box<dyn PrfKey>,
}

impl Channel {
    pub(crate) fn new(keys: IkeKeys, spis: Spis, initiator: bool, fragmentation: bool) -> (Self, OtherKeys) {
        let (outgoing, incoming) =
            if initiator { (keys.initiator, keys.responder) } else { (keys.responder, keys.initiator) };
        let others = OtherKeys { child: keys.child, auth_i: keys.auth_i, auth_r: keys.auth_r };
        let (requests, responses) = (Reassembly::default(), Reassembly::default());
        (Self { spis, initiator, fragmentation, outgoing, incoming, requests, responses }, others)
    }

    /// Seals a message; in fragments of at most `most` bytes, if it is longer and the peer takes them.
    pub(crate) fn seal(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        message_id: u32,
        payloads: &[Payload],
        most: usize,
    ) -> Result<Message, CryptoError> {
        let header = self.header(exchange, response, message_id);
        seal(header, payloads, &mut self.outgoing, self.fragmentation.then_some(most))
    }

    /// Seals a request that says nothing in a datagram of `size` bytes, or as many less as the cipher wants, and another one
    /// that says nothing in as few as can be.
    pub(crate) fn seal_of_size(
        &mut self,
        message_id: u32,
        size: usize,
    ) -> Result<(Message, Message), CryptoError> {
        /// Bytes of a Notify payload without SPI and data.
        const NOTIFY: usize = 8;
        let padding = vec![0; self.outgoing.frame().whole_room(size).saturating_sub(NOTIFY)];
        let payloads = [Payload::Notify(Notify::new(NotifyType::PATH_MTU_PROBE, padding))];
        let header = self.header(ExchangeType::INFORMATIONAL, false, message_id);
        let whole = seal(header, &payloads, &mut self.outgoing, None)?;
        Ok((whole, seal(header, &[], &mut self.outgoing, None)?))
    }

    fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        Header {
            spi_i: self.spis.initiator,
            spi_r: self.spis.responder,
            next_payload: PayloadType::SK,
            exchange,
            from_initiator: self.initiator,
            response,
            message_id,
            length: 0,
        }
    }

    /// Opens a message that the window awaits, once all of it is here.
    pub(crate) fn open(&mut self, datagram: &Datagram<'_>) -> Result<Received, OpenError> {
        let reassembly = if datagram.header.response { &mut self.responses } else { &mut self.requests };
        match &datagram.body {
            Body::Clear(_) => Err(OpenError::Unprotected),
            Body::Encrypted(sk) => {
                let payloads = Protected::open(sk, &self.incoming)?;
                reassembly.clear();
                Ok(Received { payloads, digest: sha256(&[datagram.bytes]) })
            }
            Body::Fragment(_) if !self.fragmentation => Err(OpenError::NotNegotiated),
            Body::Fragment(fragment) => {
                reassembly.take(&datagram.header, datagram.bytes, fragment, &self.incoming)
            }
        }
    }

    /// Fragments that have come of the peer's next request, and of its answer to ours.
    pub(crate) fn held_of_request(&self) -> usize {
        self.requests.held().0
    }

    /// By what the peer's next request will be known when it comes again, if its first fragment has come.
    pub(crate) fn digest_of_request(&self) -> Option<[u8; 32]> {
        self.requests.digest()
    }

    /// See [`Channel::held_of_request`].
    pub(crate) fn held_of_answer(&self) -> usize {
        self.responses.held().0
    }

    /// Whether a message or fragment is the peer's; it is not kept.
    pub(crate) fn is_genuine(&self, datagram: &Datagram<'_>) -> bool {
        match &datagram.body {
            Body::Fragment(fragment) => {
                self.fragmentation && Reassembly::is_genuine(fragment, &self.incoming)
            }
            Body::Encrypted(sk) => Protected::open(sk, &self.incoming).is_ok(),
            Body::Clear(_) => false,
        }
    }
}

/// What an outstanding request of ours is about.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// A new Child SA, or the rekey of one, with what the peer's own rekey of it made meanwhile.
    Child { pending: Box<PendingChild>, collision: Option<Collision<ChildSaId>>, put_off: u32 },
    /// A rekey of the IKE SA, with what the peer's own rekey made meanwhile.
    RekeyIke { pending: Box<PendingIke>, collision: Option<Collision<IkeSpi>>, put_off: u32 },
    /// The end of Child SAs.
    DeleteChildren(Vec<ChildSaId>),
    /// The end of this IKE SA.
    DeleteIke,
    /// Is the peer there?
    Probe,
    /// Does a packet of this size get there?
    ProbePath(Box<Probe>),
}

impl Exchange {
    /// RFC 7296 §3.1.
    pub(crate) fn kind(&self) -> ExchangeType {
        match self {
            Self::Child { .. } | Self::RekeyIke { .. } => ExchangeType::CREATE_CHILD_SA,
            Self::DeleteChildren(_) | Self::DeleteIke | Self::Probe | Self::ProbePath(_) => {
                ExchangeType::INFORMATIONAL
            }
        }
    }
}

/// An IKE SA's place in the succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It carries the tunnel.
    Current,
    /// The peer's rekey made it. It takes over once the peer shows that it has it; if it never does, it is
    /// forgotten at `until`.
    Successor { until: Instant },
    /// The peer's rekey replaced it by this one; the peer is to delete it, or we do at `until`.
    Replaced { by: IkeSpi, until: Instant },
    /// Our DELETE is queued or on its way.
    Deleting,
}

/// One IKE SA of a tunnel.
#[derive(Debug)]
pub(crate) struct IkeSa {
    pub(crate) lease: IkeSpiLease,
    pub(crate) channel: Channel,
    pub(crate) child_source: ChildKeySource,
    pub(crate) suite: IkeSuite,
    /// The lower nonce of the exchange that made it.
    pub(crate) lowest_nonce: Vec<u8>,
    pub(crate) window: Window<Exchange>,
    /// The peer's request whose answer is being computed.
    pub(crate) answering: Option<Answering>,
    /// The peer's answer to our request that is being computed with.
    pub(crate) held: Option<Held>,
    pub(crate) place: Place,
    pub(crate) established: Now,
    /// `None` once its rekey is queued.
    pub(crate) rekey_at: Option<Instant>,
    pub(crate) expires_at: Instant,
}

/// What a new IKE SA is made of.
pub(crate) struct NewIkeSa<'a> {
    pub(crate) lease: IkeSpiLease,
    pub(crate) channel: Channel,
    pub(crate) child_source: ChildKeySource,
    pub(crate) suite: IkeSuite,
    pub(crate) nonces: Nonces<'a>,
    pub(crate) window: Window<Exchange>,
    pub(crate) place: Place,
}

impl IkeSa {
    pub(crate) fn new(ctx: &mut Context<'_>, connection: &Connection, new: NewIkeSa<'_>) -> Self {
        let (rekey_at, expires_at) = lifetimes(ctx, connection.lifetime, connection);
        Self {
            lease: new.lease,
            channel: new.channel,
            child_source: new.child_source,
            suite: new.suite,
            lowest_nonce: lowest_nonce(new.nonces.initiator, new.nonces.responder),
            window: new.window,
            answering: None,
            held: None,
            place: new.place,
            established: ctx.now,
            rekey_at: Some(rekey_at),
            expires_at,
        }
    }

    pub(crate) fn spi(&self) -> IkeSpi {
        self.lease.spi()
    }

    /// What we are doing with it, for [`super::crossing`].
    pub(crate) fn activity(&self) -> IkeActivity {
        match (self.place, self.window.outstanding().map(|o| &o.exchange)) {
            (Place::Deleting, _) | (_, Some(Exchange::DeleteIke)) => IkeActivity::Deleting,
            (Place::Replaced { .. }, _) => IkeActivity::Replaced,
            (_, Some(Exchange::RekeyIke { .. })) => IkeActivity::Rekeying,
            (_, Some(Exchange::Child { .. } | Exchange::DeleteChildren(_))) => IkeActivity::BusyWithChild,
            (_, Some(Exchange::Probe | Exchange::ProbePath(_)) | None) => IkeActivity::Idle,
        }
    }
}

/// When an SA with this lifetime is to be replaced, and when it ends whatever happens: a jittered tenth before,
/// and long enough behind for a rekey that has to be repeated (RFC 7296 §2.8).
pub(crate) fn lifetimes(
    ctx: &mut Context<'_>,
    lifetime: Duration,
    connection: &Connection,
) -> (Instant, Instant) {
    let now = ctx.now.boot;
    let rekey = ctx.between(lifetime.saturating_sub(lifetime / 10), lifetime);
    let margin = (lifetime / 10).max(connection.retransmit.whole() * 2);
    (now + rekey, now + lifetime + margin)
}
