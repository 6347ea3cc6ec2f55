//! One signature against one key: where the two meet the libraries that calculate.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest::{SHA512, digest};
use ring::signature::{self as ring_signature, VerificationAlgorithm};

use super::{HashAlgorithm, KeyKind, PublicKey, Scheme};

/// The signature is not one of this key over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch;

impl PublicKey {
    /// Checks a signature over `message`. A scheme that does not fit the key is a mismatch, too.
    ///
    /// PKCS#1 v1.5 is verified by `ring`, which encodes what must have been signed and compares (RFC 8017 §8.2.2): there
    /// is no parser that could be lenient.
    pub(super) fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), Mismatch> {
        let algorithm: &dyn VerificationAlgorithm = match (scheme, self.kind()) {
            (Scheme::RsaPss(HashAlgorithm::Sha256), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PSS_2048_8192_SHA256
            }
            (Scheme::RsaPss(HashAlgorithm::Sha384), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PSS_2048_8192_SHA384
            }
            (Scheme::RsaPss(HashAlgorithm::Sha512), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PSS_2048_8192_SHA512
            }
            (Scheme::RsaPkcs1(HashAlgorithm::Sha256), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PKCS1_2048_8192_SHA256
            }
            (Scheme::RsaPkcs1(HashAlgorithm::Sha384), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PKCS1_2048_8192_SHA384
            }
            (Scheme::RsaPkcs1(HashAlgorithm::Sha512), KeyKind::Rsa(_)) => {
                &ring_signature::RSA_PKCS1_2048_8192_SHA512
            }
            (Scheme::Ecdsa(HashAlgorithm::Sha256), KeyKind::P256) => &ring_signature::ECDSA_P256_SHA256_ASN1,
            (Scheme::Ecdsa(HashAlgorithm::Sha384), KeyKind::P256) => &ring_signature::ECDSA_P256_SHA384_ASN1,
            (Scheme::Ecdsa(HashAlgorithm::Sha256), KeyKind::P384) => &ring_signature::ECDSA_P384_SHA256_ASN1,
            (Scheme::Ecdsa(HashAlgorithm::Sha384), KeyKind::P384) => &ring_signature::ECDSA_P384_SHA384_ASN1,
            (Scheme::Ecdsa(HashAlgorithm::Sha512), KeyKind::P256 | KeyKind::P384) => {
                return self.verify_ecdsa_sha512(message, signature);
            }
            (Scheme::EcdsaFixed(HashAlgorithm::Sha256), KeyKind::P256) => {
                &ring_signature::ECDSA_P256_SHA256_FIXED
            }
            (Scheme::EcdsaFixed(HashAlgorithm::Sha384), KeyKind::P384) => {
                &ring_signature::ECDSA_P384_SHA384_FIXED
            }
            (Scheme::Ed25519, KeyKind::Ed25519) => &ring_signature::ED25519,
            _ => return Err(Mismatch),
        };
        self.verify_with(algorithm, message, signature)
    }

    /// Whether this is a signature that a peer without RFC 7427 made with SHA-1: refused, but told apart from a wrong one.
    pub(super) fn is_pkcs1_sha1(&self, message: &[u8], signature: &[u8]) -> bool {
        let legacy = &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        self.verify_with(legacy, message, signature).is_ok()
    }

    fn verify_with(
        &self,
        algorithm: &dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Mismatch> {
        let verified = algorithm.verify(self.key_bytes().into(), message.into(), signature.into());
        verified.map_err(|_| Mismatch)
    }

    /// `ring` has no ECDSA with SHA-512.
    fn verify_ecdsa_sha512(&self, message: &[u8], signature: &[u8]) -> Result<(), Mismatch> {
        let hash = digest(&SHA512, message);
        let verified = match self.kind() {
            KeyKind::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(self.key_bytes()).and_then(|key| {
                key.verify_prehash(hash.as_ref(), &p256::ecdsa::Signature::from_der(signature)?)
            }),
            _ => p384::ecdsa::VerifyingKey::from_sec1_bytes(self.key_bytes()).and_then(|key| {
                key.verify_prehash(hash.as_ref(), &p384::ecdsa::Signature::from_der(signature)?)
            }),
        };
        verified.map_err(|_| Mismatch)
    }
}
