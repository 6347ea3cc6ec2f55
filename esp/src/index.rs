//! Outbound look-up (RFC 4301 §5.1): the destination ranges of all rules cut the addresses into elementary
//! intervals; each knows which ranges cover it. A binary search finds the interval, and the ranges' rules are tried
//! from the most specific on.
//!
//! What is looked at for each packet is kept small and apart from what only the making needs: with many rules the time goes
//! into reading memory.

use std::cmp::Reverse;

use crate::drop_reason::DropReason;
use crate::inner::Ports;
use crate::selector::{AddressRange, Match, Selector, port_fits, protocol_fits};

/// An IP address as a number.
pub(crate) trait Address: Copy + Ord {
    fn checked_next(self) -> Option<Self>;

    /// How many lie between; `first` is not behind `self`.
    fn beyond(self, first: Self) -> Self;

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

    fn beyond(self, first: Self) -> Self {
        self - first
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

    fn beyond(self, first: Self) -> Self {
        self - first
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
        let addresses = |(first, last): (A, A)| last.beyond(first);
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
    cover_ends: Box<[u32]>,
    /// Where among `rules` those of one destination range lie.
    covers: Box<[Group]>,
    /// Most specific first.
    rules: Box<[(Shape<A>, Target)]>,
}

/// Rules with the same destination range: the first, and the one behind the last.
type Group = (u32, u32);

impl<A> Default for Index<A> {
    fn default() -> Self {
        Self {
            starts: Box::default(),
            cover_ends: Box::default(),
            covers: Box::default(),
            rules: Box::default(),
        }
    }
}

impl<A: Address> Index<A> {
    /// Of at most 2^32 rules, and ranges that cover an interval.
    pub(crate) fn new(mut rules: Vec<Rule<A>>) -> Self {
        rules.sort_unstable_by_key(Rule::rank);
        let (mut starts, mut cover_ends, mut covers) = (Vec::new(), Vec::new(), Vec::new());
        // Most specific first, as the rules are.
        let mut open: Vec<Group> = Vec::new();
        for edges in edges(&rules).chunk_by(|a, b| a.0 == b.0) {
            for &(address, ends, group) in edges {
                match open.binary_search(&group) {
                    Ok(at) if ends => drop(open.remove(at)),
                    Err(at) if !ends => open.insert(at, group),
                    _ => {}
                }
                if starts.last() != Some(&address) {
                    starts.push(address);
                }
            }
            covers.extend(&open);
            cover_ends.push(short(covers.len()));
        }
        let rules = rules.into_iter().map(|rule| (rule.shape, rule.target)).collect();
        Self { starts: starts.into(), cover_ends: cover_ends.into(), covers: covers.into(), rules }
    }

    /// The SA for a packet.
    pub(crate) fn find(&self, source: A, destination: A, protocol: u8, ports: Ports) -> Result<usize, Miss> {
        for &(first, end) in self.covering(destination) {
            for (shape, target) in self.rules.get(wide(first)..wide(end)).unwrap_or_default() {
                match shape.judge(source, protocol, ports) {
                    Match::Yes => {
                        return match *target {
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
        Err(Miss::Dropped(self.unmatched(destination)))
    }

    /// Why a packet goes nowhere that fits no rule (RFC 4301 §5.1: "Discard the packet"): an SA may stand that goes there.
    #[cold]
    fn unmatched(&self, destination: A) -> DropReason {
        let groups = self.covering(destination).iter();
        let mut rules =
            groups.flat_map(|&(first, end)| self.rules.get(wide(first)..wide(end)).unwrap_or_default());
        let stands = |(_, target): &(Shape<A>, Target)| {
            matches!(target, Target::Sa(_) | Target::Reserved(Absent::Narrowed))
        };
        if rules.any(stands) { DropReason::OutboundSelector } else { DropReason::NoSa }
    }

    /// The groups whose range holds this address, most specific first.
    fn covering(&self, address: A) -> &[Group] {
        let after = self.starts.partition_point(|start| *start <= address);
        let end = after.checked_sub(1).and_then(|at| self.cover_ends.get(at)).copied();
        let start = after.checked_sub(2).and_then(|at| self.cover_ends.get(at)).copied();
        self.covers.get(wide(start.unwrap_or(0))..wide(end.unwrap_or(0))).unwrap_or_default()
    }
}

/// Where each destination range starts, and where it has ended (true), by address; `rules` are sorted.
fn edges<A: Address>(rules: &[Rule<A>]) -> Vec<(A, bool, Group)> {
    let mut edges = Vec::new();
    let mut position = 0;
    for group in rules.chunk_by(|a, b| a.shape.destination == b.shape.destination) {
        let Some((first, last)) = group.first().map(|rule| rule.shape.destination) else { continue };
        let place = (short(position), short(position + group.len()));
        edges.push((first, false, place));
        edges.extend(last.checked_next().map(|next| (next, true, place)));
        position += group.len();
    }
    edges.sort_unstable();
    edges
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
