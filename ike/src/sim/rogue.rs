//! A peer that has the right key and keeps no rule: it says whatever a test has it say, well sealed and in order.
#![allow(clippy::expect_used, reason = "a test's expectations")]

use std::net::SocketAddr;
use std::sync::Arc;

use super::random::SeededRandom;
use super::world::{Side, World};
use crate::config::{Connection, Encapsulation};
use crate::crypto::{ActiveKeyExchange, Provider};
use crate::exchange::{
    AuthRequest, ChildOffer, CreateChildRequest, CreateChildResponse, IkeRequest, InitRequest, InitResponse,
    KeyExchangeData, Protected, Reassembly,
};
use crate::identity::{Identity, PeerWishes, Proof, Proving, SignedOctets, our_hashes};
use crate::keys::{ChildKeySource, DirectionProtection, IkeKeys, Nonces, Spis};
use crate::negotiate::proposal::{accept_ike, offer_esp, offer_ike};
use crate::negotiate::{fragmentation, narrow, nat};
use crate::path::{Path, Transport};
use crate::random::SecureRandom;
use crate::suite::{Group, IkeSuite, Prf};
use crate::wire::{
    Body, Datagram, EspSpi, ExchangeType, FragmentPlace, Header, IdData, IkeSpi, NotifyType, Payload,
    PayloadType, emit_chain, emit_clear, prepare_chain, prepare_fragment,
};

/// One end of an IKE SA that it initiated.
struct RogueSa {
    spis: Spis,
    suite: IkeSuite,
    child_source: ChildKeySource,
    outgoing: DirectionProtection,
    incoming: DirectionProtection,
    next_id: u32,
}

/// What the first exchange leaves for the second.
struct Agreed {
    id_i: IdData,
    octets: SignedOctets,
    prf: Prf,
    wishes: PeerWishes,
}

/// The peer, from its first message on.
pub struct Rogue {
    connection: Connection,
    provider: Provider,
    random: Box<dyn SecureRandom>,
    path: Path,
    sas: Vec<RogueSa>,
    /// It says that it takes fragments.
    pub fragmentation: bool,
    /// It says which hashes it signs with (RFC 7427), and looks at what B says of that.
    pub hashes: bool,
    /// What it says in `IKE_AUTH` besides, before the Child SA.
    pub besides: Vec<Payload>,
    /// The whole of the answer to that.
    pub answered: Vec<Payload>,
}

impl Rogue {
    /// A peer at `remote` that speaks to B by this connection, which is A's view of it.
    pub fn new(connection: Connection, remote: SocketAddr, seed: u64) -> Self {
        let local = SocketAddr::from(([10, 0, 0, 2], 4500));
        Self {
            connection,
            provider: Provider::ring(),
            random: Box::new(SeededRandom::new(seed, 666)),
            path: Path { local, remote, transport: Transport::UdpEncap },
            sas: Vec::new(),
            fragmentation: false,
            hashes: true,
            besides: Vec::new(),
            answered: Vec::new(),
        }
    }

    fn begin(&mut self, group: Group) -> Box<dyn ActiveKeyExchange> {
        self.provider.key_exchange.draw(group, &mut *self.random).expect("a value").begin()
    }

    /// A first message and what its answer is read with.
    fn init(&mut self) -> (IkeSpi, InitRequest, Box<dyn ActiveKeyExchange>) {
        let spi = IkeSpi(self.random.bytes());
        let group = *self.connection.proposals.iter().find_map(|p| p.groups.first()).expect("a group");
        let exchange = self.begin(group);
        let seen = Path { local: self.path.remote, remote: self.path.local, ..self.path };
        let notifies = nat::notifies(spi, IkeSpi::ZERO, seen, Encapsulation::Forced);
        let request = InitRequest {
            cookie: None,
            proposals: offer_ike(&self.connection.proposals, &[]),
            key_exchange: KeyExchangeData { group: group.number(), data: exchange.public().to_vec() },
            nonce: self.random.bytes::<32>().to_vec(),
            notifies: notifies
                .into_iter()
                .chain(self.hashes.then(our_hashes))
                .chain(self.fragmentation.then(fragmentation::notify))
                .collect(),
        };
        (spi, request, exchange)
    }

