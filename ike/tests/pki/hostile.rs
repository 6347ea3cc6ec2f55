//! Input that nobody sends who means well.

use proptest::prelude::*;
use rcgen::{CustomExtension, DnType, KeyPair, SigningKey as _};
use sekisho_ike::identity::binds;
use sekisho_ike::pki::{
    Assessment, Certificate, CertificateError, Crl, OcspResponse, PathError, Pin, Trust, trust,
};

use crate::made::{Made, NOW, ca, dns, key, leaf, root};
use crate::responder::{List, Reply, sequence, tlv};
use crate::revocation::Peer;

/// The signed content of a certificate.
fn content(certificate: &Certificate) -> Vec<u8> {
    let inside = inside(certificate.der());
    let length = inside.len() - inside_of(inside).1.len();
    inside[..length].to_vec()
}

/// What stands in the first TLV, and what behind it.
fn inside_of(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        short if short < 0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            (2 + count, der[2..2 + count].iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
        }
    };
    (&der[header..header + length], &der[header + length..])
}

fn inside(der: &[u8]) -> &[u8] {
    inside_of(der).0
}

/// A certificate with this content, signed by a P-256 key.
fn signed(content: &[u8], key: &KeyPair) -> Vec<u8> {
    let algorithm = sekisho_ike::pki::Scheme::Ecdsa(sekisho_ike::pki::HashAlgorithm::Sha256).to_der();
    let signature = [&[0], &key.sign(content).unwrap()[..]].concat();
    sequence(&[content, &algorithm, &tlv(3, &signature)])
}

fn malformed(der: &[u8]) -> String {
    match Certificate::from_der(der) {
        Err(CertificateError::Malformed(what)) => what.into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_cut_anywhere_is_refused() {
    let peer = Peer::new();
    let der = peer.leaf.certificate.der();
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
    assert!(Certificate::from_der(&[der, &[0]].concat()).is_err(), "bytes behind it");
    assert!(Certificate::from_der(&[der, der].concat()).is_err());
}

#[test]
fn a_certificate_with_any_bit_turned_is_not_trusted() {
    let peer = Peer::new();
    let trusted = peer.root.trusted();
    let der = peer.leaf.certificate.der();
    for at in 0..der.len() * 8 {
        let mut turned = der.to_vec();
        turned[at / 8] ^= 1 << (at % 8);
        if let Ok(certificate) = Certificate::from_der(&turned) {
            assert!(trust(&certificate, &[], &trusted, NOW).is_err(), "bit {at}");
        }
    }
}

#[test]
fn lists_and_answers_cut_or_turned_say_nothing_wrong() {
    let peer = Peer::new();
    let list = List::revoking(&peer.leaf.certificate).der(&peer.root);
    let answer = Reply::revoked().der(&peer.leaf.certificate, &peer.root.certificate, &peer.root);
    for length in 0..list.len() {
        assert!(Crl::from_der(&list[..length]).is_err(), "{length}");
    }
    for length in 0..answer.len() {
        assert!(OcspResponse::from_der(&answer[..length]).is_err(), "{length}");
    }
    for at in 0..list.len() * 8 {
        let mut turned = list.clone();
        turned[at / 8] ^= 1 << (at % 8);
        if let Ok(crl) = Crl::from_der(&turned) {
            assert!(matches!(peer.assess_list(crl), Assessment::Unknown { .. }), "bit {at}");
        }
    }
    for at in 0..answer.len() * 8 {
        let mut turned = answer.clone();
        turned[at / 8] ^= 1 << (at % 8);
        if OcspResponse::from_der(&turned).is_ok() {
            assert!(matches!(peer.assess_stapled(turned), Assessment::Unknown { .. }), "bit {at}");
        }
    }
}

#[test]
fn sizes_are_bounded() {
    let long = vec![0x30; 16 * 1024 + 1];
    assert_eq!(Certificate::from_der(&long), Err(CertificateError::TooLarge(16 * 1024 + 1)));
    assert!(OcspResponse::from_der(&long).unwrap_err().to_string().contains("at most 16384"));
    let long = vec![0x30; 16 * 1024 * 1024 + 1];
    assert!(Crl::from_der(&long).unwrap_err().to_string().contains("at most 16777216"));
}

#[test]
fn a_name_of_fifteen_kilobytes_is_quoted_in_part() {
    let mut params = leaf("clinic-17");
    params.distinguished_name.push(DnType::CommonName, "x".repeat(15 * 1024));
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let root = root(ca("Root"));
    let certificate = root.issue(params).certificate;
    let error = trust(&certificate, &[], &root.trusted(), NOW).unwrap_err().to_string();
    assert!(error.len() < 600 && error.contains("xxx…`"), "{error}");
}

#[test]
fn two_hundred_names_are_quoted_in_part() {
    let mut params = leaf("clinic-17");
    params.distinguished_name.push(DnType::CommonName, "x".repeat(4 * 1024));
    params.subject_alt_names = (0..200).map(|n| dns(&format!("{n}.{}.example", "y".repeat(40)))).collect();
    let certificate = root(ca("Root")).issue(params).certificate;
    let error = binds(&certificate, &"clinic-17.example".parse().unwrap()).unwrap_err().to_string();
    assert!(error.len() < 1200 && error.contains("yyy.example`, `") && error.ends_with('…'), "{error}");
}

#[test]
fn names_and_extensions_are_counted() {
    let with_names = |count: usize| {
        let mut params = leaf("clinic-17");
        params.subject_alt_names = (0..count).map(|n| dns(&format!("{n}.example"))).collect();
        let key = key();
        Certificate::from_der(params.self_signed(&key).unwrap().der())
    };
    assert_eq!(with_names(256).unwrap().subject_alt_names().len(), 256);
    assert_eq!(with_names(257), Err(CertificateError::TooMany("names")));
    let with_extensions = |count: u64| {
        let mut params = leaf("clinic-17");
        let extension = |n| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, n], vec![5, 0]);
        params.custom_extensions = (0..count).map(extension).collect();
        let key = key();
        Certificate::from_der(params.self_signed(&key).unwrap().der())
    };
    assert!(with_extensions(50).is_ok());
    assert_eq!(with_extensions(65), Err(CertificateError::TooMany("extensions")));
}

