//! What routers and hosts say of packets that were too big for them, or that they did not take: raw sockets that get nothing else
//! (raw(7), icmp(7)).
//!
//! Why not the error queues of the UDP sockets: each message there, forged or not, also makes the next call on the socket
//! fail, so that whoever sends many of them would have our packets lost.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// No router sends more: IPv6's smallest MTU.
const LONGEST: usize = 1_500;
/// Bytes of socket buffer: what does not fit is lost, and so is what forgers send.
const BUFFER: usize = 64 << 10;
/// `ICMP_FILTER` of linux/icmp.h.
const ICMP_FILTER: libc::c_int = 1;
/// `ICMPV6_FILTER` of linux/icmpv6.h.
const ICMPV6_FILTER: libc::c_int = 1;
const DESTINATION_UNREACHABLE: u32 = 3;
/// Of `ICMPv6`.
const UNREACHABLE: u32 = 1;
const PACKET_TOO_BIG: u32 = 2;
const UDP: u8 = 17;

/// The sockets. A family that the machine lacks, or that we may not listen to, is left out.
#[derive(Debug, Default)]
pub struct Icmp {
    ipv4: Option<AsyncFd<Socket>>,
    ipv6: Option<AsyncFd<Socket>>,
}

/// One message.
#[derive(Clone, PartialEq, Eq)]
pub struct IcmpMessage {
    /// Who sent it.
    pub from: IpAddr,
    /// From the ICMP header on. That of IPv4 was not verified.
    pub bytes: Vec<u8>,
}

impl Icmp {
    /// Listens, inside a Tokio runtime; beside it why a family is not listened to. Needs `CAP_NET_RAW`.
    pub fn open() -> (Self, Vec<io::Error>) {
        let mut problems = Vec::new();
        let mut open = |domain, protocol, level, option, filter: &[u32]| {
            listen(domain, protocol, level, option, filter).map_err(|error| problems.push(error)).ok()
        };
        // A bit that is set leaves messages of its type out.
        let filter = [!(1 << DESTINATION_UNREACHABLE)];
        let ipv4 = open(Domain::IPV4, Protocol::ICMPV4, libc::SOL_RAW, ICMP_FILTER, &filter);
        let mut filter = [u32::MAX; 8];
        filter[0] &= !(1 << PACKET_TOO_BIG | 1 << UNREACHABLE);
        let ipv6 = open(Domain::IPV6, Protocol::ICMPV6, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter);
        (Self { ipv4, ipv6 }, problems)
    }

    /// Messages that the kernel dropped because those before were not taken in time: forgers may send any number.
    pub fn overflowed(&self) -> u64 {
        let sockets = self.ipv4.iter().chain(&self.ipv6);
        sockets.map(|socket| u64::from(super::udp::drops(socket.get_ref()))).sum()
    }

    /// The next message. Dropping the future loses nothing.
    pub async fn next(&self) -> IcmpMessage {
        loop {
            let message = tokio::select! {
                message = receive(self.ipv4.as_ref()) => message.and_then(without_ip_header),
                message = receive(self.ipv6.as_ref()) => message,
            };
            if let Some(message) = message {
                return message;
            }
        }
    }
}

/// A UDP packet of ours that somebody did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The port it was sent from.
    pub local_port: u16,
    /// Where it was sent to.
    pub remote: SocketAddr,
    /// Why it was not taken, in words.
    pub why: &'static str,
}

impl IcmpMessage {
    /// What it says of a UDP packet, if it says that one was not taken (RFC 792; RFC 1812 §5.2.7.1; RFC 4443 §3.1).
    pub fn unreachable(&self) -> Option<Unreachable> {
        let (&[kind, code, ..], quoted) = self.bytes.split_first_chunk::<8>()?;
        if self.from.is_ipv4() {
            let why = match (kind, code) {
                (3, 0 | 6 | 11) => "network unreachable",
                (3, 1 | 7 | 12) => "host unreachable",
                (3, 3) => "port unreachable",
                (3, 9 | 10 | 13) => "administratively prohibited",
                _ => return None,
            };
            let (header, _) = quoted.split_first_chunk::<20>()?;
            let [.., d0, d1, d2, d3] = *header;
            let rest = quoted.get(usize::from(header[0] & 0x0f) * 4..)?;
            Unreachable::of(header[9], [d0, d1, d2, d3].into(), rest, why)
        } else {
            let why = match (kind, code) {
                (1, 0) => "no route to the destination",
                (1, 1 | 5 | 6) => "administratively prohibited",
                (1, 3) => "address unreachable",
                (1, 4) => "port unreachable",
                _ => return None,
            };
            let (header, rest) = quoted.split_first_chunk::<40>()?;
            let destination = *header.last_chunk::<16>()?;
            Unreachable::of(header[6], destination.into(), rest, why)
        }
    }
}

