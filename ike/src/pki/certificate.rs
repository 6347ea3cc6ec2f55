//! An X.509 certificate (RFC 5280 §4), parsed once.

use std::fmt;
use std::sync::Arc;

use der::asn1::AnyRef;
use der::{Decode, Encode};
use x509_cert::certificate::{TbsCertificate, Version};

use super::extensions::Extensions;
use super::signed::{BadSignature, Signed};
use super::{DistinguishedName, PublicKey, PublicKeyError, Scheme, SchemeError, SubjectAltName};
use crate::crypto::{sha1, sha256};
use crate::limits;

/// A certificate: parsed once, cheap to clone, compared by its bytes. Nothing is said yet about whether it is to be
/// trusted, or even whether its signature is right.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    signed: Signed,
    fingerprint: [u8; 32],
    version: u8,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    serial: Vec<u8>,
    not_before: u64,
    not_after: u64,
    spki: Vec<u8>,
    public_key: Result<PublicKey, PublicKeyError>,
    extensions: Extensions,
}

/// Why bytes are no certificate that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than any certificate should be.
    #[error("the certificate has {0} bytes; at most {max} are read", max = limits::CERTIFICATE)]
    TooLarge(usize),
    /// No DER of a certificate; what could not be read.
    #[error("the certificate is malformed: {0}")]
    Malformed(&'static str),
    /// More extensions or names than are read.
    #[error("the certificate has too many {0}")]
    TooMany(&'static str),
}

impl Certificate {
    /// Reads DER. Keys and algorithms that we do not use, old versions and unknown critical extensions are no error yet:
    /// they are when something rests on the certificate.
    ///
    /// # Errors
    /// [`CertificateError`]; nothing may stand behind the certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > limits::CERTIFICATE {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let signed = Signed::read(der).ok_or(CertificateError::Malformed("no X.509 certificate as DER"))?;
        let content = der.get(signed.content.clone()).unwrap_or_default();
        let tbs = TbsCertificate::from_der(content)
            .map_err(|_| CertificateError::Malformed("its content cannot be read"))?;
        // RFC 5280 §4.1.1.2: "MUST contain the same algorithm identifier as the signature field".
        if tbs.signature().to_der().ok().as_deref() != der.get(signed.algorithm.clone()) {
            return Err(CertificateError::Malformed("it names two signature algorithms"));
        }
        Ok(Self(Arc::new(Parsed::read(der, signed, &tbs)?)))
    }

    /// The whole certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of [`Self::der`].
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// Whose key this is.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Who says so.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The content of the INTEGER: two's complement, big-endian, as short as it can be.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// First second of its validity, since 1970 UTC.
    pub fn not_before(&self) -> u64 {
        self.0.not_before
    }

    /// Last second of its validity, since 1970 UTC.
    pub fn not_after(&self) -> u64 {
        self.0.not_after
    }

    /// The key.
    ///
    /// # Errors
    /// [`PublicKeyError`] if it is none that we use.
    pub fn public_key(&self) -> Result<&PublicKey, PublicKeyError> {
        self.0.public_key.as_ref().map_err(Clone::clone)
    }

    /// Whether its basic constraints make it a CA's.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.ca
    }

    /// The subject's other names.
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.0.extensions.subject_alt_names
    }

    /// The subject key identifier, if there is one.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// SHA-1 of the `SubjectPublicKeyInfo`, by which CERTREQ names an authority (RFC 7296 §3.7). Only an index:
    /// nothing rests on its strength.
    pub fn key_hash(&self) -> [u8; 20] {
        sha1(&[&self.0.spki])
    }

    /// How it was signed.
    ///
    /// # Errors
    /// [`SchemeError`] if that is in no way that we use.
    pub fn signature_scheme(&self) -> Result<Scheme, SchemeError> {
        Scheme::from_der(self.0.der.get(self.0.signed.algorithm.clone()).unwrap_or_default())
    }

    /// Whether subject and issuer are the same.
    pub fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// 1 to 3.
    pub(super) fn version(&self) -> u8 {
        self.0.version
    }

    pub(super) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// DER of the `SubjectPublicKeyInfo`, also of a key that we do not use.
    pub(super) fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// Checks the signature with the key of who issued it.
    pub(super) fn verify(&self, issuer: &PublicKey) -> Result<(), BadSignature> {
        self.0.signed.verify(&self.0.der, issuer)
    }
}

impl Parsed {
    fn read(der: &[u8], signed: Signed, tbs: &TbsCertificate) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
        let version = match tbs.version() {
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V3 => 3,
        };
        if version != 3 && !extensions.is_empty() {
            return Err(malformed("only version 3 has extensions"));
        }
        let name = |name| DistinguishedName::from_name(name).map_err(|_| malformed("a name"));
        let spki = tbs.subject_public_key_info().to_der().map_err(|_| malformed("the public key"))?;
        Ok(Self {
            fingerprint: sha256(&[der]),
            version,
            subject: name(tbs.subject())?,
            issuer: name(tbs.issuer())?,
            serial: integer(tbs.serial_number())?,
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            public_key: PublicKey::from_spki_der(&spki),
            spki,
            extensions: Extensions::read(extensions)?,
            der: der.to_vec(),
            signed,
        })
    }
}

/// The content of an INTEGER as it stands in DER: what lists and answers about revocation hold, too.
fn integer(number: &impl Encode) -> Result<Vec<u8>, CertificateError> {
    let malformed = |_| CertificateError::Malformed("the serial number");
    let der = number.to_der().map_err(malformed)?;
    Ok(AnyRef::from_der(&der).map_err(malformed)?.value().to_vec())
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}
impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.0.subject)
    }
}
