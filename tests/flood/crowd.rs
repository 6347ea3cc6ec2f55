//! A hundred honest peers: one endpoint with a connection for each, over sockets of their own addresses.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sekisho_ike::config::{Child, Connection, LocalAuth, Name, Remote, RemoteAuth};
use sekisho_ike::event::{
    Command, Completion, ConnectionStatus, Event, Job, JobId, JobKind, Payload, Transmit, TunnelStatus,
};
use sekisho_ike::identity::RemoteId;
use sekisho_ike::wire::{self, Body, Datagram, IkeSpi, Notify, NotifyType, emit_clear};
use sekisho_ike::{Endpoint, Path, Secret, Transport};

use crate::PEERS;
use crate::ground::{self, Family};
use crate::hub::KEY;
use crate::lab::{Namespace, endpoint, now, wait_until};

/// The longest wait for a datagram, so that orders are taken soon.
const NAP: Duration = Duration::from_millis(5);
/// How it is marked on port 4500 that a datagram is IKE (RFC 3948 §2.2).
const MARKER: [u8; 4] = [0; 4];

type Order = Box<dyn FnOnce(&mut Peers) + Send>;

/// The crowd's thread. It ends with this value.
pub struct Crowd {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// SPIs of an honest tunnel: initiator and responder of the IKE SA; in and out of the Child SA that is sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub ike: [String; 2],
    pub child: [String; 2],
}

/// What a forger would have to know of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub peer: SocketAddr,
    pub spis: [IkeSpi; 2],
    pub initiator: bool,
    /// The number of the next request, which anyone on the line can tell from the one before.
    pub next_id: u32,
}

impl Crowd {
    pub fn start(namespace: &Namespace, family: Family) -> Self {
        let (orders, inbox) = channel();
        let thread = namespace.spawn(move || Peers::new(family).run(&inbox));
        Self { orders: Some(orders), thread: Some(thread) }
    }

    /// Has all set their tunnels up, and waits until they stand. Not all at once: they are to need no cookies yet.
    pub fn connect(&self, limit: Duration) {
        for number in 1..=PEERS {
            self.command(Command::Up(name(number)));
            let up = usize::try_from(number).unwrap();
            wait_until(limit, "an honest tunnel", || self.held().len() == up);
        }
    }

    /// Has all rekey both SAs, one peer after the other and spread over this time; `meanwhile` learns of the tunnels.
    pub fn rekey_all(&self, over: Duration, meanwhile: impl Fn(Vec<Target>)) {
        for number in 1..=PEERS {
            self.command(Command::RekeyChildren(name(number)));
            self.command(Command::RekeyIke(name(number)));
            meanwhile(self.tunnels());
            // Paced, as lifetimes with jitter are.
            std::thread::sleep(over / PEERS);
        }
    }

    /// Waits until no tunnel has an SA of those.
    pub fn await_rekeyed(&self, old: &BTreeMap<String, Held>, limit: Duration) {
        wait_until(limit, "all SAs to be replaced", || {
            let held = self.held();
            held.len() == old.len()
                && held.iter().all(|(name, new)| old[name].ike != new.ike && old[name].child != new.child)
        });
    }

    /// The tunnels that stand with a Child SA, by name.
    pub fn held(&self) -> BTreeMap<String, Held> {
        self.ask(Peers::held)
    }

    /// All tunnels that stand.
    pub fn tunnels(&self) -> Vec<Target> {
        self.ask(Peers::targets)
    }

    /// What went wrong.
    pub fn lost(&self) -> Vec<String> {
        self.ask(|peers| peers.lost.clone())
    }

    fn command(&self, command: Command) {
        self.ask(move |peers| peers.endpoint.handle_command(now(), command)).expect("taken");
    }

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Peers) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let order: Order = Box::new(move |peers| answer.send(question(peers)).expect("somebody who asked"));
        self.orders.as_ref().expect("alive").send(order).expect("the crowd's thread");
        answered.recv().expect("the crowd's answer")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Its panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Peers {
    family: Family,
    endpoint: Endpoint,
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    lost: Vec<String>,
    /// Requests sent, by the SPIs of the IKE SA.
    asked: BTreeMap<[IkeSpi; 2], u32>,
}

impl Peers {
    fn new(family: Family) -> Self {
        let endpoint = endpoint();
        let sockets = (1..=PEERS).flat_map(|number| [500, 4500].map(|port| (number, port)));
        let bind = |(number, port)| {
            let address = SocketAddr::new(ground::peer(family, number), port);
            let socket = UdpSocket::bind(address).expect("bind an address of the crowd");
            socket.set_nonblocking(true).unwrap();
            (address, socket)
        };
        let sockets = sockets.map(bind).collect();
        let mut peers = Self { family, endpoint, sockets, lost: Vec::new(), asked: BTreeMap::new() };
        let connections = (1..=PEERS).map(|number| Arc::new(connection(number, family))).collect();
        peers.endpoint.handle_command(now(), Command::Configure(connections)).expect("configured");
        peers
    }

