//! strongSwan starts the tunnel; sekishod answers, and accepts the peer at any address.

use crate::lab::{Capture, Outer, Site};
use crate::peers::{assert_carries_tcp, we_respond};

#[test]
fn over_ipv4() {
    respond("respond_ipv4", Outer::V4);
}

#[test]
fn over_ipv6() {
    respond("respond_ipv6", Outer::V6);
}

fn respond(name: &'static str, outer: Outer) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let (sekisho, strongswan) = we_respond(&site, outer, |_| {});
    assert_carries_tcp(&site, 2_000);

    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["ike"]["initiator"], false, "{tunnel}");
    assert_eq!(tunnel["ike"]["spi_i"], strongswan.ike_spis()[0], "both speak of the same IKE SA");
    assert_eq!(
        tunnel["children"][0]["spi_out"],
        strongswan.child_spis()[0],
        "both speak of the same Child SA"
    );
    capture.finish().assert_no_clear_text();
}
