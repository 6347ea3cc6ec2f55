//! A hub and its peers: two endpoints that hand each other their datagrams.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use sekisho_ike::config::{Child, Connection, EndpointConfig, LocalAuth, Name, Remote, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{ChildSaId, Command, Completion, Event, JobKind, Payload, Transmit};
use sekisho_ike::identity::RemoteId;
use sekisho_ike::pki::{Certificate, Credential, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::{Endpoint, Instant, Now, Path, Secret, Transport};

use crate::effects;
use crate::measure::Meter;
use crate::pair::Pair;

/// How both ends prove themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Psk,
    Ecdsa,
}

/// The hub, which is measured, and its peers in one endpoint, which are not.
pub struct Crowd {
    hub: Side,
    peers: Side,
    proof: Proof,
    connected: u32,
    /// Time and memory of the hub's endpoint.
    endpoint: Meter,
    /// Memory of the hub's SAs in the data path.
    data_path: Meter,
    now: Now,
}

struct Side {
    endpoint: Endpoint,
    installed: BTreeMap<ChildSaId, Pair>,
    up: u32,
    is_hub: bool,
}

pub const HUB: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 500);

/// Each peer has an address of its own, since half-open SAs are counted by address and prefix.
fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn name(number: u32) -> Name {
    Name::from(format!("clinic-{number}").as_str())
}

/// 2030-01-01.
const WALL: u64 = 1_893_456_000;

impl Crowd {
    pub fn new(proof: Proof, peers: u32) -> Self {
        let now = Now { boot: Instant::from_boot(Duration::from_secs(1)), wall: WALL };
        let authority = Authority::new();
        let of_hub = authority.credential("hub");
        let mut hub = Side::new(true);
        let mut spokes = Side::new(false);
        let (mut at_hub, mut at_peers) = (Vec::new(), Vec::new());
        for number in 0..peers {
            let (mut hub_end, mut peer_end) = (connection(number, true), connection(number, false));
            if proof == Proof::Ecdsa {
                let own = Arc::new(authority.credential(&format!("clinic-{number}")));
                let trust = Arc::new(authority.trust());
                hub_end.local_auth = LocalAuth::Signature(Arc::new(of_hub.clone()));
                hub_end.remote_auth = RemoteAuth::Signature(Arc::clone(&trust));
                peer_end.local_auth = LocalAuth::Signature(own);
                peer_end.remote_auth = RemoteAuth::Signature(trust);
            }
            at_hub.push(Arc::new(hub_end));
            at_peers.push(Arc::new(peer_end));
        }
        hub.endpoint.handle_command(now, Command::Configure(at_hub)).expect("configured");
        spokes.endpoint.handle_command(now, Command::Configure(at_peers)).expect("configured");
        Self {
            hub,
            peers: spokes,
            proof,
            connected: 0,
            endpoint: Meter::default(),
            data_path: Meter::default(),
            now,
        }
    }

    /// Sets tunnels up, one after the other, until so many stand.
    pub fn connect(&mut self, tunnels: u32) {
        while self.connected < tunnels {
            // As in a fleet that comes back within some minutes: timers are spread.
            self.now.boot = self.now.boot + Duration::from_millis(1);
            self.command(Command::Up(name(self.connected)));
            self.connected += 1;
            assert_eq!(self.hub.up, self.connected, "tunnel {} did not come up", self.connected);
        }
    }

    /// Takes the last ones down again.
    pub fn disconnect(&mut self, tunnels: u32) {
        for _ in 0..tunnels.min(self.connected) {
            self.connected -= 1;
            self.command(Command::Down(name(self.connected)));
        }
        assert_eq!(self.hub.up, self.connected);
        // What answers a repeated DELETE is forgotten.
        self.now.boot = self.now.boot + Duration::from_mins(1);
        self.endpoint.run(|| self.hub.endpoint.handle_timeout(self.now));
        self.exchange();
    }

    /// Handshakes a second of the hub's processor time.
    pub fn timed(&mut self, handshakes: u32) -> f64 {
        self.endpoint.time = Duration::ZERO;
        self.connect(self.connected + handshakes);
        f64::from(handshakes) / self.endpoint.time.as_secs_f64()
    }

    pub fn bytes_held(&self) -> i64 {
        self.endpoint.bytes + self.data_path.bytes
    }

    pub fn endpoint_bytes_held(&self) -> i64 {
        self.endpoint.bytes
    }

    fn command(&mut self, command: Command) {
        self.peers.endpoint.handle_command(self.now, command).expect("taken");
        self.exchange();
    }

