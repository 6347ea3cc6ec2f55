//! Ends whose certificates do not do: no tunnel, and a diagnosis that says what is wrong with them.

use crate::certificates::{Parties, host};
use crate::lab::{Authority, Belief, End, KeyKind, Proof, Request, Site};
use crate::refusals::assert_diagnosis;

/// Certificates that we refuse, in both roles.
fn refused(names: [&'static str; 2], kind: &str, change: impl Fn(&mut Request)) {
    for (name, end) in names.into_iter().zip([End::A, End::B]) {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let mut theirs = Request::of(host(end.other()), KeyKind::P256);
        change(&mut theirs);
        let ours = Request::of(host(end), KeyKind::P256);
        Parties::new(&site, end, &root, &ours, &theirs).refuse(kind);
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let names = ["refused_expired_initiate", "refused_expired_respond"];
    refused(names, "certificate_expired", |theirs| theirs.valid = (-20, -2));
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    let names = ["refused_early_initiate", "refused_early_respond"];
    refused(names, "certificate_not_yet_valid", |theirs| theirs.valid = (2, 20));
}

#[test]
fn a_certificate_for_something_else_is_refused() {
    let names = ["refused_usage_initiate", "refused_usage_respond"];
    refused(names, "certificate_usage", |theirs| {
        theirs.purposes = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
    });
}

/// A certificate of the right authority, for somebody else.
#[test]
fn a_certificate_with_another_name_is_refused() {
    let names = ["refused_name_initiate", "refused_name_respond"];
    refused(names, "certificate_name", |theirs| theirs.hosts = vec!["pharmacy-3.example"]);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    for (name, end) in [("refused_issuer_initiate", End::A), ("refused_issuer_respond", End::B)] {
        let site = Site::new(name);
        let (root, other) = (Authority::root("Root"), Authority::root("Other"));
        let mut parties = Parties::good(&site, end, &root);
        parties.theirs.proof = Proof::by(&other.issue(&Request::of(host(end.other()), KeyKind::P256)));
        parties.refuse("certificate_issuer");
    }
}

/// The same name, another key: the certificate of an authority that only has the right name.
#[test]
fn a_certificate_of_an_authority_of_the_same_name_is_refused() {
    let site = Site::new("refused_forged_issuer");
    let (root, other) = (Authority::root("Root"), Authority::root("Root"));
    let mut parties = Parties::good(&site, End::B, &root);
    parties.theirs.proof = Proof::by(&other.issue(&Request::of(host(End::A), KeyKind::P256)));
    parties.refuse("certificate_issuer");
}

#[test]
fn our_certificate_is_refused_by_the_peer() {
    let site = Site::new("refused_by_the_peer");
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let mut parties = Parties::good(&site, End::A, &root);
    parties.theirs.belief = Belief::Authorities(vec![other.certificate]);
    let (sekisho, _strongswan) = parties.start();
    assert_diagnosis(&sekisho.await_failure(), "authentication_failed", "peer");
}

/// As the initiator it sees our proof last, when the tunnel stands for us already: it says so, or only deletes it.
#[test]
fn our_certificate_is_refused_by_a_peer_that_initiates() {
    let site = Site::new("refused_by_the_initiator");
    let (root, other) = (Authority::root("Root"), Authority::root("Other"));
    let mut parties = Parties::good(&site, End::B, &root);
    parties.theirs.belief = Belief::Authorities(vec![other.certificate]);
    let (sekisho, _strongswan) = parties.start();
    let failure = sekisho.await_failure();
    assert_eq!(failure["refused_by"], "peer", "{failure:#}");
    let summary = failure["summary"].as_str().unwrap();
    assert!(summary.contains("accept our certificate `") && summary.contains("issued by `"), "{summary}");
}

/// strongSwan knows the older RSA method with SHA-1 only, which we refuse by name.
#[test]
fn rsa_of_old_is_made_with_sha1_and_refused() {
    let site = Site::new("certificates_rsa_of_old");
    let root = Authority::root("Root");
    let request = |end| Request::of(host(end), KeyKind::Rsa);
    let mut parties = Parties::new(&site, End::B, &root, &request(End::B), &request(End::A));
    parties.theirs.old_signatures = true;
    parties.refuse("signature_unsupported");
}
