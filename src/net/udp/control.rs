//! Control messages of `sendmsg` and `recvmsg` (cmsg(3)), laid out in buffers of our own, without allocation.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `struct cmsghdr`: length, level, type.
const HEADER: usize = size_of::<libc::cmsghdr>();
/// Every message begins at a multiple of this.
const ALIGN: usize = size_of::<usize>();
/// Room for every message that we ask for, twice over.
const CAPACITY: usize = 256;

/// What goes along with a datagram or train that is sent.
#[repr(C, align(8))]
pub(super) struct Outgoing {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Outgoing {
    /// Source address (unspecified: the kernel chooses), TOS or traffic class, and the size of a segment.
    pub(super) fn new(local: SocketAddr, tos: u8, segment: Option<u16>) -> Self {
        let mut message = Self { bytes: [0; CAPACITY], length: 0 };
        message.source(local);
        let (level, kind) = if local.is_ipv6() {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS)
        };
        if tos != 0 {
            message.push(level, kind, &libc::c_int::from(tos).to_ne_bytes());
        }
        if let Some(segment) = segment {
            message.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        message
    }

    /// `struct in_pktinfo { ifindex, spec_dst, addr }`, `struct in6_pktinfo { addr, ifindex }`.
    fn source(&mut self, local: SocketAddr) {
        match local {
            SocketAddr::V4(v4) if !v4.ip().is_unspecified() => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&v4.ip().octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            SocketAddr::V6(v6) if !v6.ip().is_unspecified() => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&v6.ip().octets());
                info[16..].copy_from_slice(&v6.scope_id().to_ne_bytes());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
    }

    fn push(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        let length = HEADER + data.len();
        let end = self.length + length.next_multiple_of(ALIGN);
        let Some(place) = self.bytes.get_mut(self.length..end) else { return };
        let header = length.to_ne_bytes().into_iter().chain(level.to_ne_bytes()).chain(kind.to_ne_bytes());
        for (to, from) in place.iter_mut().zip(header.chain(data.iter().copied())) {
            *to = from;
        }
        self.length = end;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Where the kernel puts what goes along with a datagram that is received.
#[repr(C, align(8))]
pub(super) struct Incoming {
    bytes: [u8; CAPACITY],
}

/// What came along.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ancillary {
    /// The address it was sent to, and the interface's index where the address needs it.
    pub(super) local: Option<(IpAddr, u32)>,
    /// TOS or traffic class: DSCP and ECN.
    pub(super) tos: u8,
    /// The size of each datagram but the last, if there are several in one.
    pub(super) segment: Option<usize>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { bytes: [0; CAPACITY] }
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether something may have been cut off (`MSG_CTRUNC`), if so many bytes were filled: then less than a header is left.
    pub(super) fn is_full(&self, length: usize) -> bool {
        length.saturating_add(HEADER) > self.bytes.len()
    }

    /// Read the first `length` bytes.
    pub(super) fn parse(&self, length: usize) -> Ancillary {
        Ancillary::parse(self.bytes.get(..length).unwrap_or_default())
    }
}

impl Ancillary {
    fn parse(mut rest: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some((header, _)) = rest.split_at_checked(HEADER) {
            let length = field(header, 0).map_or(0, usize::from_ne_bytes);
            let level = field(header, ALIGN).map_or(0, libc::c_int::from_ne_bytes);
            let kind = field(header, ALIGN + 4).map_or(0, libc::c_int::from_ne_bytes);
            let Some(data) = rest.get(HEADER..length) else { break };
            found.take(level, kind, data);
            rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        }
        found
    }

    fn take(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        match (level, kind) {
            // `spec_dst`, not `addr`: for a broadcast it is the address that may answer.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                self.local = field(data, 4).map(|octets: [u8; 4]| (Ipv4Addr::from(octets).into(), 0));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let index = field(data, 16).map_or(0, u32::from_ne_bytes);
                self.local = field(data, 0).map(|octets: [u8; 16]| {
                    let address = Ipv6Addr::from(octets);
                    (address.into(), if address.is_unicast_link_local() { index } else { 0 })
                });
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => self.tos = data.first().copied().unwrap_or_default(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let class = field(data, 0).map_or(0, libc::c_int::from_ne_bytes);
                self.tos = u8::try_from(class).unwrap_or_default();
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let segment = field(data, 0).map_or(0, libc::c_int::from_ne_bytes);
                self.segment = usize::try_from(segment).ok().filter(|&segment| segment > 0);
            }
            _ => {}
        }
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Ancillary, CAPACITY, HEADER, Incoming, Outgoing};

    #[test]
    fn what_is_laid_out_for_sending_reads_back() {
        let local: SocketAddr = "192.0.2.1:4500".parse().unwrap();
        let sent = Outgoing::new(local, 0, Some(1_400));
        let read = Ancillary::parse(sent.as_bytes());
        assert_eq!(read.local, Some((local.ip(), 0)));

        let local: SocketAddr = "[2001:db8::1]:4500".parse().unwrap();
        let read = Ancillary::parse(Outgoing::new(local, 0xb9, None).as_bytes());
        assert_eq!(read, Ancillary { local: Some((local.ip(), 0)), tos: 0xb9, segment: None });
    }

    #[test]
    fn an_unspecified_source_is_left_to_the_kernel() {
        for local in ["0.0.0.0:500", "[::]:500"] {
            assert!(Outgoing::new(local.parse().unwrap(), 0, None).as_bytes().is_empty());
        }
    }

    #[test]
    fn what_is_asked_for_leaves_room_and_what_fills_the_room_may_be_cut_off() {
        let whole = Outgoing::new("[2001:db8::1]:4500".parse().unwrap(), 3, Some(1)).as_bytes().len();
        let incoming = Incoming::new();
        assert!(!incoming.is_full(2 * whole) && !incoming.is_full(CAPACITY - HEADER));
        assert!(incoming.is_full(CAPACITY - HEADER + 1) && incoming.is_full(CAPACITY));
    }

    #[test]
    fn cut_off_control_data_ends_the_reading() {
        let whole = Outgoing::new("[2001:db8::1]:4500".parse().unwrap(), 3, Some(1));
        for length in 0..whole.as_bytes().len() {
            Ancillary::parse(whole.as_bytes().get(..length).unwrap());
        }
    }
}