    /// Until neither end has anything to say.
    fn exchange(&mut self) {
        loop {
            let of_peers = self.peers.drain(self.now, &mut Meter::default(), &mut Meter::default());
            let mut quiet = of_peers.is_empty();
            for transmit in &of_peers {
                self.endpoint.run(|| deliver(&mut self.hub.endpoint, self.now, transmit));
            }
            let of_hub = self.hub.drain(self.now, &mut self.endpoint, &mut self.data_path);
            quiet &= of_hub.is_empty();
            for transmit in &of_hub {
                deliver(&mut self.peers.endpoint, self.now, transmit);
            }
            if quiet {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crowd({} by {})", self.connected, self.proof as u8)
    }
}

/// To the other side, whose view of the path is the reverse.
fn deliver(endpoint: &mut Endpoint, now: Now, transmit: &Transmit) {
    let Payload::Ike(bytes) = &transmit.payload else { return };
    let path = Path { local: transmit.path.remote, remote: transmit.path.local, ..transmit.path };
    endpoint.handle_datagram(now, path, bytes);
}

impl Side {
    fn new(is_hub: bool) -> Self {
        let config = EndpointConfig::default();
        let endpoint = effects::endpoint(config);
        Self { endpoint, installed: BTreeMap::new(), up: 0, is_hub }
    }

    /// As the daemon does it: events, then jobs, then datagrams. What is handed over is not held any more.
    fn drain(&mut self, now: Now, endpoint: &mut Meter, data_path: &mut Meter) -> Vec<Transmit> {
        loop {
            while let Some(event) = endpoint.run(|| self.endpoint.poll_event()) {
                self.apply(&event, data_path);
                endpoint.run(|| drop(event));
            }
            let Some(job) = endpoint.run(|| self.endpoint.poll_job()) else { break };
            match job.kind {
                JobKind::Compute(work) => {
                    endpoint.run(|| {
                        self.endpoint.handle_completion(now, job.id, Completion::Computed(work.run()));
                    });
                }
                JobKind::Resolve { connection, .. } => {
                    let number: u32 = connection.as_str().rsplit('-').next().unwrap().parse().unwrap();
                    let local = SocketAddr::new(address(number), 500);
                    let path = Path { local, remote: HUB, transport: Transport::Udp };
                    self.endpoint.handle_completion(now, job.id, Completion::Resolved(Ok(vec![path])));
                }
                JobKind::Fetch(fetch) => panic!("nothing is fetched here: {fetch:?}"),
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = endpoint.run(|| self.endpoint.poll_transmit()) {
            // What was handed over is not held any more.
            if let Payload::Ike(bytes) = &transmit.payload {
                endpoint.bytes -= i64::try_from(bytes.capacity()).expect("a size");
            }
            out.push(transmit);
        }
        out
    }

    fn apply(&mut self, event: &Event, data_path: &mut Meter) {
        match event {
            Event::TunnelUp(_) => self.up += 1,
            Event::TunnelDown { .. } => self.up -= 1,
            Event::InboundReady(child) if self.is_hub => {
                data_path.run(|| self.installed.insert(child.id, Pair::new(child)));
            }
            Event::Retired { child_sa, .. } => {
                data_path.run(|| drop(self.installed.remove(child_sa)));
            }
            Event::NegotiationFailed { diagnosis, .. } if diagnosis.kind != DiagnosisKind::DeletedByPeer => {
                panic!("{diagnosis}");
            }
            _ => {}
        }
    }
}

fn connection(number: u32, at_hub: bool) -> Connection {
    let psk = || Secret::new(format!("the key of clinic number {number:010}").into_bytes());
    let network = Ipv4Addr::from_bits(0x0a00_0000 + number);
    let (ours, theirs) = ("10.128.0.0/16".parse().unwrap(), format!("{network}/32").parse().unwrap());
    let (local, remote) = if at_hub { (ours, theirs) } else { (theirs, ours) };
    let (hub, peer) = ("hub.example".parse().unwrap(), format!("clinic-{number}.example").parse().unwrap());
    let (local_id, remote_id) = if at_hub { (hub, peer) } else { (peer, hub) };
    let us = (local_id, LocalAuth::Psk(psk()));
    let them = (RemoteId::Exact(remote_id), RemoteAuth::Psk(psk()));
    let child = Child::new("net".into(), vec![local], vec![remote]);
    Connection {
        remote: if at_hub { Remote::Any } else { Remote::Hosts(vec![HUB.ip().to_string()]) },
        liveness: Duration::from_hours(1),
        ..Connection::new(name(number), us, them, vec![child])
    }
}

/// A root with P-256 keys; what it issues has a chain of one.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = params("Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { certificate: Certificate::from_der(&der).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn credential(&self, name: &str) -> Credential {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let der = params(name).signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let signing = SigningKey::from_der(key.serialized_der()).unwrap();
        Credential::new(signing, vec![Certificate::from_der(&der).unwrap()]).unwrap()
    }

    fn trust(&self) -> Trust {
        let anchors = vec![self.certificate.clone()];
        Trust { anchors, revocation: RevocationPolicy::Off, ..Trust::default() }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

/// An endpoint with one connection that asks everybody for a cookie.
pub fn responder_under_attack() -> (Endpoint, Now) {
    let now = Now { boot: Instant::from_boot(Duration::from_secs(1)), wall: WALL };
    let config = EndpointConfig { cookie_threshold: 0, ..EndpointConfig::default() };
    let mut endpoint = effects::endpoint(config);
    let connections = vec![Arc::new(connection(0, true))];
    endpoint.handle_command(now, Command::Configure(connections)).expect("configured");
    (endpoint, now)
}

/// What a peer sends first.
pub fn first_message() -> Vec<u8> {
    let now = Now { boot: Instant::from_boot(Duration::from_secs(1)), wall: WALL };
    let mut peer = Side::new(false);
    peer.endpoint
        .handle_command(now, Command::Configure(vec![Arc::new(connection(0, false))]))
        .expect("configured");
    peer.endpoint.handle_command(now, Command::Up(name(0))).expect("taken");
    let transmits = peer.drain(now, &mut Meter::default(), &mut Meter::default());
    match transmits.into_iter().next().map(|t| t.payload) {
        Some(Payload::Ike(bytes)) => bytes,
        other => panic!("a first message, not {other:?}"),
    }
}
