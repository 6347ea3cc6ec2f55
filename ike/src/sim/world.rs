//! The clock, both hosts and the line between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::link::{Conditions, Link, Packet};
use super::random::SeededRandom;
use super::tamper;
use crate::config::{Child, Connection, EndpointConfig, LocalAuth, Remote, RemoteAuth};
use crate::event::{Command, CommandError, Payload};
use crate::identity::RemoteId;
use crate::path::{Path, Transport};
use crate::secret::Secret;
use crate::time::{Instant, Now};

const PSK: &[u8] = b"correct horse battery staple";

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// 10.0.0.1.
    A,
    /// 10.0.0.2.
    B,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two hosts, a line and a clock.
pub struct World {
    /// The virtual clock.
    pub now: Instant,
    /// Wall-clock seconds at the start, apart from jumps.
    pub wall: u64,
    /// The line.
    pub link: Link,
    /// Both ends.
    pub a: Host,
    /// Both ends.
    pub b: Host,
    /// IKE messages that arrived where no host is.
    pub strays: Vec<Vec<u8>>,
    /// How often each end sends a user packet on each of its Child SAs, if at all.
    pub traffic: Option<Duration>,
    next_traffic: Instant,
    /// Things that have happened since the clock last moved.
    at_this_instant: u32,
    seed: u64,
    restarts: u64,
    config: EndpointConfig,
}

