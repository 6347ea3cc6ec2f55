//! The AUTH payload's signatures: RFC 7427 (method 14), and the older methods 1 (RFC 7296), 9 and 10 (RFC 4754).
//!
//! What real peers do with method 1: RFC 7296 §3.8 leaves the hash open and names SHA-1 as the default; strongSwan 6 and
//! libreswan 5 make and take it with SHA-1 and nothing else, and use SHA-2 with RSA only under method 14. We refuse SHA-1, so
//! method 1 is RSASSA-PKCS1-v1_5 with SHA-2 here: it serves peers that take the hash from the signature. A signature with
//! SHA-1 is recognised and refused by name, for the diagnosis.
//!
//! Under method 14 libreswan signs with the longest hash that both sides announced, whatever the curve: that is why ECDSA with
//! SHA-512 is verified, too.

use super::scheme::SchemeError;
use super::{HashAlgorithm, KeyKind, PublicKey, RsaPadding, Scheme, SigningError, SigningKey};
use crate::limits;
use crate::wire::AuthMethod;

/// `identity` in RFC 7427's registry (RFC 8420).
const IDENTITY: u16 = 5;

/// What the peer's `SIGNATURE_HASH_ALGORITHMS` announced (RFC 7427 §4).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PeerHashes(Option<Vec<u16>>);

impl PeerHashes {
    /// The peer sent no such notify: it knows the older methods only.
    pub fn absent() -> Self {
        Self(None)
    }

    /// The data of the notify: 16-bit numbers; those that we do not know do not matter.
    pub fn from_notify(data: &[u8]) -> Self {
        let numbers = data.as_chunks::<2>().0.iter().map(|number| u16::from_be_bytes(*number));
        Self(Some(numbers.take(limits::SIGNATURE_HASHES).collect()))
    }

    fn has(&self, number: u16) -> bool {
        self.0.as_ref().is_some_and(|numbers| numbers.contains(&number))
    }

    /// The first of our hashes that the peer has, too.
    fn first(&self) -> Option<HashAlgorithm> {
        HashAlgorithm::ALL.into_iter().find(|hash| self.has(hash.number()))
    }

    fn describe(&self) -> String {
        match &self.0 {
            None => "none".into(),
            Some(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                format!("[{}]", numbers.join(", "))
            }
        }
    }
}

/// Why a proof by signature was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The AUTH payload's method is none of 1, 9, 10 and 14.
    #[error("authentication method {0} is no signature that is supported here")]
    UnsupportedMethod(AuthMethod),
    /// An algorithm that we do not have; its name or OID.
    #[error("the signature algorithm is not supported: {0}")]
    UnsupportedAlgorithm(String),
    /// SHA-1 or worse.
    #[error("the signature is made with {0}, which is broken; the peer must use SHA-2 (RFC 7427)")]
    WeakHash(String),
    /// The algorithm is not of this key.
    #[error("a signature of type {scheme} cannot be checked with a key of type {key}")]
    WrongKeyType {
        /// The peer's key.
        key: KeyKind,
        /// What the signature says it is.
        scheme: Scheme,
    },
    /// The signature does not fit the key and what is signed.
    #[error("the signature is wrong: it was made with another key, or over other data")]
    Value,
    /// No AUTH data of this method.
    #[error("the signature is malformed")]
    Malformed,
}

impl From<SchemeError> for SignatureError {
    fn from(error: SchemeError) -> Self {
        match error {
            SchemeError::Malformed => Self::Malformed,
            SchemeError::Unsupported(name) => Self::UnsupportedAlgorithm(name),
            SchemeError::Weak(name) => Self::WeakHash(name),
        }
    }
}

/// The data of our `SIGNATURE_HASH_ALGORITHMS` notify: SHA-256, SHA-384, SHA-512, identity; never SHA-1.
pub fn signature_hash_algorithms() -> Vec<u8> {
    let numbers = HashAlgorithm::ALL.map(HashAlgorithm::number).into_iter().chain([IDENTITY]);
    numbers.flat_map(u16::to_be_bytes).collect()
}

