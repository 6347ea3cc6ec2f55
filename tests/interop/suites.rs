//! Each key exchange and each cipher, in the first exchange and in rekeys by both ends.

use crate::lab::{Outer, Site, Tunnel};
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

#[test]
fn ecp521() {
    group("suite_ecp521", "aes256gcm16-prfsha512-ecp521", "aes256gcm16-ecp521-noesn");
}

#[test]
fn modp4096() {
    group("suite_modp4096", "aes256gcm16-prfsha256-modp4096", "aes256gcm16-modp4096-noesn");
}

#[test]
fn ike_chacha20_poly1305() {
    ike("suite_ike_chacha", "chacha20poly1305-prfsha256-x25519");
}

#[test]
fn ike_gcm_with_short_tags() {
    ike("suite_ike_gcm12", "aes256gcm12-prfsha384-x25519");
    ike("suite_ike_gcm8", "aes128gcm8-prfsha256-x25519");
}

/// As older routers would have it; the pseudo-random function is implied at both ends.
#[test]
fn ike_cbc_with_sha256() {
    ike("suite_ike_cbc_sha256", "aes256-sha256-modp2048");
}

#[test]
fn ike_cbc_with_longer_hashes() {
    ike("suite_ike_cbc_sha384", "aes128-sha384-prfsha384-ecp256");
    ike("suite_ike_cbc_sha512", "aes256-sha512-prfsha256-x25519");
}

/// A peer of which we know nothing but that it is old.
#[test]
fn the_compatible_profile_meets_an_old_peer() {
    let site = Site::new("suite_compatible_profile");
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        tunnel.ike_proposal = if tunnel.initiate { COMPATIBLE } else { "aes128-sha256-modp3072" };
    });
    assert_eq!(sekisho.await_up()["ike"]["suite"], "aes128-sha256-prfsha256-modp3072");
    strongswan.rekey_ike();
    sekisho.rekey_ike();
}

/// The second proposal of profile `compatible`.
const COMPATIBLE: &str = "aes256-aes128-sha256-sha384-sha512-prfsha384-prfsha256-prfsha512-x25519-ecp256-ecp384-ecp521-modp3072-modp4096-modp2048";

/// strongSwan's `modpnone` and its lack of any group are the same to us, as initiator and as responder of a rekey.
#[test]
fn pfs_is_off_where_strongswan_insists_and_we_may() {
    for theirs in ["aes256gcm16-noesn", "aes256gcm16-modpnone-noesn"] {
        let site = Site::new("suite_no_pfs");
        let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
            tunnel.esp_proposal = if tunnel.initiate { "aes256gcm16-x25519-nopfs-noesn" } else { theirs };
        });
        assert_eq!(sekisho.await_up()["children"][0]["pfs"], "unproven");
        sekisho.rekey_child();
        assert_eq!(sekisho.await_up()["children"][0]["suite"], "aes256gcm16-noesn");
        assert_eq!(sekisho.await_up()["children"][0]["pfs"], "off");
        strongswan.rekey_child();
        assert_eq!(sekisho.await_up()["children"][0]["suite"], "aes256gcm16-noesn");
        assert_carries_tcp(&site, 100);
    }
}

/// A suite of the IKE SA in both roles, each with rekeys by both ends.
fn ike(name: &'static str, ike: &'static str) {
    let expected = ike.parse::<sekisho_ike::suite::IkeProposal>().expect("a proposal").to_string();
    for initiate in [true, false] {
        let site = Site::new(name);
        let change = |tunnel: &mut Tunnel| tunnel.ike_proposal = ike;
        let (sekisho, strongswan) = if initiate {
            we_initiate(&site, Outer::V4, change)
        } else {
            we_respond(&site, Outer::V4, change)
        };
        assert_eq!(sekisho.await_up()["ike"]["suite"], expected);
        sekisho.rekey_ike();
        strongswan.rekey_ike();
        assert_eq!(sekisho.await_up()["ike"]["suite"], expected);
        assert_carries_tcp(&site, 100);
    }
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
