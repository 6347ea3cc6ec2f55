//! A line that loses, duplicates, delays and so reorders, and may have a NAT on one side.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::random::SeededRandom;
use crate::path::{Path, Transport};
use crate::time::Instant;

/// How bad the line is.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The part of IKE datagrams that gets lost.
    pub loss: f64,
    /// The part that arrives twice.
    pub duplicate: f64,
    /// The shortest delay.
    pub least_delay: Duration,
    /// The longest: what differs in delay arrives out of order.
    pub most_delay: Duration,
}

impl Conditions {
    /// Nothing is lost; 5 ms each way.
    pub const GOOD: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        least_delay: Duration::from_millis(5),
        most_delay: Duration::from_millis(5),
    };

    /// Loss, duplicates and reordering.
    pub const fn bad(loss: f64) -> Self {
        Self {
            loss,
            duplicate: 0.1,
            least_delay: Duration::from_millis(1),
            most_delay: Duration::from_millis(80),
        }
    }
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Ike {
        message: Vec<u8>,
        dont_fragment: bool,
    },
    Keepalive,
    /// A user packet: its SPI and what stands for having been sealed with the right key.
    Esp {
        spi: crate::wire::EspSpi,
        key: Vec<u8>,
    },
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) transport: Transport,
    pub(super) packet: Packet,
}

impl Datagram {
    /// Bytes of the IP packet of an IKE message; others are never too long.
    fn packet_length(&self) -> usize {
        let Packet::Ike { message, .. } = &self.packet else { return 0 };
        let ip = if self.to.is_ipv4() { 20 } else { 40 };
        let marker = if self.transport == Transport::UdpEncap { 4 } else { 0 };
        ip + 8 + marker + message.len()
    }
}

/// A source NAT before the first host.
#[derive(Clone, Debug)]
pub struct Nat {
    /// The address that the other side sees.
    pub outside: std::net::IpAddr,
    /// Added to each port; changing it makes all mappings anew.
    pub offset: u16,
    forward: BTreeMap<SocketAddr, SocketAddr>,
}

impl Nat {
    /// A NAT with this outside address.
    pub fn new(outside: std::net::IpAddr) -> Self {
        Self { outside, offset: 20_000, forward: BTreeMap::new() }
    }

    /// Forgets all mappings: those made from now on have other ports.
    pub fn rebind(&mut self) {
        self.offset += 1_000;
        self.forward.clear();
    }
}

/// The line.
pub struct Link {
    /// May be changed at any time.
    pub conditions: Conditions,
    /// Nothing passes at all.
    pub cut: bool,
    /// A NAT before the host with this address.
    pub nat: Option<(std::net::IpAddr, Nat)>,
    /// A firewall lets nothing to this port pass.
    pub closed_port: Option<u16>,
    /// The longest IP packet that passes, bytes; the line tells of none that does not.
    pub mtu: usize,
    /// The same of those from this address alone.
    pub mtu_from: Option<(std::net::IpAddr, usize)>,
    /// It cuts longer ones that may be cut, and they pass.
    pub cuts: bool,
    /// IKE datagrams that were longer.
    pub too_long: u64,
    /// IKE datagrams that nobody may cut.
    pub whole: u64,
    /// IKE datagrams to lose, by their number from the start of the world.
    pub lose: BTreeSet<u64>,
    /// IKE datagrams sent so far.
    pub sent: u64,
    random: SeededRandom,
    queue: BTreeMap<(Instant, u64), Datagram>,
    number: u64,
}

impl Link {
    pub(super) fn new(conditions: Conditions, random: SeededRandom) -> Self {
        Self {
            conditions,
            cut: false,
            closed_port: None,
            nat: None,
            mtu: usize::MAX,
            mtu_from: None,
            cuts: false,
            too_long: 0,
            whole: 0,
            lose: BTreeSet::new(),
            sent: 0,
            random,
            queue: BTreeMap::new(),
            number: 0,
        }
    }

    pub(super) fn send(&mut self, now: Instant, path: Path, packet: Packet) {
        let mut datagram = Datagram { from: path.local, to: path.remote, transport: path.transport, packet };
        let ike = matches!(datagram.packet, Packet::Ike { .. });
        if ike {
            self.sent += 1;
        }
        let chosen = ike && self.lose.contains(&self.sent);
        // User packets are only delayed: what is lost of them is lost by the endpoints.
        let lost = ike && self.random.fraction() < self.conditions.loss;
        let whole = matches!(datagram.packet, Packet::Ike { dont_fragment: true, .. });
        self.whole += u64::from(whole);
        let cut = self.cuts && !whole;
        let mtu = match self.mtu_from {
            Some((from, mtu)) if from == path.local.ip() => mtu.min(self.mtu),
            _ => self.mtu,
        };
        let too_long = datagram.packet_length() > mtu && !cut;
        self.too_long += u64::from(too_long);
        let closed = self.closed_port == Some(datagram.to.port());
        if self.cut || closed || chosen || lost || too_long {
            return;
        }
        self.translate_out(&mut datagram);
        let copies = if ike && self.random.fraction() < self.conditions.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.random.between(self.conditions.least_delay, self.conditions.most_delay);
            self.number += 1;
            self.queue.insert((now + delay, self.number), datagram.clone());
        }
    }

    fn translate_out(&mut self, datagram: &mut Datagram) {
        let Some((inside, nat)) = &mut self.nat else { return };
        if datagram.from.ip() == *inside {
            let outside = SocketAddr::new(nat.outside, datagram.from.port().wrapping_add(nat.offset));
            nat.forward.insert(outside, datagram.from);
            datagram.from = outside;
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The next datagram that has arrived by now; one to a mapping that is gone never does, nor one to an address behind a NAT.
    pub(super) fn receive(&mut self, now: Instant) -> Option<Datagram> {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                return None;
            }
            let mut datagram = entry.remove();
            match &self.nat {
                Some((inside, _)) if datagram.to.ip() == *inside => continue,
                Some((_, nat)) if datagram.to.ip() == nat.outside => match nat.forward.get(&datagram.to) {
                    Some(inside) => datagram.to = *inside,
                    None => continue,
                },
                _ => {}
            }
            return Some(datagram);
        }
        None
    }
}