/// Our proof: the method and the data of the AUTH payload over `octets` (RFC 7296 §2.15).
///
/// RFC 7427 is used with every peer that announced a hash which our key signs with: for RSA the shortest of them, for
/// ECDSA the curve's own. Other peers get the older methods.
///
/// # Errors
/// [`SigningError::NothingInCommon`] for an Ed25519 key, which the older methods do not have.
pub fn sign(
    key: &SigningKey,
    octets: &[u8],
    peer: &PeerHashes,
    padding: RsaPadding,
) -> Result<(AuthMethod, Vec<u8>), SigningError> {
    let (method, scheme) = choose(key.public_key().kind(), peer, padding)?;
    let signature = key.sign(scheme, octets)?;
    if method != AuthMethod::DIGITAL_SIGNATURE {
        return Ok((method, signature));
    }
    let algorithm = scheme.to_der();
    let mut data = vec![u8::try_from(algorithm.len()).map_err(|_| SigningError::Failed)?];
    data.extend(algorithm);
    data.extend(signature);
    Ok((method, data))
}

fn choose(
    kind: KeyKind,
    peer: &PeerHashes,
    padding: RsaPadding,
) -> Result<(AuthMethod, Scheme), SigningError> {
    let ecdsa = |hash: HashAlgorithm, older| {
        if peer.has(hash.number()) {
            (AuthMethod::DIGITAL_SIGNATURE, Scheme::Ecdsa(hash))
        } else {
            (older, Scheme::EcdsaFixed(hash))
        }
    };
    Ok(match (kind, peer.first()) {
        (KeyKind::Rsa(_), Some(hash)) => (
            AuthMethod::DIGITAL_SIGNATURE,
            match padding {
                RsaPadding::Pss => Scheme::RsaPss(hash),
                RsaPadding::Pkcs1 => Scheme::RsaPkcs1(hash),
            },
        ),
        (KeyKind::Rsa(_), None) => (AuthMethod::RSA_SIGNATURE, Scheme::RsaPkcs1(HashAlgorithm::Sha256)),
        (KeyKind::P256, _) => ecdsa(HashAlgorithm::Sha256, AuthMethod::ECDSA_256),
        (KeyKind::P384, _) => ecdsa(HashAlgorithm::Sha384, AuthMethod::ECDSA_384),
        (KeyKind::Ed25519, _) if peer.has(IDENTITY) => (AuthMethod::DIGITAL_SIGNATURE, Scheme::Ed25519),
        (KeyKind::Ed25519, _) => return Err(SigningError::NothingInCommon(peer.describe())),
    })
}

/// Checks a peer's proof: the AUTH payload's `method` and `data` over `octets`.
///
/// # Errors
/// [`SignatureError`], one variant a reason.
pub fn verify(
    key: &PublicKey,
    octets: &[u8],
    method: AuthMethod,
    data: &[u8],
) -> Result<Scheme, SignatureError> {
    match method {
        AuthMethod::DIGITAL_SIGNATURE => {
            let (scheme, signature) = digital_signature(data)?;
            check(key, octets, scheme, signature)
        }
        AuthMethod::RSA_SIGNATURE => rsa_signature(key, octets, data),
        AuthMethod::ECDSA_256 => check(key, octets, Scheme::EcdsaFixed(HashAlgorithm::Sha256), data),
        AuthMethod::ECDSA_384 => check(key, octets, Scheme::EcdsaFixed(HashAlgorithm::Sha384), data),
        other => Err(SignatureError::UnsupportedMethod(other)),
    }
}

/// RFC 7427 §3: a byte of length, the `AlgorithmIdentifier`, the signature.
fn digital_signature(data: &[u8]) -> Result<(Scheme, &[u8]), SignatureError> {
    let (length, rest) = data.split_first().ok_or(SignatureError::Malformed)?;
    let (algorithm, signature) =
        rest.split_at_checked(usize::from(*length)).ok_or(SignatureError::Malformed)?;
    Ok((Scheme::from_der(algorithm)?, signature))
}

fn check(key: &PublicKey, octets: &[u8], scheme: Scheme, signature: &[u8]) -> Result<Scheme, SignatureError> {
    if !scheme.fits(key.kind()) {
        return Err(SignatureError::WrongKeyType { key: key.kind(), scheme });
    }
    key.verify(scheme, octets, signature).map(|()| scheme).map_err(|_| SignatureError::Value)
}

/// The method does not say which hash it is made with: each is tried, SHA-1 only to name it.
fn rsa_signature(key: &PublicKey, octets: &[u8], signature: &[u8]) -> Result<Scheme, SignatureError> {
    for scheme in HashAlgorithm::ALL.map(Scheme::RsaPkcs1) {
        match check(key, octets, scheme, signature) {
            Err(SignatureError::Value) => {}
            decided => return decided,
        }
    }
    if key.is_pkcs1_sha1(octets, signature) {
        return Err(SignatureError::WeakHash("SHA-1".into()));
    }
    Err(SignatureError::Value)
}