    /// Two first messages with the same SPI.
    pub fn first_messages(&mut self) -> [Vec<u8>; 2] {
        let (spi, request, _) = self.init();
        let nonce = self.random.bytes::<32>().to_vec();
        let header = header(Spis { initiator: spi, responder: IkeSpi::ZERO }, ExchangeType::IKE_SA_INIT, 0);
        let other = InitRequest { nonce, ..request.clone() };
        [request, other].map(|request| emit_clear(header, &request.write()))
    }

    /// A first message again, with the cookie that its answer asks for.
    pub fn with_cookie(&self, first: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
        let payloads = |bytes| match Datagram::parse(bytes).ok()?.body {
            Body::Clear(payloads) => Some(payloads),
            Body::Encrypted(_) | Body::Fragment(_) => None,
        };
        let InitResponse::Cookie(cookie) = InitResponse::read(payloads(answer)?).ok()? else { return None };
        let request = InitRequest { cookie: Some(cookie), ..InitRequest::read(payloads(first)?).ok()? };
        Some(emit_clear(Datagram::parse(first).ok()?.header, &request.write()))
    }

    /// Sends a first message, again with a cookie if one is asked for; it and the answer, if B does not drop it.
    fn ask_first(
        &self,
        world: &mut World,
        spi: IkeSpi,
        request: &InitRequest,
    ) -> Option<(Vec<u8>, IkeSpi, InitResponse)> {
        let spis = Spis { initiator: spi, responder: IkeSpi::ZERO };
        let message = emit_clear(header(spis, ExchangeType::IKE_SA_INIT, 0), &request.clone().write());
        let answer = self.deliver(world, &message).pop()?;
        let datagram = Datagram::parse(&answer).expect("well formed");
        let Body::Clear(payloads) = datagram.body else { panic!("IKE_SA_INIT in clear") };
        match InitResponse::read(payloads).expect("well formed") {
            InitResponse::Cookie(cookie) if request.cookie.is_none() => {
                self.ask_first(world, spi, &InitRequest { cookie: Some(cookie), ..request.clone() })
            }
            response => Some((message, datagram.header.spi_r, response)),
        }
    }

    /// Both exchanges; whether B took it in. It receives on `spi`.
    pub fn connect(&mut self, world: &mut World, spi: EspSpi) -> bool {
        let Some(agreed) = self.agree(world) else { return false };
        let answer = self.prove(world, agreed, spi, |_| {}).expect("an answer");
        answer.iter().any(|payload| matches!(payload, Payload::Auth(_)))
    }

    /// Both exchanges, the second with its payloads changed; the payloads of its answer, if there is one.
    pub fn connect_with(
        &mut self,
        world: &mut World,
        spi: EspSpi,
        change: impl FnOnce(&mut Vec<Payload>),
    ) -> Option<Vec<Payload>> {
        let agreed = self.agree(world)?;
        self.prove(world, agreed, spi, change)
    }

    /// The first exchange alone: it has the keys and has proved nothing. Whether B went that far.
    pub fn half_open(&mut self, world: &mut World) -> bool {
        self.agree(world).is_some()
    }

    /// `IKE_SA_INIT`.
    fn agree(&mut self, world: &mut World) -> Option<Agreed> {
        let (spi_i, request, exchange) = self.init();
        let (first, spi_r, response) = self.ask_first(world, spi_i, &request)?;
        let InitResponse::Accept { proposals, key_exchange, nonce: nonce_r, notifies, .. } = response else {
            return None;
        };
        let nonce_i = request.nonce;
        let suite = accept_ike(&proposals, &self.connection.proposals).expect("one of ours").suite;
        let shared = exchange.complete(&key_exchange.data).expect("a good value");
        let spis = Spis { initiator: spi_i, responder: spi_r };
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
        let keys = IkeKeys::derive(&self.provider, suite, nonces, spis, &shared).expect("keys");
        let id_i = self.connection.local_id.to_wire();
        let octets = SignedOctets::new(&*keys.auth_i, &first, &nonce_r, &id_i);
        self.sas.clear();
        self.keep(spis, suite, keys, 1);
        let notifies = if self.hashes { notifies } else { Vec::new() };
        Some(Agreed { id_i, octets, prf: suite.prf, wishes: PeerWishes::new(&notifies, Vec::new()) })
    }

