//! Proves the laboratory itself with two strongSwans: what its instruments report is what happened.

use crate::lab::{Capture, End, Outer, Site, Stream, StrongSwan, Tunnel, both_ways, transfer};
use crate::peers::assert_carries_tcp;

#[test]
fn clear_text_is_seen_and_loss_is_counted() {
    let site = Site::new("lab_sees_clear_text");
    site.route_inner_networks_in_clear();
    let capture = Capture::start(&site);
    let tallies = both_ways(&site, 0, || {});
    let crossed = capture.finish();
    for tally in tallies {
        assert!(
            tally.sent >= 1000 && (tally.lost, tally.duplicated, tally.reordered) == (0, 0, 0),
            "{tally:?}"
        );
    }
    // Each datagram comes in at one port of the router and leaves at the other.
    assert!(crossed.marked >= 2 * (tallies[0].sent + tallies[1].sent), "{crossed:?}");
    assert!(crossed.inner >= crossed.marked && crossed.protected == 0 && crossed.missed == 0, "{crossed:?}");

    site.lose_percent(10);
    let (a, b) = ((&site.a.host, site.a.inside[1]), (&site.b.host, site.b.inside[1]));
    let stream = Stream::start(a, b, &site.marker());
    stream.await_more(2000);
    let tally = stream.finish();
    let share = tally.lost * 100 / tally.sent;
    assert!((5..=15).contains(&share), "about a tenth is lost: {tally:?}");
}

#[test]
fn strongswan_pair_over_ipv4() {
    strongswan_pair("lab_strongswan_ipv4", Outer::V4);
}

#[test]
fn strongswan_pair_over_ipv6() {
    strongswan_pair("lab_strongswan_ipv6", Outer::V6);
}

fn strongswan_pair(name: &'static str, outer: Outer) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, outer));
    let b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, outer));
    a.initiate();
    b.await_up();

    let tallies = both_ways(&site, 0, || a.rekey_child());
    assert_eq!(tallies.map(|tally| tally.duplicated), [0, 0]);
    both_ways(&site, 1, || b.rekey_ike());
    let hosts = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    println!("TCP: {:.0} Mb/s", transfer(hosts.0, hosts.1, 20_000));
    capture.finish().assert_no_clear_text();
}

#[test]
fn strongswan_pair_behind_nat() {
    let site = Site::new("lab_strongswan_nat");
    site.masquerade();
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let b = StrongSwan::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    a.initiate();
    b.await_up();
    both_ways(&site, 0, || {});
    assert!(
        b.list_sas().contains("203.0.113.1["),
        "the peer is seen at the router's address: {}",
        b.list_sas()
    );
}

#[test]
fn strongswan_pair_on_a_lossy_line() {
    let site = Site::new("lab_strongswan_loss");
    site.lose_percent(10);
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    a.initiate();
    b.rekey_child();
    a.rekey_ike();
    b.await_up();
    both_ways(&site, 0, || {});
}

#[test]
fn strongswan_returns_after_a_kill() {
    let site = Site::new("lab_strongswan_returns");
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let mut b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    a.initiate();
    b.await_up();
    b.kill();
    b.restart();
    b.initiate();
    b.await_up();
    assert_carries_tcp(&site, 100);
}
