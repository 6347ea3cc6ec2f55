//! A numbered stream of UDP datagrams, by which lost, duplicated and reordered packets are counted.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use super::namespace::Namespace;
use super::site::{Gateway, Site};
use super::wait::wait_until;

/// Time between two datagrams: 1,000 a second.
const PERIOD: Duration = Duration::from_millis(1);
/// A stream ends by itself after this long, whatever the test does.
const LONGEST: Duration = Duration::from_mins(1);
/// After the last datagram was sent, and while some are missing, quiet of this length means that they are lost.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// Bytes of backlog at the receiver: a busy machine may keep it waiting for seconds.
const BUFFER: usize = 8 << 20;
/// Bytes of a datagram: number, marker, padding.
const LENGTH: usize = 200;

/// A stream in one direction, running on two threads until `finish`.
pub struct Stream {
    shared: Arc<Shared>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<Received>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams given to the sending host's kernel.
    pub sent: u64,
    /// Numbers that never arrived.
    pub lost: u64,
    /// Arrivals of a number that had arrived before.
    pub duplicated: u64,
    /// Arrivals of a number lower than one that had arrived before.
    pub reordered: u64,
}

struct Shared {
    stop: AtomicBool,
    arrived: AtomicU64,
    /// Datagrams sent altogether; `u64::MAX` while more will come.
    sent: AtomicU64,
}

struct Received {
    distinct: u64,
    duplicated: u64,
    reordered: u64,
}

impl Stream {
    /// Starts sending from one host to another, once a first datagram has come through (within 10 s).
    pub fn start(from: (&Namespace, IpAddr), to: (&Namespace, IpAddr), marker: &[u8]) -> Self {
        let bind = |(namespace, address): (&Namespace, IpAddr)| {
            let socket = namespace.run(|| UdpSocket::bind((address, 0)).expect("bind a UDP socket"));
            setsockopt(&socket, RcvBufForce, &BUFFER).expect("enlarge the receiver's buffer");
            socket
        };
        let (sending, receiving) = (bind(from), bind(to));
        let target = receiving.local_addr().expect("the receiver's address");
        let mut template = vec![0; LENGTH];
        template[8..8 + marker.len()].copy_from_slice(marker);
        await_passage(&sending, &receiving, target);

        let (stop, arrived, sent) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let shared = Arc::new(Shared { stop, arrived, sent });
        let (for_sender, for_receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            receiver: thread::spawn(move || receive(&receiving, &for_receiver)),
            sender: thread::spawn(move || send(&sending, target, template, &for_sender)),
            shared,
        }
    }

    /// Waits until `count` more datagrams have arrived (within 15 s).
    pub fn await_more(&self, count: u64) {
        let goal = self.shared.arrived.load(Ordering::Relaxed) + count;
        wait_until(Duration::from_secs(15), "the stream to flow", || {
            self.shared.arrived.load(Ordering::Relaxed) >= goal
        });
    }

    /// Whether anything has arrived since `count`, which becomes the present count.
    pub fn moved_since(&self, count: &mut u64) -> bool {
        let now = self.shared.arrived.load(Ordering::Relaxed);
        std::mem::replace(count, now) != now
    }

    /// Sends no more.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Stops and counts.
    pub fn finish(self) -> Tally {
        self.stop();
        let sent = self.sender.join().expect("the sender's count");
        let received = self.receiver.join().expect("the receiver's count");
        Tally {
            sent,
            lost: sent - received.distinct,
            duplicated: received.duplicated,
            reordered: received.reordered,
        }
    }
}

/// Streams in both directions between the hosts while `work` runs, and half a second around it. Returns the tallies
/// (a to b, b to a).
pub fn both_ways(site: &Site, family: usize, work: impl FnOnce()) -> [Tally; 2] {
    let end = |gateway: &Gateway| gateway.inside[family];
    let (a, b) = ((&site.a.host, end(&site.a)), (&site.b.host, end(&site.b)));
    let streams = [Stream::start(a, b, &site.marker()), Stream::start(b, a, &site.marker())];
    await_more(&streams);
    work();
    await_more(&streams);
    streams.iter().for_each(Stream::stop);
    let tallies = streams.map(Stream::finish);
    if tallies.iter().any(|tally| tally.lost > 0) {
        println!("dropped by kernels on the way: {:?}", site.kernel_drops());
    }
    println!("stream a to b: {:?}\nstream b to a: {:?}", tallies[0], tallies[1]);
    tallies
}

fn await_more(streams: &[Stream]) {
    for stream in streams {
        stream.await_more(500);
    }
}

fn await_passage(sending: &UdpSocket, receiving: &UdpSocket, target: SocketAddr) {
    let mut buffer = [0; LENGTH];
    receiving.set_read_timeout(Some(Duration::from_millis(30))).expect("set a time-out");
    wait_until(Duration::from_secs(10), "a first datagram to come through", || {
        // A host that has no route yet is what this waits for.
        let _ = sending.send_to(b"probe", target);
        receiving.recv(&mut buffer).is_ok()
    });
}

/// Sends one datagram a period, catching up when the scheduler was late, so that the rate holds.
fn send(socket: &UdpSocket, target: SocketAddr, mut datagram: Vec<u8>, shared: &Shared) -> u64 {
    let start = Instant::now();
    let mut number = 0;
    while !shared.stop.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
        datagram[..8].copy_from_slice(&u64::to_be_bytes(number));
        // A datagram that the kernel refuses never arrives, so it is counted as lost.
        let _ = socket.send_to(&datagram, target);
        number += 1;
        let due = start + PERIOD * u32::try_from(number).expect("a stream is short");
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    shared.sent.store(number, Ordering::Relaxed);
    number
}

fn receive(socket: &UdpSocket, shared: &Shared) -> Received {
    let mut seen = BTreeSet::new();
    let mut received = Received { distinct: 0, duplicated: 0, reordered: 0 };
    let mut buffer = [0; LENGTH];
    let mut quiet_since = Instant::now();
    while awaits_more(shared, seen.len(), quiet_since) {
        match socket.recv(&mut buffer) {
            Ok(LENGTH) => {}
            // A late probe, or the time-out that lets us look at the clock.
            Ok(_) | Err(_) => continue,
        }
        quiet_since = Instant::now();
        let number = u64::from_be_bytes(buffer[..8].try_into().expect("eight bytes"));
        let newest = seen.last().copied();
        if !seen.insert(number) {
            received.duplicated += 1;
        } else if newest.is_some_and(|newest| number < newest) {
            received.reordered += 1;
        }
        shared.arrived.fetch_add(1, Ordering::Relaxed);
    }
    received.distinct = seen.len() as u64;
    received
}

fn awaits_more(shared: &Shared, distinct: usize, quiet_since: Instant) -> bool {
    match shared.sent.load(Ordering::Relaxed) {
        u64::MAX => true,
        sent => (distinct as u64) < sent && quiet_since.elapsed() < STRAGGLERS,
    }
}
