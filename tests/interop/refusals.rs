//! Ends that disagree: no tunnel, and a diagnosis that names what to change.

use serde_json::Value;

use crate::lab::{Capture, End, Outer, Sekisho, Site, StrongSwan, Tunnel};

#[test]
fn wrong_psk_found_by_the_peer() {
    let failure = refused_when_we_initiate("refused_psk_by_peer", |tunnel| tunnel.psk = OTHER_PSK);
    assert_diagnosis(&failure, "authentication_failed", "peer");
}

#[test]
fn wrong_psk_found_by_us() {
    let failure = refused_when_we_respond("refused_psk_by_us", |tunnel| tunnel.psk = OTHER_PSK);
    assert_diagnosis(&failure, "authentication_failed", "here");
}

#[test]
fn no_ike_proposal_for_the_peer() {
    let failure = refused_when_we_initiate("refused_ike_by_peer", |tunnel| tunnel.ike_proposal = OTHER_IKE);
    assert_diagnosis(&failure, "no_ike_proposal", "peer");
    assert_names(&failure, "offered", OTHER_IKE);
}

#[test]
fn no_ike_proposal_for_us() {
    let failure = refused_when_we_respond("refused_ike_by_us", |tunnel| tunnel.ike_proposal = OTHER_IKE);
    assert_diagnosis(&failure, "no_ike_proposal", "here");
    assert_names(&failure, "offered", "aes256gcm16-prfsha384-x25519");
    assert_names(&failure, "acceptable", OTHER_IKE);
}

#[test]
fn no_child_proposal_for_the_peer() {
    let failure = refused_when_we_initiate("refused_child_by_peer", |tunnel| tunnel.esp_proposal = OTHER_ESP);
    assert_diagnosis(&failure, "no_child_proposal", "peer");
    assert_names(&failure, "offered", "aes128gcm16");
}

#[test]
fn no_child_proposal_for_us() {
    let failure = refused_when_we_respond("refused_child_by_us", |tunnel| tunnel.esp_proposal = OTHER_ESP);
    assert_diagnosis(&failure, "no_child_proposal", "here");
    assert_names(&failure, "offered", "aes256gcm16");
    assert_names(&failure, "acceptable", "aes128gcm16");
}

#[test]
fn disjoint_selectors_for_the_peer() {
    let failure = refused_when_we_initiate("refused_selectors_by_peer", |tunnel| {
        tunnel.remote_networks = ["10.99.0.0/24", "2001:db8:99::/64"].map(str::to_owned).to_vec();
    });
    assert_diagnosis(&failure, "traffic_selectors", "peer");
    assert_names(&failure, "offered", "10.99.0.0/24");
}

#[test]
fn disjoint_selectors_for_us() {
    let failure = refused_when_we_respond("refused_selectors_by_us", |tunnel| {
        tunnel.remote_networks = ["10.99.0.0/24", "2001:db8:99::/64"].map(str::to_owned).to_vec();
    });
    assert_diagnosis(&failure, "traffic_selectors", "here");
    assert_names(&failure, "offered", "10.17.0.0/24");
    assert_names(&failure, "acceptable", "10.99.0.0/24");
}

#[test]
fn an_identity_that_we_do_not_know() {
    let failure =
        refused_when_we_respond("refused_identity_by_us", |tunnel| tunnel.remote_id = "clinic-99.example");
    assert_diagnosis(&failure, "unknown_identity", "here");
    assert_names(&failure, "offered", "clinic-17.example");
    assert_names(&failure, "acceptable", "clinic-99.example");
}

const OTHER_PSK: &str = "0smE4zTj0N2cYx8rWqL6uHvK1pS9gBdF3aO7iXeVtCyRk=";
const OTHER_IKE: &str = "aes128gcm16-prfsha256-ecp256";
const OTHER_ESP: &str = "aes128gcm16-x25519-noesn";

/// `change` is applied to our end only. Returns the failure that `status` shows, after checking that nothing leaked.
fn refused_when_we_initiate(name: &'static str, change: impl Fn(&mut Tunnel)) -> Value {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let _strongswan = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let mut here = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) };
    change(&mut here);
    let sekisho = Sekisho::start(&site.a, &here);
    let failure = sekisho.await_failure();
    let asked = sekisho.try_command(&["up", Tunnel::NAME]);
    assert_eq!(asked.status.code(), Some(1), "`up` says that it failed: {asked:?}");
    capture.finish().assert_no_clear_text();
    failure
}

/// The same with strongSwan starting the tunnel. Where the tunnel was known, `status` must tell the same as `events`.
fn refused_when_we_respond(name: &'static str, change: impl Fn(&mut Tunnel)) -> Value {
    let site = Site::new(name);
    let mut here = Tunnel::at(&site, End::B, Outer::V4);
    change(&mut here);
    let sekisho = Sekisho::start(&site.b, &here);
    let strongswan = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let asked = strongswan.try_initiate();
    assert!(!asked.status.success(), "strongSwan gets no tunnel: {}", String::from_utf8_lossy(&asked.stdout));
    let record = sekisho.await_failure_record();
    let diagnosis = &record["diagnosis"];
    if record["tunnel"] == Tunnel::NAME {
        let failure = sekisho.await_failure();
        for field in ["kind", "refused_by", "summary", "offered", "acceptable", "advice"] {
            assert_eq!(failure[field], diagnosis[field], "{field}");
        }
    } else {
        assert_eq!(record["remote"], "198.51.100.2", "a peer that is nobody yet has an address: {record}");
    }
    diagnosis.clone()
}

pub fn assert_diagnosis(failure: &Value, kind: &str, refused_by: &str) {
    println!("diagnosis: {failure:#}");
    assert_eq!((&failure["kind"], &failure["refused_by"]), (&kind.into(), &refused_by.into()), "{failure}");
    for words in ["summary", "advice"] {
        assert!(failure[words].as_str().is_some_and(|text| !text.is_empty()), "{words}: {failure}");
    }
}

fn assert_names(failure: &Value, field: &str, word: &str) {
    let named = failure[field].as_str().is_some_and(|text| text.contains(word));
    assert!(named, "`{field}` names {word}: {failure}");
}
