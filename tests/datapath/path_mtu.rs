//! Paths that carry less than the TUN lets packets have.

use std::fs;
use std::net::UdpSocket;

use sekisho::data::{NewSa, PathLimits};
use sekisho_esp::Selector;

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
