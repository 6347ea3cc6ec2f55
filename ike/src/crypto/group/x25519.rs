//! Curve25519 (RFC 7748, RFC 8031).

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::DiffieHellman;
use crate::crypto::CryptoError;
use crate::random::SecureRandom;
use crate::secret::Secret;

pub(super) struct X25519(StaticSecret);

impl DiffieHellman for X25519 {
    fn generate(random: &mut dyn SecureRandom) -> Result<Self, CryptoError> {
        let bytes = Zeroizing::new(random.bytes::<32>());
        Ok(Self(StaticSecret::from(*bytes)))
    }

    fn public(&self) -> Vec<u8> {
        PublicKey::from(&self.0).as_bytes().to_vec()
    }

    /// Refused is a value of small order: it would force the secret to be zero, whatever our private value
    /// (RFC 7748 §6.1). Any other value is safe to use; one that is not reduced, or has its top bit set, is taken as
    /// RFC 7748 §5 says: "implementations … MUST mask the most significant bit in the final byte".
    fn agree(&self, peer: &[u8]) -> Result<Secret, CryptoError> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| CryptoError::BadPublicValue)?;
        let shared = self.0.diffie_hellman(&PublicKey::from(peer));
        if !shared.was_contributory() {
            return Err(CryptoError::BadPublicValue);
        }
        Ok(Secret::new(shared.as_bytes().to_vec()))
    }
}
