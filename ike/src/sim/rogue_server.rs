//! A responder that has the right key and keeps no rule: in `IKE_AUTH` it says whatever a test has it say.
#![allow(clippy::expect_used, reason = "a test's expectations")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::random::SeededRandom;
use super::rogue::sealed;
use super::world::{Side, World};
use crate::config::{Connection, Encapsulation};
use crate::crypto::Provider;
use crate::exchange::{
    AuthRequest, AuthResponse, ChildAnswer, ChildOffer, InitRequest, InitResponse, KeyExchangeData, Protected,
};
use crate::identity::{PeerWishes, Proof, Proving, SignedOctets, our_hashes};
use crate::keys::{DirectionProtection, IkeKeys, Nonces, Spis};
use crate::negotiate::proposal::{choose_esp, choose_ike};
use crate::negotiate::{TrafficSelector, fragmentation, narrow, nat};
use crate::path::{Path, Transport};
use crate::random::SecureRandom;
use crate::suite::Prf;
use crate::wire::{
    Body, Datagram, EspSpi, ExchangeType, FragmentPlace, Header, IkeSpi, Payload, PayloadType, emit_chain,
    emit_clear, prepare_fragment,
};

/// The peer of A at an address of its own.
pub struct RogueServer {
    connection: Connection,
    provider: Provider,
    random: Box<dyn SecureRandom>,
    address: IpAddr,
    /// It says that it takes fragments.
    pub fragmentation: bool,
}

/// An IKE SA whose `IKE_AUTH` is to be answered.
struct Begun {
    spis: Spis,
    prf: Prf,
    outgoing: DirectionProtection,
    incoming: DirectionProtection,
    octets: Option<SignedOctets>,
    wishes: PeerWishes,
}

impl RogueServer {
    /// A peer at this address, which A calls; the connection is B's view of it.
    pub fn new(connection: Connection, address: IpAddr, seed: u64) -> Self {
        let random = Box::new(SeededRandom::new(seed, 667));
        Self { connection, provider: Provider::ring(), random, address, fragmentation: false }
    }

    /// Answers A's next attempt: its `IKE_AUTH` with `besides` before a Child SA whose initiator's side is `ts_i`. The
    /// payloads of the request, and what A said thereupon.
    pub fn serve(
        &mut self,
        world: &mut World,
        besides: &[Payload],
        ts_i: &[TrafficSelector],
    ) -> (Vec<Payload>, Vec<Vec<Payload>>) {
        self.serve_with(world, ts_i, |answer| {
            let before = answer.iter().position(|p| matches!(p, Payload::Sa(_))).unwrap_or(answer.len());
            answer.splice(before..before, besides.iter().cloned());
        })
    }

    /// The same, with the payloads of its answer changed.
    pub fn serve_with(
        &mut self,
        world: &mut World,
        ts_i: &[TrafficSelector],
        change: impl FnOnce(&mut Vec<Payload>),
    ) -> (Vec<Payload>, Vec<Vec<Payload>>) {
        let init = next(world, ExchangeType::IKE_SA_INIT);
        let mut sa = self.answer_init(world, &init);
        let request = next(world, ExchangeType::IKE_AUTH);
        let payloads = open(&request, &sa.incoming).expect("sealed with our key");
        let mut answer = self.answer(&mut sa, payloads.clone(), ts_i);
        change(&mut answer);
        let mut chain = Vec::new();
        let first = emit_chain(&answer, &mut chain);
        let header = header(sa.spis, ExchangeType::IKE_AUTH, 1);
        let bytes = sealed(header, &mut sa.outgoing, first, &chain);
        (payloads, self.deliver(world, &sa, &[bytes]))
    }

    /// Answers A's next attempt with fragments of these numbers and totals, all of so many bytes; what A said thereupon.
    pub fn serve_fragments(
        &mut self,
        world: &mut World,
        places: impl IntoIterator<Item = [u16; 2]>,
        length: usize,
    ) -> Vec<Vec<Payload>> {
        let init = next(world, ExchangeType::IKE_SA_INIT);
        let mut sa = self.answer_init(world, &init);
        next(world, ExchangeType::IKE_AUTH);
        let header = header(sa.spis, ExchangeType::IKE_AUTH, 1);
        let fragment = |[number, total]: [u16; 2]| {
            let (place, frame) = (FragmentPlace { number, total }, sa.outgoing.frame());
            let (head, text) = prepare_fragment(header, PayloadType::IDR, place, vec![7; length], frame);
            let sealed = sa.outgoing.seal(&head, text).expect("an IV");
            [head, sealed].concat()
        };
        let fragments: Vec<_> = places.into_iter().map(fragment).collect();
        self.deliver(world, &sa, &fragments)
    }

    /// Has A receive these; what it says within a moment.
    fn deliver(&self, world: &mut World, sa: &Begun, datagrams: &[Vec<u8>]) -> Vec<Vec<Payload>> {
        let path = self.path(Transport::UdpEncap);
        let mut said: Vec<_> =
            datagrams.iter().flat_map(|bytes| world.inject(Side::A, path, bytes)).collect();
        world.run_for(Duration::from_millis(400));
        said.append(&mut world.strays);
        said.iter().filter_map(|bytes| open(bytes, &sa.incoming)).collect()
    }

