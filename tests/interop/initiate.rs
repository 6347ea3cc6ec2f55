//! sekishod starts the tunnel; strongSwan answers.

use crate::lab::{Capture, Outer, Site};
use crate::peers::{assert_carries_tcp, we_initiate};

#[test]
fn over_ipv4() {
    initiate("initiate_ipv4", Outer::V4);
}

#[test]
fn over_ipv6() {
    initiate("initiate_ipv6", Outer::V6);
}

fn initiate(name: &'static str, outer: Outer) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let (sekisho, strongswan) = we_initiate(&site, outer, |_| {});
    assert_carries_tcp(&site, 2_000);

    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["ike"]["initiator"], true, "{tunnel}");
    assert_eq!(tunnel["ike"]["suite"], "aes256gcm16-prfsha384-x25519", "{tunnel}");
    assert_eq!(tunnel["ike"]["spi_i"], strongswan.ike_spis()[0], "both speak of the same IKE SA");
    assert_eq!(
        tunnel["children"][0]["spi_out"],
        strongswan.child_spis()[0],
        "both speak of the same Child SA"
    );
    for counter in ["packets_in", "packets_out", "bytes_in", "bytes_out"] {
        assert!(tunnel[counter].as_u64().is_some_and(|count| count > 100), "{counter}: {tunnel}");
    }
    capture.finish().assert_no_clear_text();
}
