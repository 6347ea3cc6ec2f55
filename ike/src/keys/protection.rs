//! One direction of an IKE SA: its keys and its IVs (RFC 7296 §3.14, RFC 5282 §3, §4).

use std::fmt;

use crate::crypto::{AeadKey, CbcKey, CryptoError, IntegrityKey, PrfKey};
use crate::suite::{Aead, Cbc};
use crate::wire::Frame;

/// Seals what one side sends and opens it at the other.
pub(crate) struct DirectionProtection {
    keys: DirectionKeys,
    pub(super) next_iv: u64,
}

/// What seals.
pub(super) enum DirectionKeys {
    /// `SK_e`.
    Aead(Box<dyn AeadKey>),
    /// `SK_e`, `SK_a`, and what the IVs are drawn from.
    Cbc { cipher: Box<dyn CbcKey>, integrity: Box<dyn IntegrityKey>, ivs: Box<dyn PrfKey> },
}

impl DirectionProtection {
    pub(super) fn new(keys: DirectionKeys) -> Self {
        Self { keys, next_iv: 0 }
    }

    /// What the payload that carries the sealed text has room for.
    pub(crate) fn frame(&self) -> Frame {
        match &self.keys {
            DirectionKeys::Aead(key) => Frame { block: 1, overhead: Aead::IV_LENGTH + key.tag_length() },
            DirectionKeys::Cbc { integrity, .. } => {
                Frame { block: Cbc::BLOCK_LENGTH, overhead: Cbc::BLOCK_LENGTH + integrity.icv_length() }
            }
        }
    }

    /// Encrypts the plaintext, whole blocks of it, and returns IV, ciphertext, and tag or checksum: as much more as
    /// [`Self::frame`] says. `associated` is the message up to the IV.
    pub(crate) fn seal(&mut self, associated: &[u8], plaintext: Vec<u8>) -> Result<Vec<u8>, CryptoError> {
        let number = self.next_iv.to_be_bytes();
        // Counted before it is used, and never round to zero: the last IV is left unused.
        self.next_iv = self.next_iv.checked_add(1).ok_or(CryptoError::Exhausted)?;
        let mut text = plaintext;
        match &self.keys {
            // The IV is a counter, for "the same IV value" must be "used only once for a given encryption key" (RFC
            // 5282 §3.1). A key lives in memory only and starts counting when it is derived, so a restart repeats none.
            DirectionKeys::Aead(key) => {
                key.seal(number, associated, &mut text)?;
                Ok([&number[..], &text].concat())
            }
            // "Senders MUST select a new unpredictable IV for every message" (RFC 7296 §3.14). A pseudo-random
            // function of a counter is that to everyone without its key, and never repeats itself.
            DirectionKeys::Cbc { cipher, integrity, ivs } => {
                let iv = ivs.compute(&[&number]);
                let iv = *iv.expose().first_chunk().ok_or(CryptoError::BadKeyLength)?;
                cipher.encrypt(iv, &mut text)?;
                let icv = integrity.compute(&[associated, &iv, &text]);
                Ok([&iv[..], &text, &icv].concat())
            }
        }
    }

    /// Decrypts in place what [`Self::seal`] of the other side made. Nothing is decrypted before the tag or checksum
    /// was found good.
    ///
    /// # Errors
    /// [`CryptoError::Forged`] if it is anybody's; [`CryptoError::NoWholeBlocks`] if it is the peer's and cannot be read.
    pub(crate) fn open<'a>(
        &self,
        associated: &[u8],
        body: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        match &self.keys {
            DirectionKeys::Aead(key) => {
                let (iv, sealed) = body.split_first_chunk_mut().ok_or(CryptoError::Forged)?;
                key.open(*iv, associated, sealed)
            }
            DirectionKeys::Cbc { cipher, integrity, .. } => {
                let covered = body.len().checked_sub(integrity.icv_length()).ok_or(CryptoError::Forged)?;
                let (covered, icv) = body.split_at_mut_checked(covered).ok_or(CryptoError::Forged)?;
                integrity.verify(&[associated, covered], icv)?;
                let (iv, text) = covered.split_first_chunk_mut().ok_or(CryptoError::NoWholeBlocks)?;
                cipher.decrypt(*iv, text)?;
                Ok(text)
            }
        }
    }
}

impl fmt::Debug for DirectionProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectionProtection")
    }
}
