//! HMAC with SHA-2: as pseudo-random function, and cut in half as integrity algorithm (RFC 4868).

use ring::hmac;
use subtle::ConstantTimeEq;

use super::{CryptoError, IntegrityFactory, IntegrityKey, PrfFactory, PrfKey};
use crate::secret::Secret;
use crate::suite::{Integrity, Prf};

pub(super) struct RingHmac;

impl PrfFactory for RingHmac {
    fn key(&self, prf: Prf, key: &[u8]) -> Box<dyn PrfKey> {
        let algorithm = match prf {
            Prf::HmacSha256 => hmac::HMAC_SHA256,
            Prf::HmacSha384 => hmac::HMAC_SHA384,
            Prf::HmacSha512 => hmac::HMAC_SHA512,
        };
        Box::new(RingHmacKey(hmac::Key::new(algorithm, key)))
    }
}

impl IntegrityFactory for RingHmac {
    fn key(&self, integrity: Integrity, key: &[u8]) -> Result<Box<dyn IntegrityKey>, CryptoError> {
        if key.len() != integrity.key_length() {
            return Err(CryptoError::BadKeyLength);
        }
        let algorithm = match integrity {
            Integrity::HmacSha256 => hmac::HMAC_SHA256,
            Integrity::HmacSha384 => hmac::HMAC_SHA384,
            Integrity::HmacSha512 => hmac::HMAC_SHA512,
        };
        Ok(Box::new(RingIntegrityKey { key: RingHmacKey(hmac::Key::new(algorithm, key)), integrity }))
    }
}

/// Holds the two hash states that HMAC starts from, not the key. `ring` does not erase them.
struct RingHmacKey(hmac::Key);

impl PrfKey for RingHmacKey {
    fn compute(&self, parts: &[&[u8]]) -> Secret {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        Secret::new(context.sign().as_ref().to_vec())
    }
}

struct RingIntegrityKey {
    key: RingHmacKey,
    integrity: Integrity,
}

impl IntegrityKey for RingIntegrityKey {
    fn icv_length(&self) -> usize {
        self.integrity.icv_length()
    }

    /// The first half of the HMAC (RFC 4868 §2.1.2).
    fn compute(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.key.compute(parts).expose().iter().copied().take(self.icv_length()).collect()
    }

    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), CryptoError> {
        // The whole checksum is a secret until the comparison is over.
        let right = self.key.compute(parts);
        let right = right.expose().get(..self.icv_length()).ok_or(CryptoError::Forged)?;
        if right.ct_eq(icv).into() { Ok(()) } else { Err(CryptoError::Forged) }
    }
}
