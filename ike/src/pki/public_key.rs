//! Public keys that a peer may prove itself with (RFC 5280 §4.1.2.7, RFC 8410).

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Sequence};
use spki::SubjectPublicKeyInfoRef;

use super::oid;
use crate::crypto::sha256;
use crate::limits;

/// 2,048 bits at least (RFC 8247 §3.1.1); the longest is what `ring` verifies with.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// A key of a kind and strength that we use. Compared by the key itself. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Arc<[u8]>,
    /// How many bytes at the end of `spki` are the key itself.
    key_length: usize,
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
        if der.len() > limits::PUBLIC_KEY {
            return Err(PublicKeyError::Malformed);
        }
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PublicKeyError::Malformed)?;
        let key = info.subject_public_key.as_bytes().ok_or(PublicKeyError::Malformed)?;
        let kind = match info.algorithm.oid {
            oid::RSA_ENCRYPTION if info.algorithm.parameters.is_none_or(AnyRef::is_null) => rsa(key)?,
            oid::EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.and_then(|p| p.decode_as().ok());
                elliptic(
                    curve.ok_or_else(|| PublicKeyError::Unsupported("EC without a named curve".into()))?,
                    key,
                )?
            }
            oid::ED25519 if info.algorithm.parameters.is_none() && key.len() == 32 => KeyKind::Ed25519,
            oid::RSA_ENCRYPTION | oid::ED25519 => return Err(PublicKeyError::Malformed),
            other => return Err(PublicKeyError::Unsupported(oid::name(other))),
        };
        Ok(Self { kind, spki: der.into(), key_length: key.len() })
    }

    /// The `SubjectPublicKeyInfo`, DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`Self::spki_der`].
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&[&self.spki])
    }

    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The content of the BIT STRING: a point, an `RSAPublicKey`, or 32 bytes.
    pub(super) fn key_bytes(&self) -> &[u8] {
        let start = self.spki.len().saturating_sub(self.key_length);
        self.spki.get(start..).unwrap_or_default()
    }
}

/// RFC 3279 §2.3.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

fn rsa(key: &[u8]) -> Result<KeyKind, PublicKeyError> {
    let key = RsaPublicKey::from_der(key).map_err(|_| PublicKeyError::Malformed)?;
    let bits = bit_length(key.modulus.as_bytes());
    if bits < *RSA_BITS.start() {
        return Err(PublicKeyError::WeakRsa(bits));
    }
    if bits > *RSA_BITS.end() {
        return Err(PublicKeyError::LongRsa(bits));
    }
    let exponent = key.public_exponent.as_bytes();
    let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    // What `ring` takes: it bounds the work of a verification as well.
    if odd && (17..=33).contains(&bit_length(exponent)) {
        Ok(KeyKind::Rsa(bits))
    } else {
        Err(PublicKeyError::RsaExponent)
    }
}

fn bit_length(number: &[u8]) -> usize {
    let significant: &[u8] =
        number.iter().position(|b| *b != 0).and_then(|at| number.get(at..)).unwrap_or_default();
    let top = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (significant.len() * 8).saturating_sub(top)
}

/// Points must be uncompressed and lie on their curve.
fn elliptic(curve: ObjectIdentifier, point: &[u8]) -> Result<KeyKind, PublicKeyError> {
    let (kind, length, on_curve) = match curve {
        oid::P256 => (KeyKind::P256, 65, p256::PublicKey::from_sec1_bytes(point).is_ok()),
        oid::P384 => (KeyKind::P384, 97, p384::PublicKey::from_sec1_bytes(point).is_ok()),
        other => return Err(PublicKeyError::Unsupported(oid::name(other))),
    };
    match point.first() {
        Some(2 | 3) => Err(PublicKeyError::Unsupported(format!("{kind} with a compressed point"))),
        Some(4) if point.len() == length && on_curve => Ok(kind),
        _ => Err(PublicKeyError::Malformed),
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
