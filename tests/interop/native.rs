//! ESP without UDP between two sekishods, where no NAT is seen and both ends allow it.
//!
//! Not with strongSwan here: its user-space ESP knows ESP in UDP alone.

use crate::lab::{Capture, Crossed, End, Outer, Sekisho, Site, Tunnel, both_ways};
use crate::peers::assert_carries_tcp;

const AUTO: &str = "encapsulation = \"auto\"\n";

/// Carries traffic through rekeys; whether both ends say that ESP is in UDP, and what crossed.
fn carried(site: &Site, outer: Outer, settings: [&'static str; 2]) -> (bool, Crossed) {
    let capture = Capture::start(site);
    let [ours, theirs] = settings;
    let here = Tunnel { initiate: true, settings: ours, ..Tunnel::at(site, End::A, outer) };
    let there = Tunnel { remote: None, settings: theirs, ..Tunnel::at(site, End::B, outer) };
    let b = Sekisho::start(&site.b, &there);
    let a = Sekisho::start(&site.a, &here);
    let said =
        [a.await_up(), b.await_up()].map(|tunnel| tunnel["ike"]["esp_in_udp"].as_bool().expect("said"));
    assert_eq!(said[0], said[1], "both ends agree");
    let tallies = both_ways(site, 0, || {
        a.rekey_child();
        b.rekey_child();
        a.rekey_ike();
    });
    assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
    assert_carries_tcp(site, 5_000);
    let crossed = capture.finish();
    crossed.assert_no_clear_text();
    (said[0], crossed)
}

#[test]
fn over_both_families_where_both_allow_it() {
    for (name, outer) in [("native_ipv4", Outer::V4), ("native_ipv6", Outer::V6)] {
        let (in_udp, crossed) = carried(&Site::new(name), outer, [AUTO, AUTO]);
        assert!(!in_udp && crossed.native > 100, "{crossed:?}");
    }
}

#[test]
fn in_udp_all_the_same_where_one_end_demands_it() {
    for (name, settings) in [("native_refused_there", [AUTO, ""]), ("native_refused_here", ["", AUTO])] {
        let (in_udp, crossed) = carried(&Site::new(name), Outer::V4, settings);
        assert!(in_udp && crossed.native == 0, "{crossed:?}");
    }
}

#[test]
fn in_udp_all_the_same_behind_a_nat() {
    let site = Site::new("native_nat");
    site.masquerade();
    let (in_udp, crossed) = carried(&site, Outer::V4, [AUTO, AUTO]);
    assert!(in_udp && crossed.native == 0, "{crossed:?}");
}
