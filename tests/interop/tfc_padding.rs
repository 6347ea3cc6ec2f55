//! Packets that are padded to the MTU (RFC 4303 §2.7), where the peer does not refuse that (RFC 7296 §1.3.1).

use crate::lab::{Capture, End, Outer, Sekisho, Site, Tunnel};
use crate::peers::{assert_carries_tcp, we_initiate};

const SETTINGS: &str = "tfc_padding = true\n";

#[test]
fn between_two_of_us_each_pads_what_it_is_told_to() {
    let site = Site::new("tfc_padding_pair");
    let capture = Capture::start(&site);
    let here = Tunnel { initiate: true, settings: SETTINGS, ..Tunnel::at(&site, End::A, Outer::V4) };
    let there = Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) };
    let b = Sekisho::start(&site.b, &there);
    let a = Sekisho::start(&site.a, &here);
    assert_eq!(a.await_up()["children"][0]["tfc_padding"], "on");
    assert_eq!(b.await_up()["children"][0]["tfc_padding"], "off");
    assert_carries_tcp(&site, 1_000);
    a.rekey_child();
    assert_eq!(a.tunnel()["children"][0]["tfc_padding"], "on", "after a rekey too");
    assert_carries_tcp(&site, 500);
    capture.finish().assert_no_clear_text();
}

/// Another implementation takes the padding off.
#[test]
fn strongswan_opens_what_we_pad() {
    let site = Site::new("tfc_padding_strongswan");
    let capture = Capture::start(&site);
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        tunnel.settings = if tunnel.initiate { SETTINGS } else { "" };
    });
    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["children"][0]["tfc_padding"], "on", "{tunnel}");
    assert_carries_tcp(&site, 500);
    capture.finish().assert_no_clear_text();
}
