//! Outbound look-up (RFC 4301 §5.1): the destination ranges of all rules cut the addresses into elementary
//! intervals; each knows which ranges cover it. A binary search finds the interval, and the ranges' rules are tried
//! from the most specific on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::drop_reason::DropReason;
use crate::inner::Ports;
use crate::selector::{AddressRange, Match, Selector, port_fits, protocol_fits};

/// An IP address as a number.
pub(crate) trait Address: Copy + Ord + Into<u128> {
    fn checked_next(self) -> Option<Self>;

    /// A range of this family.
    fn range(of: AddressRange) -> Option<(Self, Self)>;
}

impl Address for u32 {
    fn range(of: AddressRange) -> Option<(Self, Self)> {
        match of {
            AddressRange::V4(first, last) => Some((first, last)),
            AddressRange::V6(..) => None,
        }
    }

    fn checked_next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn range(of: AddressRange) -> Option<(Self, Self)> {
        match of {
            AddressRange::V6(first, last) => Some((first, last)),
            AddressRange::V4(..) => None,
        }
    }

    fn checked_next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// What a rule leads to. Of two rules alike the one with the greater is preferred: an SA, and the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// It is reserved for an SA, which does not carry it.
    Reserved(Absent),
    /// The SA of this number.
    Sa(usize),
}

/// What becomes of packets that are reserved for an SA that does not carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absent {
    /// There is none: they are dropped.
    Dropped,
    /// There is one, which was let carry less: they are dropped.
    Narrowed,
    /// Whoever this number stands for is to set it up, and they are to wait for that.
    Acquired(u64),
}

impl Absent {
    /// Why they are not sent now.
    pub fn reason(self) -> DropReason {
        match self {
            Self::Dropped | Self::Acquired(_) => DropReason::NoSa,
            Self::Narrowed => DropReason::Narrowed,
        }
    }
}

/// Why no SA was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Reserved(Absent),
    Dropped(DropReason),
}

impl Miss {
    pub(crate) fn reason(self) -> DropReason {
        match self {
            Self::Reserved(absent) => absent.reason(),
            Self::Dropped(reason) => reason,
        }
    }
}

/// A local and a remote selector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<A> {
    pub(crate) destination: (A, A),
    pub(crate) source: (A, A),
    /// 0 is any.
    pub(crate) protocol: u8,
    pub(crate) destination_ports: (u16, u16),
    pub(crate) source_ports: (u16, u16),
}

/// Those of one SA, or of what is reserved for one.
#[derive(Clone, Debug)]
pub(crate) struct Rule<A> {
    pub(crate) shape: Shape<A>,
    /// What is reserved for the SA, of which its own may be a part.
    pub(crate) reserved: Shape<A>,
    pub(crate) target: Target,
}

impl<A: Address> Shape<A> {
    /// The pair, unless the two are of other families or name two protocols.
    pub(crate) fn new(local: &Selector, remote: &Selector) -> Option<Self> {
        let protocol = match (local.protocol(), remote.protocol()) {
            (0, protocol) | (protocol, 0) => protocol,
            (local, remote) if local == remote => local,
            _ => return None,
        };
        Some(Self {
            destination: A::range(remote.addresses())?,
            source: A::range(local.addresses())?,
            protocol,
            destination_ports: remote.ports(),
            source_ports: local.ports(),
        })
    }

    /// Orders from the most specific to the least.
    fn rank(&self) -> impl Ord + use<A> {
        let addresses = |(first, last): (A, A)| last.into() - first.into();
        let ports = |(first, last): (u16, u16)| last - first;
        (
            (addresses(self.destination), self.destination.0),
            (addresses(self.source), self.source.0),
            self.protocol == 0,
            (ports(self.destination_ports), ports(self.source_ports)),
        )
    }

    /// Judges all but the destination address.
    fn judge(&self, source: A, protocol: u8, ports: Ports) -> Match {
        let (first, last) = self.source;
        if source < first || last < source || !protocol_fits(self.protocol, protocol) {
            return Match::No;
        }
        let destination = port_fits(self.destination_ports, ports.destination());
        destination.min(port_fits(self.source_ports, ports.source()))
    }
}

