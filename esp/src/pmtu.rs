//! What the tunnel takes from a packet's size (RFC 4301 §8.2).

use crate::format::Layout;

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
    /// ICV.
    pub const fn overhead(self, layout: Layout) -> usize {
        self.header_length() + layout.overhead()
    }

    /// The largest inner packet, in bytes, whose outer packet has at most `outer_mtu` bytes.
    pub const fn inner_mtu(self, layout: Layout, outer_mtu: usize) -> usize {
        layout.inner_length(outer_mtu.saturating_sub(self.header_length()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{AesKey, GcmTag, Hmac, Suite};

    #[test]
    fn the_inner_mtu_is_the_largest_that_fits() {
        for layout in Suite::ALL.map(Suite::layout) {
            for (ipv6, udp, header) in
                [(false, true, 28), (false, false, 20), (true, true, 48), (true, false, 40)]
            {
                let outer = Outer { ipv6, udp };
                for mtu in 576..=1600 {
                    let inner = outer.inner_mtu(layout, mtu);
                    let sealed = |inner| header + layout.sealed_length(inner);
                    assert!(sealed(inner) <= mtu && sealed(inner + 1) > mtu, "{layout:?} {outer:?} {mtu}");
                    assert!(mtu - inner <= outer.overhead(layout), "{layout:?} {outer:?} {mtu}");
                }
            }
        }
    }

    #[test]
    fn each_suite_leaves_its_own_inner_mtu() {
        let cbc = |hmac| Suite::AesCbc(AesKey::Bits256, hmac);
        let gcm = |tag| Suite::AesGcm(AesKey::Bits256, tag);
        for (suite, ethernet, pppoe_ipv6) in [
            (Suite::AES_256_GCM_16, 1438, 1370),
            (gcm(GcmTag::Octets12), 1442, 1374),
            (gcm(GcmTag::Octets8), 1446, 1378),
            (Suite::ChaCha20Poly1305, 1438, 1370),
            (cbc(Hmac::Sha256), 1422, 1358),
            (cbc(Hmac::Sha384), 1422, 1342),
            (cbc(Hmac::Sha512), 1406, 1342),
        ] {
            let inner = |ipv6, mtu| Outer { ipv6, udp: true }.inner_mtu(suite.layout(), mtu);
            assert_eq!((inner(false, 1500), inner(true, 1454)), (ethernet, pppoe_ipv6), "{suite}");
            assert_eq!(inner(true, 10), 0);
        }
    }
}
