//! Datagrams that carry their number and a content that follows from it, as many as the tunnel takes: never more under way than
//! queues hold, so that a lost one is lost to the tunnel or to the line.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use crate::lab::Namespace;
use crate::pattern::{content, scatter};

/// Datagrams under way; a TUN's queue holds 500.
const WINDOW: u64 = 256;
/// After so long without progress what is under way was lost.
const STALL: Duration = Duration::from_millis(100);
/// At the end, what has not come after so much quiet was lost.
const STRAGGLERS: Duration = Duration::from_secs(2);
const BUFFER: usize = 4 << 20;
/// What fits the tunnel's MTU, and the number alone.
const LENGTHS: (usize, usize) = (1_372, 8);

/// Running on two threads until `finish`.
pub struct Numbered {
    shared: Arc<Shared>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<Received>,
}

/// What became of them.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    pub sent: u64,
    pub lost: u64,
    pub duplicated: u64,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ended: AtomicBool,
    /// One more than the highest number that has come.
    newest: AtomicU64,
}

#[derive(Default)]
struct Received {
    /// A bit a number.
    seen: Vec<u64>,
    distinct: u64,
    duplicated: u64,
}

impl Numbered {
    /// Sends from one host to another.
    pub fn start(from: (&Namespace, IpAddr), to: (&Namespace, IpAddr)) -> Self {
        let bind = |(namespace, address): (&Namespace, IpAddr)| {
            let socket = namespace.run(|| UdpSocket::bind((address, 0)).expect("bind a UDP socket"));
            setsockopt(&socket, RcvBufForce, &BUFFER).expect("enlarge the receiver's buffer");
            socket
        };
        let (sending, receiving) = (bind(from), bind(to));
        let target = receiving.local_addr().expect("the receiver's address");
        let shared = Arc::new(Shared::default());
        let (for_sender, for_receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            shared,
            sender: thread::spawn(move || send(&sending, target, &for_sender)),
            receiver: thread::spawn(move || receive(&receiving, &for_receiver)),
        }
    }

    /// Stops and counts.
    pub fn finish(self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender's count");
        self.shared.ended.store(true, Ordering::Relaxed);
        let received = self.receiver.join().expect("no datagram was changed");
        Tally { sent, lost: sent - received.distinct, duplicated: received.duplicated }
    }
}

/// Bursts of one length, which may leave as a train, between datagrams of every length.
fn length(number: u64) -> usize {
    let (longest, shortest) = LENGTHS;
    if (number / 64).is_multiple_of(2) {
        longest
    } else {
        shortest + scatter(number) as usize % (longest - shortest)
    }
}

fn send(socket: &UdpSocket, target: SocketAddr, shared: &Shared) -> u64 {
    let mut datagram = Vec::new();
    // All before this one have come or were given up.
    let (mut number, mut settled, mut progress) = (0_u64, 0, Instant::now());
    while !shared.stop.load(Ordering::Relaxed) {
        let newest = shared.newest.load(Ordering::Relaxed);
        if newest > settled {
            (settled, progress) = (newest, Instant::now());
        }
        if number - settled < WINDOW {
            datagram.clear();
            datagram.extend(number.to_be_bytes());
            datagram.extend(content(number, length(number) - 8));
            socket.send_to(&datagram, target).expect("send into the tunnel");
            number += 1;
        } else if progress.elapsed() > STALL {
            (settled, progress) = (number, Instant::now());
        } else {
            thread::sleep(Duration::from_micros(20));
        }
    }
    number
}

fn receive(socket: &UdpSocket, shared: &Shared) -> Received {
    socket.set_read_timeout(Some(STRAGGLERS)).expect("set a time-out");
    let mut received = Received::default();
    let mut buffer = [0; 2_000];
    loop {
        match socket.recv(&mut buffer) {
            Ok(count) => {
                let number = received.note(&buffer[..count]);
                shared.newest.fetch_max(number + 1, Ordering::Relaxed);
            }
            Err(_) if shared.ended.load(Ordering::Relaxed) => return received,
            Err(_) => {}
        }
    }
}

impl Received {
    fn note(&mut self, datagram: &[u8]) -> u64 {
        let (number, rest) = datagram.split_first_chunk().expect("a datagram with a number");
        let number = u64::from_be_bytes(*number);
        assert!(
            datagram.len() == length(number) && rest == content(number, rest.len()),
            "datagram {number} was changed: {} bytes",
            datagram.len()
        );
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let again = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        self.duplicated += u64::from(again);
        self.distinct += u64::from(!again);
        number
    }
}
