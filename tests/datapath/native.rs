//! ESP as an IP protocol of its own.

use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sekisho::data::{NewSa, UdpPath};
use sekisho_esp::{HEADROOM, OutboundSa, TAILROOM};
use socket2::{Domain, Protocol, Socket, Type};

use crate::marking::tos_of_next;
use crate::namespace::Namespace;
use crate::site::{POLICY, Place, Site, path, place, sas};
use crate::traffic::{carries_everything, exchange, udp_pair, until};

/// Install a Child SA that goes without UDP, and send on it.
fn install(site: &Site, id: u64, remote: Place) {
    let (inbound, outbound) = sas(id, site.place, remote);
    let path = UdpPath { encap: false, ..path(site.place, remote) };
    site.install_sa(NewSa { id, tunnel: 1, policy: POLICY, inbound, outbound, path });
    site.switch_outbound(id);
}

fn pair(outer_ipv6: bool, workers: u8) -> (Site, Site) {
    let (left, right) = (Namespace::new(), Namespace::new());
    left.cable("wire", &right);
    let (a, b) = (place(1, outer_ipv6), place(2, outer_ipv6));
    (Site::with_workers(left, a, b, workers), Site::with_workers(right, b, a, workers))
}

#[test]
fn tcp_and_udp_cross_without_udp_around_them() {
    for (outer_ipv6, workers, id) in [(false, 1, 1), (true, 1, 1), (false, 3, 1), (true, 2, 1)] {
        let (a, mut b) = pair(outer_ipv6, workers);
        install(&a, id, b.place);
        install(&b, id, a.place);
        carries_everything(&a, &mut b, id);
        for site in [&a, &b] {
            let drops = site.data.drops();
            let expected = ["link_local", "too_big"];
            assert!(drops.iter().all(|(word, count)| *count == 0 || expected.contains(word)), "{drops:?}");
        }
    }
}

#[test]
fn a_nat_that_appears_has_the_same_sa_go_on_in_udp() {
    let (a, b) = pair(false, 2);
    install(&a, 1, b.place);
    install(&b, 1, a.place);
    let (left, right) = udp_pair(&a, &b, false);
    exchange(&left, &right, b"without UDP");
    a.repath(path(a.place, b.place));
    exchange(&left, &right, b"one way in UDP");
    b.repath(path(b.place, a.place));
    exchange(&left, &right, b"both ways in UDP");
    assert_eq!(b.data.usage(1).expect("usage").packets_in, 3);
}

/// A peer made by hand: a raw socket for ESP, and an SA.
struct Peer {
    namespace: Namespace,
    socket: Socket,
    to: SocketAddr,
    outbound: OutboundSa,
}

fn site_and_peer(outer_ipv6: bool, workers: u8) -> (Site, Peer) {
    let (namespace, other) = (Namespace::new(), Namespace::new());
    namespace.cable("wire", &other);
    let (here, there) = (place(1, outer_ipv6), place(2, outer_ipv6));
    let (prefix, nodad) = if outer_ipv6 { (64, " nodad") } else { (24, "") };
    other.ip(&format!("address add {}/{prefix} dev wire{nodad}", there.outer));
    let site = Site::with_workers(namespace, here, there, workers);
    install(&site, 1, there);
    let domain = if outer_ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = other.run(|| Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_ESP))));
    let socket = socket.expect("a raw socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let outbound = sas(1, there, here).1;
    (site, Peer { namespace: other, socket, to: SocketAddr::new(here.outer, 0), outbound })
}

impl Peer {
    fn seal(&self, number: u8) -> Vec<u8> {
        let mut inner = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([10, 2, 0, 1], [10, 1, 0, 1], 64).udp(7_000, 7_000);
        builder.write(&mut inner, &[number]).expect("a packet");
        let mut buffer = [&[0; HEADROOM], inner.as_slice(), &[0; TAILROOM]].concat();
        let range =
            self.outbound.sealer(0).seal(&mut buffer, HEADROOM..HEADROOM + inner.len()).expect("seal");
        buffer[range].to_vec()
    }

    fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, &self.to.into()).expect("send");
    }
}

