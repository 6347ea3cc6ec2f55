//! Cuts a super-packet into packets, with headers rebuilt and checksums complete (TSO and USO in software).

use std::ops::Range;

use super::header::OffloadHeader;
use super::rewrite::{
    checksum_offset, complete_checksum_over, complete_transport_checksum, flag, set_ip_length, set_udp_length,
};
use crate::checksum::Sum;
use crate::drop_reason::DropReason;
use crate::format::Layout;
use crate::inner::{Fragment, ICMP, ICMPV6, InnerView, TCP, UDP};

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
    /// That of the SA that they are for.
    pub layout: Layout,
}

impl Train {
    /// Where the packets lie in the buffer, in order; the first behind room for its header.
    pub fn packets(self) -> impl Iterator<Item = Range<usize>> {
        (1..=self.count).map(move |number| {
            let start = (number - 1) * self.stride + self.layout.header_length();
            start..start + if number == self.count { self.last_length } else { self.length }
        })
    }

    /// Bytes of the buffer that the sealed packets take up, from its start.
    pub fn sealed_length(self) -> usize {
        self.count.saturating_sub(1) * self.stride + self.last_sealed_length()
    }

    /// Bytes of the ESP packet that the last packet becomes.
    pub fn last_sealed_length(self) -> usize {
        self.layout.sealed_length(self.last_length)
    }
}

/// What [`segment`] will make of `packet`, whose headers say `inner`.
///
/// # Errors
/// Those of [`segment`], but for want of room.
pub fn plan(
    layout: Layout,
    header: OffloadHeader,
    packet: &[u8],
    inner: &InnerView,
) -> Result<Train, DropReason> {
    let packet = packet.get(..inner.total_length()).ok_or(DropReason::InnerLength)?;
    if header.gso() == OffloadHeader::GSO_NONE {
        return Ok(whole(layout, packet.len()));
    }
    Ok(Cut::new(header, inner, packet)?.train(layout))
}

/// Cuts `packet`, read from a TUN with `header`, into `out`, for an SA with this layout. A packet that needs no cutting
/// becomes a train of one, its checksum complete.
///
/// # Errors
/// Those of [`crate::InnerView::parse`]; [`DropReason::SuperPacket`] if the header contradicts the packet;
/// [`DropReason::NoRoom`] if `out` is shorter than [`Train::sealed_length`].
pub fn segment(
    layout: Layout,
    header: OffloadHeader,
    packet: &[u8],
    out: &mut [u8],
) -> Result<Train, DropReason> {
    let inner = InnerView::parse(packet)?;
    let packet = packet.get(..inner.total_length()).ok_or(DropReason::InnerLength)?;
    if header.gso() == OffloadHeader::GSO_NONE {
        return copy_whole(layout, header, packet, out);
    }
    let cut = Cut::new(header, &inner, packet)?;
    let train = cut.train(layout);
    let out = out.get_mut(..train.sealed_length()).ok_or(DropReason::NoRoom)?;
    for (number, place) in train.packets().enumerate() {
        cut.write(number, out.get_mut(place).ok_or(DropReason::NoRoom)?)?;
    }
    Ok(train)
}

/// Completes in place the checksum of a packet that needs no cutting, if the header says that it is not.
///
/// # Errors
/// Those of [`crate::InnerView::parse`]; [`DropReason::SuperPacket`] if it does need cutting, or if the header points outside of
/// what follows the IP header.
pub fn complete_checksum(header: OffloadHeader, packet: &mut [u8]) -> Result<(), DropReason> {
    if header.gso() != OffloadHeader::GSO_NONE {
        return Err(DropReason::SuperPacket);
    }
    if header.flags & OffloadHeader::NEEDS_CSUM == 0 {
        return Ok(());
    }
    if !covers_transport(header, &InnerView::parse(packet)?) {
        return Err(DropReason::SuperPacket);
    }
    let covered = packet.get_mut(header.csum_start.into()..).ok_or(DropReason::SuperPacket)?;
    let at = usize::from(header.csum_offset);
    // The field holds the sum of the pseudo-header, which so comes in.
    let checksum = match Sum::default().add(covered).complement() {
        0 => 0xffff,
        checksum => checksum,
    };
    let field = covered.get_mut(at..at + 2).ok_or(DropReason::SuperPacket)?;
    field.copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Whether the checksum is that of what the IP header carries: written over addresses or ports it would change where the
/// packet goes, after that was judged.
fn covers_transport(header: OffloadHeader, inner: &InnerView) -> bool {
    let offset = header.csum_offset;
    usize::from(header.csum_start) == inner.header_length()
        && match inner.protocol() {
            protocol @ (TCP | UDP) => offset == checksum_offset(protocol),
            ICMP | ICMPV6 => offset == 2,
            _ => offset >= 4,
        }
}

fn whole(layout: Layout, length: usize) -> Train {
    Train { count: 1, stride: layout.sealed_length(length), length, last_length: length, layout }
}

fn copy_whole(
    layout: Layout,
    header: OffloadHeader,
    packet: &[u8],
    out: &mut [u8],
) -> Result<Train, DropReason> {
    let length = packet.len();
    let train = whole(layout, length);
    let out = out.get_mut(..train.sealed_length()).ok_or(DropReason::NoRoom)?;
    let place = out.get_mut(layout.header_length()..).and_then(|place| place.get_mut(..length));
    let place = place.ok_or(DropReason::NoRoom)?;
    place.copy_from_slice(packet);
    complete_checksum(header, place)?;
    Ok(train)
}

/// A super-packet and how it is cut.
struct Cut<'p> {
    headers: &'p [u8],
    payload: &'p [u8],
    /// Bytes of payload a segment; not 0.
    size: usize,
    /// Where the TCP or UDP header starts.
    transport: usize,
    protocol: u8,
    /// The sum of the pseudo-header but for the length, where the sender alone knows it.
    pseudo: Option<Sum>,
}

