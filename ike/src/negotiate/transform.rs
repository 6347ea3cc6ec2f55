//! Our algorithms as transforms (RFC 7296 §3.3.2), and transforms in words.

use crate::suite::{Aead, Cbc, Esn, Group, Integrity, NOPFS, Prf};
use crate::wire::{Proposal, Transform, TransformType};

/// A transform "NONE" of each type that may be left out (RFC 7296 §3.3.3).
pub(super) const NONE: u16 = 0;

impl Aead {
    pub(super) fn transform(self) -> Transform {
        let (id, bits) = match self {
            Self::Aes128Gcm8 => (18, Some(128)),
            Self::Aes256Gcm8 => (18, Some(256)),
            Self::Aes128Gcm12 => (19, Some(128)),
            Self::Aes256Gcm12 => (19, Some(256)),
            Self::Aes128Gcm16 => (20, Some(128)),
            Self::Aes256Gcm16 => (20, Some(256)),
            // "This attribute MUST NOT be used with transforms that use a fixed-length key" (RFC 7296 §3.3.5).
            Self::ChaCha20Poly1305 => (28, None),
        };
        Transform { key_length: bits, ..Transform::new(TransformType::ENCR, id) }
    }
}

impl Cbc {
    pub(super) fn transform(self) -> Transform {
        let bits = match self {
            Self::Aes128 => 128,
            Self::Aes256 => 256,
        };
        Transform { key_length: Some(bits), ..Transform::new(TransformType::ENCR, 12) }
    }
}

impl Integrity {
    pub(super) fn transform(self) -> Transform {
        let id = match self {
            Self::HmacSha256 => 12,
            Self::HmacSha384 => 13,
            Self::HmacSha512 => 14,
        };
        Transform::new(TransformType::INTEG, id)
    }
}

impl Prf {
    pub(super) fn transform(self) -> Transform {
        let id = match self {
            Self::HmacSha256 => 5,
            Self::HmacSha384 => 6,
            Self::HmacSha512 => 7,
        };
        Transform::new(TransformType::PRF, id)
    }
}

impl Group {
    /// Its number in the registry of key exchange methods.
    pub const fn number(self) -> u16 {
        match self {
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::P256 => 19,
            Self::P384 => 20,
            Self::P521 => 21,
            Self::X25519 => 31,
        }
    }

    /// The group with this number, if we implement it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.number() == number)
    }

    pub(super) fn transform(self) -> Transform {
        Transform::new(TransformType::KE, self.number())
    }
}

impl Esn {
    pub(super) fn transform(self) -> Transform {
        Transform::new(TransformType::ESN, u16::from(self == Self::Extended))
    }
}

/// An offer in the words of the configuration, as far as there are words, for a diagnosis.
pub fn describe(offer: &[Proposal]) -> String {
    let proposals = offer
        .iter()
        .map(|p| p.transforms.iter().copied().map(describe_transform).collect::<Vec<_>>().join("-"));
    let mut text = proposals.collect::<Vec<_>>().join(", ");
    // All of it is ASCII.
    if text.len() > crate::limits::DIAGNOSIS_QUOTE {
        text.truncate(crate::limits::DIAGNOSIS_QUOTE);
        text.push('…');
    }
    text
}

/// Our algorithms with their words.
fn implemented() -> impl Iterator<Item = (Transform, &'static str)> {
    let ours = Aead::ALL.iter().map(|a| (a.transform(), a.name()));
    let ours = ours.chain(Cbc::ALL.iter().map(|c| (c.transform(), c.name())));
    let ours = ours.chain(Integrity::ALL.iter().map(|i| (i.transform(), i.name())));
    let ours = ours.chain(Prf::ALL.iter().map(|p| (p.transform(), p.name())));
    let ours = ours.chain(Group::ALL.iter().map(|g| (g.transform(), g.name())));
    ours.chain(Esn::ALL.iter().map(|e| (e.transform(), e.name())))
}

/// Whether we have this algorithm.
pub(super) fn is_implemented(t: Transform) -> bool {
    implemented().any(|(transform, _)| transform == t)
}

/// A key exchange method in words.
pub fn describe_group(number: u16) -> String {
    describe_transform(Transform::new(TransformType::KE, number))
}

/// An algorithm in words.
pub(super) fn describe_transform(t: Transform) -> String {
    if let Some((_, name)) = implemented().find(|(transform, _)| *transform == t) {
        return name.to_owned();
    }
    // What others have and we do not: mostly what we never will.
    let name = match (t.kind, t.id) {
        (TransformType::ENCR, 2) => "des",
        (TransformType::ENCR, 3) => "3des",
        (TransformType::ENCR, 11) => "null",
        (TransformType::ENCR, 12) => "aes-cbc",
        (TransformType::ENCR, 13) => "aes-ctr",
        (TransformType::ENCR, 14) => "aes-ccm8",
        (TransformType::ENCR, 15) => "aes-ccm12",
        (TransformType::ENCR, 16) => "aes-ccm16",
        (TransformType::ENCR, 18) => "aes-gcm8",
        (TransformType::ENCR, 19) => "aes-gcm12",
        (TransformType::ENCR, 20) => "aes-gcm16",
        (TransformType::ENCR, 23) => "camellia",
        (TransformType::ENCR, 28) => "chacha20poly1305",
        (TransformType::PRF, 1) => "prfmd5",
        (TransformType::PRF, 2) => "prfsha1",
        (TransformType::PRF, 4) => "prfaesxcbc",
        (TransformType::PRF, 8) => "prfaescmac",
        (TransformType::INTEG, NONE) => "nointeg",
        (TransformType::INTEG, 1) => "md5",
        (TransformType::INTEG, 2) => "sha1",
        (TransformType::INTEG, 5) => "aesxcbc",
        (TransformType::INTEG, 8) => "aescmac",
        (TransformType::KE, NONE) => NOPFS,
        (TransformType::KE, 1) => "modp768",
        (TransformType::KE, 2) => "modp1024",
        (TransformType::KE, 5) => "modp1536",
        (TransformType::KE, 17) => "modp6144",
        (TransformType::KE, 18) => "modp8192",
        (TransformType::KE, 22) => "modp1024s160",
        (TransformType::KE, 23) => "modp2048s224",
        (TransformType::KE, 24) => "modp2048s256",
        (TransformType::KE, 25) => "ecp192",
        (TransformType::KE, 26) => "ecp224",
        (TransformType::KE, 32) => "x448",
        (kind, id) => return format!("{}{id}", kind.to_string().to_lowercase()),
    };
    match t.key_length {
        Some(bits) => format!("{name}/{bits}"),
        None => name.to_owned(),
    }
}

/// A list of our proposals in the words of the configuration.
pub fn describe_ours<P: std::fmt::Display>(proposals: &[P]) -> String {
    proposals.iter().map(P::to_string).collect::<Vec<_>>().join(", ")
}