    /// Until nobody can ask any more.
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            self.receive();
            loop {
                match orders.try_recv() {
                    Ok(order) => order(self),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
                self.drain();
            }
            if self.endpoint.poll_timeout().is_some_and(|deadline| deadline.at <= now().boot) {
                self.endpoint.handle_timeout(now());
            }
            self.drain();
        }
    }

    fn receive(&mut self) {
        let mut polled: Vec<PollFd<'_>> = self
            .sockets
            .values()
            .map(|s| PollFd::new(std::os::fd::AsFd::as_fd(s), PollFlags::POLLIN))
            .collect();
        poll(&mut polled, PollTimeout::try_from(NAP).unwrap()).expect("poll");
        let ready: Vec<bool> = polled.iter().map(|p| p.any().unwrap_or(false)).collect();
        let mut buffer = vec![0; 65_536];
        for ((local, socket), _) in self.sockets.iter().zip(ready).filter(|(_, ready)| *ready) {
            loop {
                let (length, remote) = match socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("the crowd at {local}: {error}"),
                };
                let (transport, message) = match buffer[..length].strip_prefix(&MARKER) {
                    Some(message) if local.port() == 4500 => (Transport::UdpEncap, message),
                    None if local.port() == 4500 => continue,
                    _ => (Transport::Udp, &buffer[..length]),
                };
                let path = Path { local: *local, remote, transport };
                self.endpoint.handle_datagram(now(), path, message);
            }
        }
    }

    /// As the shell does it: events, then jobs, then datagrams.
    fn drain(&mut self) {
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.note(event);
            }
            let Some(job) = self.endpoint.poll_job() else { break };
            let (id, completion) = work(self.family, job);
            self.endpoint.handle_completion(now(), id, completion);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.count(&transmit);
            self.send(&transmit);
        }
    }

    fn count(&mut self, transmit: &Transmit) {
        let Payload::Ike(bytes) = &transmit.payload else { return };
        let header = Datagram::parse(bytes).expect("what we send is well formed").header;
        if !header.response {
            self.asked.insert([header.spi_i, header.spi_r], header.message_id + 1);
        }
    }

    fn send(&self, transmit: &Transmit) {
        let bytes = match &transmit.payload {
            Payload::Ike(bytes) if transmit.path.transport == Transport::UdpEncap => {
                [&MARKER, &bytes[..]].concat()
            }
            Payload::Ike(bytes) => bytes.clone(),
            Payload::Keepalive => vec![0xff],
        };
        // What the kernel has no room for is lost, as on any line.
        let _ = self.sockets[&transmit.path.local].send_to(&bytes, transmit.path.remote);
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::TunnelDown { connection, reason, .. } => self.lost.push(format!("{connection}: {reason}")),
            Event::NegotiationFailed { diagnosis, .. } => self.lost.push(diagnosis.to_string()),
            _ => {}
        }
    }

    fn held(&mut self) -> BTreeMap<String, Held> {
        let statuses = self.endpoint.status().into_iter();
        let held = statuses.filter_map(|status| {
            let (name, tunnel) = (status.connection.name.to_string(), status.into_tunnel()?);
            let child = tunnel.children.iter().find(|child| child.sending)?;
            let child = [child.spi_in, child.spi_out].map(|spi| spi.to_string());
            Some((
                name,
                Held { ike: [tunnel.ike_sa.spi_i, tunnel.ike_sa.spi_r].map(|spi| spi.to_string()), child },
            ))
        });
        held.collect()
    }

    fn targets(&mut self) -> Vec<Target> {
        let tunnels = self.endpoint.status().into_iter().filter_map(ConnectionStatus::into_tunnel);
        let target = |tunnel: TunnelStatus| {
            let spis = [tunnel.ike_sa.spi_i, tunnel.ike_sa.spi_r];
            let next_id = self.asked.get(&spis).copied().unwrap_or_default();
            Target { peer: tunnel.ike_sa.path.local, spis, initiator: tunnel.ike_sa.initiator, next_id }
        };
        tunnels.map(target).collect()
    }
}

fn work(family: Family, job: Job) -> (JobId, Completion) {
    let completion = match job.kind {
        JobKind::Compute(work) => Completion::Computed(work.run()),
        JobKind::Resolve { connection, .. } => {
            let number = connection.as_str().rsplit('-').next().unwrap().parse().unwrap();
            let at = |address| SocketAddr::new(address, 500);
            let path = Path::udp(at(ground::peer(family, number)), at(ground::hub(family)));
            Completion::Resolved(Ok(vec![path]))
        }
        JobKind::Fetch(fetch) => panic!("nothing is fetched here: {fetch:?}"),
    };
    (job.id, completion)
}

/// A first message with a cookie that nobody baked.
pub fn with_a_wrong_cookie(message: &[u8]) -> Vec<u8> {
    let datagram = Datagram::parse(message).expect("a first message");
    let Body::Clear(mut payloads) = datagram.body else { panic!("in clear") };
    payloads.insert(0, wire::Payload::Notify(Notify::new(NotifyType::COOKIE, vec![7; 33])));
    emit_clear(datagram.header, &payloads)
}

fn name(number: u32) -> Name {
    Name::from(format!("clinic-{number}").as_str())
}

fn connection(number: u32, family: Family) -> Connection {
    let psk = || Secret::new(key());
    let identity = |text: String| text.parse().unwrap();
    let us = (identity(format!("clinic-{number}.example")), LocalAuth::Psk(psk()));
    let them = (RemoteId::Exact(identity("hub.example".into())), RemoteAuth::Psk(psk()));
    let (ours, theirs) = (format!("10.64.{number}.0/24"), "10.128.0.0/16");
    let child = Child::new(name(number), vec![ours.parse().unwrap()], vec![theirs.parse().unwrap()]);
    Connection {
        remote: Remote::Hosts(vec![ground::hub(family).to_string()]),
        liveness: Duration::from_secs(2),
        ..Connection::new(name(number), us, them, vec![child])
    }
}

fn key() -> Vec<u8> {
    data_encoding::BASE64.decode(KEY).expect("base64")
}
