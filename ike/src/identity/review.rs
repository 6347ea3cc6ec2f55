//! Whether a peer whose tunnel stands is still to be believed: its certificates once more, by what is trusted and known now.
//!
//! The signature is not looked at again: that the peer has the key was proved when the tunnel was set up.

use std::fmt;
use std::sync::Arc;

use super::examination::{Judged, ProofError, VerifiedPeer, trusted_path};
use super::peer_proof::{Settled, assess};
use super::{Identity, PeerProof};
use crate::config::{Connection, RemoteAuth};
use crate::pki::{Answer, Assessment, Evidence, Fetch, Offered, RevocationError, Trust};
use crate::wire::CertEncoding;

/// A peer's CERT payloads, as it sent them.
pub(crate) type Sent = Arc<[(CertEncoding, Vec<u8>)]>;

/// A standing peer that is to be judged again.
pub(crate) struct Review {
    /// Whose trust counts.
    connection: Arc<Connection>,
    identity: Identity,
    /// How it proved to have the key.
    method: String,
    certificates: Sent,
    /// What was fetched about revocation.
    pub(crate) answers: Vec<Answer>,
    /// Seconds since 1970 UTC.
    wall: u64,
}

/// What is to be said of a standing peer.
#[derive(Debug)]
pub(crate) enum Reviewed {
    /// It is still whom it proved to be.
    Holds(Renewal),
    /// It may be; this is to be fetched to know whether its certificates were revoked.
    Unsettled { review: Box<Review>, missing: Vec<Fetch> },
    /// It is not to be believed any more.
    Refused(ProofError),
}

/// A judgement in favour of a standing peer. Made by [`Review::run`] alone.
#[derive(Debug)]
pub(crate) struct Renewal {
    connection: Arc<Connection>,
    proof: PeerProof,
    /// The policy is strict, and nobody says whether a certificate was revoked.
    pub(crate) unknown: Option<RevocationError>,
}

impl Renewal {
    /// What the peer's proof comes to now.
    pub(crate) fn proof(&self) -> &PeerProof {
        &self.proof
    }
}

impl VerifiedPeer {
    /// Everything that it takes to judge it again at `wall`, seconds since 1970 UTC, by the trust of this connection;
    /// `None` for one that did not sign.
    pub(crate) fn review(&self, connection: Arc<Connection>, wall: u64) -> Option<Box<Review>> {
        let certificates = Arc::clone(self.certificates()?);
        let method = self.proof().method.clone();
        let identity = self.identity().clone();
        Some(Box::new(Review { connection, identity, method, certificates, answers: Vec::new(), wall }))
    }

    /// It was judged again, and believed.
    pub(crate) fn reviewed(&mut self, renewal: Renewal) {
        self.replace(renewal.connection, renewal.proof);
    }
}

impl Review {
    /// Judges it.
    pub(crate) fn run(self: Box<Self>) -> Reviewed {
        let RemoteAuth::Signature(trust) = &self.connection.remote_auth else {
            return Reviewed::Refused(ProofError::Nobody);
        };
        match self.judge(trust) {
            Ok(Judged::Settled(renewal)) => Reviewed::Holds(renewal),
            Ok(Judged::Unsettled(missing)) => Reviewed::Unsettled { review: self, missing },
            Err(error) => Reviewed::Refused(error),
        }
    }

    fn judge(&self, trust: &Trust) -> Result<Judged<Renewal>, ProofError> {
        if !self.connection.remote_id.matches(&self.identity) || self.connection.check().is_err() {
            return Err(ProofError::Identity);
        }
        let offered = self.certificates.iter().map(|(encoding, data)| (*encoding, data.as_slice()));
        let offered = Offered::read(offered).map_err(ProofError::Certificates)?;
        let path = trusted_path(&offered, trust, self.wall)?;
        path.binds(&self.identity).map_err(ProofError::Binding)?;
        let evidence = Evidence { stapled: offered.ocsp_responses, answers: self.answers.clone() };
        let (assessment, known) = match assess(&path, trust, &evidence, u64::MAX, self.wall) {
            (Assessment::Unknown { missing, .. }, _) if !missing.is_empty() => {
                return Ok(Judged::Unsettled(missing));
            }
            decided => decided,
        };
        let settled = Settled { path: &path, trust, assessment, known, wall: self.wall };
        let (proof, unknown) = match settled.proof(self.method.clone()) {
            (proof, Err(unknown @ RevocationError::Unknown(_))) => (proof, Some(unknown)),
            (_, Err(revoked)) => return Err(ProofError::Revocation(revoked)),
            (proof, Ok(())) => (proof, None),
        };
        Ok(Judged::Settled(Renewal { connection: Arc::clone(&self.connection), proof, unknown }))
    }
}

impl fmt::Debug for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Review({})", self.identity)
    }
}
