//! The algorithms one by one, their lengths and their names.

use std::fmt;
use std::str::FromStr;

/// Authenticated ciphers for SK (RFC 5282) and ESP (RFC 4106, RFC 7634).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aead {
    /// `ENCR_AES_GCM_16`, key of 256 bits.
    Aes256Gcm16,
    /// `ENCR_AES_GCM_16`, key of 128 bits.
    Aes128Gcm16,
    /// `ENCR_CHACHA20_POLY1305`.
    ChaCha20Poly1305,
    /// `ENCR_AES_GCM_12`, key of 256 bits.
    Aes256Gcm12,
    /// `ENCR_AES_GCM_12`, key of 128 bits.
    Aes128Gcm12,
    /// `ENCR_AES_GCM_8`, key of 256 bits.
    Aes256Gcm8,
    /// `ENCR_AES_GCM_8`, key of 128 bits.
    Aes128Gcm8,
}

impl Aead {
    /// All, best first.
    pub const ALL: [Self; 7] = [
        Self::Aes256Gcm16,
        Self::Aes128Gcm16,
        Self::ChaCha20Poly1305,
        Self::Aes256Gcm12,
        Self::Aes128Gcm12,
        Self::Aes256Gcm8,
        Self::Aes128Gcm8,
    ];
    /// Those that are offered unasked: all with a tag of 16 bytes.
    pub const DEFAULT: [Self; 3] = [Self::Aes256Gcm16, Self::Aes128Gcm16, Self::ChaCha20Poly1305];
    /// Bytes of salt that follow the key in the key material (RFC 4106 §8.1, RFC 7634 §2).
    pub const SALT_LENGTH: usize = 4;
    /// Bytes of the explicit IV.
    pub const IV_LENGTH: usize = 8;

    /// Bytes of the key proper.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes256Gcm16 | Self::Aes256Gcm12 | Self::Aes256Gcm8 | Self::ChaCha20Poly1305 => 32,
            Self::Aes128Gcm16 | Self::Aes128Gcm12 | Self::Aes128Gcm8 => 16,
        }
    }

    /// Bytes of key material: key and salt.
    pub const fn keymat_length(self) -> usize {
        self.key_length() + Self::SALT_LENGTH
    }

    /// Bytes of the tag.
    pub const fn tag_length(self) -> usize {
        match self {
            Self::Aes256Gcm16 | Self::Aes128Gcm16 | Self::ChaCha20Poly1305 => 16,
            Self::Aes256Gcm12 | Self::Aes128Gcm12 => 12,
            Self::Aes256Gcm8 | Self::Aes128Gcm8 => 8,
        }
    }
}

/// Ciphers that prove nothing by themselves and so never go without an [`Integrity`]: `ENCR_AES_CBC` (RFC 3602).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cbc {
    /// Key of 256 bits.
    Aes256,
    /// Key of 128 bits.
    Aes128,
}

impl Cbc {
    /// All, best first.
    pub const ALL: [Self; 2] = [Self::Aes256, Self::Aes128];
    /// Bytes of a block, and of the explicit IV.
    pub const BLOCK_LENGTH: usize = 16;

    /// Bytes of the key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes256 => 32,
            Self::Aes128 => 16,
        }
    }
}

/// Integrity algorithms: HMAC, its output cut in half (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Integrity {
    /// `AUTH_HMAC_SHA2_256_128`.
    HmacSha256,
    /// `AUTH_HMAC_SHA2_384_192`.
    HmacSha384,
    /// `AUTH_HMAC_SHA2_512_256`.
    HmacSha512,
}

impl Integrity {
    /// All, in the order offered.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Bytes of the key: "key lengths other than the output length of the associated hash function MUST NOT be
    /// supported" (RFC 4868 §2.1.1).
    pub const fn key_length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// Bytes of the checksum.
    pub const fn icv_length(self) -> usize {
        self.key_length() / 2
    }

    /// The pseudo-random function of the same hash.
    pub const fn prf(self) -> Prf {
        match self {
            Self::HmacSha256 => Prf::HmacSha256,
            Self::HmacSha384 => Prf::HmacSha384,
            Self::HmacSha512 => Prf::HmacSha512,
        }
    }
}

/// What makes a message or a packet secret and genuine at once: there is no cipher without integrity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protection {
    /// A cipher that does both.
    Aead(Aead),
    /// A cipher, and an integrity algorithm over what it made.
    Cbc(Cbc, Integrity),
}

