//! Four namespaces, with the hub in the middle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::PEERS;
use crate::lab::Namespace;

/// The family of what flows outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// The namespaces, cabled.
pub struct Ground {
    pub hub: Namespace,
    pub crowd: Namespace,
    pub newcomer: Namespace,
    pub flooder: Namespace,
}

/// The hub's address.
pub fn hub(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 18, 0, 1).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into(),
    }
}

/// The address of an honest peer, each in a network of its own.
pub fn peer(family: Family, number: u32) -> IpAddr {
    let number = u16::try_from(number).expect("few peers");
    match family {
        Family::V4 => Ipv4Addr::from_bits(0x0a01_0002 + (u32::from(number) << 8)).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 2, number, 0, 0, 0, 2).into(),
    }
}

impl Ground {
    pub fn new() -> Self {
        let (hub, crowd) = (Namespace::new("hub"), Namespace::new("crowd"));
        let (newcomer, flooder) = (Namespace::new("newcomer"), Namespace::new("flooder"));
        // What comes from the flooder claims to be from elsewhere.
        for scope in ["all", "default"] {
            hub.sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0");
        }
        address(&hub, "lo", [super::ground::hub(Family::V4), super::ground::hub(Family::V6)]);
        for (number, other) in [(1, &crowd), (2, &newcomer), (3, &flooder)] {
            cable(&hub, other, number);
        }
        for number in 1..=PEERS {
            address(&crowd, "lo", [Family::V4, Family::V6].map(|family| peer(family, number)));
        }
        hub.ip("route add 10.1.0.0/16 via 172.16.1.2");
        hub.ip("-6 route add 2001:db8:2::/48 via fd00:1::2");
        hub.ip("route add default via 172.16.3.2");
        hub.ip("-6 route add default via fd00:3::2");
        Self { hub, crowd, newcomer, flooder }
    }
}

fn address(namespace: &Namespace, device: &str, addresses: [IpAddr; 2]) {
    for (address, length) in addresses.into_iter().zip([32, 128]) {
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        namespace.ip(&format!("addr add {address}/{length} dev {device}{nodad}"));
    }
}

/// A veth pair between the hub and another, `172.16.N.0/30` and `fd00:N::/64`; the hub is reached by it.
fn cable(hub: &Namespace, other: &Namespace, number: u32) {
    let peer = other.path();
    hub.ip(&format!("link add line{number} type veth peer name hub netns {}", peer.display()));
    for (namespace, device, host) in [(hub, format!("line{number}"), 1), (other, "hub".to_owned(), 2)] {
        namespace.ip(&format!("link set dev {device} up"));
        namespace.ip(&format!("addr add 172.16.{number}.{host}/30 dev {device}"));
        namespace.ip(&format!("addr add fd00:{number}::{host}/64 dev {device} nodad"));
    }
    other.ip(&format!("route add 198.18.0.1 via 172.16.{number}.1"));
    other.ip(&format!("-6 route add 2001:db8:1::1 via fd00:{number}::1"));
}