impl<A: Address> Rule<A> {
    /// Orders rules from the most specific to the least. What is reserved decides first: a peer that asks for less than it may
    /// have does not come before another one that this is reserved for.
    fn rank(&self) -> impl Ord + use<A> {
        (self.reserved.rank(), self.shape.rank(), Reverse(self.target))
    }
}

/// The rules of one address family, made for look-up.
#[derive(Debug)]
pub(crate) struct Index<A> {
    /// The first address of each elementary interval, ascending.
    starts: Box<[A]>,
    /// For each interval where its part of `covers` ends; it starts where the one before ends.
    cover_ends: Box<[usize]>,
    /// Numbers of groups.
    covers: Box<[usize]>,
    /// Rules with the same destination range, most specific range first.
    groups: Box<[Range<usize>]>,
    /// Most specific first.
    rules: Box<[Rule<A>]>,
}

impl<A> Default for Index<A> {
    fn default() -> Self {
        Self {
            starts: Box::default(),
            cover_ends: Box::default(),
            covers: Box::default(),
            groups: Box::default(),
            rules: Box::default(),
        }
    }
}

impl<A: Address> Index<A> {
    pub(crate) fn new(mut rules: Vec<Rule<A>>) -> Self {
        rules.sort_by_cached_key(Rule::rank);
        let mut groups = Vec::new();
        // At each address: which groups end before it, and which start there.
        let mut edges = BTreeMap::<A, (Vec<usize>, Vec<usize>)>::new();
        let mut position = 0;
        for group in rules.chunk_by(|a, b| a.shape.destination == b.shape.destination) {
            let Some((first, last)) = group.first().map(|rule| rule.shape.destination) else { continue };
            edges.entry(first).or_default().1.push(groups.len());
            if let Some(next) = last.checked_next() {
                edges.entry(next).or_default().0.push(groups.len());
            }
            groups.push(position..position + group.len());
            position += group.len();
        }
        let (mut starts, mut cover_ends, mut covers) = (Vec::new(), Vec::new(), Vec::new());
        let mut open = BTreeSet::new();
        for (address, (ending, starting)) in edges {
            open.retain(|group| !ending.contains(group));
            open.extend(starting);
            starts.push(address);
            covers.extend(&open);
            cover_ends.push(covers.len());
        }
        Self {
            starts: starts.into(),
            cover_ends: cover_ends.into(),
            covers: covers.into(),
            groups: groups.into(),
            rules: rules.into(),
        }
    }

    /// The SA for a packet.
    pub(crate) fn find(&self, source: A, destination: A, protocol: u8, ports: Ports) -> Result<usize, Miss> {
        for group in self.covering(destination) {
            let rules = self.groups.get(*group).and_then(|range| self.rules.get(range.clone()));
            for rule in rules.unwrap_or_default() {
                match rule.shape.judge(source, protocol, ports) {
                    Match::Yes => {
                        return match rule.target {
                            Target::Sa(number) => Ok(number),
                            Target::Reserved(absent) => Err(Miss::Reserved(absent)),
                        };
                    }
                    // Its first fragment may have gone this way; another way is not for this one to take.
                    Match::PortsHidden => return Err(Miss::Dropped(DropReason::FragmentWithoutPorts)),
                    Match::No => {}
                }
            }
        }
        Err(Miss::Dropped(DropReason::NoSa))
    }

    /// The groups whose range holds this address, most specific first.
    fn covering(&self, address: A) -> &[usize] {
        let after = self.starts.partition_point(|start| *start <= address);
        let end = after.checked_sub(1).and_then(|at| self.cover_ends.get(at)).copied();
        let start = after.checked_sub(2).and_then(|at| self.cover_ends.get(at)).copied();
        self.covers.get(start.unwrap_or(0)..end.unwrap_or(0)).unwrap_or_default()
    }
}
