//! Why no path to a trust anchor was accepted; each as a sentence for the operator.

use super::Utc;
use crate::limits;

/// `subject` is the subject of the certificate at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the sentences say what the fields are")]
pub enum PathError {
    // Its dates.
    #[error("certificate `{subject}` expired on {not_after}; it is {now} here")]
    Expired { subject: String, not_after: Utc, now: Utc },
    #[error("certificate `{subject}` is not valid before {not_before}; it is {now} here")]
    NotYetValid { subject: String, not_before: Utc, now: Utc },
    #[error("the configured authority `{subject}` expired on {not_after}; it is {now} here")]
    AnchorExpired { subject: String, not_after: Utc, now: Utc },
    #[error("the configured authority `{subject}` is not valid before {not_before}; it is {now} here")]
    AnchorNotYetValid { subject: String, not_before: Utc, now: Utc },

    // Who issued it.
    #[error(
        "certificate `{subject}` was issued by `{issuer}`, which is neither a configured authority nor among the \
         certificates that the peer sent"
    )]
    UnknownIssuer { subject: String, issuer: String },
    #[error(
        "the path ends at `{subject}`, a root that the peer sent and that is not configured as an authority"
    )]
    UnknownRoot { subject: String },
    #[error("certificate `{subject}` is self-signed; such a peer can only be pinned")]
    SelfSigned { subject: String },
    #[error("the path runs in a circle: an issuer of `{subject}` was issued by it")]
    Loop { subject: String },
    #[error("the signature of certificate `{subject}` was not made with the key of `{issuer}` that we know")]
    BadSignature { subject: String, issuer: String },
    #[error("certificate `{subject}` is signed with {algorithm}, which is too weak")]
    WeakSignature { subject: String, algorithm: String },
    #[error("certificate `{subject}` is signed with {algorithm}, which is not supported")]
    UnsupportedSignature { subject: String, algorithm: String },
    #[error("certificate `{subject}` issued another one, but is not the certificate of an authority (CA)")]
    NotACa { subject: String },
    #[error("authority `{subject}` allows {allowed} authorities below it, and this path has {found}")]
    PathTooLong { subject: String, allowed: u8, found: usize },
    #[error("the path from certificate `{subject}` to an authority is longer than {max} certificates", max = limits::PATH_DEPTH)]
    TooDeep { subject: String },

    // What it may be used for.
    #[error("the key usage of certificate `{subject}` does not allow {needed}")]
    WrongKeyUsage { subject: String, needed: &'static str },
    #[error(
        "the extended key usage of certificate `{subject}` ({found}) holds none of ipsecIKE, serverAuth, clientAuth \
         and anyExtendedKeyUsage"
    )]
    WrongExtendedKeyUsage { subject: String, found: String },
    #[error(
        "authority `{authority}` may not issue certificate `{subject}`: its name constraints forbid `{name}`"
    )]
    NameConstraint { subject: String, authority: String, name: String },
    #[error("certificate `{subject}` has the critical extension {extension}, which is not known here")]
    UnknownCriticalExtension { subject: String, extension: String },
    #[error("certificate `{subject}` is the one of an authority (CA); such a peer can only be pinned")]
    CaAsEndEntity { subject: String },
    #[error(
        "certificate `{subject}` has version {version} and so says nothing of its use; version 3 is needed"
    )]
    OldVersion { subject: String, version: u8 },

    // Its key.
    #[error("the key of certificate `{subject}` is too weak: {reason}")]
    WeakKey { subject: String, reason: String },
    #[error("the key of certificate `{subject}` cannot be used: {reason}")]
    UnsupportedKey { subject: String, reason: String },

    // Pins, and what is configured.
    #[error("certificate `{subject}` is none of the pinned ones, and no authority is configured")]
    NotPinned { subject: String },
    #[error(
        "no authority and no pinned key is configured that certificate `{subject}` could be checked with"
    )]
    NoAnchors { subject: String },
    #[error("the peer's raw public key ({kind}) is not one of the pinned keys")]
    UnknownKey { kind: String },

    // Too much of it.
    #[error("the peer sent {found} certificates; at most {max} are looked at", max = limits::CERTIFICATES)]
    TooManyCertificates { found: usize },
    #[error("no path was found from certificate `{subject}` within {max} signatures", max = limits::PATH_SIGNATURES)]
    TooManySignatures { subject: String },
}