impl Unreachable {
    fn of(protocol: u8, remote: IpAddr, udp: &[u8], why: &'static str) -> Option<Self> {
        let &[s0, s1, d0, d1] = udp.first_chunk()?;
        let (local_port, remote_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        (protocol == UDP).then(|| Self { local_port, remote: SocketAddr::new(remote, remote_port), why })
    }
}

fn listen(
    domain: Domain,
    protocol: Protocol,
    level: libc::c_int,
    option: libc::c_int,
    filter: &[u32],
) -> io::Result<AsyncFd<Socket>> {
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
    sys::set_filter(&socket, level, option, filter)?;
    socket.set_recv_buffer_size(BUFFER)?;
    sys::watch(socket)
}

/// `None` if what came is of no use.
async fn receive(socket: Option<&AsyncFd<Socket>>) -> Option<IcmpMessage> {
    let Some(socket) = socket else { return std::future::pending().await };
    let mut buffer = [MaybeUninit::uninit(); LONGEST];
    let read = |socket: &Socket| socket.recv_from(&mut buffer);
    let received = socket.async_io(Interest::READABLE, read).await;
    match received {
        Ok((length, from)) => {
            let bytes = buffer.get(..length)?;
            Some(IcmpMessage { from: from.as_socket()?.ip(), bytes: sys::initialised(bytes).to_vec() })
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => None,
        // A raw socket has no peer that could fail; whatever it is, it must not keep the loop busy.
        Err(_) => std::future::pending().await,
    }
}

/// Raw sockets of IPv4 give the IP header along.
fn without_ip_header(mut message: IcmpMessage) -> Option<IcmpMessage> {
    let length = usize::from(message.bytes.first()? & 0x0f) * 4;
    message.bytes = message.bytes.get(length..)?.to_vec();
    Some(message)
}

impl std::fmt::Debug for IcmpMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IcmpMessage(from {}, {} bytes)", self.from, self.bytes.len())
    }
}

#[expect(
    unsafe_code,
    reason = "setsockopt(2), a descriptor to be watched, and a buffer that the kernel has filled"
)]
mod sys {
    use super::{AsRawFd, AsyncFd, Interest, MaybeUninit, Socket, io};

    pub(super) fn watch(socket: Socket) -> io::Result<AsyncFd<Socket>> {
        // SAFETY: the socket owns its descriptor, which is open until it is dropped, and never another one.
        Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
    }

    pub(super) fn set_filter(
        socket: &Socket,
        level: libc::c_int,
        option: libc::c_int,
        filter: &[u32],
    ) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of_val(filter)).unwrap_or_default();
        // SAFETY: the kernel reads `length` bytes of `filter`, which outlives the call.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, filter.as_ptr().cast(), length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Those bytes of a buffer that recvfrom(2) said that it wrote.
    pub(super) fn initialised(bytes: &[MaybeUninit<u8>]) -> &[u8] {
        // SAFETY: the caller gives what the kernel has written, and the layout is the same.
        unsafe { &*(std::ptr::from_ref(bytes) as *const [u8]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a UDP packet from port 500 to port 4500.
    fn message(from: &str, kind: u8, code: u8, header: &[u8]) -> IcmpMessage {
        let mut bytes = vec![kind, code, 0, 0, 0, 0, 0, 0];
        bytes.extend(header);
        bytes.extend([0x01, 0xf4, 0x11, 0x94, 0, 8, 0, 0]);
        IcmpMessage { from: from.parse().unwrap(), bytes }
    }

    fn ipv4() -> [u8; 20] {
        [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 2]
    }

    #[test]
    fn what_was_not_taken_is_read_and_nothing_else() {
        let told = message("203.0.113.2", 3, 3, &ipv4()).unreachable().unwrap();
        let expected = Unreachable {
            local_port: 500,
            remote: "203.0.113.2:4500".parse().unwrap(),
            why: "port unreachable",
        };
        assert_eq!(told, expected);
        assert_eq!(message("203.0.113.2", 3, 4, &ipv4()).unreachable(), None, "too big is another matter");
        let mut tcp = ipv4();
        tcp[9] = 6;
        assert_eq!(message("203.0.113.2", 3, 3, &tcp).unreachable(), None);
        let mut header = [0; 40];
        (header[0], header[6]) = (0x60, 17);
        header[24..].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        let told = message("2001:db8::9", 1, 1, &header).unreachable().unwrap();
        assert_eq!(
            (told.remote, told.why),
            ("[2001:db8::2]:4500".parse().unwrap(), "administratively prohibited")
        );
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_says_nothing() {
        let whole = message("203.0.113.2", 3, 1, &ipv4());
        for length in 0..whole.bytes.len() - 4 {
            let cut = IcmpMessage { bytes: whole.bytes[..length].to_vec(), ..whole.clone() };
            assert_eq!(cut.unreachable(), None, "{length}");
        }
        let mut long = ipv4();
        long[0] = 0x4f;
        assert_eq!(message("203.0.113.2", 3, 1, &long).unreachable(), None);
    }
}
