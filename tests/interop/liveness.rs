//! A peer that dies without a word is noticed, and the tunnel comes back by itself when the peer does.

use std::time::Duration;

use crate::lab::{Capture, Outer, Site};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

#[test]
fn a_killed_peer_is_noticed_and_found_again() {
    let site = Site::new("liveness_killed_peer");
    let capture = Capture::start(&site);
    let (sekisho, mut strongswan) = we_initiate(&site, Outer::V4, |tunnel| tunnel.liveness_s = 2);
    strongswan.kill();
    let tunnel = sekisho.await_down(Duration::from_secs(25));
    let failure = &tunnel["last_failure"];
    assert!(["peer_dead", "no_answer"].iter().any(|kind| failure["kind"] == *kind), "{tunnel}");
    assert_eq!(failure["refused_by"], "nobody", "{tunnel}");

    strongswan.restart();
    sekisho.await_up();
    strongswan.await_up();
    assert_carries_tcp(&site, 1_000);
    capture.finish().assert_no_clear_text();
}

/// A peer that comes back before we noticed starts anew; its old SAs are dropped (`INITIAL_CONTACT`, RFC 7296 §2.4).
#[test]
fn a_peer_that_returns_at_once_replaces_its_old_sas() {
    let site = Site::new("liveness_returning_peer");
    let (sekisho, mut strongswan) = we_respond(&site, Outer::V4, |_| {});
    let before = sekisho.await_up();
    strongswan.kill();
    strongswan.restart();
    strongswan.initiate();
    strongswan.await_up();
    sekisho.await_up_again(&before);
    assert_carries_tcp(&site, 1_000);
}