#[test]
fn hostile_packets_are_counted_by_reason_and_what_is_good_still_passes() {
    for (outer_ipv6, workers) in [(false, 1), (false, 3), (true, 1), (true, 2)] {
        let (site, peer) = site_and_peer(outer_ipv6, workers);
        let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
        host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        let good = peer.seal(1);
        let mut forged = peer.seal(0);
        forged[20] ^= 1;
        let with_spi = |spi: [u8; 4]| [&spi, &good[4..]].concat();
        let cases: [(&[u8], &str); 10] = [
            (&good, "replayed"),
            (&forged, "authentication"),
            (&with_spi([0xc0, 1, 2, 1]), "unknown_spi"),
            (&with_spi([0xc0, 1, 2, 2]), "unknown_spi"),
            (&with_spi([0, 0, 0, 0]), "reserved_spi"),
            (&with_spi([0, 0, 0, 5]), "reserved_spi"),
            (&good[..30], "truncated"),
            (&good[..3], "truncated"),
            (&[0xff], "truncated"),
            (&[7; 12_000], "datagram_cut"),
        ];
        peer.send(&good);
        let mut byte = [0; 10];
        host.recv(&mut byte).expect("the good packet");
        assert_eq!(byte[0], 1);
        for (packet, reason) in cases {
            let before = site.drops(reason);
            peer.send(packet);
            until(reason, || site.drops(reason) > before);
            assert_eq!(site.drops(reason), before + 1, "by one worker alone: {reason}, {workers} workers");
        }
        peer.send(&peer.seal(2));
        host.recv(&mut byte).expect("the next good packet");
        assert_eq!(byte[0], 2);
        assert_eq!(site.data.usage(1).expect("usage").packets_in, 2);
    }
}

/// IPv4 options make the header longer: here four times "no operation".
#[test]
fn a_packet_with_ip_options_is_found_behind_them() {
    for workers in [1, 3] {
        let (site, peer) = site_and_peer(false, workers);
        let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
        host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        peer.socket.set_header_included_v4(true).expect("IP_HDRINCL");
        let esp = peer.seal(9);
        let mut packet =
            vec![0x46, 0, 0, 0, 0, 7, 0, 0, 64, 50, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, 1, 1, 1, 1];
        packet.extend_from_slice(&esp);
        peer.send(&packet);
        let mut byte = [0; 10];
        host.recv(&mut byte).expect("the packet");
        assert_eq!(byte[0], 9);
    }
}

#[test]
fn dscp_and_ecn_are_carried_and_protocol_50_is_what_leaves() {
    for outer_ipv6 in [false, true] {
        let (site, mut peer) = site_and_peer(outer_ipv6, 2);
        let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
        let marked = socket2::SockRef::from(&host);
        marked.set_tos_v4(0xb8 | 2).expect("IP_TOS");
        host.send_to(b"marked", "10.2.0.1:7000").expect("send");
        let mut packet = [0; 2_000];
        let length = peer.socket.read(&mut packet).expect("ESP");
        // A raw socket of IPv6 does not show the header; that it came is enough.
        let esp = if outer_ipv6 { &packet[..length] } else { &packet[20..length] };
        assert!(outer_ipv6 || (packet[1], packet[9]) == (0xba, 50), "{:x?}", &packet[..20]);
        assert_eq!(esp[..8], [0, 2, 0, 1, 0, 0, 0, 1], "SPI and sequence number");

        // Congestion on the way to us is told inside.
        host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        marked.set_recv_tos_v4(true).expect("IP_RECVTOS");
        let mut inner = Vec::new();
        let builder = etherparse::PacketBuilder::ip(etherparse::IpHeaders::Ipv4(
            ect_packet(),
            etherparse::Ipv4Extensions::default(),
        ));
        builder.udp(7_000, 7_000).write(&mut inner, b"x").expect("a packet");
        let mut buffer = [&[0; HEADROOM], inner.as_slice(), &[0; TAILROOM]].concat();
        let range =
            peer.outbound.sealer(0).seal(&mut buffer, HEADROOM..HEADROOM + inner.len()).expect("seal");
        if outer_ipv6 {
            peer.socket.set_tclass_v6(3).expect("IPV6_TCLASS");
        } else {
            peer.socket.set_tos_v4(3).expect("IP_TOS");
        }
        peer.send(&buffer[range]);
        assert_eq!(tos_of_next(&host), 3, "congestion experienced");
        drop(peer.namespace);
    }
}

fn ect_packet() -> etherparse::Ipv4Header {
    let mut header =
        etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, [10, 2, 0, 1], [10, 1, 0, 1])
            .expect("a header");
    header.ecn = etherparse::IpEcn::TWO;
    header
}
