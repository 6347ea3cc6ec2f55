//! Traffic selectors: ranges of addresses, protocol and ports (RFC 7296 §2.9, §3.13).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One range of addresses of one family, one protocol (or any) and one range of ports.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrafficSelector {
    protocol: Protocol,
    ports: (u16, u16),
    first: IpAddr,
    last: IpAddr,
}

/// An IP protocol number; 0 stands for any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Any protocol.
    pub const ANY: Self = Self(0);

    /// Whether it has ports, or what stands for them: ICMP its type and code, Mobility Header its type (RFC 4301 §4.4.1.1).
    pub(crate) fn has_ports(self) -> bool {
        matches!(self.0, 1 | 6 | 17 | 33 | 58 | 132 | 135 | 136)
    }

    const NAMES: [(&'static str, u8); 6] =
        [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("icmpv6", 58), ("sctp", 132)];
}

/// Why something is no traffic selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The two ends of the range are of different families, or the first lies after the last.
    #[error("the range of addresses is empty")]
    Range,
    /// The ports are the wrong way round.
    #[error("the range of ports is empty")]
    Ports,
    /// Ports without a protocol that has them.
    #[error("ports need a protocol that has them: tcp, udp or sctp")]
    PortsWithoutProtocol,
    /// Not of the form described.
    #[error(
        "`{0}` is no network; write 10.0.0.0/24, 10.0.0.5-10.0.0.9, 2001:db8::/64, or with protocol and ports 10.0.0.0/24[tcp/443]"
    )]
    Malformed(String),
    /// Bits of the host are set.
    #[error("`{given}` has host bits set; the network is {network}")]
    HostBits {
        /// As written.
        given: String,
        /// What was probably meant.
        network: String,
    },
}

