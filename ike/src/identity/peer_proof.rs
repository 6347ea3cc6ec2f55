//! What is kept of how a peer proved its identity, and of what is known of its certificates.

use crate::diagnosis::bounded;
use crate::pki::{Assessment, Certificate, RevocationError, RevocationPolicy, Trust, TrustedPath};

/// How a peer proved its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerProof {
    /// `pre-shared key`, or the kind of signature, such as `ECDSA with SHA-256`.
    pub method: String,
    /// The peer's certificate, if it has one.
    pub certificate: Option<Certificate>,
    /// When the first certificate of its path expires, seconds since 1970 UTC.
    pub not_after: Option<u64>,
    /// What could not be found out and was let pass: revocation under the policy `soft`, or for a while under `strict`.
    pub note: Option<String>,
    /// What is known of revocation; `None` if nothing is asked: by policy, or of a key that is pinned or shared.
    pub revocation: Option<Revocation>,
}

/// What is known of the revocation of a peer's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whether somebody says that none is revoked; else nobody says anything.
    pub good: bool,
    /// When that was found out, seconds since 1970 UTC.
    pub checked: u64,
    /// When a newer answer is due, if there is one.
    pub until: Option<u64>,
}

/// What was found out about a peer's path.
pub(super) struct Settled<'a> {
    pub(super) path: &'a TrustedPath,
    pub(super) trust: &'a Trust,
    pub(super) assessment: Assessment,
    pub(super) until: Option<u64>,
    /// Seconds since 1970 UTC.
    pub(super) wall: u64,
}

impl Settled<'_> {
    /// The proof, and whether revocation stands against it.
    pub(super) fn proof(self, method: String) -> (PeerProof, Result<(), RevocationError>) {
        let Self { path, trust, assessment, until, wall } = self;
        let asked = trust.revocation != RevocationPolicy::Off && !path.is_pinned();
        let good = assessment == Assessment::Good;
        let (note, decided) = match assessment.decide(trust.revocation) {
            Ok(note) => (note, Ok(())),
            Err(error) => (Some(error.to_string()), Err(error)),
        };
        let proof = PeerProof {
            method,
            certificate: path.end_entity().cloned(),
            not_after: path.not_after(),
            // Of what others say, and shown as it is.
            note: note.as_deref().map(bounded),
            revocation: asked.then_some(Revocation { good, checked: wall, until }),
        };
        (proof, decided)
    }
}
