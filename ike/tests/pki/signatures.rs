//! Proofs by signature: RFC 7427 and the older methods.

use sekisho_ike::pki::{
    HashAlgorithm, KeyKind, PeerHashes, PublicKey, RsaPadding, Scheme, SignatureError, SigningError, sign,
    signature_hash_algorithms, verify,
};
use sekisho_ike::wire::AuthMethod;

use crate::fixtures::{bytes, key, pem};

const OCTETS: &[u8] = b"message";

fn public(name: &str) -> PublicKey {
    PublicKey::from_spki_der(&pem(&format!("{name}.public.pem"))).unwrap()
}

fn announced(numbers: &[u16]) -> PeerHashes {
    PeerHashes::from_notify(&numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>())
}

/// AUTH data of method 14.
fn digital(algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    [&[u8::try_from(algorithm.len()).unwrap()], algorithm, signature].concat()
}

fn check(name: &str, method: AuthMethod, data: &[u8]) -> Result<Scheme, SignatureError> {
    verify(&public(name), OCTETS, method, data)
}

#[test]
fn we_announce_sha2_and_identity_but_never_sha1() {
    assert_eq!(signature_hash_algorithms(), [0, 2, 0, 3, 0, 4, 0, 5]);
}

/// A second implementation's signatures over the same octets.
#[test]
fn signatures_by_openssl_are_verified() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let mut schemes = vec![
        ("rsa", "rsa.pkcs1.sha256.sig", Scheme::RsaPkcs1(Sha256)),
        ("ed25519", "ed25519.sig", Scheme::Ed25519),
    ];
    for (hash, number) in [(Sha256, 256), (Sha384, 384), (Sha512, 512)] {
        schemes.push(("rsa", &*format!("rsa.pss.sha{number}.sig").leak(), Scheme::RsaPss(hash)));
        schemes.push(("P-256", &*format!("P-256.sha{number}.sig").leak(), Scheme::Ecdsa(hash)));
        schemes.push(("P-384", &*format!("P-384.sha{number}.sig").leak(), Scheme::Ecdsa(hash)));
    }
    for (key, file, scheme) in schemes {
        let mut data = digital(&scheme.to_der(), &bytes(file));
        assert_eq!(check(key, AuthMethod::DIGITAL_SIGNATURE, &data), Ok(scheme), "{file}");
        let other = verify(&public(key), b"massage", AuthMethod::DIGITAL_SIGNATURE, &data);
        assert_eq!(other, Err(SignatureError::Value), "{file}");
        *data.last_mut().unwrap() ^= 1;
        assert_eq!(check(key, AuthMethod::DIGITAL_SIGNATURE, &data), Err(SignatureError::Value), "{file}");
    }
}

/// RFC 7427 Appendix A and RFC 8410 §3: the encodings that everyone sends.
#[test]
fn the_algorithms_are_named_as_the_rfcs_do() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    for (scheme, der) in [
        (Scheme::RsaPkcs1(Sha256), "300d06092a864886f70d01010b0500"),
        (Scheme::RsaPkcs1(Sha384), "300d06092a864886f70d01010c0500"),
        (Scheme::RsaPkcs1(Sha512), "300d06092a864886f70d01010d0500"),
        (Scheme::Ecdsa(Sha256), "300a06082a8648ce3d040302"),
        (Scheme::Ecdsa(Sha384), "300a06082a8648ce3d040303"),
        (Scheme::Ecdsa(Sha512), "300a06082a8648ce3d040304"),
        (Scheme::Ed25519, "300506032b6570"),
        (
            Scheme::RsaPss(Sha256),
            "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108\
             300d06096086480165030402010500a203020120",
        ),
    ] {
        assert_eq!(scheme.to_der(), hex(der), "{scheme}");
        assert_eq!(Scheme::from_der(&hex(der)), Ok(scheme), "{scheme}");
    }
    for hash in [Sha384, Sha512] {
        assert_eq!(Scheme::from_der(&Scheme::RsaPss(hash).to_der()), Ok(Scheme::RsaPss(hash)));
    }
    // RFC 4055 §5: NULL may be missing; RFC 5758 §3.2: it may not be there.
    let without_null = hex("300b06092a864886f70d01010b");
    assert_eq!(Scheme::from_der(&without_null), Ok(Scheme::RsaPkcs1(Sha256)));
    assert!(Scheme::from_der(&hex("300c06082a8648ce3d0403020500")).is_err());
}

