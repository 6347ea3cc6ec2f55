//! Messages under the keys of an IKE SA (RFC 7296 §3.14, RFC 5282 §3).

use crate::crypto::CryptoError;
use crate::keys::DirectionProtection;
use crate::wire::{Encrypted, Header, Malformed, Payload, parse_opened, prepare_encrypted};

/// Something that came inside an SK payload that opened: it is from the one who has the keys.
///
/// It can only be made by [`Protected::open`]; whatever changes an SA takes one, so that a message in clear text
/// cannot reach it.
#[derive(Debug)]
pub struct Protected<T>(T);

/// Why an SK payload gave no payloads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The tag or checksum is wrong: drop it, it is anybody's.
    Forged,
    /// It is right and the inside malformed: the peer's fault (RFC 7296 §2.21).
    Malformed(Malformed),
}

impl Protected<Vec<Payload>> {
    /// Opens an SK payload.
    pub(crate) fn open(sk: &Encrypted<'_>, key: &DirectionProtection) -> Result<Self, OpenError> {
        let mut sealed = sk.sealed.to_vec();
        let plaintext = key.open(sk.associated, &mut sealed).map_err(|error| match error {
            CryptoError::NoWholeBlocks => OpenError::Malformed(Malformed::Syntax("length of the ciphertext")),
            _ => OpenError::Forged,
        })?;
        parse_opened(sk.first, plaintext).map(Self).map_err(OpenError::Malformed)
    }
}

impl<T> Protected<T> {
    /// Reads on: what is made of protected payloads is protected.
    pub(crate) fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Protected<U>, E> {
        read(self.0).map(Protected)
    }

    /// What it holds, to look at.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What it holds.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Seals a message; the header's length and next payload are filled in.
pub(crate) fn seal(
    header: Header,
    payloads: &[Payload],
    key: &mut DirectionProtection,
) -> Result<Vec<u8>, CryptoError> {
    let (mut message, plaintext) = prepare_encrypted(header, payloads, key.frame());
    let sealed = key.seal(&message, plaintext)?;
    message.extend_from_slice(&sealed);
    Ok(message)
}