impl World {
    /// A world where nothing has happened yet.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self::with_config(seed, conditions, EndpointConfig::default())
    }

    /// The same with other settings for both endpoints.
    pub fn with_config(seed: u64, conditions: Conditions, config: EndpointConfig) -> Self {
        let address = |last| IpAddr::from([10, 0, 0, last]);
        Self {
            now: Instant::from_boot(Duration::from_secs(1000)),
            wall: 1_700_000_000,
            link: Link::new(conditions, SeededRandom::new(seed, 0)),
            a: Host::new(address(1), seed, 1, &config),
            b: Host::new(address(2), seed, 2, &config),
            strays: Vec::new(),
            traffic: None,
            next_traffic: Instant::default(),
            at_this_instant: 0,
            seed,
            restarts: 0,
            config,
        }
    }

    /// This end.
    pub fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// This end, which is about to do something.
    fn turn(&mut self, side: Side) -> &mut Host {
        let host = self.host(side);
        tamper::turn(host.hostile);
        host
    }

    /// Gives an end its connections.
    pub fn configure(&mut self, side: Side, connections: Vec<Connection>) {
        let connections = connections.into_iter().map(Arc::new).collect();
        // Cannot be refused.
        let _ = self.command(side, Command::Configure(connections));
    }

    /// Asks something of an end.
    ///
    /// # Errors
    /// As [`crate::Endpoint::handle_command`].
    pub fn command(&mut self, side: Side, command: Command) -> Result<(), CommandError> {
        let now = self.clock();
        let result = self.turn(side).endpoint.handle_command(now, command);
        self.drain(side);
        result
    }

    /// Both clocks.
    pub fn clock(&self) -> Now {
        Now { boot: self.now, wall: self.wall + self.now.since_boot().as_secs() }
    }

    /// An end dies without a word and comes back with nothing but its configuration.
    pub fn restart(&mut self, side: Side, connections: Vec<Connection>) {
        self.restarts += 1;
        let (seed, number, config) = (self.seed, 100 + self.restarts, self.config.clone());
        let address = self.host(side).address;
        let (work_time, line) = (self.host(side).desk.work_time, self.host(side).line);
        *self.host(side) = Host::new(address, seed, number, &config);
        self.host(side).desk.work_time = work_time;
        self.host(side).line = line;
        self.configure(side, connections);
    }

    /// An end gets another address, and notices.
    pub fn move_host(&mut self, side: Side, address: IpAddr) {
        self.host(side).address = address;
        // Cannot be refused.
        let _ = self.command(side, Command::NetworkChanged);
    }

    /// Lets the time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// Lets the time pass until something holds; whether it did within `limit`.
    pub fn run_until(&mut self, limit: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        while !holds(self) {
            if !self.step(end) {
                self.now = self.now.max(end);
                return holds(self);
            }
        }
        true
    }

    /// The next thing that happens before `end`; false if nothing does.
    fn step(&mut self, end: Instant) -> bool {
        let deadline = |host: &Host| host.endpoint.poll_timeout().map(|d| d.at);
        let traffic = self.traffic.map(|_| self.next_traffic);
        let done = [self.a.desk.next_at(), self.b.desk.next_at()];
        let next = [self.link.next_at(), deadline(&self.a), deadline(&self.b), traffic, done[0], done[1]];
        let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= end) else { return false };
        self.at_this_instant = if at > self.now { 0 } else { self.at_this_instant + 1 };
        let deadlines = [self.a.endpoint.poll_timeout(), self.b.endpoint.poll_timeout()];
        assert!(self.at_this_instant < 1000, "the clock stands still: {deadlines:?}");
        self.now = self.now.max(at);
        while let Some(datagram) = self.link.receive(self.now) {
            self.deliver(datagram);
        }
        for side in [Side::A, Side::B] {
            let now = self.clock();
            if deadline(self.host(side)).is_some_and(|at| at <= now.boot) {
                self.turn(side).endpoint.handle_timeout(now);
            }
            self.drain(side);
        }
        self.send_traffic();
        true
    }

    fn deliver(&mut self, datagram: super::link::Datagram) {
        let side = [Side::A, Side::B].into_iter().find(|side| self.host(*side).address == datagram.to.ip());
        let Some(side) = side else {
            if let Packet::Ike { message, .. } = datagram.packet {
                self.strays.push(message);
            }
            return;
        };
        let now = self.clock();
        let path = Path { local: datagram.to, remote: datagram.from, transport: datagram.transport };
        match datagram.packet {
            Packet::Ike { message, .. } => self.turn(side).endpoint.handle_datagram(now, path, &message),
            Packet::Esp { spi, key } => self.turn(side).receive_esp(now, spi, &key),
            Packet::Keepalive => {}
        }
        self.drain(side);
    }

    /// Has an end receive these bytes; what it sends back the same way does not get onto the line.
    pub fn inject(&mut self, side: Side, path: Path, bytes: &[u8]) -> Vec<Vec<u8>> {
        let now = self.clock();
        self.turn(side).endpoint.handle_datagram(now, path, bytes);
        self.drain_events_and_jobs(side);
        let host = self.host(side);
        let mut answers = Vec::new();
        let mut others = Vec::new();
        while let Some(transmit) = host.endpoint.poll_transmit() {
            match transmit.payload {
                Payload::Ike(bytes) if transmit.path == path => answers.push(bytes),
                Payload::Ike(message) => {
                    let packet = Packet::Ike { message, dont_fragment: transmit.dont_fragment };
                    others.push((transmit.path, packet));
                }
                Payload::Keepalive => others.push((transmit.path, Packet::Keepalive)),
            }
        }
        self.drain(side);
        others.into_iter().for_each(|(path, packet)| self.link.send(now.boot, path, packet));
        answers
    }

    /// As the shell does it: events, then jobs, then datagrams.
    fn drain(&mut self, side: Side) {
        let now = self.clock();
        self.drain_events_and_jobs(side);
        while let Some(transmit) = self.turn(side).endpoint.poll_transmit() {
            let packet = match transmit.payload {
                Payload::Ike(mut bytes) => {
                    if !tamper::datagram(&mut bytes) {
                        continue;
                    }
                    Packet::Ike { message: bytes, dont_fragment: transmit.dont_fragment }
                }
                Payload::Keepalive => Packet::Keepalive,
            };
            self.link.send(now.boot, transmit.path, packet);
        }
    }

    /// Jobs are done at once, or after their time.
    fn drain_events_and_jobs(&mut self, side: Side) {
        let now = self.clock();
        loop {
            let host = self.turn(side);
            while let Some(event) = host.endpoint.poll_event() {
                host.handle_event(event);
            }
            host.tell_lines(now);
            if let Some(job) = host.endpoint.poll_job() {
                host.desk.put(now, host.address, job);
            } else if let Some((id, completion)) = host.desk.take(now.boot) {
                host.endpoint.handle_completion(now, id, completion);
            } else {
                break;
            }
        }
    }

    fn send_traffic(&mut self) {
        let Some(interval) = self.traffic else { return };
        if self.now < self.next_traffic {
            return;
        }
        self.next_traffic = self.now + interval;
        for side in [Side::A, Side::B] {
            let host = self.host(side);
            let sending: Vec<_> =
                host.sending.iter().filter_map(|id| host.installed.get(id)).cloned().collect();
            host.sent += u64::try_from(sending.len()).unwrap_or_default();
            for outbound in sending {
                let (spi, key) = outbound.outbound;
                let path = Path { transport: Transport::UdpEncap, ..outbound.path };
                self.link.send(self.now, path, Packet::Esp { spi, key });
            }
        }
    }

    /// Whether both ends have exactly one IKE SA and it is the same one.
    pub fn is_up(&self) -> bool {
        self.disagreement().is_none()
    }

    /// What the ends disagree on, apart from what is still on its way out: a healthy world has one IKE SA and one
    /// Child SA for each configured child, the same at both ends, and nothing else.
    pub fn disagreement(&self) -> Option<String> {
        let (a, b) = (self.a.status(), self.b.status());
        let (Some(ta), Some(tb)) = (a.tunnel(), b.tunnel()) else {
            return Some("an end has no tunnel".into());
        };
        let ike = |t: &crate::event::TunnelStatus| (t.ike_sa.spi_i, t.ike_sa.spi_r);
        if ike(ta) != ike(tb) {
            return Some(format!("IKE SAs differ: {:?} and {:?}", ike(ta), ike(tb)));
        }
        let mut spis_a: Vec<_> = ta.children.iter().map(|c| (c.spi_in, c.spi_out)).collect();
        let mut spis_b: Vec<_> = tb.children.iter().map(|c| (c.spi_out, c.spi_in)).collect();
        spis_a.sort_unstable();
        spis_b.sort_unstable();
        if spis_a != spis_b {
            return Some(format!("Child SAs differ: {spis_a:?} and {spis_b:?}"));
        }
        for (host, tunnel) in [(&self.a, ta), (&self.b, tb)] {
            let counts = [host.installed.len(), host.spis_in_use(), tunnel.children.len()];
            if counts != [tunnel.children.len(); 3] {
                return Some(format!("{}: installed, SPIs in use, Child SAs: {counts:?}", host.address));
            }
            if tunnel.children.iter().any(|c| !c.sending) {
                return Some(format!("{} does not send on a Child SA: {:?}", host.address, tunnel.children));
            }
        }
        (spis_a.len() != a.connection.children.len())
            .then(|| format!("{} Child SAs instead of {}", spis_a.len(), a.connection.children.len()))
    }
}

