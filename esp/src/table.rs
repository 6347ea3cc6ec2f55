//! The immutable snapshot that packets are looked up in: SAs by SPI inbound, by selectors outbound.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::drop_reason::DropReason;
use crate::inbound::InboundSa;
use crate::index::{Absent, Index, Miss, Rule, Shape, Target};
use crate::inner::InnerView;
use crate::outbound::OutboundSa;
use crate::selector::Selector;

/// A snapshot of all SAs. `In` and `Out` may be types of the caller's that hold an SA beside what it needs itself.
#[derive(Debug)]
pub struct Table<In = InboundSa, Out = OutboundSa> {
    inbound: BySpi<In>,
    outbound: Box<[Arc<Out>]>,
    ipv4: Index<u32>,
    ipv6: Index<u128>,
    names_ports: bool,
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
    /// which carries less; [`DropReason::OutboundSelector`] if one goes there that was not negotiated for this source, protocol or
    /// ports; [`DropReason::FragmentWithoutPorts`] if the most specific one names ports that a later
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

    /// Whether ports decide about any packet: then later fragments are judged by what [`crate::Fragments`] knows of the first.
    pub fn names_ports(&self) -> bool {
        self.names_ports
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
            names_ports: false,
        }
    }
}

/// Collects the SAs of a [`Table`].
#[derive(Debug)]
pub struct TableBuilder<In = InboundSa, Out = OutboundSa> {
    inbound: BySpi<In>,
    outbound: Vec<Arc<Out>>,
    rules: Rules,
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> TableBuilder<In, Out> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { inbound: BySpi::default(), outbound: Vec::new(), rules: Rules::default() }
    }

    /// Adds an SA that we receive on.
    pub fn inbound(&mut self, sa: Arc<In>) {
        let spi = (*sa).as_ref().spi();
        self.inbound.insert(spi, sa);
    }

    /// Adds an SA that we send on: of those that replace one another, only the one to use now.
    pub fn outbound(&mut self, sa: Arc<Out>) {
        self.outbound_reserved(sa, &[], &[]);
    }

    /// The same of an SA for which these selectors are reserved. If its own are a part of them, those still decide how
    /// specific it is: its peer cannot come before another one by asking for little.
    pub fn outbound_reserved(&mut self, sa: Arc<Out>, local: &[Selector], remote: &[Selector]) {
        let target = Target::Sa(self.outbound.len());
        let own = (*sa).as_ref();
        self.rules.add((own.local(), own.remote()), (local, remote), target);
        self.outbound.push(sa);
    }

    /// Reserves what these selectors name for an SA of their own: it is never sent on a less specific SA, whose peer is
    /// another one. `absent` says what becomes of it instead.
    pub fn reserve(&mut self, local: &[Selector], remote: &[Selector], absent: Absent) {
        self.rules.add((local, remote), (&[], &[]), Target::Reserved(absent));
    }

    /// The snapshot.
    pub fn build(self) -> Table<In, Out> {
        Table {
            inbound: self.inbound,
            outbound: self.outbound.into(),
            ipv4: Index::new(self.rules.ipv4),
            ipv6: Index::new(self.rules.ipv6),
            names_ports: self.rules.names_ports,
        }
    }
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> Default for TableBuilder<In, Out> {
    fn default() -> Self {
        Self::new()
    }
}

/// The rules of both address families.
#[derive(Debug, Default)]
struct Rules {
    ipv4: Vec<Rule<u32>>,
    ipv6: Vec<Rule<u128>>,
    /// Any of them leaves some ports out.
    names_ports: bool,
}

/// Local and remote selectors.
type Sides<'a> = (&'a [Selector], &'a [Selector]);

impl Rules {
    /// A rule for each pair of selectors; `reserved` is what they are a part of.
    fn add(&mut self, own: Sides<'_>, reserved: Sides<'_>, target: Target) {
        let remotes: Vec<_> = own.1.iter().map(|remote| (remote, outer(remote, reserved.1))).collect();
        for local in own.0 {
            let outer_local = outer(local, reserved.0);
            for (remote, outer_remote) in &remotes {
                self.add_pair((local, remote), (outer_local, outer_remote), target);
            }
        }
    }

    fn add_pair(&mut self, own: (&Selector, &Selector), outer: (&Selector, &Selector), target: Target) {
        self.names_ports |= own.0.names_ports() || own.1.names_ports();
        if let Some(shape) = Shape::<u32>::new(own.0, own.1) {
            let reserved = Shape::new(outer.0, outer.1).unwrap_or(shape);
            self.ipv4.push(Rule { shape, reserved, target });
        }
        if let Some(shape) = Shape::<u128>::new(own.0, own.1) {
            let reserved = Shape::new(outer.0, outer.1).unwrap_or(shape);
            self.ipv6.push(Rule { shape, reserved, target });
        }
    }
}

/// The one of which this is a part, or itself.
fn outer<'a>(own: &'a Selector, reserved: &'a [Selector]) -> &'a Selector {
    let same = reserved.iter().find(|reserved| *reserved == own);
    same.or_else(|| reserved.iter().find(|reserved| reserved.holds(own))).unwrap_or(own)
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
