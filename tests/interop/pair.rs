//! Two sekishods with each other.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Capture, End, Outer, Sekisho, Site, Tunnel, both_ways, transfer, wait_until};
use crate::peers::assert_carries_tcp;

#[test]
fn over_ipv4_with_extended_sequence_numbers() {
    pair("pair_ipv4_esn", Outer::V4, "aes256gcm16-x25519-esn");
}

#[test]
fn over_ipv6_without_them() {
    pair("pair_ipv6_noesn", Outer::V6, "aes128gcm16-x25519-noesn");
}

#[test]
fn cbc_with_extended_sequence_numbers() {
    pair("pair_cbc_sha256_esn", Outer::V4, "aes128-sha256-x25519-esn");
    pair("pair_cbc_sha512_esn", Outer::V6, "aes256-sha512-x25519-esn");
}

#[test]
fn other_aeads_with_extended_sequence_numbers() {
    pair("pair_chacha_esn", Outer::V6, "chacha20poly1305-x25519-esn");
    pair("pair_gcm8_esn", Outer::V4, "aes256gcm8-x25519-esn");
}

fn pair(name: &'static str, outer: Outer, esp: &'static str) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let mut here = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, outer) };
    let mut there = Tunnel { remote: None, ..Tunnel::at(&site, End::B, outer) };
    (here.esp_proposal, there.esp_proposal) = (esp, esp);
    let b = Sekisho::start(&site.b, &there);
    let a = Sekisho::start(&site.a, &here);
    assert_agree(&a.await_up(), &b.await_up());
    for end in [&a, &b] {
        let ike = end.tunnel()["ike"].clone();
        assert_eq!([&ike["nat_here"], &ike["nat_there"]], [false, false], "both ask for UDP: {ike}");
        assert_eq!(end.json(&["status"])["drops"]["ike_unexpected_exchange"], 0, "at an ordinary start");
    }

    let tallies = both_ways(&site, 1, || {
        a.rekey_child();
        b.rekey_child();
        a.rekey_ike();
        b.rekey_ike();
    });
    assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
    assert_agree(&a.await_up(), &b.await_up());
    assert_carries_tcp(&site, 5_000);
    capture.finish().assert_no_clear_text();
}

/// The line opens when both are already trying: their first messages cross, and one IKE SA survives (RFC 7296 §2.8.1).
#[test]
fn both_initiate_at_once() {
    let site = Site::new("pair_both_initiate");
    site.cut();
    let start = |end| Tunnel { initiate: true, ..Tunnel::at(&site, end, Outer::V4) };
    let a = Sekisho::start(&site.a, &start(End::A));
    let b = Sekisho::start(&site.b, &start(End::B));
    site.mend();

    wait_until(Duration::from_secs(20), "both ends to hold the same single SAs", || {
        let (a, b) = (a.tunnel(), b.tunnel());
        a["state"] == "up" && b["state"] == "up" && agree(&a, &b)
    });
    let before = a.await_up();
    let tallies = both_ways(&site, 0, || {});
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
    let after = a.await_up();
    assert_agree(&after, &b.await_up());
    assert_eq!(before["ike"]["spi_i"], after["ike"]["spi_i"], "the survivor survives");
}

/// Both rekey at the same moment, again and again: no packet is lost and nothing is left over.
#[test]
fn both_rekey_at_once() {
    let site = Site::new("pair_both_rekey");
    let b = Sekisho::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    assert_agree(&a.await_up(), &b.await_up());
    let tallies = both_ways(&site, 0, || {
        for what in ["--child", "--ike", "--child", "--ike"] {
            std::thread::scope(|scope| {
                for end in [&a, &b] {
                    // Whoever loses the collision may be told so; what counts is what both hold afterwards.
                    scope.spawn(|| end.try_command(&["rekey", Tunnel::NAME, what]));
                }
            });
            wait_until(Duration::from_secs(10), "both ends to hold the same single SAs", || {
                agree(&a.tunnel(), &b.tunnel())
            });
        }
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
}

fn assert_agree(a: &Value, b: &Value) {
    assert!(agree(a, b), "both ends hold the same single SAs:\n{a:#}\n{b:#}");
}

/// Whether both ends hold one IKE SA and one Child SA, and the same ones.
fn agree(a: &Value, b: &Value) -> bool {
    let children = |tunnel: &Value| tunnel["children"].as_array().map_or(0, Vec::len);
    children(a) == 1
        && children(b) == 1
        && a["ike"]["spi_i"].is_string()
        && (&a["ike"]["spi_i"], &a["ike"]["spi_r"]) == (&b["ike"]["spi_i"], &b["ike"]["spi_r"])
        && a["children"][0]["spi_in"] == b["children"][0]["spi_out"]
        && a["children"][0]["spi_out"] == b["children"][0]["spi_in"]
}

/// The SPI that a Child SA is sent on with.
fn sent_on(tunnel: &Value) -> Value {
    let children = tunnel["children"].as_array().into_iter().flatten();
    let mut sending = children.filter(|child| child["sending"] == true);
    sending.next().map_or(Value::Null, |child| child["spi_out"].clone())
}

/// Bytes that really pass, and nothing else, have the Child SA replaced; none of them is lost by that.
#[test]
fn a_child_sa_is_rekeyed_for_the_bytes_of_a_transfer() {
    const KILOBYTES: u32 = 10_000;
    let site = Site::new("pair_child_bytes");
    let capture = Capture::start(&site);
    let limited = "child_bytes = 200_000_000\n";
    let here = Tunnel { initiate: true, settings: limited, ..Tunnel::at(&site, End::A, Outer::V4) };
    let there = Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) };
    let b = Sekisho::start(&site.b, &there);
    let a = Sekisho::start(&site.a, &here);
    let before = a.await_up();
    b.await_up();
    let tallies = both_ways(&site, 0, || {
        for _ in 0..2 {
            let old = sent_on(&a.tunnel());
            wait_until(Duration::from_secs(30), "a rekey for the bytes that have passed", || {
                transfer((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]), KILOBYTES);
                sent_on(&a.tunnel()) != old
            });
        }
    });
    assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
    let after = a.await_up();
    assert_eq!(before["ike"]["spi_i"], after["ike"]["spi_i"], "the IKE SA was not concerned");
    assert_agree(&after, &b.await_up());
    assert_eq!(after["last_failure"], Value::Null);
    capture.finish().assert_no_clear_text();
}
