//! What comes in from outside that is not what it should be: counted by reason, and nothing else happens.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sekisho::data::{FromData, UdpPath};
use sekisho_esp::{HEADROOM, OutboundSa, TAILROOM};

use crate::namespace::Namespace;
use crate::site::{SETTINGS, Site, path, place, sas};
use crate::traffic::until;

/// A peer made by hand: a namespace with a socket on the encapsulation port and one on the IKE port, and an SA.
struct Peer {
    namespace: Namespace,
    encap: UdpSocket,
    ike: UdpSocket,
    outbound: OutboundSa,
}

/// A site with one Child SA, and a peer that can send it anything.
fn site_and_peer() -> (Site, Peer) {
    let (namespace, other) = (Namespace::new(), Namespace::new());
    namespace.cable("wire", &other);
    let (here, there) = (place(1, false), place(2, false));
    other.ip(&format!("address add {}/24 dev wire", there.outer));
    let site = Site::new(namespace, here, there);
    site.install(1, there);
    site.switch_outbound(1);
    let socket = |port| {
        let socket = other.run(|| UdpSocket::bind((there.outer, port)).expect("bind"));
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        socket.connect((here.outer, port)).expect("connect");
        socket
    };
    let (encap, ike) = (socket(SETTINGS.nat_port), socket(SETTINGS.ike_port));
    let outbound = sas(1, there, here).1;
    (site, Peer { namespace: other, encap, ike, outbound })
}

impl Peer {
    /// An ESP packet with this inner packet.
    fn seal(&self, inner: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; HEADROOM], inner, &[0; TAILROOM]].concat();
        let range =
            self.outbound.sealer(0).seal(&mut buffer, HEADROOM..HEADROOM + inner.len()).expect("seal");
        buffer[range].to_vec()
    }

    fn send(&self, datagram: &[u8]) {
        self.encap.send(datagram).expect("send");
    }
}

/// An inner UDP packet between hosts of the two sites.
fn inner(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ipv4(source, destination, 64)
        .udp(7_000, 7_000)
        .write(&mut packet, b"for a host behind it")
        .expect("a packet");
    packet
}

#[test]
fn replayed_forged_foreign_and_malformed_datagrams_are_counted_by_reason_and_change_nothing() {
    let (site, peer) = site_and_peer();
    let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
    host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let good = peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1]));
    let mut forged = peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1]));
    forged[20] ^= 1;
    let mut foreign = good.clone();
    foreign[0] = 0x77;
    let cases: [(&[u8], &str); 7] = [
        (&good, "replayed"),
        (&forged, "authentication"),
        (&foreign, "unknown_spi"),
        (
            &[
                0, 0, 0, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                1, 1, 1, 1, 1,
            ],
            "reserved_spi",
        ),
        (&good[..30], "truncated"),
        (&[], "truncated"),
        (&peer.seal(&inner([10, 3, 0, 1], [10, 1, 0, 1])), "inbound_selector"),
    ];
    peer.send(&good);
    let mut buffer = [0; 100];
    let length = host.recv(&mut buffer).expect("the good packet");
    assert_eq!(&buffer[..length], b"for a host behind it");
    for (datagram, reason) in cases {
        let before = site.drops(reason);
        peer.send(datagram);
        until(reason, || site.drops(reason) == before + 1);
    }
    assert_eq!(site.data.usage(1).expect("usage").packets_in, 1);
    // What is good still passes.
    peer.send(&peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1])));
    host.recv(&mut buffer).expect("the next good packet");
    host.set_nonblocking(true).expect("non-blocking");
    assert!(host.recv(&mut buffer).is_err(), "only good packets were delivered");
}

