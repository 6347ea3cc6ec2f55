//! The ciphers: each seals and opens the parts of one ESP packet in place.

mod aead;
mod cbc;
mod short_tag;

use std::fmt;

use aes::cipher::KeyInit;
use aes::{Aes128, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U8, U12};
use ring::hmac;

use crate::drop_reason::DropReason;
use crate::format::{AEAD_IV, FIXED, Parts};
use crate::sa::ConfigError;
use crate::suite::{AesKey, GcmTag, Hmac, Keymat, SALT, Suite};
use aead::{Aead, Algorithm};
use cbc::Cbc;
use short_tag::ShortTag;

/// The keys of one direction, ready for use.
#[expect(clippy::large_enum_variant, reason = "the usual one is the large one, and saves a look elsewhere")]
pub(crate) enum Cipher {
    /// What is fast and usual is called directly.
    Aead(Aead),
    /// None at all.
    #[cfg(feature = "null-transform")]
    Null,
    Other(Box<dyn Transform>),
}

/// A cipher that is not on the fast path.
pub(crate) trait Transform: Send + Sync {
    /// Writes the IV, encrypts, writes the ICV; SPI and sequence number stand there already.
    fn seal(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason>;
    /// Checks the ICV and decrypts.
    fn open(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason>;
}

/// What names a packet, and is authenticated beside what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketId {
    pub(crate) spi: u32,
    /// All 64 bits.
    pub(crate) sequence: u64,
    pub(crate) esn: bool,
}

impl Cipher {
    pub(crate) fn new(suite: Suite, keymat: &Keymat) -> Result<Self, ConfigError> {
        let bytes = keymat.expose();
        let made = match suite {
            #[cfg(feature = "null-transform")]
            _ if crate::null_transform::is_chosen() => Some(Self::Null),
            _ if bytes.len() != suite.keymat_length() => None,
            Suite::AesGcm(key, GcmTag::Octets16) => aead(Algorithm::AesGcm(key), bytes),
            Suite::ChaCha20Poly1305 => aead(Algorithm::ChaCha20Poly1305, bytes),
            Suite::AesGcm(key, GcmTag::Octets12) => match key {
                AesKey::Bits128 => short_tag::<AesGcm<Aes128, U12, U12>>(bytes),
                AesKey::Bits256 => short_tag::<AesGcm<Aes256, U12, U12>>(bytes),
            },
            Suite::AesGcm(key, GcmTag::Octets8) => match key {
                AesKey::Bits128 => short_tag::<AesGcm<Aes128, U12, U8>>(bytes),
                AesKey::Bits256 => short_tag::<AesGcm<Aes256, U12, U8>>(bytes),
            },
            Suite::AesCbc(key, hmac) => cbc(key, hmac, bytes),
        };
        made.ok_or(ConfigError::KeymatLength { expected: suite.keymat_length(), given: bytes.len() })
    }

    /// Writes SPI, sequence number and IV, encrypts in place and writes the ICV. The caller never uses a sequence number
    /// twice.
    #[inline]
    pub(crate) fn seal(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        *parts.header.first_chunk_mut().ok_or(DropReason::NoRoom)? = id.header();
        match self {
            Self::Aead(aead) => aead.seal(id, parts),
            #[cfg(feature = "null-transform")]
            Self::Null => Ok(()),
            Self::Other(other) => other.seal(id, parts),
        }
    }

