//! Cuts a super-packet into packets, with headers rebuilt and checksums complete (TSO and USO in software).

use std::ops::Range;

use super::header::OffloadHeader;
use crate::drop_reason::DropReason;
use crate::format::{HEADROOM, sealed_length};

/// Packets of one length, the last perhaps shorter, that lie at equal distances in a buffer: so that once each is
/// sealed in place, the ESP packets follow one another without a gap, ready for one UDP GSO send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train {
    /// Packets.
    pub count: usize,
    /// Bytes from one packet to the next: the length of the ESP packet that each but the last becomes.
    pub stride: usize,
    /// Bytes of each packet but the last.
    pub length: usize,
    /// Bytes of the last packet.
    pub last_length: usize,
}

impl Train {
    /// Where the packets lie in the buffer, in order; the first at [`HEADROOM`].
    pub fn packets(self) -> impl Iterator<Item = Range<usize>> {
        (1..=self.count).map(move |number| {
            let start = (number - 1) * self.stride + HEADROOM;
            start..start + if number == self.count { self.last_length } else { self.length }
        })
    }

    /// Bytes of the buffer that the sealed packets take up, from its start.
    pub fn sealed_length(self) -> usize {
        self.count.saturating_sub(1) * self.stride + sealed_length(self.last_length)
    }
}

/// Cuts `packet`, read from a TUN with `header`, into `out`. A packet that needs no cutting becomes a train of one,
/// its checksum complete.
///
/// # Errors
/// Those of [`crate::InnerView::parse`]; [`DropReason::SuperPacket`] if the header contradicts the packet;
/// [`DropReason::NoRoom`] if `out` is shorter than [`Train::sealed_length`].
pub fn segment(header: OffloadHeader, packet: &[u8], out: &mut [u8]) -> Result<Train, DropReason> {
    let _ = (header, packet, out);
    Err(DropReason::SuperPacket)
}

/// Completes in place the checksum of a packet that needs no cutting, if the header says that it is not.
///
/// # Errors
/// [`DropReason::SuperPacket`] if it does need cutting, or if the header points outside the packet.
pub fn complete_checksum(header: OffloadHeader, packet: &mut [u8]) -> Result<(), DropReason> {
    let _ = (header, packet);
    Err(DropReason::SuperPacket)
}