#[test]
fn an_extension_that_stands_there_twice_is_refused() {
    let mut params = leaf("clinic-17");
    let usage = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]);
    params.custom_extensions = vec![usage];
    let key = key();
    let certificate = params.self_signed(&key).unwrap();
    assert_eq!(malformed(certificate.der()), "an extension stands there twice");
}

#[test]
fn both_algorithms_must_be_the_same() {
    let made = root(leaf("clinic-17"));
    let mut content = content(&made.certificate);
    // ecdsa-with-SHA256 inside becomes ecdsa-with-SHA384.
    let at = content.windows(4).position(|window| window == [0x3d, 4, 3, 2]).unwrap();
    content[at + 3] = 3;
    assert_eq!(malformed(&signed(&content, made.issuer.key())), "it names two signature algorithms");
}

/// RFC 5280 §4.1.2.2: "Certificate users SHOULD be prepared to gracefully handle such certificates."
#[test]
fn negative_and_long_serial_numbers_are_handled() {
    let root = root(ca("Root"));
    let mut params = leaf("clinic-17");
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x11; 20]));
    let original = root.issue(params);
    let resigned = |serial: &[u8; 20]| {
        let mut content = content(&original.certificate);
        let at = content.windows(20).position(|window| window == [0x11; 20]).unwrap();
        content[at..at + 20].copy_from_slice(serial);
        signed(&content, root.issuer.key())
    };
    let mut negative = [0x11; 20];
    negative[0] = 0x91;
    let certificate = Certificate::from_der(&resigned(&negative)).expect("a negative number");
    assert_eq!(certificate.serial(), negative);
    // A leading zero that does not belong there: no DER.
    let mut padded = [0x11; 20];
    padded[0] = 0;
    assert_eq!(malformed(&resigned(&padded)), "its content cannot be read");
    let peer = Peer { leaf: Made { certificate, ..root.issue(leaf("other")) }, root };
    assert!(matches!(
        peer.assess_list(List::revoking(&peer.leaf.certificate).by(&peer.root)),
        Assessment::Revoked(_)
    ));
    assert_eq!(peer.assess_list(List::revoking(&original.certificate).by(&peer.root)), Assessment::Good);
    let answer = Reply::revoked().der(&peer.leaf.certificate, &peer.root.certificate, &peer.root);
    assert!(matches!(peer.assess_stapled(answer), Assessment::Revoked(_)));
}

#[test]
fn old_versions_have_no_extensions() {
    let made = root(leaf("clinic-17"));
    let mut content = content(&made.certificate);
    let at = content.windows(5).position(|window| window == [0xa0, 3, 2, 1, 2]).unwrap();
    content[at + 4] = 1;
    assert_eq!(malformed(&signed(&content, made.issuer.key())), "only version 3 has extensions");
    content[at + 4] = 7;
    assert_eq!(malformed(&signed(&content, made.issuer.key())), "its content cannot be read");
}

#[test]
fn a_trusted_path_is_not_made_of_a_pin_that_is_not_there() {
    let peer = Peer::new();
    let pin = Pin::Certificate(peer.root.certificate.clone());
    let pinned = Trust { pinned: vec![pin], ..Trust::default() };
    // The pinned authority is a peer, not an authority.
    let error = trust(&peer.leaf.certificate, &[], &pinned, NOW).unwrap_err();
    assert!(matches!(error, PathError::NotPinned { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// An authority that signs anything: whatever it signs is read or refused, judged, named and printed.
    #[test]
    fn whatever_an_authority_signs_is_judged(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let peer = fixed_peer();
        let mut content = content(&peer.leaf.certificate);
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        sekisho_ike::fuzzing::certificate(&signed(&content, peer.root.issuer.key()));
        if let Ok(certificate) = Certificate::from_der(&signed(&content, peer.root.issuer.key())) {
            let _ = trust(&certificate, &[], &peer.root.trusted(), NOW).map(|path| path.certificates().len());
        }
    }
}

fn fixed_peer() -> &'static Peer {
    static PEER: std::sync::OnceLock<Peer> = std::sync::OnceLock::new();
    PEER.get_or_init(Peer::new)
}
