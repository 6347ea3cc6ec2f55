//! What each certificate of a path must be by itself (RFC 5280 §6.1.3, §6.1.4; RFC 4945 §5.1.3).

use der::asn1::ObjectIdentifier;

use super::path_error::PathError;
use super::{Certificate, PublicKeyError, Utc, oid};
use crate::limits;

/// The purposes with which a certificate is taken for IKE.
///
/// RFC 4945 §5.1.3.12 knows `ipsecIKE` and `anyExtendedKeyUsage`. Real IKE certificates are made for `serverAuth`,
/// because Windows and Apple clients ask for it, or `clientAuth`; strongSwan does not look at all. Those for code or mail
/// alone are refused.
const PURPOSES: [ObjectIdentifier; 4] =
    [oid::IPSEC_IKE, oid::ANY_PURPOSE, oid::SERVER_AUTH, oid::CLIENT_AUTH];

/// A peer's own certificate.
pub(super) fn end_entity(certificate: &Certificate, now: u64) -> Result<(), PathError> {
    let subject = || subject(certificate);
    common(certificate)?;
    dates(certificate, now)?;
    if certificate.is_ca() {
        return Err(PathError::CaAsEndEntity { subject: subject() });
    }
    purpose(certificate)?;
    // RFC 4945 §5.1.3.2: "if the KeyUsage extension is present, then at least one of the digitalSignature or the
    // nonRepudiation bits in the KeyUsage extension MUST be set".
    match certificate.extensions().key_usage {
        Some(usage) if !usage.digital_signature() && !usage.non_repudiation() => {
            Err(PathError::WrongKeyUsage { subject: subject(), needed: "digital signatures" })
        }
        _ => Ok(()),
    }
}

/// A certificate between the peer's and the anchor.
pub(super) fn intermediate(certificate: &Certificate, now: u64) -> Result<(), PathError> {
    common(certificate)?;
    dates(certificate, now)?;
    authority(certificate)?;
    purpose(certificate)
}

/// A configured authority. Its own signature is not looked at: nothing rests on it.
pub(super) fn anchor(certificate: &Certificate, now: u64) -> Result<(), PathError> {
    common(certificate)?;
    dates(certificate, now).map_err(|error| match error {
        PathError::Expired { subject, not_after, now } => {
            PathError::AnchorExpired { subject, not_after, now }
        }
        PathError::NotYetValid { subject, not_before, now } => {
            PathError::AnchorNotYetValid { subject, not_before, now }
        }
        other => other,
    })?;
    authority(certificate)
}

/// The dates, for a pinned certificate as well.
pub(super) fn dates(certificate: &Certificate, now: u64) -> Result<(), PathError> {
    let subject = || subject(certificate);
    if now < certificate.not_before() {
        let not_before = Utc(certificate.not_before());
        return Err(PathError::NotYetValid { subject: subject(), not_before, now: Utc(now) });
    }
    if now > certificate.not_after() {
        let not_after = Utc(certificate.not_after());
        return Err(PathError::Expired { subject: subject(), not_after, now: Utc(now) });
    }
    Ok(())
}

/// Whether there is a key that may be used.
pub(super) fn key(certificate: &Certificate) -> Result<(), PathError> {
    let subject = subject(certificate);
    certificate.public_key().map(|_| ()).map_err(|error| match error {
        PublicKeyError::WeakRsa(_) | PublicKeyError::RsaExponent => {
            PathError::WeakKey { subject, reason: error.to_string() }
        }
        _ => PathError::UnsupportedKey { subject, reason: error.to_string() },
    })
}

/// The subject as errors quote it: a peer chose it, so only so much of it.
pub(super) fn subject(certificate: &Certificate) -> String {
    quote(&certificate.subject().to_string())
}

pub(crate) fn quote(text: &str) -> String {
    if text.chars().count() <= limits::DIAGNOSIS_QUOTE {
        return text.to_owned();
    }
    text.chars().take(limits::DIAGNOSIS_QUOTE).chain(['…']).collect()
}

fn common(certificate: &Certificate) -> Result<(), PathError> {
    if certificate.version() != 3 {
        return Err(PathError::OldVersion { subject: subject(certificate), version: certificate.version() });
    }
    key(certificate)?;
    match &certificate.extensions().unknown_critical {
        Some(extension) => Err(PathError::UnknownCriticalExtension {
            subject: subject(certificate),
            extension: extension.clone(),
        }),
        None => Ok(()),
    }
}

/// RFC 5280 §6.1.4 (k): "verify that the basicConstraints extension is present and that cA is set to TRUE"; (n): "If a key
/// usage extension is present, verify that the keyCertSign bit is set".
fn authority(certificate: &Certificate) -> Result<(), PathError> {
    if !certificate.is_ca() {
        return Err(PathError::NotACa { subject: subject(certificate) });
    }
    match certificate.extensions().key_usage {
        Some(usage) if !usage.key_cert_sign() => {
            Err(PathError::WrongKeyUsage { subject: subject(certificate), needed: "issuing certificates" })
        }
        _ => Ok(()),
    }
}

/// In an authority's certificate the extension limits what it issues for, as everyone but RFC 5280 has it.
fn purpose(certificate: &Certificate) -> Result<(), PathError> {
    let Some(purposes) = &certificate.extensions().purposes else { return Ok(()) };
    if purposes.iter().any(|purpose| PURPOSES.contains(purpose)) {
        return Ok(());
    }
    let found: Vec<String> = purposes.iter().map(|purpose| oid::name(*purpose)).collect();
    Err(PathError::WrongExtendedKeyUsage { subject: subject(certificate), found: quote(&found.join(", ")) })
}