    /// `IKE_AUTH`.
    fn prove(
        &mut self,
        world: &mut World,
        agreed: Agreed,
        spi: EspSpi,
        change: impl FnOnce(&mut Vec<Payload>),
    ) -> Option<Vec<Payload>> {
        let Agreed { id_i, octets, prf, wishes } = agreed;
        let connection = Arc::new(self.connection.clone());
        let provider = self.provider;
        let proving = Proving { provider, prf, connection, octets, wishes, staple: None, wall: 0 };
        let Proof { certificates, auth } = proving.run().expect("a proof");
        let request = AuthRequest {
            id_i,
            id_r: self.connection.remote_id.exact().map(Identity::to_wire),
            certificates,
            cert_requests: Vec::new(),
            auth: Some(auth),
            configuration: None,
            child: Some(self.offer(spi, false)),
            initial_contact: false,
        };
        let mut payloads = request.write();
        let before = payloads.iter().position(|p| matches!(p, Payload::Sa(_))).unwrap_or(payloads.len());
        payloads.splice(before..before, self.besides.clone());
        change(&mut payloads);
        let answer = self.ask(world, 0, ExchangeType::IKE_AUTH, &payloads)?;
        self.answered.clone_from(&answer);
        Some(answer)
    }

    /// SA and traffic selectors of the first configured child.
    fn offer(&self, spi: EspSpi, key_exchange: bool) -> ChildOffer {
        let child = self.connection.children.first().expect("a child");
        ChildOffer {
            proposals: offer_esp(&child.proposals, &spi.0.to_be_bytes(), key_exchange),
            ts_i: narrow::to_wire(&child.local),
            ts_r: narrow::to_wire(&child.remote),
            refuses_padding: false,
            later_fragments: false,
        }
    }

    /// The payloads that ask for one more Child SA as configured, with a key exchange.
    pub fn another_child(&mut self, spi: EspSpi) -> Vec<Payload> {
        let group = self.sas.first().expect("an IKE SA").suite.group;
        let exchange = self.begin(group);
        let request = crate::exchange::ChildRequest {
            rekeys: None,
            configuration: None,
            offer: self.offer(spi, true),
            nonce: self.random.bytes::<32>().to_vec(),
            key_exchange: Some(KeyExchangeData { group: group.number(), data: exchange.public().to_vec() }),
        };
        CreateChildRequest::Child(request).write()
    }

    /// Rekeys the IKE SA numbered so and keeps the old one; the number of the new one.
    pub fn rekey_ike(&mut self, world: &mut World, sa: usize) -> usize {
        self.try_rekey_ike(world, sa).expect("a new IKE SA")
    }

    /// The same; or what B says instead.
    ///
    /// # Errors
    /// The notification.
    pub fn try_rekey_ike(&mut self, world: &mut World, sa: usize) -> Result<usize, NotifyType> {
        let spi = IkeSpi(self.random.bytes());
        let nonce = self.random.bytes::<32>().to_vec();
        let suite = self.sas.get(sa).expect("an IKE SA").suite;
        let exchange = self.begin(suite.group);
        let request = CreateChildRequest::Ike(IkeRequest {
            proposals: offer_ike(&self.connection.proposals, &spi.0),
            nonce: nonce.clone(),
            key_exchange: KeyExchangeData { group: suite.group.number(), data: exchange.public().to_vec() },
        });
        let answer = self.ask(world, sa, ExchangeType::CREATE_CHILD_SA, &request.write());
        let answer = CreateChildResponse::read(answer.expect("an answer"));
        let answer = match answer.expect("well formed") {
            CreateChildResponse::Ike(answer) => answer,
            CreateChildResponse::Error(kind) => return Err(kind),
            other => panic!("{other:?}"),
        };
        let choice = accept_ike(&answer.proposals, &self.connection.proposals).expect("one of ours");
        let responder = IkeSpi(choice.peer_spi.try_into().expect("eight bytes"));
        let shared = exchange.complete(&answer.key_exchange.data).expect("a good value");
        let spis = Spis { initiator: spi, responder };
        let nonces = Nonces { initiator: &nonce, responder: &answer.nonce };
        let old = &self.sas.get(sa).expect("an IKE SA").child_source;
        let keys = IkeKeys::derive_rekey(&self.provider, old, choice.suite, nonces, spis, &shared);
        self.keep(spis, choice.suite, keys.expect("keys"), 0);
        Ok(self.sas.len() - 1)
    }

