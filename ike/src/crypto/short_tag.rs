//! AES-GCM with tags of 8 and 12 bytes (RFC 4106 §6), which `ring` does not have.

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser};
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, TagSize};

use super::aead::Salt;
use super::{AeadKey, CryptoError};

/// Erased on drop.
pub(super) struct ShortTagKey<Aes, Size: TagSize> {
    key: AesGcm<Aes, U12, Size>,
    salt: Salt,
}

impl<Aes, Size> ShortTagKey<Aes, Size>
where
    Aes: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + KeyInit,
    Size: TagSize,
{
    pub(super) fn new(key: &[u8], salt: Salt) -> Result<Self, CryptoError> {
        let key = AesGcm::new_from_slice(key).map_err(|_| CryptoError::BadKeyLength)?;
        Ok(Self { key, salt })
    }
}

impl<Aes, Size> AeadKey for ShortTagKey<Aes, Size>
where
    Aes: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + Send + Sync,
    Size: TagSize + Send + Sync,
{
    fn tag_length(&self) -> usize {
        Size::USIZE
    }

    fn seal(&self, iv: [u8; 8], aad: &[u8], in_out: &mut Vec<u8>) -> Result<(), CryptoError> {
        let nonce = self.salt.nonce(iv).into();
        let tag = self.key.encrypt_inout_detached(&nonce, aad, in_out.as_mut_slice().into());
        in_out.extend_from_slice(&tag.map_err(|_| CryptoError::TooLong)?);
        Ok(())
    }

    fn open<'a>(&self, iv: [u8; 8], aad: &[u8], in_out: &'a mut [u8]) -> Result<&'a mut [u8], CryptoError> {
        let length = in_out.len().checked_sub(Size::USIZE).ok_or(CryptoError::Forged)?;
        let (text, tag) = in_out.split_at_mut_checked(length).ok_or(CryptoError::Forged)?;
        let tag = (&*tag).try_into().map_err(|_| CryptoError::Forged)?;
        let opened =
            self.key.decrypt_inout_detached(&self.salt.nonce(iv).into(), aad, (&mut *text).into(), tag);
        opened.map_err(|_| CryptoError::Forged)?;
        Ok(text)
    }
}
