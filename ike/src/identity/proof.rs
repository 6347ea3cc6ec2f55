//! The one place where a proof of identity is made and the one where it is checked (RFC 7296 §2.15).
//!
//! Both are slow for signatures, so both are values that carry all they need and can be run on another thread.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Identity, psk};
use crate::config::{Auth, Connection};
use crate::crypto::{PrfKey, Provider};
use crate::secret::Secret;
use crate::suite::Prf;
use crate::wire::{AuthData, AuthMethod, IdData};

/// What a proof of identity covers: `message | peer_nonce | prf(SK_p, id_body)`.
#[derive(Debug)]
pub(crate) struct SignedOctets(Vec<u8>);

impl SignedOctets {
    /// `sk_p` is `SK_pi` or `SK_pr` and `id` the identity, both of the one who proves; `message` the first message that
    /// it sent, as it was on the wire; `peer_nonce` the nonce of the other side.
    pub(crate) fn new(sk_p: &dyn PrfKey, message: &[u8], peer_nonce: &[u8], id: &IdData) -> Self {
        Self(psk::signed_octets(sk_p, message, peer_nonce, &id.body()))
    }
}

/// A proof of our identity that is to be made.
pub(crate) struct Proving {
    pub(crate) provider: Provider,
    pub(crate) prf: Prf,
    pub(crate) connection: Arc<Connection>,
    pub(crate) octets: SignedOctets,
}

impl Proving {
    /// Makes it.
    #[expect(clippy::unnecessary_wraps, reason = "a signature can fail")]
    pub(crate) fn run(self) -> Result<AuthData, ProofError> {
        let Auth::Psk(psk) = &self.connection.auth;
        let value = psk::auth_value(&self.provider, self.prf, psk, &self.octets.0);
        Ok(AuthData { method: AuthMethod::SHARED_KEY_MIC, data: value.expose().to_vec() })
    }
}

/// A peer that has proved to be the one a connection was configured for. Made by [`Examination::run`] alone, and an
/// established tunnel cannot be made without it.
#[derive(Debug)]
pub(crate) struct VerifiedPeer {
    connection: Arc<Connection>,
    identity: Identity,
}

impl VerifiedPeer {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Why a proof was not accepted, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProofError {
    /// No connection is configured for the identity.
    Nobody,
    /// Not the method that is configured.
    Method(AuthMethod),
    /// The identity is not the configured one.
    Identity,
    /// The proof does not fit: another key.
    Value,
}

/// A peer's claim to an identity that is to be judged.
pub(crate) struct Examination {
    pub(crate) provider: Provider,
    pub(crate) prf: Prf,
    /// Chosen by the identity. Without one the claim is refused, but takes as long, so that the time does not tell
    /// which identities exist.
    pub(crate) connection: Option<Arc<Connection>>,
    pub(crate) id: IdData,
    pub(crate) octets: SignedOctets,
    pub(crate) proof: AuthData,
    /// What our own proof covers, which is made at once if the peer's is good: the responder's.
    pub(crate) ours: Option<SignedOctets>,
}

/// What is to be said of a peer's claim.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is who it says; and our own proof, if that was asked for.
    Accepted { peer: VerifiedPeer, ours: Option<AuthData> },
    /// No.
    Refused(ProofError),
}

impl Examination {
    /// Judges it. That the identity is the configured one is checked here again, where it counts.
    pub(crate) fn run(self) -> Verdict {
        let Some(connection) = self.connection.clone() else {
            let _ = self.psk_fits(&Secret::new(vec![0; 32]));
            return Verdict::Refused(ProofError::Nobody);
        };
        let peer = match self.verify(&connection) {
            Ok(peer) => peer,
            Err(error) => return Verdict::Refused(error),
        };
        let proving = |octets| Proving { provider: self.provider, prf: self.prf, connection, octets }.run();
        match self.ours.map(proving).transpose() {
            Ok(ours) => Verdict::Accepted { peer, ours },
            Err(error) => Verdict::Refused(error),
        }
    }

    fn verify(&self, connection: &Arc<Connection>) -> Result<VerifiedPeer, ProofError> {
        if self.proof.method != AuthMethod::SHARED_KEY_MIC {
            return Err(ProofError::Method(self.proof.method));
        }
        let identity = Identity::from_wire(&self.id).filter(|id| *id == connection.remote_id);
        let identity = identity.ok_or(ProofError::Identity)?;
        let Auth::Psk(psk) = &connection.auth;
        if self.psk_fits(psk) {
            Ok(VerifiedPeer { connection: Arc::clone(connection), identity })
        } else {
            Err(ProofError::Value)
        }
    }

    fn psk_fits(&self, psk: &Secret) -> bool {
        let value = psk::auth_value(&self.provider, self.prf, psk, &self.octets.0);
        value.expose().ct_eq(&self.proof.data).into()
    }
}

impl fmt::Debug for Proving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proving({})", self.connection.local_id)
    }
}

impl fmt::Debug for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examination({})", Identity::describe(&self.id))
    }
}
