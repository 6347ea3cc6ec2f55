//! TCP packets in plain words, for the tests of segmentation and coalescing.

use etherparse::{PacketBuilder, TcpHeader};
use sekisho_esp::OffloadHeader;

use super::{ipv4, ipv6};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;

/// One TCP packet in plain words.
#[derive(Clone, Debug)]
pub struct Tcp {
    pub ipv4: bool,
    pub tos: u8,
    pub id: u16,
    pub dont_fragment: bool,
    pub port: u16,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub window: u16,
    pub flags: u8,
    /// A multiple of 4, at most 40.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Tcp {
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = TcpHeader::new(self.port, 443, self.sequence, self.window);
        tcp.acknowledgment_number = self.acknowledgment;
        tcp.set_options_raw(&self.options).unwrap();
        let flags = |bit| self.flags & bit != 0;
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (flags(FIN), flags(SYN), flags(RST), flags(PSH));
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (flags(ACK), flags(URG), flags(ECE), flags(CWR));
        let ip = if self.ipv4 { ipv4(self.tos, self.id, self.dont_fragment) } else { ipv6(self.tos) };
        let mut packet = Vec::new();
        PacketBuilder::ip(ip).tcp_header(tcp).write(&mut packet, &self.payload).unwrap();
        packet
    }

    pub fn headers(&self) -> usize {
        self.bytes().len() - self.payload.len()
    }

    /// As a TUN gives it: with only the pseudo-header's sum where the checksum will be.
    pub fn super_packet(&self, size: u16) -> (OffloadHeader, Vec<u8>) {
        let mut packet = self.bytes();
        let transport = if self.ipv4 { 20 } else { 40 };
        let tcp = u16::try_from(packet.len() - transport).unwrap();
        let addresses = if self.ipv4 { 12..20 } else { 8..40 };
        let sum = plain_sum(&[&packet[addresses], &tcp.to_be_bytes(), &[0, 6]].concat());
        packet[transport + 16..transport + 18].copy_from_slice(&sum.to_be_bytes());
        let header = OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: if self.ipv4 { OffloadHeader::GSO_TCPV4 } else { OffloadHeader::GSO_TCPV6 },
            hdr_len: u16::try_from(self.headers()).unwrap(),
            gso_size: size,
            csum_start: u16::try_from(transport).unwrap(),
            csum_offset: 16,
        };
        (header, packet)
    }

    /// What the sender's own stack would have sent without offload.
    pub fn segments(&self, size: usize) -> Vec<Self> {
        let count = self.payload.len().div_ceil(size).max(1);
        (0..count)
            .map(|number| {
                let start = number * size;
                let end = self.payload.len().min(start + size);
                let mut flags = self.flags;
                if number + 1 < count {
                    flags &= !(FIN | PSH);
                }
                if number > 0 {
                    flags &= !CWR;
                }
                Self {
                    id: self.id.wrapping_add(u16::try_from(number).unwrap()),
                    sequence: self.sequence.wrapping_add(u32::try_from(start).unwrap()),
                    flags,
                    payload: self.payload[start..end].to_vec(),
                    ..self.clone()
                }
            })
            .collect()
    }
}

/// The option of RFC 7323 behind two that do nothing.
pub fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat()
}

/// The one's complement sum by the book.
pub fn plain_sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}
