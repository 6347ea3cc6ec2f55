//! Pools of addresses that a responder gives to its peers (RFC 7296 §2.19).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::Name;
use crate::negotiate::{Protocol, SelectorError, TrafficSelector};

/// Addresses that are given out, and the name servers that go with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique among the pools of an endpoint.
    pub name: Name,
    /// At least one; no two with an address in common, those of other pools included.
    pub ranges: Vec<PoolRange>,
    /// Told to each peer that asks for name servers.
    pub dns: Vec<IpAddr>,
}

impl Pool {
    /// How many addresses of a family it can give out.
    pub fn size(&self, ipv4: bool) -> u128 {
        self.of(ipv4).fold(0, |sum, range| sum.saturating_add(range.size()))
    }

    /// Whether it gives out this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.holds(address))
    }

    /// The address at this place among those of a family.
    pub(crate) fn at(&self, ipv4: bool, mut place: u128) -> Option<IpAddr> {
        for range in self.of(ipv4) {
            if place < range.size() {
                return range.at(place);
            }
            place -= range.size();
        }
        None
    }

    fn of(&self, ipv4: bool) -> impl Iterator<Item = &PoolRange> {
        self.ranges.iter().filter(move |range| range.first.is_ipv4() == ipv4)
    }
}

/// Addresses in a row.
#[derive(Clone, PartialEq, Eq)]
pub struct PoolRange {
    /// As written.
    text: String,
    /// All of it, the addresses included that nobody gets.
    whole: TrafficSelector,
    first: IpAddr,
    last: IpAddr,
}

/// Why something is no range of a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolRangeError {
    /// It cannot be read.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// An address has no ports.
    #[error("`{0}` names a protocol or ports")]
    Service(String),
    /// Loopback, multicast, link-local and the like.
    #[error("`{0}` holds addresses that no host in a network can have")]
    NoHost(String),
}

impl PoolRange {
    /// All of it as a selector: the addresses included that nobody gets.
    pub fn selector(&self) -> &TrafficSelector {
        &self.whole
    }

    /// Whether it gives out this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    fn size(&self) -> u128 {
        number(self.last).saturating_sub(number(self.first)).saturating_add(1)
    }

    fn at(&self, place: u128) -> Option<IpAddr> {
        let number = number(self.first).checked_add(place)?;
        match self.first {
            IpAddr::V4(_) => u32::try_from(number).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
            IpAddr::V6(_) => Some(Ipv6Addr::from_bits(number).into()),
        }
    }
}

impl FromStr for PoolRange {
    type Err = PoolRangeError;

    /// `10.9.0.0/24`, `10.9.0.10-10.9.0.99`, `10.9.0.7`, `2001:db8:9::/64`. Of an IPv4 prefix the network and the
    /// broadcast address are nobody's, of an IPv6 prefix the subnet-router anycast address (RFC 4291 §2.6.1); of a
    /// range, or of a prefix too small to have them, every address is given out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole: TrafficSelector = text.parse()?;
        if whole.protocol() != Protocol::ANY || whole.ports() != (0..=u16::MAX) {
            return Err(PoolRangeError::Service(text.to_owned()));
        }
        let (first, last) = (whole.first(), whole.last());
        if is_for_no_host(first, last) {
            return Err(PoolRangeError::NoHost(text.to_owned()));
        }
        let all = Self { text: text.to_owned(), whole, first, last };
        if !text.contains('/') || all.size() <= 2 {
            return Ok(all);
        }
        let second = all.at(1).unwrap_or(first);
        let last = if first.is_ipv4() { all.at(all.size() - 2).unwrap_or(last) } else { last };
        Ok(Self { first: second, last, ..all })
    }
}

impl fmt::Display for PoolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PoolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which addresses we ask the peer for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternalAddress {
    /// One of IPv4.
    pub ipv4: bool,
    /// One of IPv6.
    pub ipv6: bool,
}

impl InternalAddress {
    /// Whether we ask for any.
    pub fn is_asked(self) -> bool {
        self.ipv4 || self.ipv6
    }

    /// Whether we ask for one of this family.
    pub fn asks(self, ipv4: bool) -> bool {
        if ipv4 { self.ipv4 } else { self.ipv6 }
    }
}

