//! The immutable snapshot that packets are looked up in: SAs by SPI inbound, by selectors outbound.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::drop_reason::DropReason;
use crate::inbound::InboundSa;
use crate::index::{Absent, Address, Index, Miss, Rule, Shape, Target};
use crate::inner::InnerView;
use crate::outbound::OutboundSa;
use crate::selector::{AddressRange, Selector};

/// A snapshot of all SAs. `In` and `Out` may be types of the caller's that hold an SA beside what it needs itself.
#[derive(Debug)]
pub struct Table<In = InboundSa, Out = OutboundSa> {
    inbound: BySpi<In>,
    outbound: Box<[Arc<Out>]>,
    ipv4: Index<u32>,
    ipv6: Index<u128>,
}

impl<In, Out> Table<In, Out> {
    /// The SA that receives on this SPI.
    pub fn inbound(&self, spi: u32) -> Option<&Arc<In>> {
        self.inbound.get(&spi)
    }

    /// The SA to send a packet on: the most specific that selects it, judged by what is reserved for it and then by its own
    /// selectors, each time by destination range, then source range, then protocol, then ports; among equals the one that
    /// was added last.
    ///
    /// # Errors
    /// [`DropReason::NoSa`], also where something more specific is reserved; [`DropReason::Narrowed`] if that is for an SA
    /// which carries less; [`DropReason::FragmentWithoutPorts`] if the most specific one names ports that a later
    /// fragment does not show.
    pub fn outbound(&self, packet: &InnerView) -> Result<&Arc<Out>, DropReason> {
        let found = self.find(packet).map_err(Miss::reason)?;
        self.outbound.get(found).ok_or(DropReason::NoSa)
    }

    /// For whom a packet is to wait that [`Self::outbound`] has no SA for: the number given with [`Absent::Acquired`].
    pub fn acquires(&self, packet: &InnerView) -> Option<u64> {
        match self.find(packet) {
            Err(Miss::Reserved(Absent::Acquired(number))) => Some(number),
            _ => None,
        }
    }

    fn find(&self, packet: &InnerView) -> Result<usize, Miss> {
        let (protocol, ports) = (packet.protocol(), packet.ports());
        match (packet.source(), packet.destination()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4.find(source.to_bits(), destination.to_bits(), protocol, ports)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.ipv6.find(source.to_bits(), destination.to_bits(), protocol, ports)
            }
            _ => Err(Miss::Dropped(DropReason::NoSa)),
        }
    }
}

impl<In, Out> Default for Table<In, Out> {
    /// Without any SA.
    fn default() -> Self {
        Self {
            inbound: BySpi::default(),
            outbound: Box::default(),
            ipv4: Index::default(),
            ipv6: Index::default(),
        }
    }
}

/// Collects the SAs of a [`Table`].
#[derive(Debug)]
pub struct TableBuilder<In = InboundSa, Out = OutboundSa> {
    inbound: BySpi<In>,
    outbound: Vec<(Arc<Out>, Option<Shapes>)>,
    reserved: Rules,
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> TableBuilder<In, Out> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { inbound: BySpi::default(), outbound: Vec::new(), reserved: Rules::default() }
    }

    /// Adds an SA that we receive on.
    pub fn inbound(&mut self, sa: Arc<In>) {
        let spi = (*sa).as_ref().spi();
        self.inbound.insert(spi, sa);
    }

    /// Adds an SA that we send on: of those that replace one another, only the one to use now.
    pub fn outbound(&mut self, sa: Arc<Out>) {
        self.outbound.push((sa, None));
    }

    /// The same of an SA for which these selectors are reserved. If its own are a part of them, those still decide how
    /// specific it is: its peer cannot come before another one by asking for little.
    pub fn outbound_reserved(&mut self, sa: Arc<Out>, local: &[Selector], remote: &[Selector]) {
        self.outbound.push((sa, Some(Shapes::new(local, remote))));
    }

    /// Reserves what these selectors name for an SA of their own: it is never sent on a less specific SA, whose peer is
    /// another one. `absent` says what becomes of it instead.
    pub fn reserve(&mut self, local: &[Selector], remote: &[Selector], absent: Absent) {
        self.reserved.add(&Shapes::new(local, remote), None, Target::Reserved(absent));
    }

    /// The snapshot.
    pub fn build(self) -> Table<In, Out> {
        let mut rules = self.reserved;
        for (target, (sa, reserved)) in self.outbound.iter().enumerate() {
            let sa = (**sa).as_ref();
            rules.add(&Shapes::new(sa.local(), sa.remote()), reserved.as_ref(), Target::Sa(target));
        }
        Table {
            inbound: self.inbound,
            outbound: self.outbound.into_iter().map(|(sa, _)| sa).collect(),
            ipv4: Index::new(rules.ipv4),
            ipv6: Index::new(rules.ipv6),
        }
    }
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> Default for TableBuilder<In, Out> {
    fn default() -> Self {
        Self::new()
    }
}

