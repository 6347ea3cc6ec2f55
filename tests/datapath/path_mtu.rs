//! Paths that carry less than the TUN lets packets have.

use std::fs;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use sekisho::data::{NewSa, PathLimits};
use sekisho_esp::Selector;
use socket2::SockRef;

use crate::site::{POLICY, Place, Site, connect, path, sas_between};
use crate::traffic::{echo_over_tcp, exchange, pattern, udp_pair, until};

/// What the wire carries: less than any IPv6 packet may have to be.
const NARROW: u16 = 1_000;

#[test]
fn over_a_narrow_path_packets_are_cut_inside_and_those_of_ipv6_outside() {
    let (a, b) = Site::pair(false);
    connect(1, &a, &b);
    for site in [&a, &b] {
        site.namespace.ip(&format!("link set wire mtu {NARROW}"));
        // UDP without Don't Fragment.
        site.namespace.run(|| fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1")).expect("a sysctl");
        site.data.limit_path(1, PathLimits { mtu: NARROW, most: u16::MAX, dont_fragment: true });
        assert_eq!(site.data.inner_mtu(1), Some(938), "less IPv4, UDP and ESP");
    }
    let narrow = udp_pair(&a, &b, false);
    for length in [1, 910, 911, 1_372, 5_000, 60_000] {
        exchange(&narrow.0, &narrow.1, &pattern(length));
    }
    // The smallest that every IPv6 line carries, and this one does not.
    let (left, right) = udp_pair(&a, &b, true);
    for length in [1, 890, 891, 1_232] {
        exchange(&left, &right, &pattern(length));
    }
    let bytes = pattern(1 << 20);
    echo_over_tcp(&a.namespace, &b.namespace, b.place.inner4, &bytes);
    for site in [&a, &b] {
        assert_eq!((site.drops("send_failed"), site.drops("too_big")), (0, 0));
    }
    // Where they may be fragmented, they are not cut inside.
    a.data.limit_path(1, PathLimits { mtu: 1_500, most: u16::MAX, dont_fragment: false });
    drop(narrow);
    let (left, right) = udp_pair(&a, &b, false);
    left.send(&pattern(1_372)).expect("send");
    right.recv(&mut [0; 2_000]).expect("what was fragmented outside");
}

/// UDP between port 7,000 of both.
fn connect_port(site: &Site, remote: Place) {
    let port = |address| Selector::new(address, address, 17, (7_000, 7_000)).expect("a selector");
    let sides = [site.place, remote].map(|place| vec![port(place.inner4), port(place.inner6)]);
    let (inbound, outbound) = sas_between(1, &sides, site.place.outer < remote.outer);
    let path = path(site.place, remote);
    site.install_sa(NewSa { id: 1, tunnel: 1, policy: POLICY, inbound, outbound, path });
    site.switch_outbound(1);
}

/// Later fragments show no ports.
#[test]
fn under_selectors_that_name_ports_fragments_go_the_way_of_their_first() {
    let (a, b) = Site::pair(false);
    for (site, remote) in [(&a, b.place), (&b, a.place)] {
        connect_port(site, remote);
        site.namespace.run(|| fs::write("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1")).expect("a sysctl");
    }
    for ipv6 in [false, true] {
        let (left, right) = udp_pair(&a, &b, ipv6);
        for length in [1, 1_400, 5_000, 60_000] {
            exchange(&left, &right, &pattern(length));
        }
    }
    let before = a.drops("outbound_selector");
    let stray = a.namespace.run(|| UdpSocket::bind((a.place.inner4, 7_001))).expect("bind");
    stray.send_to(&pattern(5_000), (b.place.inner4, 7_001)).expect("send");
    until("four fragments are dropped", || a.drops("outbound_selector") >= before + 4);
    assert_eq!(
        (a.drops("outbound_selector"), b.drops("inbound_selector")),
        (before + 4, 0),
        "four fragments to another port"
    );
}

/// A new connection: how long the client's segments may be, and the server's, right behind the handshake.
fn segments(client: &Site, server: &Site, address: IpAddr) -> [u32; 2] {
    let listener = server.namespace.run(|| TcpListener::bind((address, 0)).expect("listen"));
    let target = listener.local_addr().expect("an address");
    let connect = || TcpStream::connect_timeout(&target, Duration::from_secs(10)).expect("connect");
    let asking = client.namespace.run(connect);
    let (answering, _) = listener.accept().expect("accept");
    [asking, answering].map(|stream| SockRef::from(&stream).tcp_mss().expect("TCP_MAXSEG"))
}

/// One end alone knows that the path is narrow, and has both ends' TCP make segments that fit.
#[test]
fn both_ends_of_a_connection_are_told_what_fits_by_the_one_who_knows_the_path() {
    for outer_ipv6 in [false, true] {
        let (a, b) = Site::pair(outer_ipv6);
        connect(1, &a, &b);
        a.data.limit_path(1, PathLimits { mtu: NARROW, most: u16::MAX, dont_fragment: true });
        let mtu = u32::from(a.data.inner_mtu(1).expect("an SA"));
        assert_eq!(mtu, if outer_ipv6 { 918 } else { 938 }, "less IP, UDP and ESP");
        for clamp in [true, false] {
            a.data.set_clamp_mss(clamp);
            for (client, server) in [(&a, &b), (&b, &a)] {
                // Headers of IP and TCP.
                for (address, headers) in [(server.place.inner4, 40), (server.place.inner6, 60)] {
                    let longest = segments(client, server, address);
                    let fit = longest.map(|segment| segment <= mtu - headers);
                    assert_eq!(fit, [clamp; 2], "{address}, clamped: {clamp}: {longest:?}");
                    // What options may take of a segment, and no more.
                    let least = longest.map(|segment| segment + 40 >= mtu - headers);
                    assert_eq!(least, [true; 2], "{address}: {longest:?}");
                }
            }
        }
    }
}

/// Our own line got narrow and nobody has told the data path yet.
#[test]
fn that_the_kernel_cuts_no_trains_for_a_peer_is_said_with_its_reason() {
    let (a, b) = Site::pair(false);
    connect(1, &a, &b);
    assert_eq!(a.data.offloads().1, Vec::<String>::new());
    for site in [&a, &b] {
        site.namespace.ip(&format!("link set wire mtu {NARROW}"));
    }
    echo_over_tcp(&a.namespace, &b.namespace, b.place.inner4, &pattern(1 << 20));
    let reasons = a.data.offloads().1;
    let [reason] = reasons.as_slice() else { panic!("{reasons:?}") };
    assert!(
        reason.starts_with("UDP_SEGMENT: ") && reason.contains("packets to 192.0.2.2 go one by one"),
        "{reason}"
    );
}