#[test]
fn every_key_proves_itself_to_every_kind_of_peer() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let (modern, old) = (announced(&[1, 2, 3, 4, 5]), PeerHashes::absent());
    let only = |number| announced(&[number]);
    let digital = AuthMethod::DIGITAL_SIGNATURE;
    for (name, peer, padding, method, scheme) in [
        ("rsa", &modern, RsaPadding::Pss, digital, Scheme::RsaPss(Sha256)),
        ("rsa", &modern, RsaPadding::Pkcs1, digital, Scheme::RsaPkcs1(Sha256)),
        ("rsa", &only(4), RsaPadding::Pss, digital, Scheme::RsaPss(Sha512)),
        ("rsa", &only(3), RsaPadding::Pkcs1, digital, Scheme::RsaPkcs1(Sha384)),
        ("rsa", &only(1), RsaPadding::Pss, AuthMethod::RSA_SIGNATURE, Scheme::RsaPkcs1(Sha256)),
        ("rsa", &old, RsaPadding::Pss, AuthMethod::RSA_SIGNATURE, Scheme::RsaPkcs1(Sha256)),
        ("P-256", &modern, RsaPadding::Pss, digital, Scheme::Ecdsa(Sha256)),
        ("P-256", &old, RsaPadding::Pss, AuthMethod::ECDSA_256, Scheme::EcdsaFixed(Sha256)),
        ("P-256", &only(3), RsaPadding::Pss, AuthMethod::ECDSA_256, Scheme::EcdsaFixed(Sha256)),
        ("P-384", &modern, RsaPadding::Pss, digital, Scheme::Ecdsa(Sha384)),
        ("P-384", &old, RsaPadding::Pss, AuthMethod::ECDSA_384, Scheme::EcdsaFixed(Sha384)),
        ("ed25519", &modern, RsaPadding::Pss, digital, Scheme::Ed25519),
    ] {
        let key = key(&format!("{name}.pkcs8"));
        let (used, data) = sign(&key, OCTETS, peer, padding).expect(name);
        assert_eq!(used, method, "{name}");
        assert_eq!(verify(key.public_key(), OCTETS, used, &data), Ok(scheme), "{name}");
        assert_eq!(verify(key.public_key(), b"massage", used, &data), Err(SignatureError::Value));
    }
    for peer in [&old, &only(2)] {
        let error = sign(&key("ed25519.pkcs8"), OCTETS, peer, RsaPadding::Pss).unwrap_err();
        assert!(matches!(error, SigningError::NothingInCommon(_)), "{error}");
    }
}

#[test]
fn seeds_replay_with_ed25519_and_pkcs1() {
    let modern = announced(&[2, 5]);
    for (name, padding) in [("ed25519.pkcs8", RsaPadding::Pss), ("rsa.pkcs8", RsaPadding::Pkcs1)] {
        let make = || sign(&key(name), OCTETS, &modern, padding).unwrap();
        assert_eq!(make(), make(), "{name}");
    }
}

/// RFC 4754 §8: signatures over "abc".
#[test]
fn ecdsa_values_of_fixed_length_are_those_of_rfc_4754() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let spki =
        |prefix: &str, point: &str| PublicKey::from_spki_der(&hex(&format!("{prefix}04{point}"))).unwrap();
    let p256 = spki(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200",
        "2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e970\
         6fc98bd7e50211a4a27102fa3549df79ebcb4bf246b80945cddfe7d509bbfd7d",
    );
    let signature = hex("cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c\
         86fa3bb4e26cad5bf90b7f81899256ce7594bb1ea0c89212748bff3b3d5b0315");
    let scheme = Scheme::EcdsaFixed(HashAlgorithm::Sha256);
    assert_eq!(verify(&p256, b"abc", AuthMethod::ECDSA_256, &signature), Ok(scheme));
    assert_eq!(verify(&p256, b"abd", AuthMethod::ECDSA_256, &signature), Err(SignatureError::Value));
    let error = verify(&p256, b"abc", AuthMethod::ECDSA_384, &signature).unwrap_err();
    assert!(matches!(error, SignatureError::WrongKeyType { key: KeyKind::P256, .. }), "{error}");
    let p384 = spki(
        "3076301006072a8648ce3d020106052b81040022036200",
        "96281bf8dd5e0525ca049c048d345d3082968d10fedf5c5aca0c64e6465a97ea5ce10c9dfec21797415710721f437922\
         447688ba94708eb6e2e4d59f6ab6d7edff9301d249fe49c33096655f5d502fad3d383b91c5e7edaa2b714cc99d5743ca",
    );
    let signature = hex(
        "fb017b914e29149432d8bac29a514640b46f53ddab2c69948084e2930f1c8f7e08e07c9c63f2d21a07dcb56a6af56eb3\
         b263a1305e057f984d38726a1b46874109f417bca112674c528262a40a629af1cbb9f516ce0fa7d2ff630863a00e8b9f",
    );
    let scheme = Scheme::EcdsaFixed(HashAlgorithm::Sha384);
    assert_eq!(verify(&p384, b"abc", AuthMethod::ECDSA_384, &signature), Ok(scheme));
}

