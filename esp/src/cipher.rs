//! AES-GCM as RFC 4106 uses it: nonce of salt and IV, sequence number as associated data.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::drop_reason::DropReason;
use crate::format::ICV;
use crate::sa::ConfigError;
use crate::suite::{Keymat, SALT, Suite};

/// Key and salt of one direction, ready for use.
pub(crate) struct Cipher {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Cipher {
    pub(crate) fn new(suite: Suite, keymat: &Keymat) -> Result<Self, ConfigError> {
        let bytes = keymat.expose();
        let wrong = || ConfigError::KeymatLength { expected: suite.keymat_length(), given: bytes.len() };
        let algorithm = match suite {
            Suite::Aes128Gcm16 => &AES_128_GCM,
            Suite::Aes256Gcm16 => &AES_256_GCM,
        };
        // `UnboundKey` checks the length of the key.
        let (key, salt) = bytes.split_last_chunk::<SALT>().ok_or_else(wrong)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| wrong())?;
        Ok(Self { key: LessSafeKey::new(key), salt: *salt })
    }

    /// Encrypts in place and gives the ICV. The caller never uses an IV twice.
    pub(crate) fn seal(&self, iv: [u8; 8], aad: &[u8], text: &mut [u8]) -> Result<[u8; ICV], DropReason> {
        // It fails only beyond 64 GiB, which no packet has.
        let tag = self.key.seal_in_place_separate_tag(self.nonce(iv), Aad::from(aad), text);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(DropReason::NoRoom)
    }

    /// Checks and decrypts text and ICV in place and gives the text. What failed the check is destroyed.
    pub(crate) fn open<'t>(
        &self,
        iv: [u8; 8],
        aad: &[u8],
        text_and_icv: &'t mut [u8],
    ) -> Result<&'t mut [u8], DropReason> {
        self.key
            .open_in_place(self.nonce(iv), Aad::from(aad), text_and_icv)
            .map_err(|_| DropReason::Authentication)
    }

    /// Salt, then IV (RFC 4106 §4).
    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let mut nonce = [0; SALT + 8];
        let (salt, rest) = nonce.split_at_mut(SALT);
        salt.copy_from_slice(&self.salt);
        rest.copy_from_slice(&iv);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}

/// What is authenticated beside the text: SPI and sequence number, with its high half only under ESN (RFC 4106 §5).
pub(crate) struct AssociatedData {
    bytes: [u8; 12],
    length: usize,
}

impl AssociatedData {
    pub(crate) fn new(spi: u32, sequence: u64, esn: bool) -> Self {
        // Without ESN the high half is not there: the low half takes its place.
        let (sequence, length) = if esn { (sequence, 12) } else { (sequence << 32, 8) };
        let mut bytes = [0; 12];
        let (first, rest) = bytes.split_at_mut(4);
        first.copy_from_slice(&spi.to_be_bytes());
        rest.copy_from_slice(&sequence.to_be_bytes());
        Self { bytes, length }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
