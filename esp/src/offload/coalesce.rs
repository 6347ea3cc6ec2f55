//! Joins consecutive TCP segments of one flow into a super-packet for one write to the TUN (GRO in software).
//!
//! A run holds segments whose headers differ only in what cutting changes (see [`super::segment`]), whose checksums
//! are right and whose sizes are equal but for a smaller last one. So cutting the super-packet again gives the same
//! packets. Whatever fits no run is passed on as it is, in its place.

use std::ops::Range;

use super::header::OffloadHeader;
use super::rewrite::{checksum_offset, flag, partial_transport_checksum, set_ip_length, transport_sum};
use crate::checksum::Sum;
use crate::inner::{Fragment, InnerView, TCP};

/// Bytes of a super-packet at most.
const LIMIT: usize = 65_535;

/// Collects a run of segments. Packets leave in the order in which they came.
#[derive(Debug)]
pub struct Coalescer {
    /// The first segment of the run, with the payload of the others behind it.
    buffer: Vec<u8>,
    run: Option<Run>,
}

/// What the next segment of a run must look like.
#[derive(Clone, Copy, Debug)]
struct Run {
    headers: usize,
    transport: usize,
    /// Bytes of payload of each segment but the last.
    size: usize,
    count: usize,
    next_sequence: u32,
    next_id: u16,
}

impl Coalescer {
    /// An empty one, with room for one super-packet of 65,535 bytes.
    pub fn new() -> Self {
        Self { buffer: Vec::with_capacity(LIMIT), run: None }
    }

    /// Takes an inner packet, exactly as [`crate::Opener::open`] gave it. `write` is called for what is complete by
    /// then: what came before if this one does not continue it, and this one if nothing can be joined to it.
    pub fn push(&mut self, packet: &[u8], mut write: impl FnMut(OffloadHeader, &[u8])) {
        let Some(segment) = Segment::parse(packet) else {
            self.flush(&mut write);
            return write(OffloadHeader::default(), packet);
        };
        if let Some(run) = self.run.filter(|run| self.continues(run, &segment)) {
            self.append(run, &segment);
            if segment.push || segment.payload.len() < run.size {
                self.flush(write);
            }
            return;
        }
        self.flush(&mut write);
        if segment.push {
            return write(OffloadHeader::default(), packet);
        }
        self.start(packet, &segment);
    }

    /// Writes what is held back. To be called at the end of each train.
    pub fn flush(&mut self, mut write: impl FnMut(OffloadHeader, &[u8])) {
        let Some(run) = self.run.take() else { return };
        let header = if run.count > 1 { self.finish(run) } else { OffloadHeader::default() };
        write(header, &self.buffer);
        self.buffer.clear();
    }

    fn start(&mut self, packet: &[u8], segment: &Segment) {
        self.buffer.clear();
        self.buffer.extend_from_slice(packet);
        self.run = Some(Run {
            headers: segment.headers.len(),
            transport: segment.transport,
            size: segment.payload.len(),
            count: 1,
            next_sequence: segment.end(),
            next_id: segment.id.wrapping_add(1),
        });
    }

    fn continues(&self, run: &Run, segment: &Segment) -> bool {
        // "The IPv4 ID field MUST NOT be used for purposes other than fragmentation" (RFC 6864 §4): where there is
        // none, it says nothing.
        let id = segment.atomic || segment.id == run.next_id;
        let size = segment.payload.len() <= run.size && self.buffer.len() + segment.payload.len() <= LIMIT;
        id && size
            && segment.sequence == run.next_sequence
            && self.buffer.get(..run.headers).is_some_and(|headers| segment.continues(headers))
    }

    fn append(&mut self, run: Run, segment: &Segment) {
        self.buffer.extend_from_slice(segment.payload);
        if segment.push
            && let Some(flags) = self.buffer.get_mut(run.transport + FLAGS)
        {
            *flags |= flag::PSH;
        }
        self.run = Some(Run {
            count: run.count + 1,
            next_sequence: segment.end(),
            next_id: segment.id.wrapping_add(1),
            ..run
        });
    }

