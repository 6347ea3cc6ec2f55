//! What is kept of how a peer proved its identity, and of what is known of its certificates.

use crate::diagnosis::bounded;
use crate::pki::{
    self, Assessment, Certificate, Evidence, Known, RevocationError, RevocationPolicy, Trust, TrustedPath,
};

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
    /// When the oldest answer that counts was fetched from its server, seconds since 1970 UTC, whenever it was looked at; one that
    /// the peer sent along counts from when it was made. Without an answer, when it was asked for. `None` if lists from files say
    /// all.
    pub checked: Option<u64>,
    /// When a newer answer is due, if there is one.
    pub until: Option<u64>,
}

/// What is known of a path at `wall`. Whoever can say how it stands now is asked first: what the peer sent along and was made
/// before `since` counts where nobody answers. Both in seconds since 1970 UTC.
pub(super) fn assess(
    path: &TrustedPath,
    trust: &Trust,
    evidence: &Evidence,
    since: u64,
    wall: u64,
) -> (Assessment, Option<Known>) {
    match pki::assess_until(path, trust, &evidence.stapled_since(path, since), wall) {
        (Assessment::Unknown { missing, .. }, _) if missing.is_empty() => {
            pki::assess_until(path, trust, evidence, wall)
        }
        decided => decided,
    }
}

/// What was found out about a peer's path.
pub(super) struct Settled<'a> {
    pub(super) path: &'a TrustedPath,
    pub(super) trust: &'a Trust,
    pub(super) assessment: Assessment,
    /// If it is good.
    pub(super) known: Option<Known>,
    /// Seconds since 1970 UTC.
    pub(super) wall: u64,
}

impl Settled<'_> {
    /// The proof, and whether revocation stands against it.
    pub(super) fn proof(self, method: String) -> (PeerProof, Result<(), RevocationError>) {
        let Self { path, trust, assessment, known, wall } = self;
        let asked = trust.revocation != RevocationPolicy::Off && !path.is_pinned();
        let good = assessment == Assessment::Good;
        let checked = if good { known.and_then(|known| known.asked) } else { Some(wall) };
        let until = known.map(|known| known.until);
        let (note, decided) = match assessment.decide(trust.revocation) {
            Ok(note) => (note, Ok(())),
            Err(error) => {
                let why = match &error {
                    RevocationError::Unknown(reasons) => reasons.clone(),
                    revoked @ RevocationError::Revoked(_) => revoked.to_string(),
                };
                (Some(why), Err(error))
            }
        };
        let proof = PeerProof {
            method,
            certificate: path.end_entity().cloned(),
            not_after: path.not_after(),
            // Of what others say, and shown as it is.
            note: note.as_deref().map(bounded),
            revocation: asked.then_some(Revocation { good, checked, until }),
        };
        (proof, decided)
    }
}
