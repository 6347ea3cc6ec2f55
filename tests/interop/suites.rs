//! Each key exchange and each cipher, in the first exchange and, where it is a key exchange, in rekeys by both ends.

use crate::lab::{Outer, Site};
use crate::peers::{assert_carries_tcp, we_initiate, we_respond};

#[test]
fn x25519() {
    group("suite_x25519", "aes256gcm16-prfsha384-x25519", "aes256gcm16-x25519-noesn");
}

#[test]
fn ecp256() {
    group("suite_ecp256", "aes256gcm16-prfsha256-ecp256", "aes256gcm16-ecp256-noesn");
}

#[test]
fn ecp384() {
    group("suite_ecp384", "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384-noesn");
}

#[test]
fn modp2048() {
    group("suite_modp2048", "aes256gcm16-prfsha256-modp2048", "aes256gcm16-modp2048-noesn");
}

#[test]
fn modp3072() {
    group("suite_modp3072", "aes256gcm16-prfsha512-modp3072", "aes256gcm16-modp3072-noesn");
}

#[test]
fn gcm128_initiating() {
    let site = Site::new("suite_gcm128_initiating");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        (tunnel.ike_proposal, tunnel.esp_proposal) =
            ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519-noesn");
    });
    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["ike"]["suite"], "aes128gcm16-prfsha256-x25519");
    assert!(tunnel["children"][0]["suite"].as_str().is_some_and(|suite| suite.starts_with("aes128gcm16")));
    assert_carries_tcp(&site, 1_000);
}

#[test]
fn gcm128_responding() {
    let site = Site::new("suite_gcm128_responding");
    let (sekisho, _strongswan) = we_respond(&site, Outer::V4, |tunnel| {
        (tunnel.ike_proposal, tunnel.esp_proposal) =
            ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519-noesn");
    });
    assert_eq!(sekisho.await_up()["ike"]["suite"], "aes128gcm16-prfsha256-x25519");
    assert_carries_tcp(&site, 1_000);
}

/// We propose groups of which strongSwan wants the second: it asks for another key (`INVALID_KE_PAYLOAD`, RFC 7296 §1.3).
#[test]
fn another_group_is_asked_for() {
    let site = Site::new("suite_another_group");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        tunnel.ike_proposal = if tunnel.initiate {
            "aes256gcm16-prfsha384-x25519-ecp384"
        } else {
            "aes256gcm16-prfsha384-ecp384"
        };
    });
    assert_eq!(sekisho.await_up()["ike"]["suite"], "aes256gcm16-prfsha384-ecp384");
}

fn group(name: &'static str, ike: &'static str, esp: &'static str) {
    let site = Site::new(name);
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        (tunnel.ike_proposal, tunnel.esp_proposal) = (ike, esp);
    });
    assert_eq!(sekisho.await_up()["ike"]["suite"], ike);
    sekisho.rekey_child();
    strongswan.rekey_child();
    sekisho.rekey_ike();
    strongswan.rekey_ike();
    assert_eq!(sekisho.await_up()["ike"]["suite"], ike);
    assert_carries_tcp(&site, 1_000);
}
