//! The ciphers that we implement (RFC 8221), and their key material.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of salt behind the key (RFC 4106 §4).
pub(crate) const SALT: usize = 4;

/// An authenticated cipher with a tag of 16 bytes (RFC 4106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-GCM with a key of 128 bits.
    Aes128Gcm16,
    /// AES-GCM with a key of 256 bits.
    Aes256Gcm16,
}

impl Suite {
    /// All suites.
    pub const ALL: [Self; 2] = [Self::Aes128Gcm16, Self::Aes256Gcm16];

    /// Bytes of the key proper.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm16 => 16,
            Self::Aes256Gcm16 => 32,
        }
    }

    /// Bytes of key material: key and salt (RFC 4106 §8.1).
    pub const fn keymat_length(self) -> usize {
        self.key_length() + SALT
    }
}

/// Key and salt of one direction: erased on drop, printed as a length only.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Keymat(Vec<u8>);

impl Keymat {
    /// Takes over [`Suite::keymat_length`] bytes, key first; the caller must not keep a copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Keymat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keymat({} bytes)", self.0.len())
    }
}
