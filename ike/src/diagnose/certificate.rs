//! What is wrong with a peer's certificates and signature, and what to do about it.

use super::diagnosis;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::identity::{BindingError, RemoteId};
use crate::limits;
use crate::pki::{OfferedError, PathError, RevocationError, SignatureError, SigningError, Utc};
use crate::wire::ExchangeType;

fn here(kind: DiagnosisKind, summary: &dyn ToString, advice: &str) -> Diagnosis {
    diagnosis(kind, Side::Here, summary.to_string(), advice)
}

/// The peer sent none.
pub(crate) fn missing(peer: &RemoteId) -> Diagnosis {
    let summary = format!("`{peer}` sent no certificate, and its own is not known here");
    let advice = "Have the peer send its certificate (strongSwan: send_cert = always), or name it in `peer_certificates`";
    here(DiagnosisKind::CertificateMissing, &summary, advice)
}

/// What it sent cannot be looked at.
pub(crate) fn offered(error: &OfferedError) -> Diagnosis {
    let (kind, advice) = match error {
        OfferedError::TooManyCertificates | OfferedError::TooLarge => {
            (DiagnosisKind::CertificateTooLarge, SEND_LESS)
        }
        OfferedError::EndEntity(_) | OfferedError::RawKey(_) => (
            DiagnosisKind::CertificateMalformed,
            "Look at the peer's certificate with `openssl x509 -text`; it must be X.509 version 3",
        ),
    };
    here(kind, &error, advice)
}

const SEND_LESS: &str =
    "Have the peer send its own certificate and the intermediate ones above it, and nothing else";

/// The peer's `IKE_AUTH` request or answer is more than is gathered of its fragments. Nothing but certificates makes it so.
pub(crate) fn message_too_large(what: &str) -> Diagnosis {
    let summary = format!(
        "the peer's IKE_AUTH {what} is larger than any that is taken ({} fragments, {} bytes in all)",
        limits::FRAGMENTS,
        limits::MESSAGE
    );
    here(DiagnosisKind::CertificateTooLarge, &summary, SEND_LESS).during(ExchangeType::IKE_AUTH)
}

const CLOCK: &str =
    "Compare the clocks of both machines (`date -u`); if they are right, renew the certificate";
const ISSUER: &str = "Add the authority that issued it to `authorities` here, or have the peer use a certificate of a configured one and send the intermediate certificates with it";
const REISSUE: &str = "Have the certificate issued anew as is said here";

/// No path to an authority.
pub(crate) fn path(error: &PathError) -> Diagnosis {
    use PathError as E;
    let (kind, advice) = match error {
        E::NotYetValid { not_before, now, .. } | E::AnchorNotYetValid { not_before, now, .. }
            if let Some(why) = clock_is_wrong(*not_before, *now) =>
        {
            return skew(&error, &why);
        }
        E::Expired { .. } => (DiagnosisKind::CertificateExpired, CLOCK),
        E::AnchorExpired { .. } => (
            DiagnosisKind::CertificateExpired,
            "Compare the clock (`date -u`); if it is right, put the authority's new certificate into `authorities`",
        ),
        E::NotYetValid { .. } | E::AnchorNotYetValid { .. } => (DiagnosisKind::CertificateNotYetValid, CLOCK),
        E::Loop { .. } => (DiagnosisKind::CertificateLoop, ISSUER),
        E::WrongKeyUsage { .. }
        | E::WrongExtendedKeyUsage { .. }
        | E::NameConstraint { .. }
        | E::UnknownCriticalExtension { .. }
        | E::OldVersion { .. }
        | E::NotACa { .. }
        | E::PathTooLong { .. } => (DiagnosisKind::CertificateUsage, REISSUE),
        E::CaAsEndEntity { .. } | E::SelfSigned { .. } | E::NotPinned { .. } | E::UnknownKey { .. } => (
            DiagnosisKind::CertificateIssuer,
            "If it is really this peer's, name it in `peer_certificates` (or its key in `peer_keys`)",
        ),
        E::WeakSignature { .. }
        | E::UnsupportedSignature { .. }
        | E::WeakKey { .. }
        | E::UnsupportedKey { .. } => (
            DiagnosisKind::CertificateWeak,
            "Have it issued anew with RSA of 2,048 bits or more, ECDSA P-256 or P-384, or Ed25519, and SHA-2",
        ),
        E::TooManyCertificates { .. } | E::TooManySignatures { .. } => {
            (DiagnosisKind::CertificateTooLarge, SEND_LESS)
        }
        E::TooDeep { .. } => (
            DiagnosisKind::CertificateTooLarge,
            "Add an authority nearer to the peer's certificate to `authorities` here, or have it issued by one",
        ),
        _ => (DiagnosisKind::CertificateIssuer, ISSUER),
    };
    here(kind, &error, advice)
}

