//! Messages under the keys of an IKE SA (RFC 7296 §3.14, RFC 5282 §3).

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::CryptoError;
use crate::keys::DirectionProtection;
use crate::wire::{Encrypted, Malformed, Payload, PayloadType, parse_chain, parse_opened, strip_padding};

/// Something that came inside an SK payload that opened, or SKF payloads: it is from the one who has the keys.
///
/// It can only be made by [`Protected::open`] or [`Protected::join`]; whatever changes an SA takes one, so that a
/// message in clear text cannot reach it.
#[derive(Debug)]
pub struct Protected<T>(T);

/// Why a message gave no payloads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The tag or checksum is wrong: drop it, it is anybody's.
    Forged,
    /// It is right and the inside malformed: the peer's fault (RFC 7296 §2.21).
    Malformed(Malformed),
    /// It is in clear text.
    Unprotected,
    /// A fragment, and not the last to come: it is kept.
    Incomplete,
    /// A fragment that is here already, or is of an older cut of the message.
    Repeated,
    /// A fragment of more, or larger, than we gather. It is from the one who has the keys.
    TooLarge,
    /// A fragment, though fragmentation was not agreed on.
    NotNegotiated,
}

/// What was in an SKF payload that opened: a part of a chain of payloads. It can only be made by [`Piece::open`].
pub(super) struct Piece(Zeroizing<Vec<u8>>);

impl Piece {
    pub(super) fn open(sealed: &Encrypted<'_>, key: &DirectionProtection) -> Result<Self, OpenError> {
        let mut buffer = Zeroizing::new(sealed.sealed.to_vec());
        let plaintext = open(sealed, key, &mut buffer)?;
        let part = strip_padding(plaintext).map_err(OpenError::Malformed)?;
        Ok(Self(Zeroizing::new(part.to_vec())))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}

fn open<'a>(
    sealed: &Encrypted<'_>,
    key: &DirectionProtection,
    buffer: &'a mut [u8],
) -> Result<&'a mut [u8], OpenError> {
    let opened = key.open(sealed.associated, buffer).map_err(|error| match error {
        CryptoError::NoWholeBlocks => OpenError::Malformed(Malformed::Syntax("length of the ciphertext")),
        _ => OpenError::Forged,
    })?;
    // Only now is it known that the peer says so, who is to be answered.
    match sealed.unsupported {
        Some(kind) => Err(OpenError::Malformed(Malformed::UnsupportedCritical(kind.0))),
        None => Ok(opened),
    }
}

impl Protected<Vec<Payload>> {
    /// Opens an SK payload.
    pub(crate) fn open(sk: &Encrypted<'_>, key: &DirectionProtection) -> Result<Self, OpenError> {
        let mut buffer = sk.sealed.to_vec();
        let plaintext = open(sk, key, &mut buffer)?;
        parse_opened(sk.first, plaintext).map(Self).map_err(OpenError::Malformed)
    }

    /// Puts all pieces of a message together.
    pub(super) fn join<'a>(
        first: PayloadType,
        pieces: impl Iterator<Item = &'a Piece>,
    ) -> Result<Self, OpenError> {
        let chain: Vec<u8> = pieces.flat_map(|piece| piece.0.iter().copied()).collect();
        parse_chain(first, &chain).map(Self).map_err(OpenError::Malformed)
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
