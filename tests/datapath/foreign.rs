//! ESP as an IP protocol of its own, by Scapy: whole packets as they come from the line (`esp/tests/foreign/make.py` makes them).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sekisho::data::{NewSa, UdpPath};
use sekisho_esp::{InboundSa, Keymat, OutboundSa, SaConfig, Selector, Suite};
use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::Namespace;
use crate::site::{POLICY, Site, path, place};

const PACKETS: &str = include_str!("../../esp/tests/foreign/scapy.txt");
/// To whom they are addressed, outside and inside, by family.
const OUTER: [&str; 2] = ["203.0.113.2", "2001:db8:bb::2"];
const INNER: [&str; 2] = ["10.1.2.3", "2001:db8:1::3"];

/// An SA with the keys and the SPI of these packets.
fn config(suite: Suite, esn: bool) -> SaConfig {
    let key = (0..suite.keymat_length()).map(|at| u8::try_from((at * 7 + 3) % 256).expect("a byte"));
    let net = |first: &str, last: &str| {
        let [first, last] = [first, last].map(|text| text.parse::<IpAddr>().expect("an address"));
        Selector::new(first, last, 0, (0, u16::MAX)).expect("a selector")
    };
    SaConfig {
        spi: 0xc0de_0001,
        suite,
        keymat: Keymat::new(key.collect()),
        esn,
        local: vec![net("10.1.0.0", "10.1.255.255"), net("2001:db8:1::", "2001:db8:1::ffff")],
        remote: vec![net("10.17.0.0", "10.17.0.255"), net("2001:db8:17::", "2001:db8:17::ffff")],
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 64,
        packet_limit: None,
    }
}

/// A site at these addresses with such an SA, and a namespace from which packets come.
fn site(suite: Suite, esn: bool, outer_ipv6: bool) -> (Site, Namespace) {
    let (namespace, line) = (Namespace::new(), Namespace::new());
    namespace.cable("wire", &line);
    let (here, there) = (place(1, outer_ipv6), place(2, outer_ipv6));
    let site = Site::with_workers(namespace, here, there, 1);
    let at = OUTER[usize::from(outer_ipv6)];
    let (prefix, nodad) = if outer_ipv6 { (64, " nodad") } else { (24, "") };
    line.ip(&format!("address add {}/{prefix} dev wire{nodad}", there.outer));
    line.ip(&format!("route add {at} via {}", here.outer));
    for (address, device) in [(at, "wire"), (INNER[0], "sekisho0"), (INNER[1], "sekisho0")] {
        let address: IpAddr = address.parse().expect("an address");
        let (length, nodad) = if address.is_ipv6() { (128, " nodad") } else { (32, "") };
        site.namespace.ip(&format!("address add {address}/{length} dev {device}{nodad}"));
        site.namespace.settle(address);
    }
    let inbound = InboundSa::new(config(suite, esn)).expect("an inbound SA");
    let outbound = OutboundSa::new(config(suite, esn)).expect("an outbound SA");
    let path = UdpPath { encap: false, ..path(here, there) };
    site.install_sa(NewSa { id: 1, tunnel: 1, policy: POLICY, inbound, outbound, path });
    (site, line)
}

/// Sends a whole IP packet.
fn send(line: &Namespace, packet: &[u8], to: IpAddr) {
    let domain = if to.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let raw = Some(Protocol::from(libc::IPPROTO_RAW));
    let socket = line.run(|| Socket::new(domain, Type::RAW, raw)).expect("a raw socket");
    socket.send_to(packet, &SocketAddr::new(to, 0).into()).expect("send");
}

#[test]
fn what_scapy_sends_by_protocol_50_arrives_whichever_family_is_outside_and_inside() {
    for (name, esn) in [("aes256gcm16", true), ("aes256-sha256", false)] {
        let suite = Suite::ALL.into_iter().find(|suite| suite.to_string() == name).expect("a suite");
        for outer in [0, 1] {
            let (site, line) = site(suite, esn, outer == 1);
            let kind = format!("{name} {}", if esn { "esn" } else { "noesn" });
            let version = ["4", "6"][outer];
            let packets = PACKETS.lines().filter_map(|packet| packet.strip_prefix(&kind)?.strip_prefix(' '));
            let packets = packets.map(|packet| packet.split(' ').next_back().expect("the packet"));
            let mut packets = packets.filter(|packet| packet.starts_with(version));
            for (number, inner) in (1..).zip(INNER) {
                let receiver = site.namespace.run(|| UdpSocket::bind((inner, 53)).expect("bind"));
                receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
                let packet = HEXLOWER.decode(packets.next().expect("a packet").as_bytes()).expect("hex");
                send(&line, &packet, OUTER[outer].parse().expect("an address"));
                let mut said = [0; 100];
                let length = receiver.recv(&mut said).unwrap_or_else(|error| {
                    panic!("{kind} in IPv{version} to {inner}: {error}, {:?}", site.data.drops())
                });
                assert_eq!(said[..length], format!("packet {number}").repeat(number).into_bytes());
            }
        }
    }
}