impl<'p> Cut<'p> {
    fn new(header: OffloadHeader, inner: &InnerView, packet: &'p [u8]) -> Result<Self, DropReason> {
        let (protocol, ipv4) = match header.gso() {
            OffloadHeader::GSO_TCPV4 => (TCP, true),
            OffloadHeader::GSO_TCPV6 => (TCP, false),
            OffloadHeader::GSO_UDP_L4 => (UDP, inner.source().is_ipv4()),
            _ => return Err(DropReason::SuperPacket),
        };
        let transport = inner.header_length();
        let fits = inner.protocol() == protocol
            && inner.source().is_ipv4() == ipv4
            && inner.fragment() == Fragment::Whole
            && header.gso_size > 0;
        if !fits {
            return Err(DropReason::SuperPacket);
        }
        let plain = transport == if ipv4 { 20 } else { 40 };
        let pseudo = if plain { None } else { Some(sender_sum(header, inner, packet)?) };
        let length = transport_header_length(packet, transport, protocol).ok_or(DropReason::SuperPacket)?;
        let (headers, payload) =
            packet.split_at_checked(transport + length).ok_or(DropReason::SuperPacket)?;
        Ok(Self { headers, payload, size: header.gso_size.into(), transport, protocol, pseudo })
    }

    fn train(&self, layout: Layout) -> Train {
        let count = self.payload.len().div_ceil(self.size).max(1);
        let length = self.headers.len() + self.size.min(self.payload.len());
        let last_length = self.headers.len() + self.payload.len() - (count - 1) * self.size;
        Train { count, stride: layout.sealed_length(length), length, last_length, layout }
    }

    /// Writes the segment of this number, from 0, into the place that has its length.
    fn write(&self, number: usize, place: &mut [u8]) -> Result<(), DropReason> {
        let start = number * self.size;
        let end = self.payload.len().min(start + self.size);
        let payload = self.payload.get(start..end).ok_or(DropReason::NoRoom)?;
        let (headers, rest) = place.split_at_mut_checked(self.headers.len()).ok_or(DropReason::NoRoom)?;
        headers.copy_from_slice(self.headers);
        rest.get_mut(..payload.len()).ok_or(DropReason::NoRoom)?.copy_from_slice(payload);
        // A packet holds less than 2^16 bytes, so neither number nor offset needs more bits.
        let id_step = u16::try_from(number).map_err(|_| DropReason::SuperPacket)?;
        let offset = u32::try_from(start).map_err(|_| DropReason::SuperPacket)?;
        set_ip_length(place, self.transport, id_step);
        if self.protocol == TCP {
            let segment = place.get_mut(self.transport..).ok_or(DropReason::NoRoom)?;
            rewrite_tcp(segment, offset, end == self.payload.len());
        } else {
            set_udp_length(place, self.transport);
        }
        match self.pseudo {
            None => complete_transport_checksum(place, self.transport, self.protocol),
            Some(pseudo) => {
                let length = u16::try_from(place.len().saturating_sub(self.transport)).unwrap_or(u16::MAX);
                complete_checksum_over(pseudo.add_u16(length), place, self.transport, self.protocol);
            }
        }
        Ok(())
    }
}

/// The sum of the pseudo-header but for the length, from the one that the sender has left in the checksum's place. Where a routing
/// header, or an IPv4 option, leads by other nodes first, "the Destination Address used in the pseudo-header is that of the final
/// destination" (RFC 8200 §8.1), which the IP header does not name.
fn sender_sum(header: OffloadHeader, inner: &InnerView, packet: &[u8]) -> Result<Sum, DropReason> {
    let told = header.flags & OffloadHeader::NEEDS_CSUM != 0 && covers_transport(header, inner);
    let covered = packet.get(inner.header_length()..).filter(|_| told).ok_or(DropReason::SuperPacket)?;
    let at = usize::from(checksum_offset(inner.protocol()));
    let field = covered.get(at..).and_then(|rest| rest.first_chunk()).ok_or(DropReason::SuperPacket)?;
    let length = u16::try_from(covered.len()).map_err(|_| DropReason::SuperPacket)?;
    Ok(Sum::default().add_u16(u16::from_be_bytes(*field)).add_u16(!length))
}

/// Bytes of the TCP or UDP header at `transport`.
fn transport_header_length(packet: &[u8], transport: usize, protocol: u8) -> Option<usize> {
    if protocol == UDP {
        return Some(8);
    }
    let header = packet.get(transport..)?.first_chunk::<20>()?;
    let length = usize::from(header[12] >> 4) * 4;
    (length >= header.len()).then_some(length)
}

/// The sequence number goes on; FIN and PSH belong to the last segment, CWR to the first (RFC 3168 §6.1.2).
fn rewrite_tcp(segment: &mut [u8], offset: u32, last: bool) {
    let Some(header) = segment.first_chunk_mut::<20>() else { return };
    let [_, _, _, _, s0, s1, s2, s3, ..] = *header;
    let sequence = u32::from_be_bytes([s0, s1, s2, s3]).wrapping_add(offset);
    [header[4], header[5], header[6], header[7]] = sequence.to_be_bytes();
    if !last {
        header[13] &= !(flag::FIN | flag::PSH);
    }
    if offset > 0 {
        header[13] &= !flag::CWR;
    }
}
