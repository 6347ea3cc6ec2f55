//! A packet that may be part of a run: TCP with ACK and data, UDP with a checksum and data.

use super::super::rewrite::flag;
use crate::checksum::{Sum, pseudo_header};
use crate::inner::{Fragment, InnerView, TCP, UDP};

/// An IPv4 header without options: packets with options are passed on as they are.
const IPV4_HEADER: usize = 20;
/// An IPv6 header without extension headers.
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
/// Where the flags lie in a TCP header.
pub(super) const FLAGS: usize = 13;

/// A segment or datagram. Its checksum has not been looked at.
#[derive(Debug)]
pub(super) struct Joinable<'p> {
    pub(super) headers: &'p [u8],
    pub(super) payload: &'p [u8],
    pub(super) transport: usize,
    pub(super) protocol: u8,
    /// Of its first byte; 0 for UDP.
    pub(super) sequence: u32,
    pub(super) id: u16,
    /// Whether its identification means nothing: DF is set, or it is IPv6.
    pub(super) atomic: bool,
    push: bool,
}

impl<'p> Joinable<'p> {
    /// `None` for anything that must stay alone: other protocols, fragments, IP options, TCP flags beyond ACK, PSH and
    /// ECE, UDP without a checksum or with a length of its own, no payload.
    pub(super) fn new(packet: &'p [u8], view: &InnerView) -> Option<Self> {
        let transport = view.header_length();
        let ipv4 = view.source().is_ipv4();
        let plain = transport == if ipv4 { IPV4_HEADER } else { IPV6_HEADER }
            && view.fragment() == Fragment::Whole
            && view.total_length() == packet.len();
        let segment = packet.get(transport..).filter(|_| plain)?;
        let (length, sequence, push) = match view.protocol() {
            TCP => tcp(segment)?,
            UDP => (udp(segment)?, 0, false),
            _ => return None,
        };
        let (headers, payload) = packet.split_at_checked(transport + length)?;
        Some(Self {
            headers,
            payload: Some(payload).filter(|payload| !payload.is_empty())?,
            transport,
            protocol: view.protocol(),
            sequence,
            id: if ipv4 { number(headers.get(4..6)?) } else { 0 },
            atomic: view.dont_fragment(),
            push,
        })
    }

    /// Whether nothing may follow it in a run.
    pub(super) fn ends(&self) -> bool {
        self.push
    }

    /// The sequence number of what follows it.
    pub(super) fn next_sequence(&self) -> u32 {
        match self.protocol {
            // A packet holds less than 2^16 bytes.
            TCP => self.sequence.wrapping_add(u32::try_from(self.payload.len()).unwrap_or(0)),
            _ => 0,
        }
    }

    /// Whether its headers go on from those of the run's first packet, which is of the same protocol.
    pub(super) fn continues(&self, first: &[u8]) -> bool {
        let ours = self.headers;
        let ip = if self.transport == IPV4_HEADER { same_ipv4(ours, first) } else { same_ipv6(ours, first) };
        let (Some(ours), Some(first)) = (ours.get(self.transport..), first.get(self.transport..)) else {
            return false;
        };
        ip && if self.protocol == TCP { same_tcp(ours, first) } else { same_ports(ours, first) }
    }

    /// Whether its checksums are right.
    pub(super) fn is_intact(&self) -> bool {
        let ip = self.headers.get(..self.transport).filter(|_| self.transport == IPV4_HEADER);
        let transport = self.headers.get(self.transport..).unwrap_or_default();
        let length = transport.len() + self.payload.len();
        let sum = pseudo_header(self.headers, self.protocol, length).add(transport).add(self.payload);
        sum.complement() == 0 && ip.is_none_or(|ip| Sum::default().add(ip).complement() == 0)
    }
}

/// All but total length, identification and checksum.
fn same_ipv4(one: &[u8], other: &[u8]) -> bool {
    let (Some(one), Some(other)) = (one.first_chunk::<20>(), other.first_chunk::<20>()) else { return false };
    one[..2] == other[..2] && one[6..10] == other[6..10] && one[12..] == other[12..]
}

/// All but the payload length.
fn same_ipv6(one: &[u8], other: &[u8]) -> bool {
    let (Some(one), Some(other)) = (one.first_chunk::<40>(), other.first_chunk::<40>()) else { return false };
    one[..4] == other[..4] && one[6..] == other[6..]
}

/// All but sequence number, PSH, which may come with the last, and checksum.
fn same_tcp(one: &[u8], other: &[u8]) -> bool {
    let (Some((one, options)), Some((other, others))) =
        (one.split_first_chunk::<20>(), other.split_first_chunk::<20>())
    else {
        return false;
    };
    one[..4] == other[..4]
        && one[8..FLAGS] == other[8..FLAGS]
        && (one[FLAGS] ^ other[FLAGS]) & !flag::PSH == 0
        && one[14..16] == other[14..16]
        && one[18..] == other[18..]
        && options == others
}

fn same_ports(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<4>() == other.first_chunk::<4>()
}

/// Length of the header, sequence number, and whether PSH is set.
fn tcp(segment: &[u8]) -> Option<(usize, u32, bool)> {
    let header = segment.first_chunk::<20>()?;
    let flags = header[FLAGS];
    let odd = flag::FIN | flag::SYN | flag::RST | flag::URG | flag::CWR;
    let length = usize::from(header[12] >> 4) * 4;
    let [_, _, _, _, s0, s1, s2, s3, ..] = *header;
    (flags & flag::ACK != 0 && flags & odd == 0 && length >= header.len()).then_some((
        length,
        u32::from_be_bytes([s0, s1, s2, s3]),
        flags & flag::PSH != 0,
    ))
}

/// Length of the header. "An all zero transmitted checksum value means that the transmitter generated no checksum"
/// (RFC 768): joined with others it would be given one.
fn udp(datagram: &[u8]) -> Option<usize> {
    let header = datagram.first_chunk::<UDP_HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    (length == datagram.len() && header[6..] != [0, 0]).then_some(UDP_HEADER)
}

fn number(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}
