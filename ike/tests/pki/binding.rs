//! Which identities a certificate stands for (RFC 4945 §3.1).

use rcgen::SanType;
use sekisho_ike::identity::{Identity, binds};
use sekisho_ike::pki::trust;

use crate::fixtures;
use crate::made::{NOW, ca, dns, leaf, root};

fn id(text: &str) -> Identity {
    text.parse().expect(text)
}

#[test]
fn names_in_the_certificate_bind_and_no_others_do() {
    let certificate = fixtures::certificate("leaf");
    for text in [
        "clinic-17.example",
        "Clinic-17.EXAMPLE",
        "support@clinic-17.example",
        "192.0.2.17",
        "2001:db8::17",
        "C=JP, O=Clinic, CN=clinic-17",
        "c=jp, o=clinic, cn=CLINIC-17",
    ] {
        assert_eq!(binds(&certificate, &id(text)), Ok(()), "{text}");
    }
    for text in [
        "clinic-18.example",
        "17.example",
        "x.clinic-17.example",
        // The common name is no host name.
        "clinic-17",
        "hotline@clinic-17.example",
        "192.0.2.18",
        "CN=clinic-17, O=Clinic, C=JP",
        "C=JP, O=Clinic",
        "keyid:clinic-17",
    ] {
        assert!(binds(&certificate, &id(text)).is_err(), "{text}");
    }
}

#[test]
fn the_subject_key_identifier_is_a_key_id() {
    let certificate = fixtures::certificate("leaf");
    let key_id = Identity::KeyId(certificate.subject_key_id().expect("OpenSSL gave one").to_vec());
    assert_eq!(binds(&certificate, &key_id), Ok(()));
}

#[test]
fn wildcards_bind_nobody() {
    let mut params = leaf("clinic-17");
    params.subject_alt_names = vec![dns("*.example")];
    let certificate = root(params).certificate;
    assert!(binds(&certificate, &id("clinic-17.example")).is_err());
    assert_eq!(certificate.identities(), [id("C=JP, O=Clinic, CN=clinic-17")]);
}

#[test]
fn an_issued_certificate_binds_by_its_names_alone() {
    let root = root(ca("Root"));
    let leaf = root.issue(leaf("clinic-17"));
    let path = trust(&leaf.certificate, &[], &root.trusted(), NOW).unwrap();
    assert_eq!(path.binds(&id("clinic-17.example")), Ok(()));
    insta::assert_snapshot!(path.binds(&id("clinic-18.example")).unwrap_err(), @"certificate `C=JP, O=Clinic, CN=clinic-17` is not one for the host name `clinic-18.example`; it names `clinic-17.example`, `C=JP, O=Clinic, CN=clinic-17`");
}

#[test]
fn all_kinds_of_names_are_listed() {
    let mut params = leaf("clinic-17");
    params.subject_alt_names = vec![
        dns("a.example"),
        SanType::Rfc822Name("b@c.example".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
        SanType::URI("https://d.example/".try_into().unwrap()),
    ];
    let found = root(params).certificate.identities();
    let expected =
        ["a.example", "b@c.example", "192.0.2.1", "2001:db8::1", "C=JP, O=Clinic, CN=clinic-17"].map(id);
    assert_eq!(found, expected);
}
