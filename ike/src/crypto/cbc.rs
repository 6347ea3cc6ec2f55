//! AES-CBC (RFC 3602): secrecy alone, so never without an integrity algorithm.

use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, InnerIvInit,
    KeyInit, consts::U16,
};
use aes::{Aes128, Aes256};

use super::{CbcFactory, CbcKey, CryptoError};
use crate::suite::Cbc;

pub(super) struct AesCbc;

impl CbcFactory for AesCbc {
    fn key(&self, cipher: Cbc, key: &[u8]) -> Result<Box<dyn CbcKey>, CryptoError> {
        Ok(match cipher {
            Cbc::Aes256 => Box::new(Key::<Aes256>::new(key)?),
            Cbc::Aes128 => Box::new(Key::<Aes128>::new(key)?),
        })
    }
}

/// Erased on drop.
struct Key<Aes>(Aes);

impl<Aes: KeyInit> Key<Aes> {
    fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Aes::new_from_slice(key).map(Self).map_err(|_| CryptoError::BadKeyLength)
    }
}

impl<Aes> CbcKey for Key<Aes>
where
    Aes: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn encrypt(&self, iv: [u8; Cbc::BLOCK_LENGTH], in_out: &mut [u8]) -> Result<(), CryptoError> {
        let (blocks, rest) = in_out.as_chunks_mut();
        if !rest.is_empty() {
            return Err(CryptoError::NoWholeBlocks);
        }
        let mut mode = cbc::Encryptor::inner_iv_init(&self.0, &iv.into());
        mode.encrypt_blocks(aes::cipher::Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }

    fn decrypt(&self, iv: [u8; Cbc::BLOCK_LENGTH], in_out: &mut [u8]) -> Result<(), CryptoError> {
        let (blocks, rest) = in_out.as_chunks_mut();
        if !rest.is_empty() {
            return Err(CryptoError::NoWholeBlocks);
        }
        let mut mode = cbc::Decryptor::inner_iv_init(&self.0, &iv.into());
        mode.decrypt_blocks(aes::cipher::Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }
}
