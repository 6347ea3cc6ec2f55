//! An X.509 certificate (RFC 5280 §4), parsed once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::{DistinguishedName, PublicKey, PublicKeyError};
use crate::crypto::sha256;

/// A certificate: parsed once, cheap to clone, compared by its bytes. Nothing is said yet about whether it is to be
/// trusted, or even whether its signature is right.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    fingerprint: [u8; 32],
    subject: DistinguishedName,
    issuer: DistinguishedName,
    serial: Vec<u8>,
    not_before: u64,
    not_after: u64,
    public_key: Result<PublicKey, PublicKeyError>,
    key_hash: [u8; 20],
    subject_key_id: Option<Vec<u8>>,
    subject_alt_names: Vec<SubjectAltName>,
    ca: bool,
}

/// A name that a certificate gives its subject beside the distinguished one (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// `dNSName`, as it stands there.
    Dns(String),
    /// `rfc822Name`, as it stands there.
    Email(String),
    /// `iPAddress`.
    Ip(IpAddr),
    /// `directoryName`.
    Directory(DistinguishedName),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// Of a kind that no identity of IKE can have.
    Other,
}

/// Why bytes are no certificate that we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than any certificate should be.
    #[error("the certificate has {0} bytes; at most {max} are read", max = crate::limits::CERTIFICATE)]
    TooLarge(usize),
    /// No DER of a certificate; what could not be read.
    #[error("the certificate is malformed: {0}")]
    Malformed(&'static str),
    /// More extensions or names than are read.
    #[error("the certificate has too many {0}")]
    TooMany(&'static str),
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertificateError`]; nothing may stand behind the certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > crate::limits::CERTIFICATE {
            return Err(CertificateError::TooLarge(der.len()));
        }
        Err(CertificateError::Malformed("certificates are not read yet"))
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

    /// The key, or why it is none that we use.
    pub fn public_key(&self) -> Result<&PublicKey, PublicKeyError> {
        self.0.public_key.as_ref().map_err(Clone::clone)
    }

    /// Whether its basic constraints make it a CA's.
    pub fn is_ca(&self) -> bool {
        self.0.ca
    }

    /// The subject's other names.
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.0.subject_alt_names
    }

    /// The subject key identifier, if there is one.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.subject_key_id.as_deref()
    }

    /// SHA-1 of the `SubjectPublicKeyInfo`, by which CERTREQ names an authority (RFC 7296 §3.7). Only an index:
    /// nothing rests on its strength.
    pub fn key_hash(&self) -> [u8; 20] {
        self.0.key_hash
    }
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

#[allow(dead_code)]
fn parsed(der: &[u8]) -> [u8; 32] {
    sha256(&[der])
}
