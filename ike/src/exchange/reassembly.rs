//! A message of which not all fragments are here yet (RFC 7383 §2.6).
//!
//! Its numbered stages are those of [`Reassembly::take`]: nothing is stored that was not found genuine, and no more than
//! the bounds allow (libreswan CVE-2026-12413).

use std::collections::BTreeMap;

use super::protected::{OpenError, Piece, Protected};
use crate::crypto::sha256;
use crate::keys::DirectionProtection;
use crate::limits;
use crate::wire::{ExchangeType, Fragment, FragmentPlace, Header, Payload, PayloadType};

/// A message that came in whole, or all its fragments did.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) payloads: Protected<Vec<Payload>>,
    /// Of the datagram by which it is known when it comes again: its only one, or its first fragment.
    pub(crate) digest: [u8; 32],
}

/// What has come of one message in one direction of an IKE SA; never of two.
#[derive(Debug, Default)]
pub(crate) struct Reassembly(Option<Box<Gathered>>);

#[derive(Debug)]
struct Gathered {
    message_id: u32,
    exchange: ExchangeType,
    total: u16,
    /// The type of the message's first payload, and the digest of the fragment that said it.
    first: Option<(PayloadType, [u8; 32])>,
    pieces: BTreeMap<u16, Piece>,
}

impl Reassembly {
    /// Takes a fragment of the one message that may come now.
    ///
    /// # Errors
    /// [`OpenError::Incomplete`] if others are still to come, [`OpenError::Malformed`] if the whole is. Any other changes
    /// nothing; [`OpenError::TooLarge`] is genuine.
    pub(crate) fn take(
        &mut self,
        header: &Header,
        bytes: &[u8],
        fragment: &Fragment<'_>,
        key: &DirectionProtection,
    ) -> Result<Received, OpenError> {
        let place = fragment.place;
        // 1. A number that is here already, or a smaller total than before, "MUST be silently discarded".
        if self.0.as_ref().is_some_and(|gathered| gathered.is_of(header) && gathered.has(place)) {
            return Err(OpenError::Repeated);
        }
        // 2. Only who has the key is heard, and up to here nothing has changed.
        let piece = Piece::open(&fragment.sealed, key)?;
        // 3. What could never be gathered is not begun with. Only now is it known that the peer says so, who can be told.
        if place.total > limits::FRAGMENTS {
            return Err(OpenError::TooLarge);
        }
        // 4. A larger total: the message was cut anew, and "the receiver MUST discard all received fragments".
        let goes_on =
            self.0.take().filter(|gathered| gathered.is_of(header) && gathered.total == place.total);
        let mut gathered = goes_on.unwrap_or_else(|| Box::new(Gathered::new(header, place.total)));
        // 5. No message is longer than what could have come in one datagram.
        if gathered.length() + piece.len() > limits::MESSAGE {
            self.0 = Some(gathered);
            return Err(OpenError::TooLarge);
        }
        // 6. Kept, until all are here.
        if place.number == 1 {
            gathered.first = Some((fragment.sealed.first, sha256(&[bytes])));
        }
        gathered.pieces.insert(place.number, piece);
        match gathered.first {
            Some((first, digest)) if gathered.is_complete() => {
                let payloads = Protected::join(first, gathered.pieces.values())?;
                Ok(Received { payloads, digest })
            }
            _ => {
                self.0 = Some(gathered);
                Err(OpenError::Incomplete)
            }
        }
    }

    /// Whether a fragment is from the one who has the key; it is not kept.
    pub(crate) fn is_genuine(fragment: &Fragment<'_>, key: &DirectionProtection) -> bool {
        Piece::open(&fragment.sealed, key).is_ok()
    }

    /// Forgets what has come: the message is not awaited any more.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// The digest of the first fragment of what has come, by which the message is known when it comes again.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        let (_, digest) = self.0.as_ref()?.first?;
        Some(digest)
    }

    /// Fragments held, and their bytes.
    pub(crate) fn held(&self) -> (usize, usize) {
        self.0.as_ref().map_or((0, 0), |gathered| (gathered.pieces.len(), gathered.length()))
    }
}

impl Gathered {
    fn new(header: &Header, total: u16) -> Self {
        let Header { message_id, exchange, .. } = *header;
        Self { message_id, exchange, total, first: None, pieces: BTreeMap::new() }
    }

    fn is_of(&self, header: &Header) -> bool {
        (self.message_id, self.exchange) == (header.message_id, header.exchange)
    }

    /// Whether this fragment says nothing new.
    fn has(&self, place: FragmentPlace) -> bool {
        place.total < self.total || (place.total == self.total && self.pieces.contains_key(&place.number))
    }

    fn length(&self) -> usize {
        self.pieces.values().map(Piece::len).sum()
    }

    fn is_complete(&self) -> bool {
        self.pieces.len() == usize::from(self.total)
    }
}
