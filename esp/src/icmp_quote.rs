//! What a router says of a packet of ours that was too big for its next line (RFC 1191 §4, RFC 4443 §3.2), and whether it
//! shows that it had the packet in hand (RFC 4301 §8.2.1, RFC 5927 §4).
//!
//! Anybody can send such a message. Whoever sends a false one without seeing our packets must guess an SPI and a sequence
//! number; see [`crate::OutboundSa::has_sent_lately`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;
use crate::inner::UDP;

/// What every IPv4 host takes (RFC 791 §3.2): a message that says less is taken to say this.
pub const LEAST_IPV4: u16 = 576;
/// What every IPv6 line carries (RFC 8200 §5): the same.
pub const LEAST_IPV6: u16 = 1280;

const ESP: u8 = 50;
/// "A table of plateaus" (RFC 1191 §7) for routers that do not say what they carry.
const PLATEAUS: [u16; 9] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296];

/// A "too big" that quotes a packet which may be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// From where the packet was sent.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The ports, source first, if it was in UDP (RFC 3948).
    pub ports: Option<(u16, u16)>,
    /// SPI and low half of the sequence number; `None` if the quote is too short to show them.
    pub esp: Option<(u32, u32)>,
    /// Bytes of the largest packet that the next line carries, as it is said.
    mtu: u16,
    /// Bytes of the quoted packet.
    length: u16,
}

impl Quote {
    /// Reads an `ICMPv4` message, without the IP header before it. `None` if it is no "fragmentation needed" or quotes nothing
    /// that could be ESP.
    pub fn of_icmpv4(message: &[u8]) -> Option<Self> {
        let (&[3, 4, _, _, _, _, m0, m1], quoted) = message.split_first_chunk::<8>()? else { return None };
        // Raw sockets get what the kernel has not verified.
        if Sum::default().add(message).complement() != 0 {
            return None;
        }
        let header = quoted.first_chunk::<20>()?;
        let header_length = usize::from(header[0] & 0x0f) * 4;
        let later_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff != 0;
        if header[0] >> 4 != 4 || header_length < header.len() || later_fragment {
            return None;
        }
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
        let said = u16::from_be_bytes([m0, m1]);
        let length = u16::from_be_bytes([header[2], header[3]]);
        Self::new((source.into(), destination.into()), header[9], quoted.get(header_length..)?, said, length)
    }

    /// Reads an `ICMPv6` message, whose checksum the kernel has verified. `None` if it is no "packet too big" or quotes
    /// nothing that could be ESP.
    pub fn of_icmpv6(message: &[u8]) -> Option<Self> {
        let (&[2, _, _, _, mtu @ ..], quoted) = message.split_first_chunk::<8>()? else { return None };
        let (header, rest) = quoted.split_first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let (&[source, destination], _) = header[8..].as_chunks::<16>() else { return None };
        let said = u16::try_from(u32::from_be_bytes(mtu)).unwrap_or(u16::MAX);
        let length = u16::from_be_bytes([header[4], header[5]]).saturating_add(40);
        let ends = (Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into());
        Self::new(ends, header[6], rest, said, length)
    }

    fn new(ends: (IpAddr, IpAddr), protocol: u8, data: &[u8], said: u16, length: u16) -> Option<Self> {
        let (ports, esp) = match protocol {
            ESP => (None, data),
            UDP => {
                let (&[s0, s1, d0, d1], _) = data.split_first_chunk()?;
                let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                (Some(ports), data.get(8..).unwrap_or_default())
            }
            _ => return None,
        };
        let esp = esp.first_chunk().map(|&[s0, s1, s2, s3, n0, n1, n2, n3]| {
            (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([n0, n1, n2, n3]))
        });
        // SPI 0 is the non-ESP marker: an IKE message (RFC 3948 §2.2).
        if esp.is_some_and(|(spi, _)| spi == 0) {
            return None;
        }
        let mtu = if said == 0 { plateau_below(length) } else { said };
        let (source, destination) = ends;
        Some(Self { source, destination, ports, esp, mtu, length })
    }

    /// The MTU of a path that until now was taken to have `present`, if the message lowers it. It is never raised ("A host MUST NOT
    /// increase its estimate", RFC 1191 §3), never less than every host takes, and what says that a packet was too
    /// big which was not says nothing.
    pub fn lowers(&self, present: u16) -> Option<u16> {
        let least = if self.destination.is_ipv4() { LEAST_IPV4 } else { LEAST_IPV6 };
        let mtu = self.mtu.max(least);
        (mtu < present && self.mtu < self.length).then_some(mtu)
    }
}

fn plateau_below(length: u16) -> u16 {
    PLATEAUS.into_iter().find(|plateau| *plateau < length).unwrap_or(LEAST_IPV4)
}
