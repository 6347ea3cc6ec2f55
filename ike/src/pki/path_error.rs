//! Why no path to a trust anchor was accepted; each as a sentence for the operator.

/// `subject` names the certificate at fault. Times are seconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nobody we know issued it.
    #[error(
        "certificate `{subject}` was issued by `{issuer}`, which is neither a configured authority nor among the certificates that the peer sent"
    )]
    UnknownIssuer {
        /// See [`PathError`].
        subject: String,
        /// Whom it names as its issuer.
        issuer: String,
    },
    /// A raw public key that is not pinned.
    #[error("the peer's raw public key ({kind}) is not one of the configured keys")]
    UnknownKey {
        /// Kind and length.
        kind: String,
    },
}