/// Why the clock is to be doubted rather than what is dated in its future.
fn clock_is_wrong(not_before: Utc, now: Utc) -> Option<String> {
    let ahead = not_before.0.saturating_sub(now.0);
    if now.0 < limits::CLOCK_FLOOR {
        Some(format!("the clock here says {now}, before this program was written"))
    } else if ahead <= limits::CLOCK_SUSPECT {
        Some(format!("it is dated {} ahead of the clock here", how_long(ahead)))
    } else {
        None
    }
}

fn how_long(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
}

fn skew(error: &dyn ToString, why: &str) -> Diagnosis {
    let summary = format!("{}: {why}", error.to_string());
    let advice = "Compare the clocks of both machines and of the authority with the true time (`date -u`), and set the wrong one; a time server (NTP) keeps it right";
    here(DiagnosisKind::ClockSkew, &summary, advice)
}

/// The certificate is good, and somebody else's.
pub(crate) fn binding(error: &BindingError) -> Diagnosis {
    let advice = "Set `remote_id` to one of the names in the certificate and the peer's own identity to the same, or have it issued anew with this name";
    let names = error.names.split("`, `").map(|name| name.trim_matches('`').to_owned()).collect();
    here(DiagnosisKind::CertificateName, &error, advice)
        .about(error.identity.clone(), error.names.clone())
        .compared(vec![Row {
            agrees: Some(false),
            ..Row::both("identity", vec![error.identity.clone()], names)
        }])
}

/// The signature.
pub(crate) fn signature(error: &SignatureError) -> Diagnosis {
    let (kind, advice) = match error {
        SignatureError::Value => (
            DiagnosisKind::SignatureWrong,
            "The peer signs with a key that is not the one of its certificate: look at both there; or something on the way changes packets",
        ),
        SignatureError::Malformed => (
            DiagnosisKind::SignatureWrong,
            "This is a fault of the peer's software; please report it with `sekisho events`",
        ),
        SignatureError::WeakHash(_)
        | SignatureError::UnsupportedMethod(_)
        | SignatureError::UnsupportedAlgorithm(_)
        | SignatureError::WrongKeyType { .. } => (
            DiagnosisKind::SignatureUnsupported,
            "Switch RFC 7427 signatures with SHA-2 on at the peer (strongSwan: signature_authentication = yes), or give it a key of another kind",
        ),
    };
    here(kind, &error, advice)
}

/// The words of an answer about revocation that is not valid yet.
const FROM_THE_FUTURE: &str = "it is not valid before";

/// Revoked, or nobody says that it is not.
pub(crate) fn revocation(error: &RevocationError) -> Diagnosis {
    let (kind, advice) = match error {
        RevocationError::Revoked(_) => (
            DiagnosisKind::CertificateRevoked,
            "The authority withdrew this certificate: find out why, and have the peer use a new one",
        ),
        RevocationError::Unknown(reasons) if reasons.contains(FROM_THE_FUTURE) => {
            return skew(&error, "an answer about revocation is dated ahead of the clock here");
        }
        // No place that was asked is named.
        RevocationError::Unknown(reasons) if !reasons.contains("://") => (
            DiagnosisKind::RevocationUnknown,
            "The certificate names no server that could be asked: name the authority's list in `crl_files`, or have it issued anew with a CRL or OCSP address; until then revocation = \"soft\" lets the peer in, unless it is known to be revoked",
        ),
        RevocationError::Unknown(_) => (
            DiagnosisKind::RevocationUnknown,
            "See that these servers can be reached from this machine (the tunnel itself does not carry this; `curl -I` with the address shows it, but takes another way if the server is in `remote_networks`), or keep the authority's list in `crl_files`; until then revocation = \"soft\" lets the peer in, unless it is known to be revoked",
        ),
    };
    here(kind, &error, advice)
}

/// We have no proof that the peer could check.
pub(crate) fn no_signature(error: &SigningError) -> Diagnosis {
    let summary = format!("we cannot prove our identity to the peer: {error}");
    let advice = "Give this tunnel a key of another kind, or switch RFC 7427 signatures on at the peer";
    here(DiagnosisKind::SignatureUnsupported, &summary, advice)
}
