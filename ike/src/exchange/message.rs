//! A message as it is sent: one datagram, or several fragments of it (RFC 7383 §2.5).

use std::num::NonZero;

use crate::crypto::CryptoError;
use crate::keys::DirectionProtection;
use crate::limits;
use crate::wire::{FragmentPlace, Frame, Header, Payload, emit_chain, prepare_chain, prepare_fragment};

/// The datagrams of a message, at least one. They are kept and sent again as they are: "A retransmission from the
/// initiator MUST be bitwise identical to the original request" (RFC 7296 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    first: Vec<u8>,
    rest: Vec<Vec<u8>>,
}

impl Message {
    /// A message in one datagram.
    pub(crate) fn whole(bytes: Vec<u8>) -> Self {
        Self { first: bytes, rest: Vec::new() }
    }

    /// All of it, if it was not cut.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// In the order in which they are sent.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

/// Seals a message; the header's length and next payload are filled in. One that would be longer than `most` bytes is
/// cut into fragments that are not; without `most`, the peer takes none.
pub(crate) fn seal(
    header: Header,
    payloads: &[Payload],
    key: &mut DirectionProtection,
    most: Option<usize>,
) -> Result<Message, CryptoError> {
    let mut chain = Vec::with_capacity(512);
    let first = emit_chain(payloads, &mut chain);
    // In the simulator one end may be hostile, with the right keys.
    #[cfg(feature = "sim")]
    let (first, chain) = super::tamper::chain(&header, first, chain);
    let frame = key.frame();
    let Some((piece, total)) = most.and_then(|most| cut(chain.len(), frame, most)) else {
        return sealed(prepare_chain(header, first, chain, frame), key).map(Message::whole);
    };
    let fragments = (1..=total).zip(chain.chunks(piece)).map(|(number, piece)| {
        let place = FragmentPlace { number, total };
        sealed(prepare_fragment(header, first, place, piece.to_vec(), frame), key)
    });
    let mut fragments = fragments.collect::<Result<Vec<_>, _>>()?.into_iter();
    let first = fragments.next().ok_or(CryptoError::TooLong)?;
    Ok(Message { first, rest: fragments.collect() })
}

fn sealed(
    (mut message, plaintext): (Vec<u8>, Vec<u8>),
    key: &mut DirectionProtection,
) -> Result<Vec<u8>, CryptoError> {
    let sealed = key.seal(&message, plaintext)?;
    message.extend_from_slice(&sealed);
    Ok(message)
}

/// How long the pieces of a chain are and how many; `None` if it fits as it is. A chain of more fragments than anyone
/// takes is left to the fragmentation of IP.
fn cut(chain: usize, frame: Frame, most: usize) -> Option<(usize, u16)> {
    if frame.whole(chain) <= most {
        return None;
    }
    let room = NonZero::new(frame.room(most))?.get();
    let total = chain.div_ceil(room);
    // Evenly: with each as little is lost as can be.
    let piece = chain.div_ceil(total);
    let total = u16::try_from(chain.div_ceil(piece)).ok()?;
    (total <= limits::FRAGMENTS).then_some((piece, total))
}
