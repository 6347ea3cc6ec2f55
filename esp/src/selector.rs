//! What an SA may carry: ranges of addresses, a protocol, a range of ports (RFC 4301 §4.4.1).

use std::net::IpAddr;

use crate::inner::Port;
use crate::sa::ConfigError;

/// One range of addresses of one family, with protocol and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    addresses: AddressRange,
    protocol: u8,
    ports: (u16, u16),
}

/// First and last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressRange {
    V4(u32, u32),
    V6(u128, u128),
}

/// The ports that leave a packet's ports alone.
pub(crate) const ANY_PORT: (u16, u16) = (0, u16::MAX);

impl Selector {
    /// A selector. `protocol` 0 is any; `ports` 0 to 65,535 are any, hidden and absent ones included. For ICMP a
    /// port is type * 256 + code (RFC 4301 §4.4.1.1).
    ///
    /// # Errors
    /// [`ConfigError::Addresses`], [`ConfigError::Ports`]: an empty range.
    pub fn new(first: IpAddr, last: IpAddr, protocol: u8, ports: (u16, u16)) -> Result<Self, ConfigError> {
        let addresses = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                AddressRange::V4(first.to_bits(), last.to_bits())
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                AddressRange::V6(first.to_bits(), last.to_bits())
            }
            _ => return Err(ConfigError::Addresses),
        };
        if ports.0 > ports.1 {
            return Err(ConfigError::Ports);
        }
        Ok(Self { addresses, protocol, ports })
    }

    /// Whether all that the other selects is selected by this one too.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        fn inside<T: Ord + Copy>(outer: (T, T), inner: (T, T)) -> bool {
            outer.0 <= inner.0 && inner.1 <= outer.1
        }
        let addresses = match (self.addresses, other.addresses) {
            (AddressRange::V4(a, b), AddressRange::V4(c, d)) => inside((a, b), (c, d)),
            (AddressRange::V6(a, b), AddressRange::V6(c, d)) => inside((a, b), (c, d)),
            _ => false,
        };
        addresses && protocol_fits(self.protocol, other.protocol) && inside(self.ports, other.ports)
    }

    /// Whether it leaves some ports out.
    pub(crate) fn names_ports(&self) -> bool {
        self.ports != ANY_PORT
    }

    pub(crate) fn addresses(&self) -> AddressRange {
        self.addresses
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    pub(crate) fn ports(&self) -> (u16, u16) {
        self.ports
    }
}

/// How one end of a packet fits; the better, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    No,
    /// It would, if the ports that a later fragment hides are right.
    PortsHidden,
    Yes,
}

/// The best that any of the selectors says to one end of a packet.
pub(crate) fn judge(selectors: &[Selector], address: IpAddr, protocol: u8, port: Port) -> Match {
    let mut best = Match::No;
    for selector in selectors {
        let inside = match (selector.addresses, address) {
            (AddressRange::V4(first, last), IpAddr::V4(address)) => {
                (first..=last).contains(&address.to_bits())
            }
            (AddressRange::V6(first, last), IpAddr::V6(address)) => {
                (first..=last).contains(&address.to_bits())
            }
            _ => false,
        };
        if inside && protocol_fits(selector.protocol, protocol) {
            best = best.max(port_fits(selector.ports, port));
        }
        if best == Match::Yes {
            break;
        }
    }
    best
}

/// Whether a protocol of a selector, 0 for any, includes that of a packet.
pub(crate) fn protocol_fits(selected: u8, protocol: u8) -> bool {
    selected == 0 || selected == protocol
}

/// Whether ports of a selector include that of a packet.
pub(crate) fn port_fits(selected: (u16, u16), port: Port) -> Match {
    match port {
        _ if selected == ANY_PORT => Match::Yes,
        Port::Known(port) if selected.0 <= port && port <= selected.1 => Match::Yes,
        Port::Hidden => Match::PortsHidden,
        Port::Known(_) | Port::Absent => Match::No,
    }
}
