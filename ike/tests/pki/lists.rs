//! Revocation lists that lie, are old, or are about something else.

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use sekisho_ike::pki::{Assessment, Crl, CrlError};

use crate::made::{ca, key, root};
use crate::responder::{List, extension, sequence, tlv};
use crate::revocation::{Peer, reasons};

fn why(peer: &Peer, crl: Crl) -> String {
    reasons(&peer.assess_list(crl)).join("; ")
}

#[test]
fn a_list_is_believed_only_with_its_issuers_signature() {
    let peer = Peer::new();
    let list = List::revoking(&peer.leaf.certificate);
    let forged = Crl::from_der(&list.der_by(peer.root.certificate.subject().der(), &key())).unwrap();
    assert!(why(&peer, forged.clone()).ends_with("the configured revocation list: its signature is wrong"));
    // Again: what was found wrong once is not taken for right later.
    assert!(why(&peer, forged).ends_with("its signature is wrong"));
    // By somebody else about his own certificates: no word about ours.
    let other = List::new().by(&root(ca("Other")));
    assert!(why(&peer, other).starts_with("nobody says"));
    // Verified with one key is not verified with another.
    let list = List::new().by(&peer.root);
    assert_eq!(peer.assess_list(list.clone()), Assessment::Good);
    let namesake = Peer::new();
    assert!(why(&namesake, list).ends_with("its signature is wrong"));
}

#[test]
fn a_list_has_its_time() {
    let peer = Peer::new();
    let stale = List { next_update: Some("20291231235400Z"), ..List::new() };
    assert!(why(&peer, stale.by(&peer.root)).ends_with("it was to be replaced by 2029-12-31 23:54:00 UTC"));
    let skewed = List { next_update: Some("20291231235600Z"), ..List::new() };
    assert_eq!(peer.assess_list(skewed.by(&peer.root)), Assessment::Good);
    let early = List { this_update: "20300101000600Z", ..List::new() };
    assert!(why(&peer, early.by(&peer.root)).ends_with("it is not valid before 2030-01-01 00:06:00 UTC"));
    let endless = List { next_update: None, ..List::new() };
    let error = Crl::from_der(&endless.der(&peer.root)).unwrap_err();
    assert_eq!(error, CrlError::Malformed("it does not say how long it is valid"));
}

#[test]
fn the_issuer_must_be_allowed_to_sign_lists() {
    let mut params = ca("Root");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let root = root(params);
    let leaf = root.issue(crate::made::leaf("clinic-17"));
    let peer = Peer { root, leaf };
    let list = List::new().by(&peer.root);
    assert!(why(&peer, list).ends_with("its key usage does not allow revocation lists"));
}

#[test]
fn lists_that_are_not_complete_are_refused() {
    let issuer = root(ca("Root"));
    let refused = |extensions: Vec<Vec<u8>>| {
        let list = List { extensions, ..List::new() };
        Crl::from_der(&list.der(&issuer)).expect_err("refused").to_string()
    };
    let unsupported = |what: &str| format!("the revocation list {what}, which is not supported");
    let delta = extension(&[0x55, 0x1d, 27], true, &[2, 1, 1]);
    assert_eq!(refused(vec![delta]), unsupported("holds only what changed (a delta CRL)"));
    let point = |tag: u8, value: &[u8]| extension(&[0x55, 0x1d, 28], true, &sequence(&[&tlv(tag, value)]));
    let indirect = unsupported("holds certificates of other issuers (an indirect one)");
    assert_eq!(refused(vec![point(0x84, &[0xff])]), indirect);
    assert_eq!(refused(vec![point(0x85, &[0xff])]), unsupported("is about attribute certificates"));
    assert_eq!(refused(vec![point(0x83, &[6, 0x40])]), unsupported("is about some reasons only"));
    let private = extension(&[0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1], true, &[5, 0]);
    assert_eq!(refused(vec![private.clone()]), unsupported("has the critical extension 1.3.6.1.4.1.32473.1"));
    // In an entry as well.
    let refused_entry = |inside: Vec<u8>| {
        let mut list = List::new();
        let since = tlv(0x18, b"20291224123456Z");
        list.entries.push(sequence(&[&[2, 1, 7], &since, &sequence(&[&inside])]));
        Crl::from_der(&list.der(&issuer)).expect_err("refused").to_string()
    };
    assert_eq!(refused_entry(extension(&[0x55, 0x1d, 29], true, &[0x30, 0])), indirect);
    let expected = unsupported("has the critical extension 1.3.6.1.4.1.32473.1 in an entry");
    assert_eq!(refused_entry(private), expected);
}

#[test]
fn a_list_of_a_part_is_about_that_part() {
    let peer = Peer::new();
    let list = |scope, url: &str| {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2029, 12, 25),
            next_update: date_time_ymd(2030, 1, 8),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![url.into()] },
                scope,
            }),
            revoked_certs: vec![],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Crl::from_der(params.signed_by(&peer.root.issuer).unwrap().der()).unwrap()
    };
    let ours = "http://crl.clinic.example/root.crl";
    assert_eq!(peer.assess_list(list(Some(CrlScope::UserCertsOnly), ours)), Assessment::Good);
    assert_eq!(peer.assess_list(list(None, ours)), Assessment::Good);
    let authorities = list(Some(CrlScope::CaCertsOnly), ours);
    assert!(why(&peer, authorities).ends_with("it does not cover this certificate"));
    let elsewhere = list(None, "http://crl.clinic.example/other.crl");
    assert!(why(&peer, elsewhere).ends_with("it does not cover this certificate"));
}

#[test]
fn an_entry_is_found_among_many() {
    let peer = Peer::new();
    let mut list = List::new();
    // Positive, long and negative ones, in no order.
    for serial in 0..2000u32 {
        let mut bytes = (serial.wrapping_mul(0x9e37_79b1)).to_be_bytes().to_vec();
        while bytes.len() > 1 && (bytes[..2] == [0, bytes[1] & 0x7f] || bytes[..2] == [0xff, bytes[1] | 0x80])
        {
            bytes.remove(0);
        }
        list.revoke(&bytes, None);
    }
    assert_eq!(peer.assess_list(list.by(&peer.root)), Assessment::Good);
    list.revoke(peer.leaf.certificate.serial(), Some(6));
    list.revoke(&[1], None);
    let crl = list.by(&peer.root);
    assert_eq!(crl.len(), 2002);
    let Assessment::Revoked(found) = peer.assess_list(crl) else { panic!("revoked") };
    assert_eq!(found.reason, "certificateHold");
}

#[test]
fn rcgens_lists_are_understood() {
    let peer = Peer::new();
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2029, 12, 25),
        next_update: date_time_ymd(2030, 1, 8),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from_slice(peer.leaf.certificate.serial()),
            revocation_time: date_time_ymd(2029, 12, 24),
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: Some(date_time_ymd(2029, 12, 1)),
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = Crl::from_der(params.signed_by(&peer.root.issuer).unwrap().der()).unwrap();
    let Assessment::Revoked(found) = peer.assess_list(crl) else { panic!("revoked") };
    assert_eq!(found.reason, "cessationOfOperation");
}
