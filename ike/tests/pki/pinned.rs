//! Peers that are configured themselves (RFC 7670, and certificates without an authority).

use sekisho_ike::identity::Identity;
use sekisho_ike::pki::{PathError, Pin, PublicKey, Trust, trust, trust_key};

use crate::fixtures;
use crate::made::{NOW, ca, leaf, root};

fn pinned(pins: Vec<Pin>) -> Trust {
    Trust { pinned: pins, ..Trust::default() }
}

#[test]
fn a_pinned_certificate_needs_nobodys_word() {
    // Self-signed, an authority's own, without a suitable usage, of version 1: each is known itself.
    let alone = root(leaf("clinic-17")).certificate;
    let authority = root(ca("clinic-17")).certificate;
    let mut params = leaf("clinic-17");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    let odd = root(params).certificate;
    for certificate in [alone, authority, odd, fixtures::certificate("version1")] {
        let trust_in = pinned(vec![Pin::Certificate(certificate.clone())]);
        let path = trust(&certificate, &[], &trust_in, NOW).expect("pinned");
        assert!(path.is_pinned());
        assert_eq!(path.certificates(), [certificate]);
        // The connection names its identity and its key side by side.
        assert_eq!(path.binds(&"anyone.example".parse::<Identity>().unwrap()), Ok(()));
    }
}

#[test]
fn its_dates_count() {
    let mut params = leaf("clinic-17");
    params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let certificate = root(params).certificate;
    let trust_in = pinned(vec![Pin::Certificate(certificate.clone())]);
    assert!(matches!(trust(&certificate, &[], &trust_in, NOW), Err(PathError::Expired { .. })));
    // A pinned key is one in any wrapping.
    let key = certificate.public_key().unwrap().clone();
    let by_key = pinned(vec![Pin::Certificate(certificate.clone()), Pin::Key(key)]);
    assert!(trust(&certificate, &[], &by_key, NOW).is_ok());
}

#[test]
fn another_certificate_of_the_same_name_is_not_the_pinned_one() {
    let (real, fake) = (root(leaf("clinic-17")), root(leaf("clinic-17")));
    let trust_in = pinned(vec![Pin::Certificate(real.certificate.clone())]);
    let error = trust(&fake.certificate, &[], &trust_in, NOW).expect_err("another key");
    assert_eq!(error, PathError::NotPinned { subject: "C=JP, O=Clinic, CN=clinic-17".into() });
}

#[test]
fn a_raw_key_is_trusted_if_it_is_pinned() {
    let key = |name: &str| PublicKey::from_spki_der(&fixtures::pem(name)).unwrap();
    let trust_in = pinned(vec![Pin::Key(key("P-256.public.pem"))]);
    let path = trust_key(&key("P-256.public.pem"), &trust_in).expect("pinned");
    assert!(path.is_pinned() && path.end_entity().is_none() && path.certificates().is_empty());
    assert_eq!(path.public_key(), &key("P-256.public.pem"));
    let error = trust_key(&key("P-384.public.pem"), &trust_in).expect_err("another");
    assert_eq!(error, PathError::UnknownKey { kind: "ECDSA P-384".into() });
    // A pinned certificate is not pinned as a raw key: whoever pins it wants its dates to count.
    let certificate = root(leaf("clinic-17")).certificate;
    let by_certificate = pinned(vec![Pin::Certificate(certificate.clone())]);
    assert!(trust_key(certificate.public_key().unwrap(), &by_certificate).is_err());
}

#[test]
fn a_weak_key_stays_weak_if_it_is_pinned() {
    let weak = fixtures::certificate("weak");
    let trust_in = pinned(vec![Pin::Certificate(weak.clone())]);
    assert!(matches!(trust(&weak, &[], &trust_in, NOW), Err(PathError::WeakKey { .. })));
}

#[test]
fn pins_and_authorities_stand_side_by_side() {
    let root = root(ca("Root"));
    let issued = root.issue(leaf("clinic-17")).certificate;
    let alone = crate::made::root(leaf("clinic-18")).certificate;
    let trust_in = Trust { pinned: vec![Pin::Certificate(alone.clone())], ..root.trusted() };
    assert!(!trust(&issued, &[], &trust_in, NOW).unwrap().is_pinned());
    assert!(trust(&alone, &[], &trust_in, NOW).unwrap().is_pinned());
}
