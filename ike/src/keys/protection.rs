//! One direction of an IKE SA: its key and the counter of its IVs (RFC 5282 §3, §4).

use std::fmt;

use crate::crypto::{AeadKey, CryptoError};

/// Seals what one side sends and opens it at the other.
pub(crate) struct DirectionProtection {
    key: Box<dyn AeadKey>,
    pub(super) next_iv: u64,
}

impl DirectionProtection {
    pub(super) fn new(key: Box<dyn AeadKey>) -> Self {
        Self { key, next_iv: 0 }
    }

    /// Encrypts the plaintext and returns the IV and the ciphertext with its tag of 16 bytes.
    ///
    /// The IV is a counter, for "the same IV value" must be "used only once for a given encryption key" (RFC 5282
    /// §3.1). A key lives in memory only and starts counting when it is derived, so a restart repeats none.
    pub(crate) fn seal(
        &mut self,
        aad: &[u8],
        mut plaintext: Vec<u8>,
    ) -> Result<([u8; 8], Vec<u8>), CryptoError> {
        let iv = self.next_iv.to_be_bytes();
        // Counted before it is used, and never round to zero: the last IV is left unused.
        self.next_iv = self.next_iv.checked_add(1).ok_or(CryptoError::Exhausted)?;
        self.key.seal(iv, aad, &mut plaintext)?;
        Ok((iv, plaintext))
    }

    /// Decrypts in place what [`Self::seal`] of the other side made: ciphertext and tag.
    pub(crate) fn open<'a>(
        &self,
        iv: [u8; 8],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        self.key.open(iv, aad, in_out)
    }
}

impl fmt::Debug for DirectionProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectionProtection")
    }
}
