//! The lay-out of an ESP packet with AES-GCM (RFC 4303 §2, RFC 4106 §3).
//!
//! SPI (4), low half of the sequence number (4), IV (8); encrypted: inner packet, padding, pad length (1), next
//! header (1); ICV (16).

use crate::drop_reason::DropReason;

/// SPI, sequence number and IV: bytes that [`crate::Sealer::seal`] writes before the inner packet.
pub const HEADROOM: usize = 16;
/// Bytes that [`crate::Sealer::seal`] may write behind the inner packet.
pub const TAILROOM: usize = ALIGNMENT - 1 + TRAILER + ICV;

/// Pad length and next header.
pub(crate) const TRAILER: usize = 2;
/// Bytes of the integrity check value.
pub(crate) const ICV: usize = 16;
/// What the encrypted part is a multiple of (RFC 4303 §2.4).
pub(crate) const ALIGNMENT: usize = 4;

/// Next header of an IPv4 packet in tunnel mode.
pub(crate) const NEXT_IPV4: u8 = 4;
/// Next header of an IPv6 packet in tunnel mode.
pub(crate) const NEXT_IPV6: u8 = 41;
/// Next header of a dummy packet.
pub(crate) const NEXT_NONE: u8 = 59;

/// Bytes of the ESP packet that carries an inner packet of this length.
pub const fn sealed_length(inner: usize) -> usize {
    HEADROOM + (inner + TRAILER).next_multiple_of(ALIGNMENT) + ICV
}

/// SPI, sequence number and IV. The IV is the 64-bit sequence number, which never repeats under a key.
pub(crate) fn header(spi: u32, sequence: u64) -> [u8; HEADROOM] {
    let low = u128::from(sequence & u64::from(u32::MAX));
    (u128::from(spi) << 96 | low << 64 | u128::from(sequence)).to_be_bytes()
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
