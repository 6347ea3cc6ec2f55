//! ESP without UDP between two sekishods, where no NAT is seen and both ends allow it.
//!
//! Not with strongSwan here: its user-space ESP knows ESP in UDP alone.

use std::time::Duration;

use crate::lab::{Capture, Crossed, End, Outer, Sekisho, Site, Tunnel, asks_once, both_ways, wait_for};
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

/// Neither end starts anew: what the raw sockets need was opened by the start.
#[test]
fn a_reload_takes_udp_away_and_brings_it_back() {
    let site = Site::new("native_reload");
    let at =
        |end, settings| Tunnel { settings, initiate: end == End::A, ..Tunnel::at(&site, end, Outer::V4) };
    let [a, b] =
        [(&site.a, End::A), (&site.b, End::B)].map(|(gateway, end)| Sekisho::start(gateway, &at(end, "")));
    let mut before = a.await_up();
    for (settings, in_udp) in [(AUTO, false), ("", true)] {
        for (daemon, end) in [(&b, End::B), (&a, End::A)] {
            daemon.rewrite(&at(end, settings));
            let done = daemon.json(&["reload"]);
            assert_eq!(done["changed"], serde_json::json!([Tunnel::NAME]), "{done}");
            assert_eq!(done["restart_needed"], serde_json::json!([]), "{done}");
        }
        before = a.await_up_again(&before);
        assert_eq!(before["ike"]["esp_in_udp"], in_udp, "{before}");
        let capture = Capture::start(&site);
        assert_carries_tcp(&site, 1_000);
        assert_eq!(capture.finish().native > 0, !in_udp);
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

/// A firewall lets IKE pass and drops IP protocol 50: both ends hold their SAs, and nothing comes back.
#[test]
fn a_firewall_that_drops_it_is_named() {
    let site = Site::new("native_filtered");
    let at = |end| Tunnel { settings: AUTO, initiate: end == End::A, ..Tunnel::at(&site, end, Outer::V4) };
    let _b = Sekisho::start(&site.b, &at(End::B));
    let a = Sekisho::start(&site.a, &at(End::A));
    a.await_up();
    assert_eq!(a.json(&["explain", Tunnel::NAME])["kind"], serde_json::Value::Null);
    site.close_native_esp();
    let (from, to) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    let text = wait_for(Duration::from_mins(1), "the silence to be told of", || {
        assert!(!asks_once(from, to, Duration::from_secs(1)), "nothing passes");
        let text = a.json(&["explain", Tunnel::NAME])["text"].as_str().unwrap().replace('\n', " ");
        text.contains("none came back").then_some(text)
    });
    assert!(!text.contains("Nothing is wrong"), "{text}");
    assert!(text.contains("drops IP protocol 50") && text.contains("`encapsulation = \"always\"`"), "{text}");
    let status = String::from_utf8(a.try_command(&["status"]).stdout).unwrap();
    assert!(status.contains("warning: on Child SA centre,"), "{status}");
    assert_eq!(a.tunnel()["state"], "up", "the IKE SA stands");

    site.mend();
    wait_for(Duration::from_secs(20), "a packet to be answered", || {
        asks_once(from, to, Duration::from_secs(1)).then_some(())
    });
    let mended = a.json(&["explain", Tunnel::NAME])["text"].as_str().unwrap().to_owned();
    assert!(!mended.contains("none came back"), "{mended}");
}
