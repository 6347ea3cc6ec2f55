//! Private keys in memory: PKCS#8 (RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017) to keys of `ring`.

use der::asn1::{AnyRef, BitString, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag};
use p256::elliptic_curve::sec1::ToSec1Point;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding,
};
use spki::{AlgorithmIdentifier, AlgorithmIdentifierRef, SubjectPublicKeyInfo};

use super::{HashAlgorithm, KeyKind, PublicKey, PublicKeyError, Scheme, SigningError, SigningKeyError, oid};

/// What `ring` signs with.
const RSA_SIGNING_BITS: usize = 4096;

pub(super) struct RingSigner {
    public: PublicKey,
    private: Private,
}

enum Private {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(super) fn from_der(der: &[u8]) -> Result<RingSigner, SigningKeyError> {
    match form(der).ok_or(SigningKeyError::Malformed)? {
        Form::Pkcs8 { algorithm, key } => match algorithm.oid {
            oid::RSA_ENCRYPTION => rsa(key),
            oid::EC_PUBLIC_KEY => {
                sec1(key, algorithm.parameters.and_then(|parameters| parameters.decode_as().ok()))
            }
            oid::ED25519 => ed25519(key),
            other => Err(PublicKeyError::Unsupported(oid::name(other)).into()),
        },
        Form::Sec1 => sec1(der, None),
        Form::Pkcs1 => rsa(der),
    }
}

enum Form<'a> {
    Pkcs8 { algorithm: AlgorithmIdentifierRef<'a>, key: &'a [u8] },
    Sec1,
    Pkcs1,
}

/// All three are sequences that begin with a version; what follows it tells them apart.
fn form(der: &[u8]) -> Option<Form<'_>> {
    let mut outer = SliceReader::new(der).ok()?;
    let content = outer.decode::<AnyRef<'_>>().ok()?;
    outer.finish().ok()?;
    if content.header().tag() != Tag::Sequence {
        return None;
    }
    let mut fields = SliceReader::new(content.value()).ok()?;
    let _version: u8 = fields.decode().ok()?;
    match Tag::peek(&fields).ok()? {
        Tag::Sequence => {
            let algorithm = fields.decode().ok()?;
            let key: &OctetStringRef = fields.decode().ok()?;
            Some(Form::Pkcs8 { algorithm, key: key.as_bytes() })
        }
        Tag::OctetString => Some(Form::Sec1),
        Tag::Integer => Some(Form::Pkcs1),
        _ => None,
    }
}

/// Those of `RSAPrivateKey` that make the public half (RFC 8017 §A.1.2); `ring` reads the rest.
fn rsa(der: &[u8]) -> Result<RingSigner, SigningKeyError> {
    let public = || -> Option<Vec<u8>> {
        let sequence = AnyRef::from_der(der).ok()?;
        let mut fields = SliceReader::new(sequence.value()).ok()?;
        let _version: u8 = fields.decode().ok()?;
        let modulus: UintRef<'_> = fields.decode().ok()?;
        let exponent: UintRef<'_> = fields.decode().ok()?;
        [modulus, exponent].to_der().ok()
    };
    let key = public().ok_or(SigningKeyError::Malformed)?;
    let public = public_key(oid::RSA_ENCRYPTION, Some(AnyRef::NULL), &key)?;
    if matches!(public.kind(), KeyKind::Rsa(bits) if bits > RSA_SIGNING_BITS) {
        return Err(SigningKeyError::Rejected(format!(
            "RSA keys sign with at most {RSA_SIGNING_BITS} bits here"
        )));
    }
    let private = RsaKeyPair::from_der(der).map_err(|e| SigningKeyError::Rejected(e.to_string()))?;
    // `ring` finds out about wrong exponents of the primes only when it signs.
    sign_rsa(&private, &RSA_PKCS1_SHA256, b"")
        .map_err(|_| SigningKeyError::Rejected("its parts do not fit each other".into()))?;
    Ok(RingSigner { public, private: Private::Rsa(private) })
}

/// RFC 5915 §3. `curve`: from the PKCS#8 wrapping, if there is one.
fn sec1(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<RingSigner, SigningKeyError> {
    let key = EcPrivateKey::from_der(der).map_err(|_| SigningKeyError::Malformed)?;
    let curve = curve.or(key.parameters).ok_or(SigningKeyError::Malformed)?;
    let scalar = key.private_key.as_bytes();
    let rejected = || SigningKeyError::Rejected("its number is not one of the curve".into());
    // The public half may be missing in the file, and is not believed if it is there.
    let (algorithm, point) = match curve {
        oid::P256 => {
            let secret = p256::SecretKey::from_slice(scalar).map_err(|_| rejected())?;
            (&ECDSA_P256_SHA256_FIXED_SIGNING, secret.public_key().to_sec1_point(false).as_bytes().to_vec())
        }
        oid::P384 => {
            let secret = p384::SecretKey::from_slice(scalar).map_err(|_| rejected())?;
            (&ECDSA_P384_SHA384_FIXED_SIGNING, secret.public_key().to_sec1_point(false).as_bytes().to_vec())
        }
        other => return Err(PublicKeyError::Unsupported(oid::name(other)).into()),
    };
    let private =
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, &point, &SystemRandom::new());
    let private = private.map_err(|e| SigningKeyError::Rejected(e.to_string()))?;
    let public = public_key(oid::EC_PUBLIC_KEY, Some(AnyRef::from(&curve)), &point)?;
    Ok(RingSigner { public, private: Private::Ecdsa(private) })
}

