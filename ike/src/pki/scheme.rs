//! Signature schemes and the `AlgorithmIdentifier`s that name them (RFC 4055, RFC 5758, RFC 8410; RFC 7427 Appendix A).

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use spki::AlgorithmIdentifierRef;

use super::{KeyKind, oid};

/// The hash functions that signatures are made with here. SHA-1 is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// 2 in RFC 7427's registry.
    Sha256,
    /// 3.
    Sha384,
    /// 4.
    Sha512,
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
    /// Ed25519 (RFC 8410): the message itself is signed.
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

impl HashAlgorithm {
    pub(super) const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its number in RFC 7427's registry.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Sha256 => 2,
            Self::Sha384 => 3,
            Self::Sha512 => 4,
        }
    }

    fn length(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
        }
    }

    fn from_identifier(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Self, SchemeError> {
        // RFC 4055 §2.1: "implementations MUST accept the parameters being absent as well as present".
        if !identifier.parameters.is_none_or(AnyRef::is_null) {
            return Err(SchemeError::Malformed);
        }
        let known = Self::ALL.into_iter().find(|hash| hash.oid() == identifier.oid);
        known.ok_or_else(|| match identifier.oid {
            oid::SHA1 => SchemeError::Weak("RSASSA-PSS with SHA-1".into()),
            other => SchemeError::Unsupported(format!("RSASSA-PSS with {}", oid::name(other))),
        })
    }
}

impl Scheme {
    /// The scheme that DER of an `AlgorithmIdentifier` names.
    ///
    /// # Errors
    /// [`SchemeError`]; nothing may stand behind it.
    pub fn from_der(algorithm: &[u8]) -> Result<Self, SchemeError> {
        let identifier = AlgorithmIdentifierRef::from_der(algorithm).map_err(|_| SchemeError::Malformed)?;
        let scheme = match identifier.oid {
            oid::RSASSA_PSS => return pss(identifier.parameters),
            oid::SHA256_WITH_RSA => Self::RsaPkcs1(HashAlgorithm::Sha256),
            oid::SHA384_WITH_RSA => Self::RsaPkcs1(HashAlgorithm::Sha384),
            oid::SHA512_WITH_RSA => Self::RsaPkcs1(HashAlgorithm::Sha512),
            oid::ECDSA_WITH_SHA256 => Self::Ecdsa(HashAlgorithm::Sha256),
            oid::ECDSA_WITH_SHA384 => Self::Ecdsa(HashAlgorithm::Sha384),
            oid::ECDSA_WITH_SHA512 => Self::Ecdsa(HashAlgorithm::Sha512),
            oid::ED25519 => Self::Ed25519,
            other => return Err(refused(other)),
        };
        let fits = match scheme {
            // RFC 4055 §5: "MUST be NULL. Implementations MUST accept the parameters being absent as well as present".
            Self::RsaPkcs1(_) => identifier.parameters.is_none_or(AnyRef::is_null),
            // RFC 5758 §3.2, RFC 8410 §3: "MUST be absent".
            _ => identifier.parameters.is_none(),
        };
        if fits { Ok(scheme) } else { Err(SchemeError::Malformed) }
    }

    /// DER of the `AlgorithmIdentifier`; empty for RFC 4754's, which has none.
    pub fn to_der(self) -> Vec<u8> {
        fn identifier(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>) -> der::Result<Vec<u8>> {
            AlgorithmIdentifierRef { oid, parameters }.to_der()
        }
        let written = match self {
            Self::RsaPss(hash) => PssParameters::of(hash)
                .and_then(|parameters| identifier(oid::RSASSA_PSS, Some(AnyRef::from_der(&parameters)?))),
            Self::RsaPkcs1(HashAlgorithm::Sha256) => identifier(oid::SHA256_WITH_RSA, Some(AnyRef::NULL)),
            Self::RsaPkcs1(HashAlgorithm::Sha384) => identifier(oid::SHA384_WITH_RSA, Some(AnyRef::NULL)),
            Self::RsaPkcs1(HashAlgorithm::Sha512) => identifier(oid::SHA512_WITH_RSA, Some(AnyRef::NULL)),
            Self::Ecdsa(HashAlgorithm::Sha256) => identifier(oid::ECDSA_WITH_SHA256, None),
            Self::Ecdsa(HashAlgorithm::Sha384) => identifier(oid::ECDSA_WITH_SHA384, None),
            Self::Ecdsa(HashAlgorithm::Sha512) => identifier(oid::ECDSA_WITH_SHA512, None),
            Self::EcdsaFixed(_) => Ok(Vec::new()),
            Self::Ed25519 => identifier(oid::ED25519, None),
        };
        written.unwrap_or_default()
    }

