//! A checked view of an IPv4 or IPv6 packet: what look-ups and selector checks need to know of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum;
use crate::drop_reason::DropReason;
use crate::scope::is_link_local;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// IPv6 extension headers that we follow in one packet.
const EXTENSION_HEADERS: usize = 8;

/// What a packet's headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerView {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: Ports,
    tos: u8,
    total_length: usize,
    header_length: usize,
    fragment: Fragment,
    dont_fragment: bool,
}

/// Whether a packet is part of a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// It is not.
    Whole,
    /// The first part, which shows the ports.
    First,
    /// Another part.
    Later,
}

/// Ports, or what stands for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// For ICMP both are type * 256 + code (RFC 4301 §4.4.1.1).
    Known {
        /// Of the sender.
        source: u16,
        /// Of the receiver.
        destination: u16,
    },
    /// The protocol has none, or the packet ends before them.
    Absent,
    /// A later fragment does not show them.
    Hidden,
}

/// One of [`Ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Known(u16),
    Absent,
    Hidden,
}

impl Ports {
    pub(crate) fn source(self) -> Port {
        match self {
            Self::Known { source, .. } => Port::Known(source),
            Self::Absent => Port::Absent,
            Self::Hidden => Port::Hidden,
        }
    }

    pub(crate) fn destination(self) -> Port {
        match self {
            Self::Known { destination, .. } => Port::Known(destination),
            Self::Absent => Port::Absent,
            Self::Hidden => Port::Hidden,
        }
    }
}

impl InnerView {
    /// Reads the headers of the packet at the start of `bytes`; what lies behind its end is left alone.
    ///
    /// # Errors
    /// [`DropReason::NotIp`], [`DropReason::InnerMalformed`], [`DropReason::InnerLength`],
    /// [`DropReason::ExtensionHeaders`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DropReason> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_ipv4(bytes),
            Some(6) => Self::parse_ipv6(bytes),
            _ => Err(DropReason::NotIp),
        }
    }

    /// Where it comes from.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Where it goes.
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Whether no router would forward it: it comes from or goes to somebody on the same link.
    pub fn is_link_local(&self) -> bool {
        is_link_local(self.source) || is_link_local(self.destination)
    }

    /// The protocol behind the IP header, or behind the IPv6 extension headers.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// TOS or traffic class: DSCP and ECN.
    pub fn tos(&self) -> u8 {
        self.tos
    }

    /// Bytes of the whole packet.
    pub fn total_length(&self) -> usize {
        self.total_length
    }

    /// Bytes before the protocol's own header: IP header with options or extension headers.
    pub fn header_length(&self) -> usize {
        self.header_length
    }

    /// Whether it is part of a greater packet.
    pub fn fragment(&self) -> Fragment {
        self.fragment
    }

    /// The same packet, as one that shows this protocol and these ports.
    #[must_use]
    pub(crate) fn with_transport(self, protocol: u8, ports: Ports) -> Self {
        Self { protocol, ports, ..self }
    }

    /// Whether nobody on the way may fragment it: IPv4 with DF, and IPv6.
    pub fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    fn parse_ipv4(bytes: &[u8]) -> Result<Self, DropReason> {
        let header = bytes.first_chunk::<20>().ok_or(DropReason::InnerMalformed)?;
        let header_length = usize::from(header[0] & 0x0f) * 4;
        let total_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_length < header.len() || total_length < header_length {
            return Err(DropReason::InnerMalformed);
        }
        let packet = bytes.get(..total_length).ok_or(DropReason::InnerLength)?;
        let flags = u16::from_be_bytes([header[6], header[7]]);
        let fragment = match (flags & 0x1fff, flags & 0x2000) {
            (0, 0) => Fragment::Whole,
            (0, _) => Fragment::First,
            _ => Fragment::Later,
        };
        let protocol = header[9];
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        Ok(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3).into(),
            destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
            protocol,
            ports: ports(protocol, fragment, packet, header_length),
            tos: header[1],
            total_length,
            header_length,
            fragment,
            dont_fragment: flags & 0x4000 != 0,
        })
    }

    fn parse_ipv6(bytes: &[u8]) -> Result<Self, DropReason> {
        let header = bytes.first_chunk::<40>().ok_or(DropReason::InnerMalformed)?;
        let total_length = header.len() + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = bytes.get(..total_length).ok_or(DropReason::InnerLength)?;
        let chain = Chain::follow(packet, header[6], header.len())?;
        let (&[source, destination], _) = header[8..].as_chunks::<16>() else {
            return Err(DropReason::InnerMalformed);
        };
        Ok(Self {
            source: Ipv6Addr::from(source).into(),
            destination: Ipv6Addr::from(destination).into(),
            protocol: chain.protocol,
            ports: ports(chain.protocol, chain.fragment, packet, chain.end),
            tos: header[0] << 4 | header[1] >> 4,
            total_length,
            header_length: chain.end,
            fragment: chain.fragment,
            dont_fragment: true,
        })
    }
}