/// Whether the range touches addresses that name no host on a network: unspecified, "this network", loopback,
/// link-local, multicast, reserved, or IPv4 in IPv6's clothes.
pub(crate) fn is_for_no_host(first: IpAddr, last: IpAddr) -> bool {
    const V4: [(u32, u32); 4] = [
        (0x0000_0000, 0x00ff_ffff),
        (0x7f00_0000, 0x7fff_ffff),
        (0xa9fe_0000, 0xa9fe_ffff),
        (0xe000_0000, 0xffff_ffff),
    ];
    const V6: [(u128, u128); 3] = [
        // ::/64 holds the unspecified, the loopback, the IPv4-compatible and the IPv4-mapped addresses.
        (0, u64::MAX as u128),
        (0xfe80 << 112, (0xfec0 << 112) - 1),
        (0xff00 << 112, u128::MAX),
    ];
    let (from, to) = (number(first), number(last));
    let meets = |(a, b): (u128, u128)| from <= b && a <= to;
    match first {
        IpAddr::V4(_) => V4.iter().any(|(a, b)| meets((u128::from(*a), u128::from(*b)))),
        IpAddr::V6(_) => V6.iter().copied().any(meets),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(ranges: &[&str]) -> Pool {
        let ranges = ranges.iter().map(|text| text.parse().unwrap()).collect();
        Pool { name: "office".into(), ranges, dns: Vec::new() }
    }

    fn given_out(range: &str) -> Vec<String> {
        let pool = pool(&[range]);
        let ipv4 = !range.contains(':');
        (0..pool.size(ipv4)).filter_map(|place| pool.at(ipv4, place)).map(|a| a.to_string()).collect()
    }

    #[test]
    fn network_broadcast_and_anycast_addresses_are_nobodys() {
        assert_eq!(given_out("10.9.0.0/30"), ["10.9.0.1", "10.9.0.2"]);
        assert_eq!(given_out("10.9.0.4/31"), ["10.9.0.4", "10.9.0.5"], "RFC 3021");
        assert_eq!(given_out("10.9.0.4-10.9.0.7").len(), 4, "a range is meant as it is written");
        assert_eq!(given_out("10.9.0.7"), ["10.9.0.7"]);
        assert_eq!(given_out("2001:db8::/126"), ["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(given_out("2001:db8::/127").len(), 2, "RFC 6164");
        let whole = pool(&["10.9.0.0/24", "2001:db8:9::/64"]);
        assert_eq!((whole.size(true), whole.size(false)), (254, u128::from(u64::MAX)));
        assert!(!whole.holds("10.9.0.255".parse().unwrap()) && whole.holds("10.9.0.254".parse().unwrap()));
    }

    #[test]
    fn several_ranges_are_given_out_one_behind_the_other() {
        let pool = pool(&["10.9.0.1-10.9.0.2", "2001:db8::/64", "10.9.1.9"]);
        let all: Vec<_> = (0..4).map(|place| pool.at(true, place).map(|a| a.to_string())).collect();
        assert_eq!(all, [Some("10.9.0.1".into()), Some("10.9.0.2".into()), Some("10.9.1.9".into()), None]);
        assert_eq!(pool.at(false, 0), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(pool.at(false, u128::MAX), None);
    }

    #[test]
    fn what_no_host_can_have_is_no_pool() {
        for text in [
            "0.0.0.0/0",
            "127.0.0.0/24",
            "126.0.0.0-128.0.0.0",
            "169.254.7.0/24",
            "224.0.0.0/24",
            "255.255.255.255",
            "::/0",
            "::1",
            "::ffff:10.0.0.1",
            "fe80::/64",
            "ff02::1",
        ] {
            assert!(matches!(text.parse::<PoolRange>(), Err(PoolRangeError::NoHost(_))), "{text}");
        }
        assert!(matches!("10.9.0.0/24[tcp]".parse::<PoolRange>(), Err(PoolRangeError::Service(_))));
        assert!(matches!("10.9.0.1/24".parse::<PoolRange>(), Err(PoolRangeError::Selector(_))));
    }
}
