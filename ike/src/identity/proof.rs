//! The one place where a proof of identity is made and the one where it is checked (RFC 7296 §2.15).

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{Identity, psk};
use crate::config::{Auth, Connection};
use crate::crypto::{PrfKey, Provider};
use crate::secret::Secret;
use crate::suite::Prf;
use crate::wire::{AuthMethod, IdData};

/// What a proof of identity covers.
pub(crate) struct Covered<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) prf: Prf,
    /// `SK_pi` or `SK_pr`, of the one who proves.
    pub(crate) key: &'a dyn PrfKey,
    /// The first message that the prover sent, as it was on the wire.
    pub(crate) message: &'a [u8],
    /// The nonce of the other side.
    pub(crate) nonce: &'a [u8],
    /// The identity of the one who proves, as it was on the wire.
    pub(crate) id: &'a IdData,
}

impl Covered<'_> {
    fn psk_value(&self, psk: &Secret) -> Secret {
        psk::auth_value(self.provider, self.prf, psk, self.key, self.message, self.nonce, &self.id.body())
    }
}

/// Our proof.
pub(crate) fn prove(connection: &Connection, covered: &Covered<'_>) -> (AuthMethod, Vec<u8>) {
    let Auth::Psk(psk) = &connection.auth;
    (AuthMethod::SHARED_KEY_MIC, covered.psk_value(psk).expose().to_vec())
}

/// A peer that has proved to be the one a connection was configured for. Made by [`verify`] alone, and an
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

/// Why a proof was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofError {
    /// Not the method that is configured.
    Method(AuthMethod),
    /// The identity is not the configured one.
    Identity,
    /// The proof does not fit: another key.
    Value,
}

/// Checks the peer's proof for a connection. The connection must have been chosen by the identity; that it is
/// the configured one is checked here again, where it counts.
pub(crate) fn verify(
    connection: &Arc<Connection>,
    covered: &Covered<'_>,
    (method, value): &(AuthMethod, Vec<u8>),
) -> Result<VerifiedPeer, ProofError> {
    if *method != AuthMethod::SHARED_KEY_MIC {
        return Err(ProofError::Method(*method));
    }
    let identity = Identity::from_wire(covered.id).filter(|id| *id == connection.remote_id);
    let identity = identity.ok_or(ProofError::Identity)?;
    let Auth::Psk(psk) = &connection.auth;
    if bool::from(covered.psk_value(psk).expose().ct_eq(value)) {
        Ok(VerifiedPeer { connection: Arc::clone(connection), identity })
    } else {
        Err(ProofError::Value)
    }
}

/// Takes as long as [`verify`] for an identity that nobody has, so that the time does not tell which ones exist.
pub(crate) fn verify_nobody(covered: &Covered<'_>, (_, value): &(AuthMethod, Vec<u8>)) {
    let _ = covered.psk_value(&Secret::new(vec![0; 32])).expose().ct_eq(value);
}