/// Each pair of a local and a remote selector, by address family.
#[derive(Debug, Default)]
struct Shapes {
    ipv4: Vec<Shape<u32>>,
    ipv6: Vec<Shape<u128>>,
}

impl Shapes {
    fn new(local: &[Selector], remote: &[Selector]) -> Self {
        let mut shapes = Self::default();
        for local in local {
            for remote in remote {
                match (local.addresses(), remote.addresses()) {
                    (AddressRange::V4(a, b), AddressRange::V4(c, d)) => {
                        shapes.ipv4.extend(shape(local, remote, (a, b), (c, d)));
                    }
                    (AddressRange::V6(a, b), AddressRange::V6(c, d)) => {
                        shapes.ipv6.extend(shape(local, remote, (a, b), (c, d)));
                    }
                    _ => {}
                }
            }
        }
        shapes
    }
}

/// The rules of both address families.
#[derive(Debug, Default)]
struct Rules {
    ipv4: Vec<Rule<u32>>,
    ipv6: Vec<Rule<u128>>,
}

impl Rules {
    /// A rule for each pair of selectors.
    fn add(&mut self, shapes: &Shapes, reserved: Option<&Shapes>, target: Target) {
        let (v4, v6) = reserved.map_or((&[][..], &[][..]), |all| (all.ipv4.as_slice(), all.ipv6.as_slice()));
        self.ipv4.extend(shapes.ipv4.iter().map(|shape| rule(*shape, v4, target)));
        self.ipv6.extend(shapes.ipv6.iter().map(|shape| rule(*shape, v6, target)));
    }
}

/// A rule, and what it is a part of.
fn rule<A: Address>(shape: Shape<A>, reserved: &[Shape<A>], target: Target) -> Rule<A> {
    let reserved = reserved.iter().find(|reserved| reserved.holds(&shape)).copied().unwrap_or(shape);
    Rule { shape, reserved, target }
}

/// A pair of selectors, unless they name two protocols.
fn shape<A>(local: &Selector, remote: &Selector, source: (A, A), destination: (A, A)) -> Option<Shape<A>> {
    let protocol = match (local.protocol(), remote.protocol()) {
        (0, protocol) | (protocol, 0) => protocol,
        (local, remote) if local == remote => local,
        _ => return None,
    };
    Some(Shape {
        destination,
        source,
        protocol,
        destination_ports: remote.ports(),
        source_ports: local.ports(),
    })
}

type BySpi<In> = HashMap<u32, Arc<In>, BuildHasherDefault<SpiHasher>>;

/// Spreads SPIs. Those in the map are our own random ones, so nobody outside can make them collide.
#[derive(Clone, Copy, Debug, Default)]
struct SpiHasher(u64);

impl Hasher for SpiHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, spi: u32) {
        // Fibonacci hashing; the map takes its bucket from the low bits and its tag from the high ones.
        self.0 = (self.0 ^ u64::from(spi)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