#[test]
fn sha1_is_refused_by_name_in_both_methods() {
    let sha1 = bytes("rsa.pkcs1.sha1.sig");
    assert_eq!(check("rsa", AuthMethod::RSA_SIGNATURE, &sha1), Err(SignatureError::WeakHash("SHA-1".into())));
    let algorithm = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0];
    let error = check("rsa", AuthMethod::DIGITAL_SIGNATURE, &digital(&algorithm, &sha1));
    assert_eq!(error, Err(SignatureError::WeakHash("sha1WithRSAEncryption".into())));
    // RSASSA-PSS with default parameters is SHA-1, too.
    let defaults = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10, 0x30, 0];
    let error = check("rsa", AuthMethod::DIGITAL_SIGNATURE, &digital(&defaults, &sha1));
    assert_eq!(error, Err(SignatureError::WeakHash("RSASSA-PSS with SHA-1".into())));
    let other = verify(&public("rsa"), b"massage", AuthMethod::RSA_SIGNATURE, &sha1);
    assert_eq!(other, Err(SignatureError::Value));
}

#[test]
fn a_signature_of_another_type_than_the_key_is_refused() {
    let data = digital(&Scheme::Ed25519.to_der(), &[0; 64]);
    for name in ["rsa", "P-256", "P-384"] {
        let error = check(name, AuthMethod::DIGITAL_SIGNATURE, &data).unwrap_err();
        assert!(
            matches!(error, SignatureError::WrongKeyType { scheme: Scheme::Ed25519, .. }),
            "{name}: {error}"
        );
    }
    let error = check("P-256", AuthMethod::RSA_SIGNATURE, &[0; 256]).unwrap_err();
    assert!(matches!(error, SignatureError::WrongKeyType { key: KeyKind::P256, .. }), "{error}");
    for method in [AuthMethod::SHARED_KEY_MIC, AuthMethod::NULL, AuthMethod::ECDSA_521, AuthMethod(200)] {
        assert_eq!(check("rsa", method, &data), Err(SignatureError::UnsupportedMethod(method)));
    }
}

#[test]
fn an_unknown_algorithm_is_refused_by_name() {
    let ed448 = [0x30, 5, 6, 3, 0x2b, 0x65, 0x71];
    let error = check("ed25519", AuthMethod::DIGITAL_SIGNATURE, &digital(&ed448, &[0; 114]));
    assert_eq!(error, Err(SignatureError::UnsupportedAlgorithm("Ed448".into())));
    let private = [0x30, 6, 6, 4, 0x2b, 6, 1, 4];
    let error = check("ed25519", AuthMethod::DIGITAL_SIGNATURE, &digital(&private, &[0; 64]));
    assert_eq!(error, Err(SignatureError::UnsupportedAlgorithm("1.3.6.1.4".into())));
}

/// Strict in each parameter of RSASSA-PSS.
#[test]
fn odd_parameters_of_pss_are_refused() {
    let good = Scheme::RsaPss(HashAlgorithm::Sha256).to_der();
    let altered = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).rposition(|window| window == from).unwrap();
        let mut der = good.clone();
        der.splice(at..at + from.len(), to.iter().copied());
        Scheme::from_der(&der).unwrap_err().to_string()
    };
    assert_eq!(
        altered(&[2, 1, 32], &[2, 1, 20]),
        "RSASSA-PSS with SHA-256 and a salt of 20 bytes is not supported"
    );
    // The mask's hash is another than the message's.
    assert_eq!(
        altered(&[4, 2, 1, 5, 0], &[4, 2, 2, 5, 0]),
        "RSASSA-PSS with two different hashes is not supported"
    );
    assert!(altered(&[1, 1, 8], &[1, 1, 9]).starts_with("RSASSA-PSS with the mask function"));
    assert_eq!(
        altered(&[0xa2, 3, 2, 1, 32], &[0xa3, 3, 2, 1, 2]),
        "RSASSA-PSS with SHA-256 and a salt of 20 bytes is not supported"
    );
}

#[test]
fn malformed_proofs_are_refused() {
    let whole = digital(&Scheme::Ed25519.to_der(), &bytes("ed25519.sig"));
    assert!(check("ed25519", AuthMethod::DIGITAL_SIGNATURE, &whole).is_ok());
    for length in 0..whole.len() {
        let error = check("ed25519", AuthMethod::DIGITAL_SIGNATURE, &whole[..length]).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed | SignatureError::Value), "{length}: {error}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(check("ed25519", AuthMethod::DIGITAL_SIGNATURE, &longer), Err(SignatureError::Value));
    for method in [AuthMethod::RSA_SIGNATURE, AuthMethod::DIGITAL_SIGNATURE] {
        assert!(check("rsa", method, &[]).is_err());
    }
}
