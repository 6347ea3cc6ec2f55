//! A run: the first packet of a flow, with the payload of those that continue it behind it.

use super::super::header::OffloadHeader;
use super::super::rewrite::{
    checksum_offset, flag, partial_transport_checksum, set_ip_length, set_udp_length,
};
use super::joinable::{FLAGS, Joinable};
use crate::inner::{InnerView, TCP, UDP};

/// Bytes of a super-packet at most.
const LIMIT: usize = 65_535;
/// Datagrams of a super-packet at most: as many as Linux joins and cuts (`UDP_GRO_CNT_MAX`, `UDP_MAX_SEGMENTS`).
const DATAGRAMS: usize = 64;
/// TCP segments of a super-packet at most: 64 KiB of those that an MTU of 576 allows.
const SEGMENTS: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Run {
    buffer: Vec<u8>,
    flow: Option<InnerView>,
    headers: usize,
    transport: usize,
    protocol: u8,
    /// Bytes of payload of each packet but the last.
    size: usize,
    count: usize,
    next_sequence: u32,
    next_id: u16,
    complete: bool,
}

impl Run {
    pub(super) fn make_room(&mut self) {
        self.buffer.reserve_exact(LIMIT);
    }

    /// Whether a packet is of its flow.
    pub(super) fn is_of(&self, other: &InnerView) -> bool {
        self.flow.as_ref().is_some_and(|flow| {
            flow.ports() == other.ports()
                && flow.protocol() == other.protocol()
                && flow.source() == other.source()
                && flow.destination() == other.destination()
        })
    }

    /// Nothing may follow.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Begins with this packet, unless its checksums are wrong.
    pub(super) fn start(&mut self, packet: &[u8], view: &InnerView, joinable: &Joinable) -> bool {
        if !joinable.is_intact() {
            return false;
        }
        self.make_room();
        self.buffer.extend_from_slice(packet);
        self.flow = Some(*view);
        self.headers = joinable.headers.len();
        self.transport = joinable.transport;
        self.protocol = joinable.protocol;
        self.size = joinable.payload.len();
        (self.count, self.complete) = (1, false);
        self.expect_after(joinable);
        true
    }

    /// Goes on with this packet, unless it does not continue what is there.
    pub(super) fn append(&mut self, joinable: &Joinable) -> bool {
        if !self.is_continued_by(joinable) || !joinable.is_intact() {
            return false;
        }
        self.buffer.extend_from_slice(joinable.payload);
        if joinable.ends()
            && let Some(flags) = self.buffer.get_mut(self.transport + FLAGS)
        {
            *flags |= flag::PSH;
        }
        self.count += 1;
        let full = self.count >= if self.protocol == UDP { DATAGRAMS } else { SEGMENTS };
        self.complete = full || joinable.ends() || joinable.payload.len() < self.size;
        self.expect_after(joinable);
        true
    }

    /// Writes what is there and forgets it.
    pub(super) fn write(&mut self, mut write: impl FnMut(OffloadHeader, &[u8])) {
        let header = if self.count > 1 { self.finish() } else { OffloadHeader::default() };
        write(header, &self.buffer);
        self.buffer.clear();
        self.flow = None;
    }

    fn is_continued_by(&self, joinable: &Joinable) -> bool {
        // "The IPv4 ID field MUST NOT be used for purposes other than fragmentation" (RFC 6864 §4): where there is
        // none, it says nothing.
        let id = joinable.atomic || joinable.id == self.next_id;
        let length = joinable.payload.len();
        id && joinable.sequence == self.next_sequence
            && length <= self.size
            && self.buffer.len() + length <= LIMIT
            && self.buffer.get(..self.headers).is_some_and(|headers| joinable.continues(headers))
    }

    fn expect_after(&mut self, joinable: &Joinable) {
        self.next_sequence = joinable.next_sequence();
        self.next_id = joinable.id.wrapping_add(1);
    }

    /// Makes the headers of the first packet those of the whole run.
    fn finish(&mut self) -> OffloadHeader {
        set_ip_length(&mut self.buffer, self.transport, 0);
        if self.protocol == UDP {
            set_udp_length(&mut self.buffer, self.transport);
        }
        partial_transport_checksum(&mut self.buffer, self.transport, self.protocol);
        // None of these is beyond LIMIT.
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let ipv4 = self.flow.is_some_and(|flow| flow.source().is_ipv4());
        OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: match (self.protocol, ipv4) {
                (TCP, true) => OffloadHeader::GSO_TCPV4,
                (TCP, false) => OffloadHeader::GSO_TCPV6,
                _ => OffloadHeader::GSO_UDP_L4,
            },
            hdr_len: short(self.headers),
            gso_size: short(self.size),
            csum_start: short(self.transport),
            csum_offset: checksum_offset(self.protocol),
        }
    }
}
