//! One IKE SA: its keys, its window and its place in the succession of a tunnel's IKE SAs.

use std::time::Duration;

use super::child_exchange::PendingChild;
use super::collision::{Collision, lowest_nonce};
use super::context::Context;
use super::crossing::IkeActivity;
use super::offloaded::{Answering, Held};
use super::rekey_ike::PendingIke;
use super::spis::IkeSpiLease;
use super::window::Window;
use crate::config::Connection;
use crate::crypto::{CryptoError, PrfKey};
use crate::event::ChildSaId;
use crate::exchange::{OpenError, Protected, seal};
use crate::keys::{ChildKeySource, DirectionProtection, IkeKeys, Nonces, Spis};
use crate::suite::IkeSuite;
use crate::time::{Instant, Now};
use crate::wire::{Encrypted, ExchangeType, Header, IkeSpi, Payload, PayloadType};

/// Seals what we send on an IKE SA and opens what we receive.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) spis: Spis,
    /// We are the initiator of this IKE SA.
    pub(crate) initiator: bool,
    outgoing: DirectionProtection,
    incoming: DirectionProtection,
}

/// The keys of an IKE SA that are not its channel's.
pub(crate) struct OtherKeys {
    pub(crate) child: ChildKeySource,
    pub(crate) auth_i: Box<dyn PrfKey>,
    pub(crate) auth_r: Box<dyn PrfKey>,
}

impl Channel {
    pub(crate) fn new(keys: IkeKeys, spis: Spis, initiator: bool) -> (Self, OtherKeys) {
        let (outgoing, incoming) =
            if initiator { (keys.initiator, keys.responder) } else { (keys.responder, keys.initiator) };
        let others = OtherKeys { child: keys.child, auth_i: keys.auth_i, auth_r: keys.auth_r };
        (Self { spis, initiator, outgoing, incoming }, others)
    }

    pub(crate) fn seal(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        message_id: u32,
        payloads: &[Payload],
    ) -> Result<Vec<u8>, CryptoError> {
        let header = Header {
            spi_i: self.spis.initiator,
            spi_r: self.spis.responder,
            next_payload: PayloadType::SK,
            exchange,
            from_initiator: self.initiator,
            response,
            message_id,
            length: 0,
        };
        seal(header, payloads, &mut self.outgoing)
    }

    pub(crate) fn open(&self, sk: &Encrypted<'_>) -> Result<Protected<Vec<Payload>>, OpenError> {
        Protected::open(sk, &self.incoming)
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
            (_, Some(Exchange::Probe) | None) => IkeActivity::Idle,
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
