//! The kinds that are about certificates and clocks, of values.

use super::hub;
use crate::diagnose::*;
use crate::diagnosis::{Diagnosis, DiagnosisKind as Kind};
use crate::identity::BindingError;
use crate::pki::{OfferedError, PathError, RevocationError, Revoked, SignatureError, Utc};

/// The same for those about certificates and clocks.
pub(super) fn of_certificates(kind: Kind) -> Vec<Diagnosis> {
    let subject = || "C=JP, O=Clinic, CN=hub".to_owned();
    let now = Utc(1_763_761_750);
    let path = |error| vec![certificate::path(&error)];
    match kind {
        Kind::ClockSkew => vec![
            certificate::path(&PathError::NotYetValid {
                subject: subject(),
                not_before: Utc(now.0 + 9 * 3600),
                now,
            }),
            certificate::path(&PathError::AnchorNotYetValid {
                subject: subject(),
                not_before: now,
                now: Utc(86_400),
            }),
            certificate::revocation(&RevocationError::Unknown(
                "http://ocsp.example/: it is not valid before 2025-11-22 06:49:10 UTC".into(),
            )),
        ],
        Kind::CertificateMissing => vec![certificate::missing(&hub())],
        Kind::CertificateExpired => vec![
            certificate::path(&PathError::Expired {
                subject: subject(),
                not_after: Utc(now.0 - 86_400),
                now,
            }),
            certificate::path(&PathError::AnchorExpired {
                subject: subject(),
                not_after: Utc(now.0 - 86_400),
                now,
            }),
        ],
        Kind::CertificateNotYetValid => {
            path(PathError::NotYetValid { subject: subject(), not_before: Utc(now.0 + 30 * 86_400), now })
        }
        Kind::CertificateRevoked => vec![certificate::revocation(&RevocationError::Revoked(Revoked {
            subject: subject(),
            since: now,
            reason: "keyCompromise",
            source: "http://crl.example/ca.crl".into(),
        }))],
        Kind::RevocationUnknown => {
            let why = "http://ocsp.example/: no connection within 5 s";
            let nobody = "nobody says whether certificate `C=JP, O=Clinic, CN=hub` is revoked";
            [why, nobody].map(|why| certificate::revocation(&RevocationError::Unknown(why.into()))).into()
        }
        Kind::CertificateUsage => usage(subject),
        Kind::CertificateName => vec![certificate::binding(&BindingError {
            subject: subject(),
            kind: "host name",
            identity: "hub.example".into(),
            names: "`hub-1.example`, `C=JP, O=Clinic, CN=hub`".into(),
        })],
        Kind::CertificateIssuer => vec![
            certificate::path(&PathError::UnknownIssuer { subject: subject(), issuer: "CN=Other CA".into() }),
            certificate::path(&PathError::SelfSigned { subject: subject() }),
            certificate::path(&PathError::CaAsEndEntity { subject: subject() }),
            certificate::path(&PathError::UnknownRoot { subject: "CN=Other CA".into() }),
            certificate::path(&PathError::BadSignature { subject: subject(), issuer: "CN=Clinic CA".into() }),
            certificate::path(&PathError::NotPinned { subject: subject() }),
            certificate::path(&PathError::UnknownKey { kind: "Ed25519".into() }),
        ],
        Kind::CertificateLoop => path(PathError::Loop { subject: subject() }),
        Kind::CertificateWeak => weak(subject),
        Kind::CertificateMalformed => {
            let error = crate::pki::Certificate::from_der(b"no certificate").expect_err("it is none");
            vec![certificate::offered(&OfferedError::EndEntity(error))]
        }
        Kind::CertificateTooLarge => vec![
            certificate::offered(&OfferedError::TooManyCertificates),
            certificate::offered(&OfferedError::TooLarge),
            certificate::message_too_large("request"),
            certificate::path(&PathError::TooManyCertificates { found: 17 }),
            certificate::path(&PathError::TooManySignatures { subject: subject() }),
            certificate::path(&PathError::TooDeep { subject: subject() }),
        ],
        Kind::SignatureWrong => vec![
            certificate::signature(&SignatureError::Value),
            certificate::signature(&SignatureError::Malformed),
        ],
        Kind::SignatureUnsupported => {
            vec![certificate::signature(&SignatureError::WeakHash("SHA-1".into()))]
        }
        other => unreachable!("{other:?} is not about certificates"),
    }
}

fn usage(subject: impl Fn() -> String) -> Vec<Diagnosis> {
    [
        PathError::WrongKeyUsage { subject: subject(), needed: "digitalSignature" },
        PathError::WrongExtendedKeyUsage { subject: subject(), found: "codeSigning".into() },
        PathError::NameConstraint {
            subject: subject(),
            authority: "C=JP, O=Clinic, CN=Branch".into(),
            name: "hub.example".into(),
        },
        PathError::UnknownCriticalExtension { subject: subject(), extension: "1.2.3.4".into() },
        PathError::OldVersion { subject: subject(), version: 1 },
        PathError::NotACa { subject: subject() },
        PathError::PathTooLong { subject: subject(), allowed: 0, found: 1 },
    ]
    .iter()
    .map(certificate::path)
    .collect()
}

fn weak(subject: impl Fn() -> String) -> Vec<Diagnosis> {
    [
        PathError::WeakKey { subject: subject(), reason: "RSA of 1,024 bits".into() },
        PathError::WeakSignature { subject: subject(), algorithm: "sha1WithRSAEncryption".into() },
        PathError::UnsupportedSignature { subject: subject(), algorithm: "1.2.3.4".into() },
        PathError::UnsupportedKey { subject: subject(), reason: "its curve is unknown".into() },
    ]
    .iter()
    .map(certificate::path)
    .collect()
}
