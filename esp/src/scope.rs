//! Addresses that no router forwards, so neither does a tunnel.

use std::net::{IpAddr, Ipv4Addr};

/// Link-local, or of a scope that no router leaves (RFC 4291 §2.5.6, §2.7; RFC 3927; 224.0.0.0/24: RFC 5771).
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_broadcast()
                || v4.octets().starts_with(&[224, 0, 0])
                || v4 == Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast() && matches!(v6.octets()[1] & 0xf, 0..=2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_link_local;

    #[test]
    fn what_no_router_forwards_is_told_from_what_may_be_meant_for_the_peer() {
        for noise in ["fe80::1", "ff02::16", "ff02::2", "::", "169.254.1.1", "224.0.0.251", "255.255.255.255"]
        {
            assert!(is_link_local(noise.parse().unwrap()), "{noise}");
        }
        for traffic in ["10.0.0.1", "239.1.2.3", "224.0.1.1", "2001:db8::1", "ff0e::1", "ff05::2", "fd00::1"]
        {
            assert!(!is_link_local(traffic.parse().unwrap()), "{traffic}");
        }
    }
}
