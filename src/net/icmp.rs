//! What routers say of packets that were too big for them: raw sockets that get nothing else (raw(7), icmp(7)).
//!
//! Why not the error queues of the UDP sockets: each message there, forged or not, also makes the next call on the socket
//! fail, so that whoever sends many of them would have our packets lost.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::IpAddr;
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
const PACKET_TOO_BIG: u32 = 2;

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
        filter[0] &= !(1 << PACKET_TOO_BIG);
        let ipv6 = open(Domain::IPV6, Protocol::ICMPV6, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter);
        (Self { ipv4, ipv6 }, problems)
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
