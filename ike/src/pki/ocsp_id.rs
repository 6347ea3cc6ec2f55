//! How OCSP names certificates and responders: by hashes (RFC 6960 §4.1.1, §4.2.1).

use der::asn1::{AnyRef, IntRef, OctetStringRef};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use spki::AlgorithmIdentifierRef;

use super::{Certificate, DistinguishedName, oid};
use crate::crypto::{sha1, sha256};

/// A certificate, by its issuer's name and key and its serial number. The hashes are only an index, so SHA-1 is good
/// enough, and what every responder knows: whose answer it is shows the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateId {
    hash: IdHash,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdHash {
    Sha1,
    Sha256,
    Other,
}

impl IdHash {
    fn of(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Sha1 => Some(sha1(&[bytes]).to_vec()),
            Self::Sha256 => Some(sha256(&[bytes]).to_vec()),
            Self::Other => None,
        }
    }
}

#[derive(Sequence)]
pub(super) struct CertificateIdDer<'a> {
    hash_algorithm: AlgorithmIdentifierRef<'a>,
    issuer_name_hash: &'a OctetStringRef,
    issuer_key_hash: &'a OctetStringRef,
    serial_number: IntRef<'a>,
}

impl CertificateId {
    pub(super) fn read(id: &CertificateIdDer<'_>) -> Option<Self> {
        let hash = match id.hash_algorithm.oid {
            oid::SHA1 => IdHash::Sha1,
            oid::SHA256 => IdHash::Sha256,
            _ => IdHash::Other,
        };
        let serial = id.serial_number.to_der().ok()?;
        Some(Self {
            hash,
            name_hash: id.issuer_name_hash.as_bytes().to_vec(),
            key_hash: id.issuer_key_hash.as_bytes().to_vec(),
            serial: AnyRef::from_der(&serial).ok()?.value().to_vec(),
        })
    }

    fn with(hash: IdHash, certificate: &Certificate, issuer: &Certificate) -> Option<Self> {
        Some(Self {
            hash,
            name_hash: hash.of(certificate.issuer().der())?,
            key_hash: hash.of(issuer.public_key().ok()?.key_bytes())?,
            serial: certificate.serial().to_vec(),
        })
    }

    /// Whether this names the certificate.
    pub(super) fn names(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        Self::with(self.hash, certificate, issuer).as_ref() == Some(self)
    }
}

/// A request about one certificate, DER.
pub(super) fn request(certificate: &Certificate, issuer: &Certificate) -> Option<Vec<u8>> {
    let id = CertificateId::with(IdHash::Sha1, certificate, issuer)?;
    let der = CertificateIdDer {
        hash_algorithm: AlgorithmIdentifierRef { oid: oid::SHA1, parameters: Some(AnyRef::NULL) },
        issuer_name_hash: OctetStringRef::new(&id.name_hash).ok()?,
        issuer_key_hash: OctetStringRef::new(&id.key_hash).ok()?,
        serial_number: IntRef::new(&id.serial).ok()?,
    };
    let sequence = |inside: &[u8]| AnyRef::new(Tag::Sequence, inside).and_then(|any| any.to_der()).ok();
    // OCSPRequest { tbsRequest { requestList { Request { reqCert } } } }
    sequence(&sequence(&sequence(&sequence(&der.to_der().ok()?)?)?)?)
}

/// Who answers: by name, or by SHA-1 of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ResponderId {
    Name(DistinguishedName),
    KeyHash(Vec<u8>),
}

impl ResponderId {
    /// `CHOICE { byName [1] EXPLICIT Name, byKey [2] EXPLICIT OCTET STRING }`.
    pub(super) fn read(id: AnyRef<'_>) -> Option<Self> {
        let Tag::ContextSpecific { constructed: true, number } = id.tag() else { return None };
        match number.value() {
            1 => DistinguishedName::from_der(id.value()).ok().map(Self::Name),
            2 => <&OctetStringRef>::from_der(id.value())
                .ok()
                .map(|hash| Self::KeyHash(hash.as_bytes().to_vec())),
            _ => None,
        }
    }

    pub(super) fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => name == certificate.subject(),
            Self::KeyHash(hash) => {
                certificate.public_key().is_ok_and(|key| sha1(&[key.key_bytes()]).as_slice() == hash)
            }
        }
    }
}
