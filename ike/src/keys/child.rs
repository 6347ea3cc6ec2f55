//! The keys of Child SAs (RFC 7296 §2.17).

use std::fmt;

use super::Nonces;
use crate::crypto::{CryptoError, PrfKey, prf_plus};
use crate::secret::Secret;
use crate::suite::Protection;

/// `SK_d`: what an IKE SA's Child SAs, and its successor, get their keys from.
pub(crate) struct ChildKeySource(Box<dyn PrfKey>);

impl ChildKeySource {
    pub(super) fn new(sk_d: Box<dyn PrfKey>) -> Self {
        Self(sk_d)
    }

    pub(super) fn prf(&self, parts: &[&[u8]]) -> Secret {
        self.0.compute(parts)
    }

    /// The key material of a Child SA: first that for what the initiator of the exchange sends, then that for what its
    /// responder sends. Each is key and salt (RFC 4106 §8.1), or encryption key and integrity key: "the encryption key
    /// MUST be taken from the first bits, and the integrity key MUST be taken from the remaining bits". `shared` is that
    /// of the exchange itself, if it had a key exchange: `KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr)`.
    pub(crate) fn keymat(
        &self,
        protection: Protection,
        nonces: Nonces<'_>,
        shared: Option<&Secret>,
    ) -> Result<(Secret, Secret), CryptoError> {
        let shared = shared.map_or(&[][..], Secret::expose);
        let length = protection.keymat_length();
        let keymat = prf_plus(&*self.0, &[shared, nonces.initiator, nonces.responder], 2 * length)?;
        let (initiator, responder) =
            keymat.expose().split_at_checked(length).ok_or(CryptoError::BadKeyLength)?;
        Ok((Secret::new(initiator.to_vec()), Secret::new(responder.to_vec())))
    }
}

impl fmt::Debug for ChildKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChildKeySource")
    }
}