    fn keep(&mut self, spis: Spis, suite: IkeSuite, keys: IkeKeys, next_id: u32) {
        let IkeKeys { child, initiator, responder, .. } = keys;
        let sa =
            RogueSa { spis, suite, child_source: child, outgoing: initiator, incoming: responder, next_id };
        self.sas.push(sa);
    }

    /// Sends the next request on the IKE SA numbered so; the payloads of the answer, if there is one.
    pub fn ask(
        &mut self,
        world: &mut World,
        sa: usize,
        exchange: ExchangeType,
        payloads: &[Payload],
    ) -> Option<Vec<Payload>> {
        let request = self.seal(sa, exchange, payloads);
        self.ask_sealed(world, sa, &request)
    }

    /// The next request on the IKE SA numbered so, not sent yet.
    pub fn seal(&mut self, sa: usize, exchange: ExchangeType, payloads: &[Payload]) -> Vec<u8> {
        let mut chain = Vec::new();
        let first = emit_chain(payloads, &mut chain);
        self.seal_raw(sa, exchange, first, &chain)
    }

    /// The same with a chain of payloads that need not be one.
    pub fn seal_raw(
        &mut self,
        sa: usize,
        exchange: ExchangeType,
        first: PayloadType,
        chain: &[u8],
    ) -> Vec<u8> {
        let this = self.sas.get_mut(sa).expect("an IKE SA");
        let message_id = this.next_id;
        this.next_id += 1;
        sealed(header(this.spis, exchange, message_id), &mut this.outgoing, first, chain)
    }

    /// The next request on the IKE SA numbered so, which says nothing, behind an empty payload of this type in clear text.
    pub fn seal_behind(&mut self, sa: usize, kind: PayloadType, critical: bool) -> Vec<u8> {
        let this = self.sas.get_mut(sa).expect("an IKE SA");
        let header = header(this.spis, ExchangeType::INFORMATIONAL, this.next_id);
        this.next_id += 1;
        let (head, text) = prepare_chain(header, PayloadType::NONE, Vec::new(), this.outgoing.frame());
        let in_clear = [PayloadType::SK.0, if critical { 0x80 } else { 0 }, 0, 4];
        let (fixed, generic) = head.split_first_chunk::<{ Header::LENGTH }>().expect("a header");
        let mut fixed = *fixed;
        // Nothing here is longer than a byte says.
        (fixed[16], fixed[27]) = (kind.0, fixed[27] + 4);
        let head = [&fixed[..], &in_clear, generic].concat();
        let sealed = this.outgoing.seal(&head, text).expect("an IV");
        [head, sealed].concat()
    }

    /// The next request on the IKE SA numbered so in fragments of at most so many bytes, not sent yet.
    pub fn seal_fragments(
        &mut self,
        sa: usize,
        exchange: ExchangeType,
        payloads: &[Payload],
        most: usize,
    ) -> Vec<Vec<u8>> {
        let this = self.sas.get_mut(sa).expect("an IKE SA");
        let header = header(this.spis, exchange, this.next_id);
        this.next_id += 1;
        let message = crate::exchange::seal(header, payloads, &mut this.outgoing, Some(most)).expect("an IV");
        message.datagrams().cloned().collect()
    }

    /// One fragment of the next request on the IKE SA numbered so, which is not used up by it.
    pub fn fragment(
        &mut self,
        sa: usize,
        exchange: ExchangeType,
        [number, total]: [u16; 2],
        text: &[u8],
    ) -> Vec<u8> {
        let this = self.sas.get_mut(sa).expect("an IKE SA");
        let (header, place) = (header(this.spis, exchange, this.next_id), FragmentPlace { number, total });
        let frame = this.outgoing.frame();
        let (head, text) = prepare_fragment(header, PayloadType::NOTIFY, place, text.to_vec(), frame);
        let sealed = this.outgoing.seal(&head, text).expect("an IV");
        [head, sealed].concat()
    }