/// A connection from one end to the other, with everything at its default.
#[allow(clippy::unwrap_used, reason = "literals that parse")]
pub fn connection(local: Side, initiate: bool) -> Connection {
    let of = |side: Side| match side {
        Side::A => ("a.example", "10.0.0.1", "192.168.1.0/24"),
        Side::B => ("b.example", "10.0.0.2", "192.168.2.0/24"),
    };
    let ((local_id, _, local_net), (remote_id, remote, remote_net)) = (of(local), of(local.other()));
    let psk = || Secret::new(PSK.to_vec());
    let networks = |text: &str| vec![text.parse().unwrap()];
    let us = (local_id.parse().unwrap(), LocalAuth::Psk(psk()));
    let peer = (RemoteId::Exact(remote_id.parse().unwrap()), RemoteAuth::Psk(psk()));
    let child = Child::new("net".into(), networks(local_net), networks(remote_net));
    Connection {
        remote: Remote::Hosts(vec![remote.to_owned()]),
        initiate,
        ..Connection::new("link".into(), us, peer, vec![child])
    }
}

/// A's side that initiates, and B's that answers.
pub fn connection_pair() -> (Connection, Connection) {
    (connection(Side::A, true), connection(Side::B, false))
}

/// Runs a scenario once for each of `count` seeds (or for the one in the environment variable `SEED`), and names the
/// seed of a failure.
///
/// # Panics
/// If the scenario does.
pub fn run_seeds(count: u64, scenario: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let only = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seeds = only.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| scenario(seed)) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            panic!("seed {seed} (replay with SEED={seed}): {}", text.unwrap_or_default());
        }
    }
}