    /// Makes the headers of the first segment those of the whole run.
    fn finish(&mut self, run: Run) -> OffloadHeader {
        set_ip_length(&mut self.buffer, run.transport, 0);
        partial_transport_checksum(&mut self.buffer, run.transport, TCP);
        let ipv4 = run.transport == IPV4_HEADER;
        // None of these is beyond LIMIT.
        let short = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: if ipv4 { OffloadHeader::GSO_TCPV4 } else { OffloadHeader::GSO_TCPV6 },
            hdr_len: short(run.headers),
            gso_size: short(run.size),
            csum_start: short(run.transport),
            csum_offset: checksum_offset(TCP),
        }
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Self::new()
    }
}

/// A TCP segment that may be part of a run.
struct Segment<'p> {
    headers: &'p [u8],
    payload: &'p [u8],
    transport: usize,
    sequence: u32,
    id: u16,
    /// Whether its identification means nothing: DF is set, or it is IPv6.
    atomic: bool,
    push: bool,
}

/// An IPv4 header without options: packets with options are passed on as they are.
const IPV4_HEADER: usize = 20;
/// An IPv6 header without extension headers.
const IPV6_HEADER: usize = 40;
/// Where the flags lie in a TCP header.
const FLAGS: usize = 13;

/// What is the same in each segment of a run: all but total length, identification and checksum.
const SAME_IPV4: &[Range<usize>] = &[0..2, 6..10, 12..20];
/// All but the payload length.
const SAME_IPV6: &[Range<usize>] = &[0..4, 6..40];
/// All but sequence number, flags (which are compared apart) and checksum; then the options.
const SAME_TCP: &[Range<usize>] = &[0..4, 8..FLAGS, 14..16, 18..20];

impl<'p> Segment<'p> {
    /// `None` for anything that must stay alone: other protocols, fragments, IP options, flags beyond ACK, PSH and
    /// ECE, no payload, a wrong checksum.
    fn parse(packet: &'p [u8]) -> Option<Self> {
        let inner = InnerView::parse(packet).ok()?;
        let transport = inner.header_length();
        let plain_header = if inner.source().is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let plain = inner.protocol() == TCP
            && transport == plain_header
            && inner.fragment() == Fragment::Whole
            && inner.total_length() == packet.len();
        let (ip, segment) = packet.split_at_checked(transport).filter(|_| plain)?;
        let tcp = segment.first_chunk::<20>()?;
        let flags = tcp[FLAGS];
        let odd = flag::FIN | flag::SYN | flag::RST | flag::URG | flag::CWR;
        let length = usize::from(tcp[12] >> 4) * 4;
        if flags & flag::ACK == 0 || flags & odd != 0 || length < tcp.len() {
            return None;
        }
        let (headers, payload) = packet.split_at_checked(transport + length)?;
        let ip_fits = plain_header == IPV6_HEADER || Sum::default().add(ip).complement() == 0;
        if payload.is_empty() || !ip_fits || transport_sum(packet, transport, TCP).complement() != 0 {
            return None;
        }
        Some(Self {
            headers,
            payload,
            transport,
            sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            id: ip.get(4..6).map_or(0, |id| id.iter().fold(0, |id, byte| id << 8 | u16::from(*byte))),
            atomic: inner.dont_fragment(),
            push: flags & flag::PSH != 0,
        })
    }

    /// The sequence number after its last byte.
    fn end(&self) -> u32 {
        // A packet holds less than 2^16 bytes.
        self.sequence.wrapping_add(u32::try_from(self.payload.len()).unwrap_or(0))
    }

    /// Whether its headers go on from those of the run's first segment.
    fn continues(&self, first: &[u8]) -> bool {
        let same = |range: Range<usize>| self.headers.get(range.clone()) == first.get(range);
        let ip = if self.transport == IPV4_HEADER { SAME_IPV4 } else { SAME_IPV6 };
        let at = self.transport;
        let flags = |headers: &[u8]| headers.get(at + FLAGS).map(|flags| flags & !flag::PSH);
        first.len() == self.headers.len()
            && ip.iter().cloned().all(same)
            && SAME_TCP.iter().all(|range| same(at + range.start..at + range.end))
            && same(at + 20..self.headers.len())
            && flags(self.headers) == flags(first)
    }
}
