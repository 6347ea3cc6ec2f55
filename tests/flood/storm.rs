//! The flood: messages from addresses that are not the sender's, at a steady rate, until it is told to end.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::crowd::{Target, with_a_wrong_cookie};
use crate::ground::{self, Family};
use crate::lab::{Namespace, first_message};

/// What is sent beyond the rate that is asserted, so that a late start or end does not decide.
const RATE: f64 = 1.03 * crate::RATE as f64;
/// How often packets are sent that are due.
const TICK: Duration = Duration::from_millis(1);
/// Packets at once, after the sender was held up: what it missed is made up for, so that the rate is the one that is asked for however
/// busy the machine is.
const BURST: u32 = 400;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of IKE SAs that do not exist yet.
    FirstMessages,
    /// Of IKE SAs that stand, each of random bytes behind a header that fits.
    Forged,
}

/// A flood under way.
pub struct Storm {
    ended: Arc<AtomicBool>,
    targets: Arc<Mutex<Vec<Target>>>,
    thread: JoinHandle<Flood>,
}

/// What was sent.
#[derive(Debug)]
pub struct Flood {
    pub sent: u32,
    pub unsent: u32,
    pub duration: Duration,
}

impl Flood {
    /// Packets a second that really left.
    pub fn rate(&self) -> f64 {
        f64::from(self.sent) / self.duration.as_secs_f64()
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, unsent, seconds) = (self.sent, self.unsent, self.duration.as_secs_f64());
        write!(f, "flood: {sent} sent and {unsent} not in {seconds:.2} s, {:.0} a second", self.rate())
    }
}

impl Storm {
    pub fn begin(from: &Namespace, family: Family, kind: Kind, targets: Vec<Target>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let targets = Arc::new(Mutex::new(targets));
        let mut source = Source::new(family, kind, Arc::clone(&targets));
        let until = Arc::clone(&ended);
        let thread = from.spawn(move || blow(family, &until, || source.packet()));
        Self { ended, targets, thread }
    }

    /// Forges for these from now on.
    pub fn aim(&self, targets: Vec<Target>) {
        *self.targets.lock().unwrap() = targets;
    }

    pub fn end(self) -> Flood {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood's thread")
    }
}

/// Sends whole IP packets as they become due.
fn blow(family: Family, ended: &AtomicBool, mut packet: impl FnMut() -> Vec<u8>) -> Flood {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    // What is given to this protocol has its header already, see raw(7).
    let raw = Some(Protocol::from(libc::IPPROTO_RAW));
    let socket = Socket::new(domain, Type::RAW, raw).expect("a raw socket");
    let to = SockAddr::from(SocketAddr::new(ground::hub(family), 0));
    let (start, mut sent, mut unsent) = (Instant::now(), 0, 0);
    let mut last = Duration::ZERO;
    let mut due = 0.0;
    while !ended.load(Ordering::Relaxed) || due >= f64::from(BURST) {
        let now = start.elapsed();
        due += now.saturating_sub(last).as_secs_f64() * RATE;
        last = now;
        for _ in 0..BURST {
            if due < 1.0 {
                break;
            }
            due -= 1.0;
            match socket.send_to(&packet(), &to) {
                Ok(_) => sent += 1,
                Err(_) => unsent += 1,
            }
        }
        std::thread::sleep(TICK);
    }
    Flood { sent, unsent, duration: start.elapsed() }
}

/// Makes one packet after the other.
struct Source {
    family: Family,
    kind: Kind,
    templates: Vec<Vec<u8>>,
    targets: Arc<Mutex<Vec<Target>>>,
    dice: Dice,
}

impl Source {
    fn new(family: Family, kind: Kind, targets: Arc<Mutex<Vec<Target>>>) -> Self {
        let suites = [
            "aes256gcm16-prfsha384-x25519",
            "aes128gcm16-prfsha256-ecp256",
            "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519",
            "aes256-sha256-prfsha256-ecp521",
            "chacha20poly1305-prfsha512-modp2048",
        ];
        let of = |suite: &&str| first_message(suite);
        // Several of each: nonces and key exchange values differ, too.
        let mut templates: Vec<_> = (0..8).flat_map(|_| suites.iter().map(of)).collect();
        templates
            .extend(templates.iter().take(8).map(|message| with_a_wrong_cookie(message)).collect::<Vec<_>>());
        Self { family, kind, templates, targets, dice: Dice(0x9e37_79b9_7f4a_7c15) }
    }

    fn packet(&mut self) -> Vec<u8> {
        let (from, port, message) = match self.kind {
            Kind::FirstMessages => self.first_message(),
            Kind::Forged => self.forged(),
        };
        let marker: &[u8] = if port == 4500 { &[0; 4] } else { &[] };
        let payload = [marker, &message].concat();
        let mut packet = Vec::with_capacity(payload.len() + 48);
        let ip = match (from.ip(), ground::hub(self.family)) {
            (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
            (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
            _ => unreachable!("one family"),
        };
        ip.udp(from.port(), port).write(&mut packet, &payload).expect("a packet");
        packet
    }

    /// From anywhere, to either port.
    fn first_message(&mut self) -> (SocketAddr, u16, Vec<u8>) {
        let template = self.dice.below(self.templates.len());
        let mut message = self.templates[template].clone();
        message[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        let random = self.dice.next();
        let ip: IpAddr = match self.family {
            // 20.0.0.0 to 83.255.255.255: nothing of ours, nothing special.
            Family::V4 => {
                Ipv4Addr::from_bits(0x1400_0000 + u32::try_from(random % 0x4000_0000).unwrap()).into()
            }
            Family::V6 => Ipv6Addr::from_bits(0x2400_u128 << 112 | u128::from(random) << 48 | 7).into(),
        };
        let from = u16::try_from(1024 + self.dice.below(60_000)).unwrap();
        let port = if self.dice.below(2) == 0 { 500 } else { 4500 };
        (SocketAddr::new(ip, from), port, message)
    }

    /// From a peer of a tunnel that stands, to the port that it uses.
    fn forged(&mut self) -> (SocketAddr, u16, Vec<u8>) {
        let target = {
            let targets = self.targets.lock().unwrap();
            targets[self.dice.below(targets.len())]
        };
        let length = 28 + 4 + 40 + self.dice.below(400);
        let mut message: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| self.dice.next().to_be_bytes()).collect();
        message.truncate(length);
        message[..8].copy_from_slice(&target.spis[0].0);
        message[8..16].copy_from_slice(&target.spis[1].0);
        let initiator = if target.initiator { 0x08 } else { 0 };
        // Mostly what would be awaited next; an answer that nobody asked for, and fragments, too.
        let response = if self.dice.below(4) == 0 { 0x20 } else { 0 };
        let id = target.next_id.wrapping_sub(u32::from(self.dice.below(4) == 0));
        let exchange = 34 + u8::try_from(self.dice.below(4)).unwrap();
        let fragment = self.dice.below(4) == 0;
        // An Encrypted payload or an Encrypted Fragment, version 2.0.
        message[16..20].copy_from_slice(&[
            if fragment { 53 } else { 46 },
            0x20,
            exchange,
            initiator | response,
        ]);
        message[20..24].copy_from_slice(&id.to_be_bytes());
        message[24..28].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        message[29] = 0;
        message[30..32].copy_from_slice(&u16::try_from(length - 28).unwrap().to_be_bytes());
        if fragment {
            message[32..36].copy_from_slice(&[0, 1, 0, 2]);
        }
        (target.peer, target.peer.port(), message)
    }
}

/// A generator that needs no quality, only variety (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}
