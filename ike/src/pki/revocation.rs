//! Whether the certificates of a trusted path were revoked (RFC 5280 §6.3, RFC 6960).

use super::{Crl, OcspResponse, RevocationPolicy, Trust, TrustedPath};

/// What may be fetched to find out. Only [`assess`] makes these, and it takes a [`TrustedPath`]: nothing is fetched from
/// a URL in a certificate before its path is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fetch {
    /// Begins with `http://`; at most 2,048 printable ASCII characters.
    pub url: String,
    /// What is fetched.
    pub kind: FetchKind,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FetchKind {
    /// GET; the answer is a CRL as DER.
    Crl,
    /// POST of this body as `application/ocsp-request`; the answer is an OCSP response as DER.
    Ocsp {
        /// DER.
        request: Vec<u8>,
    },
}

/// What came of a [`Fetch`], now or earlier (a cache).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A revocation list.
    Crl(Fetch, Crl),
    /// An OCSP response.
    Ocsp(Fetch, OcspResponse),
    /// Nothing, and why: for the diagnosis.
    Failed(Fetch, String),
}

/// Everything that was learned about revocation beside the lists in [`Trust`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Evidence {
    /// OCSP responses that the peer sent along (RFC 4806), DER.
    pub stapled: Vec<Vec<u8>>,
    /// From the cache, and fetched for this peer.
    pub answers: Vec<Answer>,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// No certificate of the path is revoked, or nothing is to be asked.
    Good,
    /// One is.
    Revoked(Revoked),
    /// Not known yet.
    Unknown {
        /// What to fetch, preferred first; empty if all was tried. Give the answers as [`Evidence`] and assess again.
        missing: Vec<Fetch>,
        /// What was tried, and why it says nothing; a sentence each.
        reasons: Vec<String>,
    },
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Whose.
    pub subject: String,
    /// Since when, seconds since 1970 UTC.
    pub since: u64,
    /// RFC 5280 §5.3.1's word, such as `keyCompromise`; `unspecified` if none was given.
    pub reason: &'static str,
    /// Who says so: an URL, or a file's list by its issuer.
    pub source: String,
}

/// Why a peer is refused for revocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// It is revoked.
    #[error("certificate `{}` was revoked on {} ({}), says {}", .0.subject, .0.since, .0.reason, .0.source)]
    Revoked(Revoked),
    /// The policy is strict and nobody could be asked.
    #[error("revocation could not be checked, and the policy is `strict`: {0}")]
    Unknown(String),
}

impl Assessment {
    /// What the policy makes of it once all was tried: `Ok` with a note if the peer passes in spite of ignorance.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn decide(self, policy: RevocationPolicy) -> Result<Option<String>, RevocationError> {
        match self {
            Self::Good => Ok(None),
            Self::Revoked(revoked) => Err(RevocationError::Revoked(revoked)),
            Self::Unknown { reasons, .. } => match policy {
                RevocationPolicy::Strict => Err(RevocationError::Unknown(reasons.join("; "))),
                RevocationPolicy::Soft => Ok(Some(reasons.join("; "))),
                RevocationPolicy::Off => Ok(None),
            },
        }
    }
}

/// Judges a path by what is known at `now`, seconds since 1970 UTC. Pure: fetching is the caller's.
pub fn assess(path: &TrustedPath, trust: &Trust, evidence: &Evidence, now: u64) -> Assessment {
    let _ = (path, evidence, now);
    match trust.revocation {
        RevocationPolicy::Off => Assessment::Good,
        _ => Assessment::Unknown { missing: Vec::new(), reasons: vec!["not checked yet".into()] },
    }
}
