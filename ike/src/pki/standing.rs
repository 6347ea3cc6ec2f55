//! What an answer about revocation says of one certificate, or why it says nothing.

use super::signed::BadSignature;
use super::{SchemeError, Utc};

/// What a list or a responder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// Seconds since 1970 UTC.
        since: u64,
        /// RFC 5280 §5.3.1's word.
        reason: &'static str,
    },
}

/// Why an answer counts for nothing. One that lies is as good as none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It is about the certificates of another authority.
    #[error("it is by another issuer")]
    OtherIssuer,
    /// It is about another certificate.
    #[error("it is about another certificate")]
    OtherCertificate,
    /// Its signature is of another key.
    #[error("its signature is wrong")]
    BadSignature,
    /// Its signature is of a kind that we do not use.
    #[error("its signature cannot be used: {0}")]
    Signature(SchemeError),
    /// Whoever signed it may not.
    #[error("its signer may not sign it: {0}")]
    Signer(&'static str),
    /// It comes from the future.
    #[error("it is not valid before {0}")]
    NotYetValid(Utc),
    /// It is old.
    #[error("it was to be replaced by {0}")]
    Stale(Utc),
    /// The list does not hold certificates of this kind.
    #[error("it does not cover this certificate")]
    Scope,
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    Unknown,
}

impl From<BadSignature> for NoAnswer {
    fn from(bad: BadSignature) -> Self {
        match bad {
            BadSignature::Scheme(scheme) => Self::Signature(scheme),
            BadSignature::Value => Self::BadSignature,
        }
    }
}

/// RFC 5280 §5.3.1.
pub(super) fn reason(code: u32) -> &'static str {
    match code {
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "unspecified",
    }
}