    /// Uses the number of its last request again.
    pub fn go_back(&mut self, sa: usize) {
        self.sas.get_mut(sa).expect("an IKE SA").next_id -= 1;
    }

    /// Takes the number of its next request for used.
    pub fn skip(&mut self, sa: usize) {
        self.sas.get_mut(sa).expect("an IKE SA").next_id += 1;
    }

    /// Sends from there from now on.
    pub fn move_to(&mut self, remote: SocketAddr) {
        self.path.remote = remote;
    }

    /// Sends a request; the payloads of the answer, if there is one.
    pub fn ask_sealed(&mut self, world: &mut World, sa: usize, request: &[u8]) -> Option<Vec<Payload>> {
        let message_id = Datagram::parse(request).expect("well formed").header.message_id;
        let answers = self.deliver(world, request);
        self.read(sa, message_id, &answers)
    }

    /// The payloads of the answer to this request among these datagrams, if all of it is there.
    pub fn read(&self, sa: usize, message_id: u32, answers: &[Vec<u8>]) -> Option<Vec<Payload>> {
        let this = self.sas.get(sa).expect("an IKE SA");
        let mut reassembly = Reassembly::default();
        answers.iter().find_map(|bytes| {
            let Datagram { header, body, .. } = Datagram::parse(bytes).ok()?;
            let ours = header.response && header.message_id == message_id;
            let payloads = match body {
                Body::Encrypted(sk) => Protected::open(&sk, &this.incoming).ok(),
                Body::Fragment(part) => {
                    reassembly.take(&header, bytes, &part, &this.incoming).ok().map(|all| all.payloads)
                }
                Body::Clear(_) => None,
            };
            Some(payloads.filter(|_| ours)?.into_inner())
        })
    }

    /// The requests of B that have come in on the IKE SA numbered so, the repeated ones too.
    pub fn requests(&self, world: &mut World, sa: usize) -> Vec<Request> {
        let this = self.sas.get(sa).expect("an IKE SA");
        let read = |bytes: &Vec<u8>| {
            let datagram = Datagram::parse(bytes).ok()?;
            let Body::Encrypted(sk) = &datagram.body else { return None };
            let Header { exchange, message_id, response, .. } = datagram.header;
            let payloads = Protected::open(sk, &this.incoming).ok().filter(|_| !response)?.into_inner();
            Some(Request { exchange, message_id, payloads })
        };
        std::mem::take(&mut world.strays).iter().filter_map(read).collect()
    }

    /// Answers a request of B's; what B sends thereupon.
    pub fn answer(
        &mut self,
        world: &mut World,
        sa: usize,
        request: &Request,
        payloads: &[Payload],
    ) -> Vec<Vec<u8>> {
        let mut chain = Vec::new();
        let first = emit_chain(payloads, &mut chain);
        let this = self.sas.get_mut(sa).expect("an IKE SA");
        let header = Header { response: true, ..header(this.spis, request.exchange, request.message_id) };
        let answer = sealed(header, &mut this.outgoing, first, &chain);
        let back = self.deliver(world, &answer);
        world.strays.extend(back.iter().cloned());
        back
    }

    /// Has B receive these bytes; what B sends to this peer.
    pub fn deliver(&self, world: &mut World, bytes: &[u8]) -> Vec<Vec<u8>> {
        world.inject(Side::B, self.path, bytes)
    }
}

/// A request of B's.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which exchange it begins.
    pub exchange: ExchangeType,
    /// Its number.
    pub message_id: u32,
    /// What it says.
    pub payloads: Vec<Payload>,
}

fn header(spis: Spis, exchange: ExchangeType, message_id: u32) -> Header {
    Header {
        spi_i: spis.initiator,
        spi_r: spis.responder,
        next_payload: PayloadType::NONE,
        exchange,
        from_initiator: true,
        response: false,
        message_id,
        length: 0,
    }
}

/// As [`crate::exchange::seal`], whatever the chain holds.
pub(super) fn sealed(
    header: Header,
    key: &mut DirectionProtection,
    first: PayloadType,
    chain: &[u8],
) -> Vec<u8> {
    let (associated, plaintext) = prepare_chain(header, first, chain.to_vec(), key.frame());
    let sealed = key.seal(&associated, plaintext).expect("an IV");
    [associated, sealed].concat()
}