    fn path(&self, transport: Transport) -> Path {
        let port = if transport == Transport::Udp { 500 } else { 4500 };
        let local = SocketAddr::from(([10, 0, 0, 1], port));
        Path { local, remote: SocketAddr::new(self.address, port), transport }
    }

    fn answer_init(&mut self, world: &mut World, bytes: &[u8]) -> Begun {
        let datagram = Datagram::parse(bytes).expect("well formed");
        let Body::Clear(payloads) = datagram.body else { panic!("IKE_SA_INIT in clear") };
        let request = InitRequest::read(payloads).expect("well formed");
        let choice = choose_ike(&request.proposals, &self.connection.proposals, None).expect("one of ours");
        let suite = choice.suite;
        let exchange = self.provider.key_exchange.draw(suite.group, &mut *self.random).expect("a value");
        let exchange = exchange.begin();
        let data = exchange.public().to_vec();
        let shared = exchange.complete(&request.key_exchange.data).expect("a good value");
        let spis = Spis { initiator: datagram.header.spi_i, responder: IkeSpi(self.random.bytes()) };
        let nonce = self.random.bytes::<32>().to_vec();
        let nonces = Nonces { initiator: &request.nonce, responder: &nonce };
        let keys = IkeKeys::derive(&self.provider, suite, nonces, spis, &shared).expect("keys");
        let seen = self.path(Transport::Udp);
        let seen = Path { local: seen.remote, remote: seen.local, ..seen };
        let notifies = nat::notifies(spis.initiator, spis.responder, seen, Encapsulation::Forced);
        let response = InitResponse::Accept {
            proposals: vec![choice.answer(&[])],
            key_exchange: KeyExchangeData { group: suite.group.number(), data },
            nonce: nonce.clone(),
            notifies: notifies
                .into_iter()
                .chain([our_hashes()])
                .chain(self.fragmentation.then(fragmentation::notify))
                .collect(),
            cert_requests: Vec::new(),
        };
        let response = emit_clear(header(spis, ExchangeType::IKE_SA_INIT, 0), &response.write());
        let id_r = self.connection.local_id.to_wire();
        let octets = SignedOctets::new(&*keys.auth_r, &response, &request.nonce, &id_r);
        let back = world.inject(Side::A, self.path(Transport::Udp), &response);
        world.strays.extend(back);
        Begun {
            spis,
            prf: suite.prf,
            outgoing: keys.responder,
            incoming: keys.initiator,
            octets: Some(octets),
            wishes: PeerWishes::new(&request.notifies, Vec::new()),
        }
    }

    fn answer(&mut self, sa: &mut Begun, request: Vec<Payload>, ts_i: &[TrafficSelector]) -> Vec<Payload> {
        let request = AuthRequest::read(request).expect("well formed");
        let octets = sa.octets.take().expect("one answer");
        let connection = Arc::new(self.connection.clone());
        let wishes = sa.wishes.clone();
        let provider = self.provider;
        let proving = Proving { provider, prf: sa.prf, connection, octets, wishes, staple: None, wall: 0 };
        let Proof { certificates, auth } = proving.run().expect("a proof");
        let child = self.connection.children.first().expect("a child");
        let offer = request.child.expect("a Child SA is asked for");
        let choice = choose_esp(&offer.proposals, &child.proposals, None, false).expect("one of ours");
        let child = ChildAnswer::Accept(ChildOffer {
            proposals: vec![choice.answer(&EspSpi(0x9000).0.to_be_bytes())],
            ts_i: narrow::to_wire(ts_i),
            ts_r: offer.ts_r,
            refuses_padding: false,
            later_fragments: false,
        });
        let id_r = self.connection.local_id.to_wire();
        AuthResponse::Accept { id_r, certificates, auth, configuration: None, child }.write()
    }
}

/// A's next message of this exchange.
fn next(world: &mut World, exchange: ExchangeType) -> Vec<u8> {
    let is_it = |bytes: &Vec<u8>| Datagram::parse(bytes).is_ok_and(|d| d.header.exchange == exchange);
    let came = world.run_until(Duration::from_mins(2), |world| world.strays.iter().any(is_it));
    assert!(came, "A sends {exchange}");
    let mut strays = std::mem::take(&mut world.strays);
    let newest = strays.iter().rposition(is_it).expect("it came");
    strays.swap_remove(newest)
}

fn open(bytes: &[u8], key: &DirectionProtection) -> Option<Vec<Payload>> {
    let Body::Encrypted(sk) = Datagram::parse(bytes).ok()?.body else { return None };
    Protected::open(&sk, key).ok().map(Protected::into_inner)
}

fn header(spis: Spis, exchange: ExchangeType, message_id: u32) -> Header {
    Header {
        spi_i: spis.initiator,
        spi_r: spis.responder,
        next_payload: PayloadType::NONE,
        exchange,
        from_initiator: false,
        response: true,
        message_id,
        length: 0,
    }
}
