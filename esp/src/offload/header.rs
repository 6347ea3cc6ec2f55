//! The header before every packet of a TUN with `IFF_VNET_HDR`: `struct virtio_net_hdr` (virtio 1.2 §5.1.6).

/// What is left to do for a packet: a checksum, or cutting it into segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadHeader {
    /// [`Self::NEEDS_CSUM`] or 0.
    pub flags: u8,
    /// One of the `GSO_` constants, perhaps with [`Self::GSO_ECN`].
    pub gso_type: u8,
    /// Bytes of all headers of a super-packet: a hint that we give and do not trust.
    pub hdr_len: u16,
    /// Bytes of payload a segment.
    pub gso_size: u16,
    /// Where the checksum's cover starts.
    pub csum_start: u16,
    /// Where the checksum lies, counted from `csum_start`.
    pub csum_offset: u16,
}

impl OffloadHeader {
    /// Bytes of it on the TUN.
    pub const LENGTH: usize = 10;
    /// Flag: the checksum field holds only the sum of the pseudo-header.
    pub const NEEDS_CSUM: u8 = 1;
    /// An ordinary packet.
    pub const GSO_NONE: u8 = 0;
    /// TCP over IPv4.
    pub const GSO_TCPV4: u8 = 1;
    /// TCP over IPv6.
    pub const GSO_TCPV6: u8 = 4;
    /// UDP datagrams of one flow.
    pub const GSO_UDP_L4: u8 = 5;
    /// Added to a TCP type: the CWR flag is for the first segment only.
    pub const GSO_ECN: u8 = 0x80;

    /// Reads it in the machine's byte order, as a TUN gives it by default.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = bytes;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Writes it in the machine's byte order.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// The GSO type without [`Self::GSO_ECN`].
    pub fn gso(self) -> u8 {
        self.gso_type & !Self::GSO_ECN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_it_was_written() {
        let header = OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: OffloadHeader::GSO_TCPV4,
            hdr_len: 0x0102,
            gso_size: 0x0304,
            csum_start: 0x0506,
            csum_offset: 0x0708,
        };
        assert_eq!(OffloadHeader::from_bytes(header.to_bytes()), header);
        assert_eq!(header.to_bytes()[4..6], 0x0304u16.to_ne_bytes());
    }
}
