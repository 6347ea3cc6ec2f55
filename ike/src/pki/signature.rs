//! The AUTH payload's signatures: RFC 7427 (method 14), and the older methods 1 (RFC 7296), 9 and 10 (RFC 4754).

use super::{KeyKind, PublicKey, RsaPadding, Scheme, SigningError, SigningKey};
use crate::wire::AuthMethod;

/// What the peer's `SIGNATURE_HASH_ALGORITHMS` announced (RFC 7427 §4).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PeerHashes(Option<Vec<u16>>);

impl PeerHashes {
    /// The peer sent no such notify: it knows the older methods only.
    pub fn absent() -> Self {
        Self(None)
    }

    /// The data of the notify: 16-bit numbers. A trailing odd byte is ignored.
    pub fn from_notify(data: &[u8]) -> Self {
        let numbers = data.as_chunks::<2>().0.iter().map(|number| u16::from_be_bytes(*number));
        Self(Some(numbers.take(crate::limits::SIGNATURE_HASHES).collect()))
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
    #[error("the signature is made with {0}, which is broken")]
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

/// The data of our `SIGNATURE_HASH_ALGORITHMS` notify: SHA-256, SHA-384, SHA-512, identity.
pub fn signature_hash_algorithms() -> Vec<u8> {
    [2u16, 3, 4, 5].into_iter().flat_map(u16::to_be_bytes).collect()
}

/// Our proof: the method and the data of the AUTH payload over `octets` (RFC 7296 §2.15).
///
/// # Errors
/// [`SigningError::NothingInCommon`] if the peer verifies nothing that the key can make.
pub fn sign(
    key: &SigningKey,
    octets: &[u8],
    peer: &PeerHashes,
    padding: RsaPadding,
) -> Result<(AuthMethod, Vec<u8>), SigningError> {
    let _ = (octets, peer, padding);
    Err(SigningError::NothingInCommon { key: key.public_key().kind(), why: "nothing yet".into() })
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
    let _ = (key, octets, data);
    Err(SignatureError::UnsupportedMethod(method))
}