impl Protection {
    /// Bytes of key material of one direction of a Child SA: key and salt, or encryption key and integrity key
    /// (RFC 7296 §2.17).
    pub const fn keymat_length(self) -> usize {
        match self {
            Self::Aead(aead) => aead.keymat_length(),
            Self::Cbc(cbc, integrity) => cbc.key_length() + integrity.key_length(),
        }
    }

    /// All, best first.
    pub fn all() -> impl Iterator<Item = Self> {
        let cbc = Cbc::ALL.into_iter().flat_map(|c| Integrity::ALL.into_iter().map(move |i| Self::Cbc(c, i)));
        Aead::ALL.into_iter().map(Self::Aead).chain(cbc)
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aead(aead) => write!(f, "{aead}"),
            Self::Cbc(cbc, integrity) => write!(f, "{cbc}-{integrity}"),
        }
    }
}

/// Pseudo-random functions (RFC 4868).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prf {
    /// `PRF_HMAC_SHA2_256`.
    HmacSha256,
    /// `PRF_HMAC_SHA2_384`.
    HmacSha384,
    /// `PRF_HMAC_SHA2_512`.
    HmacSha512,
}

impl Prf {
    /// All, in the order offered.
    pub const ALL: [Self; 3] = [Self::HmacSha384, Self::HmacSha256, Self::HmacSha512];

    /// Bytes of output, which is also the preferred length of its key.
    pub const fn output_length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// Key exchange methods (transform type 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Curve25519 (RFC 8031).
    X25519,
    /// NIST P-256 (RFC 5903).
    P256,
    /// NIST P-384 (RFC 5903).
    P384,
    /// NIST P-521 (RFC 5903).
    P521,
    /// 4096-bit MODP (RFC 3526).
    Modp4096,
    /// 3072-bit MODP (RFC 3526).
    Modp3072,
    /// 2048-bit MODP (RFC 3526), a MUST of RFC 8247.
    Modp2048,
}

impl Group {
    /// All, best first: what more strength costs counts too.
    pub const ALL: [Self; 7] =
        [Self::X25519, Self::P256, Self::P384, Self::P521, Self::Modp3072, Self::Modp4096, Self::Modp2048];
    /// Those that are offered unasked.
    pub const DEFAULT: [Self; 5] = [Self::X25519, Self::P256, Self::P384, Self::Modp3072, Self::Modp2048];
}

/// Whether sequence numbers have 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Esn {
    /// 64 bits.
    Extended,
    /// 32 bits.
    Short,
}

impl Esn {
    /// Both, the better first.
    pub const ALL: [Self; 2] = [Self::Extended, Self::Short];
}

macro_rules! algorithm_names {
    ($type:ty, $($variant:ident = $name:literal),+ $(,)?) => {
        impl $type {
            /// Its name in configurations and in `status`, as strongSwan writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
        impl FromStr for $type {
            type Err = UnknownAlgorithm;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownAlgorithm(text.to_owned())),
                }
            }
        }
    };
}

algorithm_names!(
    Aead,
    Aes256Gcm16 = "aes256gcm16",
    Aes128Gcm16 = "aes128gcm16",
    ChaCha20Poly1305 = "chacha20poly1305",
    Aes256Gcm12 = "aes256gcm12",
    Aes128Gcm12 = "aes128gcm12",
    Aes256Gcm8 = "aes256gcm8",
    Aes128Gcm8 = "aes128gcm8",
);
algorithm_names!(Cbc, Aes256 = "aes256", Aes128 = "aes128");
algorithm_names!(Integrity, HmacSha256 = "sha256", HmacSha384 = "sha384", HmacSha512 = "sha512");
algorithm_names!(Prf, HmacSha256 = "prfsha256", HmacSha384 = "prfsha384", HmacSha512 = "prfsha512");
algorithm_names!(
    Group,
    X25519 = "x25519",
    P256 = "ecp256",
    P384 = "ecp384",
    P521 = "ecp521",
    Modp4096 = "modp4096",
    Modp3072 = "modp3072",
    Modp2048 = "modp2048",
);
algorithm_names!(Esn, Extended = "esn", Short = "noesn");

/// A word that names no algorithm of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm `{0}`")]
pub struct UnknownAlgorithm(pub String);
