//! UDP datagrams in plain words, for the tests of segmentation and coalescing.

use etherparse::PacketBuilder;
use sekisho_esp::OffloadHeader;

use super::tcp::plain_sum;
use super::{ipv4, ipv6};

/// One datagram in plain words.
#[derive(Clone, Debug)]
pub struct Udp {
    pub ipv4: bool,
    pub tos: u8,
    pub id: u16,
    pub dont_fragment: bool,
    pub port: u16,
    pub checksum: bool,
    pub payload: Vec<u8>,
}

impl Udp {
    pub fn bytes(&self) -> Vec<u8> {
        let ip = if self.ipv4 { ipv4(self.tos, self.id, self.dont_fragment) } else { ipv6(self.tos) };
        let mut packet = Vec::new();
        PacketBuilder::ip(ip).udp(self.port, 443).write(&mut packet, &self.payload).unwrap();
        if !self.checksum {
            let at = self.transport() + 6;
            packet[at..at + 2].fill(0);
        }
        packet
    }

    fn transport(&self) -> usize {
        if self.ipv4 { 20 } else { 40 }
    }

    /// As a TUN gives it: with only the pseudo-header's sum where the checksum will be.
    pub fn super_packet(&self, size: u16) -> (OffloadHeader, Vec<u8>) {
        let mut packet = self.bytes();
        let transport = self.transport();
        let length = u16::try_from(packet.len() - transport).unwrap();
        let addresses = if self.ipv4 { 12..20 } else { 8..40 };
        let sum = plain_sum(&[&packet[addresses], &length.to_be_bytes(), &[0, 17]].concat());
        packet[transport + 6..transport + 8].copy_from_slice(&sum.to_be_bytes());
        let header = OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: OffloadHeader::GSO_UDP_L4,
            hdr_len: u16::try_from(transport + 8).unwrap(),
            gso_size: size,
            csum_start: u16::try_from(transport).unwrap(),
            csum_offset: 6,
        };
        (header, packet)
    }

    /// What the sender's own stack would have sent without offload.
    pub fn datagrams(&self, size: usize) -> Vec<Self> {
        let ids = (0..).map(|number| self.id.wrapping_add(number));
        let one = |(id, part): (u16, &[u8])| Self { id, payload: part.to_vec(), ..self.clone() };
        ids.zip(self.payload.chunks(size)).map(one).collect()
    }
}