impl TrafficSelector {
    /// A selector; `Err` if the range of addresses or ports is empty or of two families.
    pub fn new(
        first: IpAddr,
        last: IpAddr,
        protocol: Protocol,
        ports: RangeInclusive<u16>,
    ) -> Result<Self, SelectorError> {
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(SelectorError::Range);
        }
        if ports.is_empty() {
            return Err(SelectorError::Ports);
        }
        Ok(Self { protocol, ports: (*ports.start(), *ports.end()), first, last })
    }

    /// This address alone, with all that it may send.
    pub fn host(address: IpAddr) -> Self {
        Self { protocol: Protocol::ANY, ports: (0, u16::MAX), first: address, last: address }
    }

    /// Everything of a family.
    pub fn everything(ipv4: bool) -> Self {
        let (first, last) = if ipv4 {
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST))
        } else {
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)))
        };
        Self { protocol: Protocol::ANY, ports: (0, u16::MAX), first, last }
    }

    /// The protocol, or any.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The ports (for ICMP type and code as type * 256 + code); 0 to 65,535 is any.
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.ports.0..=self.ports.1
    }

    /// Whether it leaves some ports out.
    pub(crate) fn names_ports(&self) -> bool {
        self.ports != (0, u16::MAX)
    }

    /// The first address of the range.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address of the range.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// How many addresses it holds: the bits that it takes to count them.
    pub(crate) fn magnitude(&self) -> u32 {
        let number = |address| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        };
        128 - number(self.last).saturating_sub(number(self.first)).leading_zeros()
    }

    /// Whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether the address lies in the range.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether some address lies in both ranges, whatever the protocols and ports.
    pub fn shares_addresses(&self, other: &Self) -> bool {
        self.contains_address(other.first) || other.contains_address(self.first)
    }

    /// Whether every address of its family is among these, whatever the protocols and ports.
    pub fn has_all_addresses(&self) -> bool {
        let all = Self::everything(self.is_ipv4());
        (self.first, self.last) == (all.first, all.last)
    }

    /// Whether everything that `other` selects is selected by this one too.
    pub fn contains(&self, other: &Self) -> bool {
        self.intersection(other).as_ref() == Some(other)
    }

    /// What both select, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (a, b) if a == b => a,
            (Protocol::ANY, b) => b,
            (a, Protocol::ANY) => a,
            _ => return None,
        };
        if self.is_ipv4() != other.is_ipv4() {
            return None;
        }
        let ports = self.ports.0.max(other.ports.0)..=self.ports.1.min(other.ports.1);
        Self::new(self.first.max(other.first), self.last.min(other.last), protocol, ports).ok()
    }

    /// The range as the fewest prefixes that make it up: address and prefix length.
    pub fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let (width, first, last) = match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (32u32, u128::from(a.to_bits()), u128::from(b.to_bits())),
            (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits(), b.to_bits()),
            _ => return Vec::new(),
        };
        let mut prefixes = Vec::new();
        let mut at = first;
        loop {
            // The largest block that starts here and does not reach beyond the last address.
            let mut bits = at.trailing_zeros().min(width);
            while bits > 0 && (bits == 128 && last != u128::MAX || bits < 128 && last - at < (1 << bits) - 1)
            {
                bits -= 1;
            }
            let address = if width == 32 {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(at).unwrap_or(u32::MAX)))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(at))
            };
            prefixes.push((address, u8::try_from(width - bits).unwrap_or(0)));
            let end = if bits == 128 { u128::MAX } else { at + ((1 << bits) - 1) };
            if end >= last {
                return prefixes;
            }
            at = end + 1;
        }
    }

    fn last_of_prefix(address: IpAddr, length: u8) -> Option<(IpAddr, IpAddr)> {
        match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                (length <= 32).then(|| {
                    (
                        Ipv4Addr::from_bits(v4.to_bits() & !host).into(),
                        Ipv4Addr::from_bits(v4.to_bits() | host).into(),
                    )
                })
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                (length <= 128).then(|| {
                    (
                        Ipv6Addr::from_bits(v6.to_bits() & !host).into(),
                        Ipv6Addr::from_bits(v6.to_bits() | host).into(),
                    )
                })
            }
        }
    }

    fn parse_addresses(text: &str) -> Result<(IpAddr, IpAddr), SelectorError> {
        let malformed = || SelectorError::Malformed(text.to_owned());
        if let Some((address, length)) = text.split_once('/') {
            let address: IpAddr = address.trim().parse().map_err(|_| malformed())?;
            let length: u8 = length.trim().parse().map_err(|_| malformed())?;
            let (first, last) = Self::last_of_prefix(address, length).ok_or_else(malformed)?;
            if first != address {
                return Err(SelectorError::HostBits {
                    given: text.to_owned(),
                    network: format!("{first}/{length}"),
                });
            }
            return Ok((first, last));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let parse = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| malformed());
        Ok((parse(first)?, parse(last)?))
    }

    fn parse_service(text: &str) -> Result<(Protocol, RangeInclusive<u16>), SelectorError> {
        let malformed = || SelectorError::Malformed(format!("[{text}]"));
        let (protocol, ports) = text.split_once('/').map_or((text, None), |(p, q)| (p, Some(q)));
        let protocol = match Protocol::NAMES.iter().find(|(name, _)| *name == protocol) {
            Some((_, number)) => Protocol(*number),
            None => Protocol(protocol.parse().map_err(|_| malformed())?),
        };
        let Some(ports) = ports else { return Ok((protocol, 0..=u16::MAX)) };
        if ![6, 17, 132].contains(&protocol.0) {
            return Err(SelectorError::PortsWithoutProtocol);
        }
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let parse = |part: &str| part.parse::<u16>().map_err(|_| malformed());
        Ok((protocol, parse(first)?..=parse(last)?))
    }
}

impl FromStr for TrafficSelector {
    type Err = SelectorError;

    /// `10.0.0.0/24`, `10.0.0.7`, `10.0.0.5-10.0.0.9`, `2001:db8::/64`, each with `[tcp]`, `[tcp/443]` or
    /// `[udp/5000-5010]` behind it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addresses, service) = match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
            Some((addresses, service)) => (addresses, Self::parse_service(service)?),
            None => (text, (Protocol::ANY, 0..=u16::MAX)),
        };
        let (first, last) = Self::parse_addresses(addresses.trim())?;
        Self::new(first, last, service.0, service.1)
    }
}

impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefixes().as_slice() {
            [(address, length)] if self.first != self.last => write!(f, "{address}/{length}")?,
            [(address, _)] => write!(f, "{address}")?,
            _ => write!(f, "{}-{}", self.first, self.last)?,
        }
        let any_port = self.ports == (0, u16::MAX);
        if self.protocol == Protocol::ANY && any_port {
            return Ok(());
        }
        match Protocol::NAMES.iter().find(|(_, number)| *number == self.protocol.0) {
            Some((name, _)) => write!(f, "[{name}")?,
            None => write!(f, "[{}", self.protocol.0)?,
        }
        match self.ports {
            (0, u16::MAX) => {}
            (first, last) if first == last => write!(f, "/{first}")?,
            (first, last) => write!(f, "/{first}-{last}")?,
        }
        f.write_str("]")
    }
}

impl fmt::Debug for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(text: &str) -> TrafficSelector {
        text.parse().expect(text)
    }

    #[test]
    fn selectors_read_back_as_they_print() {
        for text in [
            "10.0.0.0/24",
            "10.0.0.7",
            "10.0.0.5-10.0.0.9",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/64",
            "2001:db8::1",
            "10.0.0.0/24[tcp/443]",
            "10.0.0.0/8[udp/5000-5010]",
            "::/0[icmpv6]",
            "10.0.0.1[50]",
        ] {
            assert_eq!(ts(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/24",
            "10.0.0.9-10.0.0.5",
            "10.0.0.1-::1",
            "10.0.0.0/24[tcp/9-5]",
            "10.0.0.0/24[icmp/3]",
            "10.0.0.0/24[999]",
            "host.example",
        ] {
            assert!(text.parse::<TrafficSelector>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_addresses_are_those_of_a_whole_family() {
        for (text, all) in
            [("0.0.0.0/0", true), ("::/0[tcp/80]", true), ("0.0.0.0/8", false), ("::/1", false)]
        {
            assert_eq!(ts(text).has_all_addresses(), all, "{text}");
        }
    }

    #[test]
    fn an_intersection_is_what_both_select() {
        assert_eq!(ts("10.0.0.0/8").intersection(&ts("10.1.0.0/16[tcp]")), Some(ts("10.1.0.0/16[tcp]")));
        assert_eq!(
            ts("10.0.0.0/24[tcp/80-90]").intersection(&ts("10.0.0.128/25[tcp/85-99]")),
            Some(ts("10.0.0.128/25[tcp/85-90]"))
        );
        assert_eq!(ts("10.0.0.0/24").intersection(&ts("10.0.1.0/24")), None);
        assert_eq!(ts("10.0.0.0/24[tcp]").intersection(&ts("10.0.0.0/24[udp]")), None);
        assert_eq!(ts("0.0.0.0/0").intersection(&ts("::/0")), None);
        assert!(ts("0.0.0.0/0").contains(&ts("10.0.0.0/24[tcp/443]")));
        assert!(!ts("10.0.0.0/24[tcp/443]").contains(&ts("10.0.0.0/24")));
    }

    #[test]
    fn addresses_are_shared_whatever_the_protocols_and_families_share_none() {
        for (a, b, shared) in [
            ("10.0.0.0/8[tcp]", "10.1.0.0/16[udp]", true),
            ("10.0.0.5-10.0.0.9", "10.0.0.9-10.0.0.20", true),
            ("10.0.0.0/24", "10.0.1.0/24", false),
            ("0.0.0.0/0", "::/0", false),
        ] {
            assert_eq!(ts(a).shares_addresses(&ts(b)), shared, "{a} {b}");
            assert_eq!(ts(b).shares_addresses(&ts(a)), shared, "{b} {a}");
        }
    }

    #[test]
    fn a_range_splits_into_the_fewest_prefixes() {
        let text = |t: &str| ts(t).prefixes().iter().map(|(a, l)| format!("{a}/{l}")).collect::<Vec<_>>();
        assert_eq!(text("10.0.0.5-10.0.0.9"), ["10.0.0.5/32", "10.0.0.6/31", "10.0.0.8/31"]);
        assert_eq!(text("0.0.0.0/0"), ["0.0.0.0/0"]);
        assert_eq!(text("::/0"), ["::/0"]);
        assert_eq!(text("0.0.0.1-255.255.255.255").len(), 32);
        assert_eq!(text("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").len(), 128);
        assert_eq!(text("255.255.255.255"), ["255.255.255.255/32"]);
    }
}
