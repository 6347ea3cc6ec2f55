//! The suites that we implement (RFC 8221), and their key material.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::format::Layout;

/// Bytes of salt behind the key of an AEAD (RFC 4106 §4, RFC 7634 §2).
pub(crate) const SALT: usize = 4;

/// What protects packets: encryption and integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-GCM (RFC 4106).
    AesGcm(AesKey, GcmTag),
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-CBC (RFC 3602), then HMAC-SHA2 over what it made (RFC 4868).
    AesCbc(AesKey, Hmac),
}

/// The length of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AesKey {
    /// 16 bytes.
    Bits128,
    /// 32 bytes.
    Bits256,
}

/// The length of a GCM tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GcmTag {
    /// 16 bytes.
    Octets16,
    /// 12 bytes.
    Octets12,
    /// 8 bytes: one forgery in 2^64 divided by the blocks of a packet succeeds, so the key must not live long.
    Octets8,
}

/// HMAC over SHA-2, its output cut to half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hmac {
    /// HMAC-SHA-256-128.
    Sha256,
    /// HMAC-SHA-384-192.
    Sha384,
    /// HMAC-SHA-512-256.
    Sha512,
}

impl Suite {
    /// AES-GCM with a key of 128 bits and a tag of 16 bytes.
    pub const AES_128_GCM_16: Self = Self::AesGcm(AesKey::Bits128, GcmTag::Octets16);
    /// AES-GCM with a key of 256 bits and a tag of 16 bytes.
    pub const AES_256_GCM_16: Self = Self::AesGcm(AesKey::Bits256, GcmTag::Octets16);

    /// All suites.
    pub const ALL: [Self; 13] = [
        Self::AES_128_GCM_16,
        Self::AES_256_GCM_16,
        Self::AesGcm(AesKey::Bits128, GcmTag::Octets12),
        Self::AesGcm(AesKey::Bits256, GcmTag::Octets12),
        Self::AesGcm(AesKey::Bits128, GcmTag::Octets8),
        Self::AesGcm(AesKey::Bits256, GcmTag::Octets8),
        Self::ChaCha20Poly1305,
        Self::AesCbc(AesKey::Bits128, Hmac::Sha256),
        Self::AesCbc(AesKey::Bits256, Hmac::Sha256),
        Self::AesCbc(AesKey::Bits128, Hmac::Sha384),
        Self::AesCbc(AesKey::Bits256, Hmac::Sha384),
        Self::AesCbc(AesKey::Bits128, Hmac::Sha512),
        Self::AesCbc(AesKey::Bits256, Hmac::Sha512),
    ];

    /// Bytes of the encryption key proper.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AesGcm(key, _) | Self::AesCbc(key, _) => key.length(),
            Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of key material: key and salt of an AEAD (RFC 4106 §8.1, RFC 7634 §2), or encryption key and integrity
    /// key (RFC 7296 §2.17).
    pub const fn keymat_length(self) -> usize {
        match self {
            Self::AesGcm(..) | Self::ChaCha20Poly1305 => self.key_length() + SALT,
            Self::AesCbc(key, hmac) => key.length() + hmac.key_length(),
        }
    }

    /// How long the parts of its packets are.
    pub const fn layout(self) -> Layout {
        match self {
            Self::AesGcm(_, tag) => Layout::of_aead(tag.length()),
            Self::ChaCha20Poly1305 => Layout::of_aead(16),
            Self::AesCbc(_, hmac) => Layout::of_cbc(hmac.key_length() / 2),
        }
    }
}

impl AesKey {
    /// Bytes of the key.
    pub const fn length(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits256 => 32,
        }
    }
}

impl GcmTag {
    /// Bytes of the tag.
    pub const fn length(self) -> usize {
        match self {
            Self::Octets16 => 16,
            Self::Octets12 => 12,
            Self::Octets8 => 8,
        }
    }
}

impl Hmac {
    /// Bytes of the integrity key, which is as long as the output of the hash (RFC 4868 §2.1.1); the ICV is half of it.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Suite {
    /// As strongSwan writes it in proposals: `aes256gcm16`, `chacha20poly1305`, `aes128-sha256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AesGcm(key, tag) => write!(f, "aes{}gcm{}", key.length() * 8, tag.length()),
            Self::ChaCha20Poly1305 => f.write_str("chacha20poly1305"),
            Self::AesCbc(key, hmac) => write!(f, "aes{}-sha{}", key.length() * 8, hmac.key_length() * 8),
        }
    }
}

/// The keys of one direction: erased on drop, printed as a length only.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Keymat(Vec<u8>);

impl Keymat {
    /// Takes over [`Suite::keymat_length`] bytes, the encryption key first; the caller must not keep a copy.
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
