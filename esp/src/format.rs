//! The lay-out of an ESP packet (RFC 4303 §2; AEADs: RFC 4106 §3, RFC 7634 §2; AES-CBC: RFC 3602 §3).
//!
//! SPI (4), low half of the sequence number (4), IV; encrypted: inner packet, padding, pad length (1), next header
//! (1); ICV.

use crate::drop_reason::DropReason;

/// Bytes that [`crate::Sealer::seal`] may write before the inner packet, whatever the suite.
pub const HEADROOM: usize = FIXED + CBC_BLOCK;
/// Bytes that [`crate::Sealer::seal`] may write behind the inner packet, whatever the suite.
pub const TAILROOM: usize = CBC_BLOCK - 1 + TRAILER + LONGEST_ICV;
/// Bytes of the shortest ESP packet of any suite.
pub(crate) const SHORTEST: usize = FIXED + AEAD_IV + TRAILER + SHORTEST_ICV;

/// SPI and low half of the sequence number.
pub(crate) const FIXED: usize = 8;
/// Pad length and next header.
pub(crate) const TRAILER: usize = 2;
/// Bytes of an AEAD's IV.
pub(crate) const AEAD_IV: usize = 8;
/// Bytes of an AES block, which is also CBC's IV.
pub(crate) const CBC_BLOCK: usize = 16;
const SHORTEST_ICV: usize = 8;
const LONGEST_ICV: usize = 32;

/// Next header of an IPv4 packet in tunnel mode.
pub(crate) const NEXT_IPV4: u8 = 4;
/// Next header of an IPv6 packet in tunnel mode.
pub(crate) const NEXT_IPV6: u8 = 41;
/// Next header of a dummy packet.
pub(crate) const NEXT_NONE: u8 = 59;

/// How long the parts of a suite's packets are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    iv: usize,
    icv: usize,
    /// What the encrypted part is a multiple of (RFC 4303 §2.4): a power of two.
    alignment: usize,
    /// Inner packets are padded to this at least (RFC 4303 §2.7).
    padded: usize,
}

/// The parts of one ESP packet.
#[derive(Debug)]
pub(crate) struct Parts<'p> {
    /// SPI, sequence number, IV.
    pub(crate) header: &'p mut [u8],
    /// The encrypted part.
    pub(crate) text: &'p mut [u8],
    pub(crate) icv: &'p mut [u8],
}

impl Layout {
    pub(crate) const fn of_aead(icv: usize) -> Self {
        Self { iv: AEAD_IV, icv, alignment: 4, padded: 0 }
    }

    pub(crate) const fn of_cbc(icv: usize) -> Self {
        Self { iv: CBC_BLOCK, icv, alignment: CBC_BLOCK, padded: 0 }
    }

    /// Bytes before the inner packet: SPI, sequence number and IV.
    pub const fn header_length(self) -> usize {
        FIXED + self.iv
    }

    /// Bytes of the ESP packet that carries an inner packet of this length.
    pub const fn sealed_length(self, inner: usize) -> usize {
        let text = self.padded_length(inner) + TRAILER + self.alignment - 1;
        self.header_length() + self.align(text) + self.icv
    }

    /// The same for packets that hide how long they are: shorter ones are padded to `inner` bytes before the ordinary padding
    /// (RFC 4303 §2.7).
    #[must_use]
    pub const fn padded_to(self, inner: usize) -> Self {
        Self { padded: inner, ..self }
    }

    /// Bytes of an inner packet of this length with that padding.
    pub(crate) const fn padded_length(self, inner: usize) -> usize {
        if inner > self.padded { inner } else { self.padded }
    }

    /// Bytes of the largest inner packet whose ESP packet has at most `sealed` bytes.
    pub const fn inner_length(self, sealed: usize) -> usize {
        self.align(sealed.saturating_sub(self.header_length() + self.icv)).saturating_sub(TRAILER)
    }

