//! Each suite of ESP with strongSwan, under one and the same suite of IKE: traffic both ways inside IPv4 and IPv6, then a
//! rekey of the Child SA by each end, and traffic again, none of which needs fragments outside.
//!
//! strongSwan's user-space ESP (5.9.8, its algorithms from plugin openssl) does all of them, but with sequence numbers of 32
//! bits only: for ESN see `pair.rs` and the known answers of the ESP crate.

use crate::lab::{Capture, Outer, Site, Tunnel};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

#[test]
fn gcm_with_whole_tags() {
    works("esp_gcm256_16", By::Us, Outer::V6, "aes256gcm16-x25519-noesn", 1418);
    works("esp_gcm128_16", By::Them, Outer::V4, "aes128gcm16-x25519-noesn", 1438);
}

#[test]
fn gcm_with_tags_of_twelve_bytes() {
    works("esp_gcm256_12", By::Us, Outer::V4, "aes256gcm12-x25519-noesn", 1442);
    works("esp_gcm128_12", By::Them, Outer::V4, "aes128gcm12-x25519-noesn", 1442);
}

#[test]
fn gcm_with_tags_of_eight_bytes() {
    works("esp_gcm128_8", By::Us, Outer::V4, "aes128gcm8-x25519-noesn", 1446);
    works("esp_gcm256_8", By::Them, Outer::V4, "aes256gcm8-x25519-noesn", 1446);
}

#[test]
fn chacha20_poly1305() {
    works("esp_chacha20", By::Us, Outer::V4, "chacha20poly1305-x25519-noesn", 1438);
    works("esp_chacha20", By::Them, Outer::V6, "chacha20poly1305-x25519-noesn", 1418);
}

#[test]
fn cbc_with_sha256() {
    works("esp_cbc256_sha256", By::Us, Outer::V4, "aes256-sha256-x25519-noesn", 1422);
    works("esp_cbc128_sha256", By::Them, Outer::V6, "aes128-sha256-x25519-noesn", 1406);
}

#[test]
fn cbc_with_sha384() {
    works("esp_cbc128_sha384", By::Us, Outer::V4, "aes128-sha384-x25519-noesn", 1422);
    works("esp_cbc256_sha384", By::Them, Outer::V4, "aes256-sha384-x25519-noesn", 1422);
}

#[test]
fn cbc_with_sha512() {
    works("esp_cbc256_sha512", By::Us, Outer::V6, "aes256-sha512-x25519-noesn", 1390);
    works("esp_cbc128_sha512", By::Them, Outer::V4, "aes128-sha512-x25519-noesn", 1406);
}

/// Which end starts the tunnel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Them,
}

/// `mtu`: what the suite leaves of the 1,500 bytes outside.
fn works(name: &'static str, by: By, outer: Outer, esp: &'static str, mtu: u16) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let begin = if by == By::Us { we_initiate } else { we_respond };
    let (sekisho, strongswan) = begin(&site, outer, |tunnel: &mut Tunnel| tunnel.esp_proposal = esp);
    // The first Child SA has no key exchange of its own.
    assert_eq!(sekisho.await_up()["children"][0]["suite"], esp.replace("-x25519", ""));
    assert_carries_tcp(&site, 1_000);
    sekisho.rekey_child();
    strongswan.rekey_child();
    assert_eq!(sekisho.await_up()["children"][0]["suite"], esp);
    assert_carries_tcp(&site, 1_000);
    let status = sekisho.json(&["status"]);
    assert_eq!(status["mtu"], mtu);
    for reason in ["authentication", "padding", "next_header", "inner_malformed", "inner_length"] {
        assert_eq!(status["drops"][reason], 0, "{status:#}");
    }
    let crossed = capture.finish();
    crossed.assert_no_clear_text();
    assert_eq!(crossed.fragments, 0, "{crossed:?}");
}
