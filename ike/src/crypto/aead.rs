//! Authenticated ciphers with an explicit IV of eight bytes (RFC 4106, RFC 5282, RFC 7634).

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U8, U12};
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use zeroize::Zeroizing;

use super::short_tag::ShortTagKey;
use super::{AeadFactory, AeadKey, CryptoError};
use crate::suite::Aead;

pub(super) struct Aeads;

impl AeadFactory for Aeads {
    fn key(&self, aead: Aead, keymat: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        let (key, salt) = keymat.split_at_checked(aead.key_length()).ok_or(CryptoError::BadKeyLength)?;
        let salt = Salt(Zeroizing::new(salt.try_into().map_err(|_| CryptoError::BadKeyLength)?));
        Ok(match aead {
            Aead::Aes256Gcm16 => Box::new(RingKey::new(&AES_256_GCM, key, salt)?),
            Aead::Aes128Gcm16 => Box::new(RingKey::new(&AES_128_GCM, key, salt)?),
            Aead::ChaCha20Poly1305 => Box::new(RingKey::new(&CHACHA20_POLY1305, key, salt)?),
            Aead::Aes256Gcm12 => Box::new(ShortTagKey::<Aes256, U12>::new(key, salt)?),
            Aead::Aes128Gcm12 => Box::new(ShortTagKey::<Aes128, U12>::new(key, salt)?),
            Aead::Aes256Gcm8 => Box::new(ShortTagKey::<Aes256, U8>::new(key, salt)?),
            Aead::Aes128Gcm8 => Box::new(ShortTagKey::<Aes128, U8>::new(key, salt)?),
        })
    }
}

/// As secret as the key.
pub(super) struct Salt(Zeroizing<[u8; Aead::SALT_LENGTH]>);

impl Salt {
    /// Four bytes of salt, and the eight of the IV (RFC 4106 §4, RFC 5282 §4, RFC 7634 §2).
    pub(super) fn nonce(&self, iv: [u8; Aead::IV_LENGTH]) -> [u8; 12] {
        let [s0, s1, s2, s3] = *self.0;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = iv;
        [s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, i6, i7]
    }
}

/// `ring` knows tags of 16 bytes only. It does not erase its expanded keys on drop.
struct RingKey {
    key: LessSafeKey,
    salt: Salt,
}

impl RingKey {
    fn new(algorithm: &'static Algorithm, key: &[u8], salt: Salt) -> Result<Self, CryptoError> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::BadKeyLength)?;
        Ok(Self { key: LessSafeKey::new(key), salt })
    }

    fn nonce(&self, iv: [u8; Aead::IV_LENGTH]) -> Nonce {
        Nonce::assume_unique_for_key(self.salt.nonce(iv))
    }
}

impl AeadKey for RingKey {
    fn tag_length(&self) -> usize {
        self.key.algorithm().tag_len()
    }

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
