//! With offloads off each packet crosses the TUN device by itself: all that works with them works without.
//!
//! `SEKISHO_LAB_OFFLOADS=off` runs every other scenario that way too.

use crate::lab::{Capture, Iperf, Outer, Sekisho, Site, StrongSwan, Tunnel, both_ways};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

/// One tunnel without offloads, over which everything goes; then `more`.
fn without(
    name: &'static str,
    outer: Outer,
    we_start: bool,
    change: impl Fn(&mut Tunnel),
    more: impl Fn(&Site, &Sekisho, &StrongSwan),
) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let change = |tunnel: &mut Tunnel| {
        tunnel.offloads = false;
        change(tunnel);
    };
    let (sekisho, strongswan) =
        if we_start { we_initiate(&site, outer, change) } else { we_respond(&site, outer, change) };
    let offloads = sekisho.json(&["status"])["offloads"].clone();
    assert_eq!(offloads["configured"], "off");
    assert_eq!((&offloads["tcp"], &offloads["udp"]), (&false.into(), &false.into()), "{offloads}");
    assert_carries_tcp(&site, 1_000);
    more(&site, &sekisho, &strongswan);
    capture.finish().assert_no_clear_text();
}

#[test]
fn off_we_initiate_over_ipv4() {
    without("offloads_off_initiate", Outer::V4, true, |_| {}, |_, _, _| {});
}

#[test]
fn off_we_respond_over_ipv6() {
    without("offloads_off_respond", Outer::V6, false, |_| {}, |_, _, _| {});
}

#[test]
fn off_child_sa_rekeyed_by_both() {
    without(
        "offloads_off_child",
        Outer::V4,
        true,
        |_| {},
        |site, sekisho, strongswan| {
            let tallies = both_ways(site, 0, || {
                sekisho.rekey_child();
                strongswan.rekey_child();
            });
            assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
        },
    );
}

#[test]
fn off_ike_sa_rekeyed_by_both() {
    without(
        "offloads_off_ike",
        Outer::V6,
        false,
        |_| {},
        |site, sekisho, strongswan| {
            let tallies = both_ways(site, 1, || {
                sekisho.rekey_ike();
                strongswan.rekey_ike();
            });
            assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
        },
    );
}

#[test]
fn off_cbc() {
    let change = |tunnel: &mut Tunnel| tunnel.esp_proposal = "aes256-sha256-x25519-noesn";
    without("offloads_off_cbc", Outer::V4, true, change, |_, _, _| {});
}

#[test]
fn off_iperf3_both_ways() {
    without(
        "offloads_off_iperf3",
        Outer::V4,
        true,
        |_| {},
        |site, _, _| {
            let server = Iperf::serve(&site.b.host, site.b.inside[0]);
            for direction in [&[][..], &["--reverse"][..]] {
                let arrived = server.measure(&site.a.host, &[direction, &["--bytes", "5000000"]].concat());
                assert!(arrived["bytes"].as_u64().is_some_and(|bytes| bytes >= 2_500_000), "{arrived}");
            }
        },
    );
}

/// What the other scenarios have unless told otherwise, on this kernel.
#[test]
fn on_everything_is_granted_and_said() {
    let site = Site::new("offloads_on");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |tunnel| tunnel.offloads = true);
    let offloads = sekisho.json(&["status"])["offloads"].clone();
    let expected = serde_json::json!({"configured": "auto", "tcp": true, "udp": true, "refused": []});
    assert_eq!(offloads, expected);
    assert_carries_tcp(&site, 1_000);
    assert_eq!(sekisho.json(&["status"])["offloads"], expected, "and nothing was refused");
}