    /// Checks the ICV and decrypts in place. What failed the check may be destroyed.
    #[inline]
    pub(crate) fn open(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        match self {
            Self::Aead(aead) => aead.open(id, parts),
            #[cfg(feature = "null-transform")]
            Self::Null => Ok(()),
            Self::Other(other) => other.open(id, parts),
        }
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}

fn aead(algorithm: Algorithm, keymat: &[u8]) -> Option<Cipher> {
    let (key, salt) = keymat.split_last_chunk::<SALT>()?;
    Aead::new(algorithm, key, *salt).map(Cipher::Aead)
}

fn short_tag<G>(keymat: &[u8]) -> Option<Cipher>
where
    G: KeyInit + Send + Sync + 'static,
    ShortTag<G>: Transform,
{
    let (key, salt) = keymat.split_last_chunk::<SALT>()?;
    let gcm = G::new_from_slice(key).ok()?;
    Some(Cipher::Other(Box::new(ShortTag { gcm, salt: *salt })))
}

fn cbc(key: AesKey, hmac: Hmac, keymat: &[u8]) -> Option<Cipher> {
    let (encryption, integrity) = keymat.split_at_checked(key.length())?;
    let algorithm = match hmac {
        Hmac::Sha256 => hmac::HMAC_SHA256,
        Hmac::Sha384 => hmac::HMAC_SHA384,
        Hmac::Sha512 => hmac::HMAC_SHA512,
    };
    let integrity = hmac::Key::new(algorithm, integrity);
    Some(Cipher::Other(match key {
        AesKey::Bits128 => Box::new(Cbc { aes: Aes128::new_from_slice(encryption).ok()?, integrity }),
        AesKey::Bits256 => Box::new(Cbc { aes: Aes256::new_from_slice(encryption).ok()?, integrity }),
    }))
}

/// Salt, then IV (RFC 4106 §4, RFC 7634 §2).
fn nonce(salt: [u8; SALT], iv: [u8; AEAD_IV]) -> [u8; SALT + AEAD_IV] {
    let all = u128::from(u32::from_be_bytes(salt)) << 96 | u128::from(u64::from_be_bytes(iv)) << 32;
    let [nonce @ .., _, _, _, _] = all.to_be_bytes();
    nonce
}

impl PacketId {
    /// SPI and low half of the sequence number, as they are sent.
    fn header(self) -> [u8; FIXED] {
        (u64::from(self.spi) << 32 | self.sequence & u64::from(u32::MAX)).to_be_bytes()
    }

    /// The half of the sequence number that is not sent; only ESN has it.
    fn high(self) -> Option<[u8; 4]> {
        let [h0, h1, h2, h3, ..] = self.sequence.to_be_bytes();
        self.esn.then_some([h0, h1, h2, h3])
    }

    /// SPI and sequence number, with its high half only under ESN (RFC 4106 §5, RFC 7634 §2.1).
    fn associated_data(self) -> AssociatedData {
        // Without ESN the high half is not there: the low half takes its place.
        let (sequence, length) = if self.esn { (self.sequence, 12) } else { (self.sequence << 32, 8) };
        let all = u128::from(self.spi) << 96 | u128::from(sequence) << 32;
        AssociatedData { bytes: all.to_be_bytes(), length }
    }
}

struct AssociatedData {
    bytes: [u8; 16],
    length: usize,
}

impl AssociatedData {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    pub(super) fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
    }

    /// A packet from its parts.
    pub(super) fn packet(header: &[u8], iv: &[u8], text: &[u8], icv: &[u8]) -> Vec<u8> {
        [header, iv, text, icv].concat()
    }

    /// What a packet holds, trailer included.
    pub(super) fn open(
        suite: Suite,
        keymat: &Keymat,
        id: PacketId,
        packet: &[u8],
    ) -> Result<Vec<u8>, DropReason> {
        let mut packet = packet.to_vec();
        let layout = suite.layout();
        Cipher::new(suite, keymat).unwrap().open(id, layout.split(&mut packet).unwrap())?;
        Ok(layout.split(&mut packet).unwrap().text.to_vec())
    }

    #[test]
    fn key_material_of_another_length_is_refused() {
        for suite in Suite::ALL {
            for given in 0..128 {
                let made = Cipher::new(suite, &Keymat::new(vec![7; given])).map(|_| ());
                let expected = suite.keymat_length();
                let wrong = Err(ConfigError::KeymatLength { expected, given });
                assert_eq!(made, if given == expected { Ok(()) } else { wrong });
            }
        }
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        for suite in Suite::ALL {
            let keymat = Keymat::new(vec![0xab; suite.keymat_length()]);
            assert_eq!(format!("{keymat:?}"), format!("Keymat({} bytes)", suite.keymat_length()));
            assert_eq!(format!("{:?}", Cipher::new(suite, &keymat).unwrap()), "Cipher(…)");
        }
    }
}