/// Where a fragment lies in its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentPlace {
    pub(crate) identification: u32,
    /// Bytes of the packet's payload before it: for IPv6 of what lies behind the fragment header.
    pub(crate) offset: usize,
    /// Bytes of that in it.
    pub(crate) length: usize,
    /// It is not the last.
    pub(crate) more: bool,
}

impl FragmentPlace {
    /// That of a packet that [`InnerView::parse`] accepted.
    pub(crate) fn of(packet: &[u8], view: &InnerView) -> Option<Self> {
        if view.source.is_ipv4() {
            let header = packet.first_chunk::<20>()?;
            let flags = u16::from_be_bytes([header[6], header[7]]);
            return Some(Self {
                identification: u16::from_be_bytes([header[4], header[5]]).into(),
                offset: usize::from(flags & 0x1fff) * 8,
                length: view.total_length.checked_sub(view.header_length)?,
                more: flags & 0x2000 != 0,
            });
        }
        let (mut kind, mut at) = (*packet.get(6)?, 40);
        while kind != FRAGMENT {
            let extension = packet.get(at..view.header_length)?.first_chunk::<8>()?;
            (kind, at) = (extension[0], at + 8 * (usize::from(extension[1]) + 1));
        }
        let &[_, _, o0, o1, i0, i1, i2, i3] = packet.get(at..)?.first_chunk()?;
        let flags = u16::from_be_bytes([o0, o1]);
        Some(Self {
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
            offset: (flags & !7).into(),
            length: view.total_length.checked_sub(at + 8)?,
            more: flags & 1 != 0,
        })
    }
}

/// Bytes that a first fragment must hold of the transport header: all that is of a fixed length.
pub(crate) fn least_transport_header(protocol: u8) -> usize {
    match protocol {
        TCP => 20,
        SCTP | DCCP => 12,
        UDP | UDP_LITE | ICMP | ICMPV6 => 8,
        _ => 0,
    }
}

/// What the chain of IPv6 extension headers leads to (RFC 8200 §4).
struct Chain {
    protocol: u8,
    fragment: Fragment,
    end: usize,
}

impl Chain {
    fn follow(packet: &[u8], first: u8, start: usize) -> Result<Self, DropReason> {
        let mut chain = Self { protocol: first, fragment: Fragment::Whole, end: start };
        for _ in 0..=EXTENSION_HEADERS {
            if !matches!(chain.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
                return Ok(chain);
            }
            // "the first fragment must include the entire IPv6 header chain" (RFC 7112): a cut chain is refused.
            let rest = packet.get(chain.end..).ok_or(DropReason::InnerMalformed)?;
            let extension = rest.first_chunk::<8>().ok_or(DropReason::InnerMalformed)?;
            let mut length = 8 * (usize::from(extension[1]) + 1);
            if chain.protocol == FRAGMENT {
                length = 8;
                let offset = u16::from_be_bytes([extension[2], extension[3]]);
                chain.fragment = match (offset & !7, offset & 1) {
                    (0, 0) => chain.fragment,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
            }
            if length > rest.len() {
                return Err(DropReason::InnerMalformed);
            }
            chain.protocol = extension[0];
            chain.end += length;
            if chain.fragment == Fragment::Later {
                return Ok(chain);
            }
        }
        Err(DropReason::ExtensionHeaders)
    }
}

fn ports(protocol: u8, fragment: Fragment, packet: &[u8], at: usize) -> Ports {
    if fragment == Fragment::Later {
        return Ports::Hidden;
    }
    let Some(&[a, b, c, d]) = packet.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ports::Absent;
    };
    let first = u16::from_be_bytes([a, b]);
    match protocol {
        ICMP | ICMPV6 => Ports::Known { source: first, destination: first },
        TCP | UDP | SCTP | DCCP | UDP_LITE => {
            Ports::Known { source: first, destination: u16::from_be_bytes([c, d]) }
        }
        _ => Ports::Absent,
    }
}

/// Writes another TOS or traffic class into a packet that [`InnerView::parse`] accepted.
pub(crate) fn set_tos(packet: &mut [u8], tos: u8) {
    if let Some(header) = packet.first_chunk_mut::<40>().filter(|header| header[0] >> 4 == 6) {
        header[0] = header[0] & 0xf0 | tos >> 4;
        header[1] = header[1] & 0x0f | tos << 4;
    } else if let Some(header) = packet.first_chunk_mut::<20>() {
        let before = u16::from_be_bytes([header[0], header[1]]);
        header[1] = tos;
        let after = u16::from_be_bytes([header[0], header[1]]);
        let checksum = u16::from_be_bytes([header[10], header[11]]);
        [header[10], header[11]] = checksum::replace(checksum, before, after).to_be_bytes();
    }
}