    /// Bytes that ESP adds to an inner packet at most.
    pub const fn overhead(self) -> usize {
        self.header_length() + self.alignment - 1 + TRAILER + self.icv
    }

    /// Bytes of the integrity check value.
    pub(crate) const fn icv_length(self) -> usize {
        self.icv
    }

    /// Takes a packet apart.
    #[inline]
    pub(crate) fn split(self, packet: &mut [u8]) -> Option<Parts<'_>> {
        let (header, rest) = packet.split_at_mut_checked(self.header_length())?;
        let (text, icv) = rest.split_at_mut_checked(rest.len().checked_sub(self.icv)?)?;
        (text.len() >= TRAILER).then_some(Parts { header, text, icv })
    }

    /// The multiple of the alignment at or below `length`.
    const fn align(self, length: usize) -> usize {
        length & !(self.alignment - 1)
    }
}

/// Fills padding (1, 2, 3 …), pad length and next header.
pub(crate) fn write_trailer(trailer: &mut [u8], next_header: u8) -> Result<(), DropReason> {
    let (padding, end) = trailer.split_last_chunk_mut::<TRAILER>().ok_or(DropReason::NoRoom)?;
    let mut length = 0;
    for byte in padding {
        length += 1;
        *byte = length;
    }
    *end = [length, next_header];
    Ok(())
}

/// Takes padding, pad length and next header off what was decrypted, and gives payload length and next header.
///
/// "the receiver SHOULD inspect the Padding field" (RFC 4303 §2.4).
pub(crate) fn read_trailer(plaintext: &[u8]) -> Result<(usize, u8), DropReason> {
    let (rest, &[length, next_header]) =
        plaintext.split_last_chunk::<TRAILER>().ok_or(DropReason::Padding)?;
    let payload = rest.len().checked_sub(length.into()).ok_or(DropReason::Padding)?;
    let padding = rest.get(payload..).ok_or(DropReason::Padding)?;
    if !padding.iter().copied().eq(1..=length) {
        return Err(DropReason::Padding);
    }
    Ok((payload, next_header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Suite;

    #[test]
    fn head_and_tailroom_are_the_most_that_any_suite_needs() {
        let layouts = Suite::ALL.map(Suite::layout);
        assert_eq!(layouts.map(Layout::header_length).into_iter().max(), Some(HEADROOM));
        let tails = layouts.map(|layout| layout.overhead() - layout.header_length());
        assert_eq!(tails.into_iter().max(), Some(TAILROOM));
        let shortest = layouts.map(|layout| layout.header_length() + TRAILER + layout.icv);
        assert_eq!(shortest.into_iter().min(), Some(SHORTEST));
    }

    #[test]
    fn packets_have_the_lengths_of_the_rfcs() {
        // Worked out by hand for an inner packet of 84 bytes, the usual echo request.
        let expected = [
            ("aes128gcm16", 16 + 88 + 16),
            ("aes256gcm12", 16 + 88 + 12),
            ("aes128gcm8", 16 + 88 + 8),
            ("chacha20poly1305", 16 + 88 + 16),
            ("aes128-sha256", 24 + 96 + 16),
            ("aes256-sha384", 24 + 96 + 24),
            ("aes128-sha512", 24 + 96 + 32),
        ];
        for (name, length) in expected {
            let suite = Suite::ALL.into_iter().find(|suite| suite.to_string() == name).unwrap();
            assert_eq!(suite.layout().sealed_length(84), length, "{name}");
        }
    }

    #[test]
    fn what_fits_is_the_most_that_fits() {
        for layout in Suite::ALL.map(Suite::layout) {
            for sealed in 0..300 {
                let inner = layout.inner_length(sealed);
                assert!(inner == 0 || layout.sealed_length(inner) <= sealed);
                assert!(layout.sealed_length(inner + 1) > sealed);
                assert!(layout.sealed_length(inner) - inner <= layout.overhead());
            }
        }
    }
}
