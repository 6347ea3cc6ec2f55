//! The cryptography behind IKE, as a provider: a struct of factories, so that another module (a FIPS-validated
//! one, a hardware one, a fake one) can stand in without the protocol noticing.

mod aead;
mod cbc;
mod group;
mod hash;
mod hmac;
mod prf;
mod short_tag;

use std::fmt;

use crate::random::SecureRandom;
use crate::secret::Secret;
use crate::suite::{Aead, Cbc, Group, Integrity, Prf};

pub use group::public_length;
pub use hash::{sha1, sha256};
pub use prf::prf_plus;

/// Where every algorithm comes from.
#[derive(Clone, Copy)]
pub struct Provider {
    /// Pseudo-random functions.
    pub prf: &'static dyn PrfFactory,
    /// Authenticated ciphers.
    pub aead: &'static dyn AeadFactory,
    /// Ciphers that need an integrity algorithm.
    pub cbc: &'static dyn CbcFactory,
    /// Integrity algorithms.
    pub integrity: &'static dyn IntegrityFactory,
    /// Key exchanges.
    pub key_exchange: &'static dyn KeyExchangeFactory,
}

impl Provider {
    /// `ring` for HMAC, AES-GCM and ChaCha20-Poly1305, as far as it goes: short tags and CBC from `aes-gcm`, `aes` and
    /// `cbc`. The groups from `x25519-dalek`, `p256`, `p384`, `p521` and `crypto-bigint`, whose private values can be
    /// drawn from our own [`SecureRandom`], so that a conversation replays from its seed.
    pub fn ring() -> Self {
        Self {
            prf: &hmac::RingHmac,
            aead: &aead::Aeads,
            cbc: &cbc::AesCbc,
            integrity: &hmac::RingHmac,
            key_exchange: &group::Groups,
        }
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::ring()
    }
}

/// Makes keyed pseudo-random functions.
pub trait PrfFactory: Send + Sync {
    /// `prf` with this key, of any length: HMAC hashes what is longer than a block (RFC 4868 §2.1.2).
    fn key(&self, prf: Prf, key: &[u8]) -> Box<dyn PrfKey>;
}

/// A pseudo-random function with its key.
pub trait PrfKey: Send + Sync {
    /// `prf(key, part0 | part1 | ..)`.
    fn compute(&self, parts: &[&[u8]]) -> Secret;
}

/// Makes keys of authenticated ciphers.
pub trait AeadFactory: Send + Sync {
    /// A key from its key material: the key proper and the four bytes of salt (RFC 4106 §8.1).
    ///
    /// # Errors
    /// [`CryptoError::BadKeyLength`] unless it is [`Aead::keymat_length`] bytes.
    fn key(&self, aead: Aead, keymat: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>;
}

/// A key of an authenticated cipher, with its salt. The nonce is salt and IV (RFC 4106 §4, RFC 5282 §4); the
/// caller never gives an IV twice.
pub trait AeadKey: Send + Sync {
    /// Bytes of the tag.
    fn tag_length(&self) -> usize;

    /// Encrypts in place and appends the tag.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] beyond what the cipher can encrypt under one IV; `in_out` is then unusable.
    fn seal(&self, iv: [u8; 8], aad: &[u8], in_out: &mut Vec<u8>) -> Result<(), CryptoError>;

    /// Checks the tag at the end and decrypts in place. Returns the plaintext, the tag taken off.
    ///
    /// # Errors
    /// [`CryptoError::Forged`]; `in_out` then holds nothing of use.
    fn open<'a>(&self, iv: [u8; 8], aad: &[u8], in_out: &'a mut [u8]) -> Result<&'a mut [u8], CryptoError>;
}

/// Makes keys of block ciphers in CBC mode.
pub trait CbcFactory: Send + Sync {
    /// A key.
    ///
    /// # Errors
    /// [`CryptoError::BadKeyLength`] unless it is [`Cbc::key_length`] bytes.
    fn key(&self, cipher: Cbc, key: &[u8]) -> Result<Box<dyn CbcKey>, CryptoError>;
}

/// A key of a block cipher in CBC mode. It proves nothing: what is decrypted was checked by an [`IntegrityKey`]
/// before. The caller never gives an IV that anyone could foresee (RFC 7296 §3.14).
pub trait CbcKey: Send + Sync {
    /// Encrypts in place.
    ///
    /// # Errors
    /// [`CryptoError::NoWholeBlocks`] unless it is a multiple of [`Cbc::BLOCK_LENGTH`].
    fn encrypt(&self, iv: [u8; Cbc::BLOCK_LENGTH], in_out: &mut [u8]) -> Result<(), CryptoError>;

