//! IKE messages that are too long for the line go in fragments (RFC 7383), both ways.

use crate::lab::{End, Outer, Sekisho, Site, StrongSwan, Tunnel};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

/// Many networks behind one end make long messages of `IKE_AUTH` and of each new Child SA, from either end. That end is
/// ours: strongSwan would want an address of its own in each.
fn many_networks(site: &Site, tunnel: &mut Tunnel, behind: End, count: u8) {
    let here = site.side(behind).outside.contains(&tunnel.local);
    let networks = if here { &mut tunnel.local_networks } else { &mut tunnel.remote_networks };
    networks.extend((1..=count).map(|net| format!("10.200.{net}.0/24")));
}

/// On a line that loses long IKE messages: up, all rekeyed by both ends, and traffic.
fn assert_works(site: &Site, (sekisho, strongswan): (Sekisho<'_>, StrongSwan<'_>)) {
    for what in ["splitting IKE message", "received fragment #1 of"] {
        assert!(strongswan.log().contains(what), "strongSwan says `{what}`");
    }
    sekisho.rekey_child();
    strongswan.rekey_child();
    sekisho.rekey_ike();
    strongswan.rekey_ike();
    sekisho.rekey_child();
    assert_carries_tcp(site, 100);
}

#[test]
fn we_initiate_over_ipv4_with_the_smallest_packets() {
    let site = Site::new("fragmentation_initiate_ipv4");
    site.lose_long_ike(576);
    let ends = we_initiate(&site, Outer::V4, |tunnel| {
        tunnel.fragment_size = 576;
        many_networks(&site, tunnel, End::A, 60);
    });
    assert_works(&site, ends);
}

#[test]
fn we_respond_over_ipv4_with_the_smallest_packets() {
    let site = Site::new("fragmentation_respond_ipv4");
    site.lose_long_ike(576);
    let ends = we_respond(&site, Outer::V4, |tunnel| {
        tunnel.fragment_size = 576;
        many_networks(&site, tunnel, End::B, 60);
    });
    assert_works(&site, ends);
}

/// By default, as on every line that carries IPv6.
#[test]
fn we_initiate_over_ipv6_with_packets_of_1280_bytes() {
    let site = Site::new("fragmentation_initiate_ipv6");
    site.lose_long_ike(1280);
    let ends = we_initiate(&site, Outer::V6, |tunnel| many_networks(&site, tunnel, End::A, 120));
    assert_works(&site, ends);
}

/// Proves the line of the scenarios above: what is not cut does not pass, and the diagnosis says where it ended.
#[test]
fn without_fragments_the_same_line_carries_nothing() {
    let site = Site::new("fragmentation_control");
    site.lose_long_ike(576);
    let end = |end| {
        let mut tunnel = Tunnel { fragment_size: 1500, ..Tunnel::at(&site, end, Outer::V4) };
        many_networks(&site, &mut tunnel, End::A, 60);
        tunnel
    };
    let _strongswan = StrongSwan::start(&site.b, &end(End::B));
    let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..end(End::A) });
    let failure = sekisho.await_failure();
    assert_eq!(failure["kind"], "fragments_lost", "{failure}");
    assert!(failure["summary"].as_str().is_some_and(|text| text.contains("IKE_AUTH")), "{failure}");
}

/// And with each other, on a line that loses a tenth of its packets besides.
#[test]
fn two_sekishods_on_a_lossy_line() {
    let site = Site::new("fragmentation_pair");
    site.lose_percent(10);
    let end = |end| {
        let mut tunnel = Tunnel { fragment_size: 576, ..Tunnel::at(&site, end, Outer::V4) };
        many_networks(&site, &mut tunnel, End::A, 60);
        tunnel
    };
    let b = Sekisho::start(&site.b, &end(End::B));
    let a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..end(End::A) });
    a.await_up();
    b.await_up();
    a.rekey_child();
    b.rekey_ike();
}
