//! AES-GCM with a tag of 16 bytes and an explicit IV of eight (RFC 4106, RFC 5282).

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{AeadFactory, AeadKey, CryptoError};
use crate::suite::Cipher;

pub(super) struct RingAesGcm;

impl AeadFactory for RingAesGcm {
    fn key(&self, cipher: Cipher, keymat: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        let algorithm = match cipher {
            Cipher::Aes256Gcm16 => &AES_256_GCM,
            Cipher::Aes128Gcm16 => &AES_128_GCM,
        };
        let (key, salt) = keymat.split_at_checked(cipher.key_length()).ok_or(CryptoError::BadKeyLength)?;
        let salt = salt.try_into().map_err(|_| CryptoError::BadKeyLength)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::BadKeyLength)?;
        Ok(Box::new(RingAesGcmKey { key: LessSafeKey::new(key), salt: Zeroizing::new(salt) }))
    }
}

/// `ring` does not erase its expanded AES keys on drop.
struct RingAesGcmKey {
    key: LessSafeKey,
    salt: Zeroizing<[u8; Cipher::SALT_LENGTH]>,
}

impl RingAesGcmKey {
    /// Four bytes of salt, which is as secret as the key, and the eight of the IV (RFC 4106 §4, RFC 5282 §4).
    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let [s0, s1, s2, s3] = *self.salt;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = iv;
        Nonce::assume_unique_for_key([s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, i6, i7])
    }
}

impl AeadKey for RingAesGcmKey {
    fn seal(&self, iv: [u8; 8], aad: &[u8], in_out: &mut Vec<u8>) -> Result<(), CryptoError> {
        // The vector may move while it grows by the tag: by then it holds no plaintext any more.
        let tag = self.key.seal_in_place_separate_tag(self.nonce(iv), Aad::from(aad), in_out);
        in_out.extend_from_slice(tag.map_err(|_| CryptoError::TooLong)?.as_ref());
        Ok(())
    }

    fn open<'a>(&self, iv: [u8; 8], aad: &[u8], in_out: &'a mut [u8]) -> Result<&'a mut [u8], CryptoError> {
        let opened = self.key.open_in_place(self.nonce(iv), Aad::from(aad), in_out);
        opened.map_err(|_| CryptoError::Forged)
    }
}