    /// Decrypts in place, padding and all.
    ///
    /// # Errors
    /// [`CryptoError::NoWholeBlocks`] unless it is a multiple of [`Cbc::BLOCK_LENGTH`].
    fn decrypt(&self, iv: [u8; Cbc::BLOCK_LENGTH], in_out: &mut [u8]) -> Result<(), CryptoError>;
}

/// Makes keys of integrity algorithms.
pub trait IntegrityFactory: Send + Sync {
    /// A key.
    ///
    /// # Errors
    /// [`CryptoError::BadKeyLength`] unless it is [`Integrity::key_length`] bytes.
    fn key(&self, integrity: Integrity, key: &[u8]) -> Result<Box<dyn IntegrityKey>, CryptoError>;
}

/// An integrity algorithm with its key.
pub trait IntegrityKey: Send + Sync {
    /// Bytes of the checksum.
    fn icv_length(&self) -> usize;

    /// The checksum of the parts in a row.
    fn compute(&self, parts: &[&[u8]]) -> Vec<u8>;

    /// Compares in constant time.
    ///
    /// # Errors
    /// [`CryptoError::Forged`] unless `icv` is the checksum of the parts in a row.
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), CryptoError>;
}

/// Runs key exchanges. Public values are as on the wire, without the KE payload's header (RFC 7296 §3.4).
///
/// Drawing a private value costs next to nothing; what follows is slow and needs no randomness any more, so that it
/// can be done on another thread.
pub trait KeyExchangeFactory: Send + Sync {
    /// Draws a fresh private value.
    ///
    /// # Errors
    /// [`CryptoError::BadRandom`] if none could be drawn.
    fn draw(&self, group: Group, random: &mut dyn SecureRandom)
    -> Result<Box<dyn PrivateValue>, CryptoError>;
}

/// A private value that was not used yet. It is used once and erased.
pub trait PrivateValue: Send {
    /// The group.
    fn group(&self) -> Group;

    /// The initiator's first half: the public value to send.
    fn begin(self: Box<Self>) -> Box<dyn ActiveKeyExchange>;

    /// The responder's half in one step, so that a KEM fits too: our public value and the shared secret.
    ///
    /// # Errors
    /// [`CryptoError::BadPublicValue`] if the peer's value is none of the group.
    fn respond(self: Box<Self>, peer: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError>;
}

/// A key exchange that waits for the responder's public value. Its private value is used once and erased.
pub trait ActiveKeyExchange: Send {
    /// The group.
    fn group(&self) -> Group;

    /// Our public value, as on the wire.
    fn public(&self) -> &[u8];

    /// The shared secret, with the length that the group prescribes (RFC 7296 §2.14: padded with zeros).
    ///
    /// # Errors
    /// [`CryptoError::BadPublicValue`] if the peer's value is none of the group.
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<Secret, CryptoError>;
}

/// Why an operation failed. None of these says anything about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The tag does not fit the ciphertext, the associated data, the IV or the key.
    #[error("the message is forged or was made with another key")]
    Forged,
    /// The peer's key exchange value has the wrong length, or is no element of the group that may be used.
    #[error("the peer's key exchange value is not valid in its group")]
    BadPublicValue,
    /// Key material of the wrong length.
    #[error("the key material has the wrong length")]
    BadKeyLength,
    /// CBC text that is no multiple of its block.
    #[error("the length is no multiple of the cipher's block")]
    NoWholeBlocks,
    /// More than the algorithm gives or takes.
    #[error("more bytes than the algorithm can process")]
    TooLong,
    /// Every IV of this key was used: nothing more may be sent with it.
    #[error("the key is used up")]
    Exhausted,
    /// The random source gives nothing usable.
    #[error("the random source is broken")]
    BadRandom,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl fmt::Debug for dyn PrfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrfKey")
    }
}

impl fmt::Debug for dyn CbcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CbcKey")
    }
}

impl fmt::Debug for dyn IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey")
    }
}

impl fmt::Debug for dyn AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey")
    }
}

impl fmt::Debug for dyn PrivateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateValue({})", self.group())
    }
}

impl fmt::Debug for dyn ActiveKeyExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActiveKeyExchange({})", self.group())
    }
}