#[test]
fn ike_reaches_control_without_its_marker_and_keepalives_reach_nobody() {
    let (mut site, peer) = site_and_peer();
    peer.send(&[0xff]);
    peer.send(b"\0\0\0\0hello on 4500");
    peer.ike.send(&[0xff]).expect("send");
    // Whatever comes on the IKE port is IKE, ESP too: IKE's own parser will refuse it.
    peer.ike.send(&[0xc1; 60]).expect("send");
    let mut told = [site.from_data.blocking_recv(), site.from_data.blocking_recv()].map(|told| match told {
        Some(FromData::Ike { path, bytes }) => (path.encap, path, bytes),
        other => panic!("{other:?}"),
    });
    told.sort_by_key(|(encap, ..)| *encap);
    let path = |port, encap| UdpPath {
        local: SocketAddr::new(place(1, false).outer, port),
        remote: SocketAddr::new(place(2, false).outer, port),
        encap,
    };
    assert_eq!(told[0], (false, path(500, false), vec![0xc1; 60]));
    assert_eq!(told[1], (true, path(4500, true), b"hello on 4500".to_vec()));
    assert_eq!(site.drops("keepalive"), 2);
    let drops = site.data.drops();
    // The kernel's own multicast on the TUN has nothing to do with it.
    let expected = ["keepalive", "link_local"];
    assert!(drops.iter().all(|(reason, count)| *count == 0 || expected.contains(reason)), "{drops:?}");
}

#[test]
fn a_flood_of_ike_beyond_the_queue_is_dropped_and_counted_while_esp_still_passes() {
    let (mut site, peer) = site_and_peer();
    let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
    host.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    for _ in 0..1_000 {
        peer.send(b"\0\0\0\0a flood of messages for one IKE SA");
    }
    peer.send(&peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1])));
    host.recv(&mut [0; 100]).expect("the packet behind the flood");
    let mut taken = 0;
    while let Ok(FromData::Ike { .. }) = site.from_data.try_recv() {
        taken += 1;
    }
    assert_eq!(taken + site.drops("queue_full"), 1_000);
    assert!(site.drops("queue_full") > 0);
    // The first packet could not be told for the full queue: it is told with the next.
    peer.send(&peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1])));
    let told = site.from_data.blocking_recv();
    assert!(matches!(told, Some(FromData::FirstPacket(1))), "{told:?}");
}

#[test]
fn a_flood_of_requests_for_new_sas_leaves_room_for_the_sas_that_stand() {
    let (mut site, peer) = site_and_peer();
    let mut request = [&[0; 4][..], &[7; 8], &[0; 8], &[33, 0x20, 34, 0x08], &[0; 8]].concat();
    for _ in 0..1_000 {
        peer.send(&request);
    }
    until("every one is taken or dropped", || site.drops("queue_full") >= 872);
    request[12..20].fill(9);
    peer.send(&request);
    peer.send(&peer.seal(&inner([10, 2, 0, 1], [10, 1, 0, 1])));
    let told: Vec<FromData> = (0..130).filter_map(|_| site.from_data.blocking_recv()).collect();
    let [.., FromData::Ike { bytes, .. }, FromData::FirstPacket(1)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(bytes[8..16], [9; 8], "the message of an SA came through");
    assert_eq!(site.drops("queue_full"), 872);
}

#[test]
fn packets_go_the_new_way_after_a_path_change() {
    let (site, peer) = site_and_peer();
    let (here, there) = (place(1, false), place(2, false));
    // The peer's NAT gave it another port, and we moved to another address.
    site.namespace.ip("address add 192.0.2.77/24 dev wire");
    let moved = peer.namespace.run(|| UdpSocket::bind((there.outer, 61_000)).expect("bind"));
    moved.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let host = site.namespace.run(|| UdpSocket::bind("10.1.0.1:7000").expect("bind"));
    host.connect("10.2.0.1:7000").expect("connect");
    let mut buffer = [0; 200];

    host.send(b"before").expect("send");
    let (_, from) = peer.encap.recv_from(&mut buffer).expect("the old way");
    assert_eq!(from, path(here, there).local);

    let new = UdpPath {
        local: "192.0.2.77:4500".parse().expect("an address"),
        remote: moved.local_addr().expect("address"),
        encap: true,
    };
    site.repath(new);
    host.send(b"after").expect("send");
    let (_, from) = moved.recv_from(&mut buffer).expect("the new way");
    assert_eq!(from, new.local);
}
