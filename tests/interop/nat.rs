//! One end behind a router that masquerades.

use crate::lab::{Capture, Outer, Site, both_ways};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

#[test]
fn we_are_behind_it() {
    let site = Site::new("nat_we_are_behind");
    site.masquerade();
    let capture = Capture::start(&site);
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["ike"]["nat_here"], true, "{tunnel}");
    assert!(
        strongswan.list_sas().contains("203.0.113.1["),
        "strongSwan sees the router: {}",
        strongswan.list_sas()
    );
    sekisho.rekey_ike();
    assert_carries_tcp(&site, 1_000);
    capture.finish().assert_no_clear_text();
}

#[test]
fn the_peer_is_behind_it() {
    let site = Site::new("nat_peer_is_behind");
    site.masquerade();
    let (sekisho, strongswan) = we_respond(&site, Outer::V4, |_| {});
    let tunnel = sekisho.await_up();
    assert_eq!(
        (&tunnel["ike"]["nat_here"], &tunnel["ike"]["nat_there"]),
        (&false.into(), &serde_json::Value::Null),
        "the router keeps the port, and strongSwan asks for UDP in the same words: {tunnel}"
    );
    let remote = tunnel["remote"].as_str().unwrap_or_default();
    assert!(remote.starts_with("203.0.113.1:"), "we see the router: {tunnel}");
    let tallies = both_ways(&site, 0, || {
        sekisho.rekey_child();
        strongswan.rekey_ike();
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
}