    /// Whether a key of this kind can make it.
    pub fn fits(self, kind: KeyKind) -> bool {
        matches!(
            (self, kind),
            (Self::RsaPss(_) | Self::RsaPkcs1(_), KeyKind::Rsa(_))
                | (Self::Ecdsa(_), KeyKind::P256 | KeyKind::P384)
                | (Self::EcdsaFixed(HashAlgorithm::Sha256), KeyKind::P256)
                | (Self::EcdsaFixed(HashAlgorithm::Sha384), KeyKind::P384)
                | (Self::Ed25519, KeyKind::Ed25519)
        )
    }
}

/// RFC 4055 §3.1. What is left out has its default, which is SHA-1 everywhere.
#[derive(Sequence)]
struct PssParameters<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierRef<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifierRef<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt_length: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u8>,
}

impl PssParameters<'_> {
    fn of(hash: HashAlgorithm) -> der::Result<Vec<u8>> {
        let identifier = AlgorithmIdentifierRef { oid: hash.oid(), parameters: Some(AnyRef::NULL) };
        let inner = identifier.to_der()?;
        let mask = AlgorithmIdentifierRef { oid: oid::MGF1, parameters: Some(AnyRef::from_der(&inner)?) };
        let salt_length = Some(hash.length().into());
        PssParameters { hash: Some(identifier), mask: Some(mask), salt_length, trailer: None }.to_der()
    }
}

/// Default parameters mean SHA-1 (RFC 8247 §3.2: MUST NOT).
fn pss(parameters: Option<AnyRef<'_>>) -> Result<Scheme, SchemeError> {
    let malformed = |_| SchemeError::Malformed;
    let parameters: PssParameters<'_> =
        parameters.ok_or(SchemeError::Malformed)?.decode_as().map_err(malformed)?;
    let weak = || SchemeError::Weak("RSASSA-PSS with SHA-1".into());
    let hash = HashAlgorithm::from_identifier(&parameters.hash.ok_or_else(weak)?)?;
    let mask = parameters.mask.ok_or_else(weak)?;
    if mask.oid != oid::MGF1 {
        return Err(SchemeError::Unsupported(format!(
            "RSASSA-PSS with the mask function {}",
            oid::name(mask.oid)
        )));
    }
    let mask_hash = mask.parameters.ok_or(SchemeError::Malformed)?.decode_as().map_err(malformed)?;
    if HashAlgorithm::from_identifier(&mask_hash)? != hash {
        return Err(SchemeError::Unsupported("RSASSA-PSS with two different hashes".into()));
    }
    match parameters.salt_length.unwrap_or(20) {
        salt if salt == u32::from(hash.length()) => {}
        salt => {
            return Err(SchemeError::Unsupported(format!(
                "RSASSA-PSS with {hash} and a salt of {salt} bytes"
            )));
        }
    }
    if parameters.trailer.unwrap_or(1) == 1 { Ok(Scheme::RsaPss(hash)) } else { Err(SchemeError::Malformed) }
}

fn refused(algorithm: ObjectIdentifier) -> SchemeError {
    let name = oid::name(algorithm);
    let weak = ["md2", "md5", "sha1", "SHA1"].iter().any(|hash| name.contains(hash));
    if weak { SchemeError::Weak(name) } else { SchemeError::Unsupported(name) }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
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