#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    parameters: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<AnyRef<'a>>,
}

/// RFC 8410 §7: the key is an OCTET STRING of 32 bytes in the OCTET STRING.
fn ed25519(key: &[u8]) -> Result<RingSigner, SigningKeyError> {
    let seed = <&OctetStringRef>::from_der(key).map_err(|_| SigningKeyError::Malformed)?;
    let private = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes())
        .map_err(|e| SigningKeyError::Rejected(e.to_string()))?;
    let public = public_key(oid::ED25519, None, private.public_key().as_ref())?;
    Ok(RingSigner { public, private: Private::Ed25519(private) })
}

fn public_key(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<PublicKey, SigningKeyError> {
    let subject_public_key = BitString::from_bytes(key).map_err(|_| SigningKeyError::Malformed)?;
    let info =
        SubjectPublicKeyInfo { algorithm: AlgorithmIdentifier { oid, parameters }, subject_public_key };
    let der = info.to_der().map_err(|_| SigningKeyError::Malformed)?;
    Ok(PublicKey::from_spki_der(&der)?)
}

impl RingSigner {
    pub(super) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        match (&self.private, scheme) {
            (Private::Rsa(key), Scheme::RsaPss(hash)) => sign_rsa(key, pss(hash), message),
            (Private::Rsa(key), Scheme::RsaPkcs1(hash)) => sign_rsa(key, pkcs1(hash), message),
            (Private::Ecdsa(key), Scheme::EcdsaFixed(hash)) if Some(hash) == self.curve_hash() => {
                sign_ecdsa(key, message)
            }
            (Private::Ecdsa(key), Scheme::Ecdsa(hash)) if Some(hash) == self.curve_hash() => {
                sign_ecdsa(key, message).and_then(|value| as_der(&value))
            }
            (Private::Ed25519(key), Scheme::Ed25519) => Ok(key.sign(message).as_ref().to_vec()),
            _ => Err(SigningError::WrongKeyType { key: self.public.kind(), scheme }),
        }
    }

    /// The only hash that `ring` signs with on this curve.
    fn curve_hash(&self) -> Option<HashAlgorithm> {
        match self.public.kind() {
            KeyKind::P256 => Some(HashAlgorithm::Sha256),
            KeyKind::P384 => Some(HashAlgorithm::Sha384),
            _ => None,
        }
    }
}

fn pss(hash: HashAlgorithm) -> &'static dyn RsaEncoding {
    match hash {
        HashAlgorithm::Sha256 => &RSA_PSS_SHA256,
        HashAlgorithm::Sha384 => &RSA_PSS_SHA384,
        HashAlgorithm::Sha512 => &RSA_PSS_SHA512,
    }
}

fn pkcs1(hash: HashAlgorithm) -> &'static dyn RsaEncoding {
    match hash {
        HashAlgorithm::Sha256 => &RSA_PKCS1_SHA256,
        HashAlgorithm::Sha384 => &RSA_PKCS1_SHA384,
        HashAlgorithm::Sha512 => &RSA_PKCS1_SHA512,
    }
}

fn sign_rsa(
    key: &RsaKeyPair,
    encoding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, SigningError> {
    let mut signature = vec![0; key.public().modulus_len()];
    let signed = key.sign(encoding, &SystemRandom::new(), message, &mut signature);
    signed.map(|()| signature).map_err(|_| SigningError::Failed)
}

fn sign_ecdsa(key: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, SigningError> {
    let signature = key.sign(&SystemRandom::new(), message).map_err(|_| SigningError::Failed)?;
    Ok(signature.as_ref().to_vec())
}

/// `r | s` as `SEQUENCE { INTEGER, INTEGER }` (RFC 3279 §2.2.3).
fn as_der(value: &[u8]) -> Result<Vec<u8>, SigningError> {
    let (r, s) = value.split_at(value.len() / 2);
    let written = UintRef::new(r).and_then(|r| [r, UintRef::new(s)?].to_der());
    written.map_err(|_| SigningError::Failed)
}
