//! Private keys that sign for us.

use std::fmt;
use std::sync::Arc;

use super::ring_signer::{self, RingSigner};
use super::{Certificate, KeyKind, PublicKey, PublicKeyError, Scheme};

/// Why no signature was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The key cannot make signatures of this kind.
    #[error("a key of type {key} cannot sign with {scheme}")]
    WrongKeyType {
        /// The key's kind.
        key: KeyKind,
        /// What was asked of it.
        scheme: Scheme,
    },
    /// The peer verifies nothing that our key can make.
    #[error(
        "the peer does not verify Ed25519: its SIGNATURE_HASH_ALGORITHMS must hold 5, `identity` (RFC 8420); it sent {0}"
    )]
    NothingInCommon(String),
    /// `ring` failed: no randomness.
    #[error("the signature could not be made")]
    Failed,
}

/// A private key; cheap to clone, printed as its kind only, compared by its public half.
///
/// Ed25519 and RSASSA-PKCS1-v1_5 signatures are a function of key and message. `ring` draws the randomness of ECDSA and
/// RSASSA-PSS itself, so those bytes differ from run to run. No decision depends on them, but an ECDSA value as DER has
/// one of several lengths: simulations whose seeds must replay to the byte sign with Ed25519.
///
/// `ring` does not erase keys on drop.
#[derive(Clone)]
pub struct SigningKey(Arc<RingSigner>);

/// Why bytes are no private key that we use. Not a word of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// None of PKCS#8, SEC1 and PKCS#1.
    #[error("malformed private key: neither PKCS#8 nor SEC1 nor PKCS#1")]
    Malformed,
    /// Its public half is of no kind that we use.
    #[error(transparent)]
    Unsupported(#[from] PublicKeyError),
    /// The parts of the key do not fit each other, or it is longer than `ring` signs with (RSA: 4,096 bits).
    #[error("the private key cannot be used: {0}")]
    Rejected(String),
}

impl SigningKey {
    /// Reads PKCS#8 (not encrypted), SEC1 (EC) or PKCS#1 (RSA) DER.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, SigningKeyError> {
        ring_signer::from_der(der).map(|key| Self(Arc::new(key)))
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// Whether this is the key of the certificate.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        certificate.public_key() == Ok(self.public_key())
    }

    /// The signature over `message`. `Err` if the scheme does not fit the key, or there is no randomness.
    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.0.sign(scheme, message)
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.public_key() == other.public_key()
    }
}
impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().kind())
    }
}
