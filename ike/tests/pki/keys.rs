//! Private and public keys in every form.

use sekisho_ike::pki::{KeyKind, PublicKey, PublicKeyError, SigningKey, SigningKeyError};

use crate::fixtures::{key, pem};

fn public(name: &str) -> Result<PublicKey, PublicKeyError> {
    PublicKey::from_spki_der(&pem(&format!("{name}.public.pem")))
}

#[test]
fn every_form_of_a_private_key_is_the_same_key() {
    for (forms, kind, spki) in [
        (&["rsa.pkcs8", "rsa.pkcs1"][..], KeyKind::Rsa(2048), "rsa"),
        (&["P-256.pkcs8", "P-256.sec1", "P-256.bare"], KeyKind::P256, "P-256"),
        (&["P-384.pkcs8", "P-384.sec1", "P-384.bare"], KeyKind::P384, "P-384"),
        (&["ed25519.pkcs8"], KeyKind::Ed25519, "ed25519"),
    ] {
        for form in forms {
            let key = key(form);
            assert_eq!(key.public_key(), &public(spki).unwrap(), "{form}");
            assert_eq!(key.public_key().spki_der(), pem(&format!("{spki}.public.pem")), "{form}");
            assert_eq!(key.public_key().kind(), kind);
            assert_eq!(key, key.clone());
        }
    }
    assert_ne!(key("P-256.sec1"), key("P-384.sec1"));
}

#[test]
fn a_private_key_prints_its_kind_only() {
    assert_eq!(format!("{:?}", key("P-256.sec1")), "SigningKey(ECDSA P-256)");
    assert_eq!(format!("{:?}", key("rsa.pkcs1")), "SigningKey(RSA 2048 bits)");
}

#[test]
fn a_key_knows_its_certificate() {
    assert!(key("rsa.pkcs8").matches(&crate::fixtures::certificate("leaf")));
    assert!(!key("rsa.pkcs8").matches(&crate::fixtures::certificate("root")));
}

#[test]
fn keys_of_other_kinds_are_refused_by_name() {
    let unsupported = |name: &str| Err(PublicKeyError::Unsupported(name.to_owned()));
    assert_eq!(public("secp521r1"), unsupported("ECDSA P-521"));
    assert_eq!(public("secp256k1"), unsupported("ECDSA secp256k1"));
    assert_eq!(public("brainpoolP256r1"), unsupported("ECDSA brainpoolP256r1"));
    assert_eq!(public("ed448"), unsupported("Ed448"));
    assert_eq!(public("x25519"), unsupported("X25519"));
    assert_eq!(public("rsapss"), unsupported("RSASSA-PSS"));
    let compressed = PublicKey::from_spki_der(&pem("P-256.compressed.pem"));
    assert_eq!(compressed, unsupported("ECDSA P-256 with a compressed point"));
}

#[test]
fn a_point_that_is_not_on_its_curve_is_no_key() {
    for name in ["P-256", "P-384"] {
        let mut der = pem(&format!("{name}.public.pem"));
        *der.last_mut().unwrap() ^= 1;
        assert_eq!(PublicKey::from_spki_der(&der), Err(PublicKeyError::Malformed), "{name}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for name in ["P-256.public.pem", "rsa.public.pem", "ed25519.public.pem"] {
        let der = pem(name);
        for length in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..length]).is_err(), "{name} {length}");
        }
        assert_eq!(PublicKey::from_spki_der(&[&der[..], &[0]].concat()), Err(PublicKeyError::Malformed));
        assert_eq!(SigningKey::from_der(&der), Err(SigningKeyError::Malformed), "{name}");
    }
    for name in ["rsa.pkcs8", "rsa.pkcs1", "P-256.pkcs8", "P-256.bare", "ed25519.pkcs8"] {
        let der = pem(&format!("{name}.pem"));
        for length in 0..der.len() {
            assert!(SigningKey::from_der(&der[..length]).is_err(), "{name} {length}");
        }
        assert!(SigningKey::from_der(&[&der[..], &[0]].concat()).is_err(), "{name}");
    }
}

#[test]
fn a_private_key_whose_parts_do_not_fit_is_refused() {
    // A bit of a prime.
    let mut der = pem("rsa.pkcs1.pem");
    let at = der.len() - 300;
    der[at] ^= 4;
    assert!(matches!(SigningKey::from_der(&der), Err(SigningKeyError::Rejected(_))));
    // Zero is no private key of a curve.
    let mut der = pem("P-256.bare.pem");
    let at = der.windows(2).position(|w| w == [4, 32]).unwrap();
    der[at + 2..at + 34].fill(0);
    assert!(matches!(SigningKey::from_der(&der), Err(SigningKeyError::Rejected(_))));
}
