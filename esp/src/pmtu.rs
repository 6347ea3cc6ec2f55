//! What the tunnel takes from a packet's size (RFC 4301 §8.2).

use crate::format::{ALIGNMENT, HEADROOM, ICV, TRAILER};

/// What lies between two gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Whether the outer header is IPv6 (40 bytes) or IPv4 (20).
    pub ipv6: bool,
    /// Whether ESP is in UDP (8 bytes more, RFC 3948).
    pub udp: bool,
}

impl Outer {
    /// Bytes before the ESP packet.
    const fn header_length(self) -> usize {
        (if self.ipv6 { 40 } else { 20 }) + (if self.udp { 8 } else { 0 })
    }

    /// Bytes that the tunnel adds to an inner packet at most: outer headers, ESP header, IV, padding, trailer and
    /// ICV. All suites add the same.
    pub const fn overhead(self) -> usize {
        self.header_length() + HEADROOM + (ALIGNMENT - 1) + TRAILER + ICV
    }

    /// The largest inner packet, in bytes, whose outer packet has at most `outer_mtu` bytes.
    pub const fn inner_mtu(self, outer_mtu: usize) -> usize {
        let text = outer_mtu.saturating_sub(self.header_length() + HEADROOM + ICV);
        (text - text % ALIGNMENT).saturating_sub(TRAILER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sealed_length;

    #[test]
    fn the_inner_mtu_is_the_largest_that_fits() {
        for (ipv6, udp, header) in
            [(false, true, 28), (false, false, 20), (true, true, 48), (true, false, 40)]
        {
            let outer = Outer { ipv6, udp };
            for mtu in 576..=1600 {
                let inner = outer.inner_mtu(mtu);
                assert!(header + sealed_length(inner) <= mtu && header + sealed_length(inner + 1) > mtu);
                assert!(mtu - inner <= outer.overhead(), "{outer:?} {mtu}");
            }
        }
        assert_eq!(Outer { ipv6: false, udp: true }.inner_mtu(1500), 1438);
        assert_eq!(Outer { ipv6: true, udp: true }.inner_mtu(1454), 1370);
        assert_eq!(Outer { ipv6: true, udp: true }.inner_mtu(10), 0);
    }
}
