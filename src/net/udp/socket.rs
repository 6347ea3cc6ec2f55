//! One UDP socket: trains of equal datagrams in and out, with addresses and TOS.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use socket2::{Domain, MaybeUninitSlice, MsgHdr, MsgHdrMut, Protocol, SockAddr, Type};

use super::control::{Incoming, Outgoing};
use super::wholeness::Wholeness;
use super::{Outer, Settings};
use crate::net::offload::Asked;

/// The kernel's limit of datagrams in a train.
pub const MAX_SEGMENTS: usize = 64;
/// Bytes in a train; the kernel's limit is 65,535 with headers.
pub const MAX_TRAIN: usize = 65_000;

/// Bytes a second that a socket is to bear: 10 Gb/s.
const RATE: usize = 10_000_000_000 / 8;
/// How many times a second a thread comes to its socket at least, while others have the processor: Linux lets a thread wait
/// some milliseconds for its turn.
const TURNS: usize = 150;
/// Bytes of socket buffer asked for each way: what comes in meanwhile. Linux doubles it, for what it keeps beside each packet.
/// What lies there on the way out is in the queue of a line: if it is full, that line has work for longer than a thread is ever
/// away, so that to wait for room would gain nothing by it, and hold up what goes by others.
const BUFFER: usize = RATE / TURNS;
/// How many trains are sent datagram by datagram after the kernel refused one, before it is asked again: the refusal
/// may come from a path MTU or a route that has changed since.
const SEGMENTATION_REST: u32 = 1_000;

/// A non-blocking socket. Two of them share no cache line, nor the pair of lines that processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub struct Socket {
    inner: socket2::Socket,
    address: SocketAddr,
    wholeness: Wholeness,
    /// Trains may leave in one call.
    cut: bool,
    /// Why none come in one call, if they should.
    unjoined: Option<String>,
}

const _: () = assert!(align_of::<Socket>() >= 128);

/// Whether the kernel cuts trains for one peer. Each has its own: what is refused on the way to one, through a narrow line or a
/// device that cannot checksum, goes well on the way to others.
#[derive(Debug, Default)]
pub struct Segmentation {
    /// Trains still to be sent datagram by datagram before `UDP_SEGMENT` is tried again.
    rest: AtomicU32,
    /// What the kernel said last.
    refusal: AtomicI32,
}

impl Segmentation {
    /// Why trains are sent datagram by datagram for now, if they are.
    pub fn paused(&self) -> Option<io::Error> {
        let rests = self.rest.load(Ordering::Relaxed) > 0;
        rests.then(|| io::Error::from_raw_os_error(self.refusal.load(Ordering::Relaxed)))
    }

    fn is_allowed(&self) -> bool {
        let rest = self.rest.load(Ordering::Relaxed);
        if rest > 0 {
            // Two threads may count one train as one: the rest is a rough measure anyway.
            self.rest.store(rest - 1, Ordering::Relaxed);
        }
        rest == 0
    }

    fn pause(&self, refusal: &io::Error) {
        self.refusal.store(refusal.raw_os_error().unwrap_or_default(), Ordering::Relaxed);
        self.rest.store(SEGMENTATION_REST, Ordering::Relaxed);
    }
}

/// A datagram, or a train of datagrams from one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes received, all datagrams together.
    pub length: usize,
    /// Bytes in each datagram but the last.
    pub segment: usize,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address and port it was sent to.
    pub local: SocketAddr,
    /// TOS or traffic class: DSCP and ECN.
    pub tos: u8,
    /// The buffer was too short; what is there is useless.
    pub truncated: bool,
}

/// An error, and at which step.
pub(super) type AtStep = (&'static str, io::Error);

/// What became of a train.
#[derive(Debug, Default)]
pub struct Sent {
    /// Datagrams that did not leave.
    pub lost: usize,
    /// Why the last of those did not.
    pub error: Option<io::Error>,
}

impl Socket {
    /// Bind and set up; `shared`: beside other sockets of ours on the same port.
    pub(super) fn bind(address: SocketAddr, settings: &Settings, shared: bool) -> Result<Self, AtStep> {
        let at = |what| move |error| (what, error);
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))
            .map_err(at("socket"))?;
        socket.set_mark(settings.mark).map_err(at("set SO_MARK"))?;
        if address.is_ipv6() {
            socket.set_only_v6(true).map_err(at("set IPV6_V6ONLY"))?;
            socket.set_recv_tclass_v6(true).map_err(at("set IPV6_RECVTCLASS"))?;
        } else {
            socket.set_recv_tos_v4(true).map_err(at("set IP_RECVTOS"))?;
        }
        let (what, level, option) = if address.is_ipv6() {
            ("set IPV6_RECVPKTINFO", libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
        } else {
            ("set IP_PKTINFO", libc::IPPROTO_IP, libc::IP_PKTINFO)
        };
        set_option(&socket, level, option, 1).map_err(at(what))?;
        let wholeness = Wholeness::new(&socket, address.is_ipv6())?;
        widen_buffers(&socket);
        let cut = settings.offloads == Asked::Auto;
        // A kernel before 5.0 hands over datagrams one by one; nothing else changes.
        let joined = if cut { set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1) } else { Ok(()) };
        let unjoined = joined.err().map(|error| format!("UDP_GRO: {error}"));
        socket.set_reuse_port(shared).map_err(at("set SO_REUSEPORT"))?;
        socket.bind(&address.into()).map_err(at("bind"))?;
        Ok(Self { inner: socket, address, wholeness, cut, unjoined })
    }

    /// Let others of ours have the same port.
    pub(super) fn share(&self) -> Result<(), AtStep> {
        self.inner.set_reuse_port(true).map_err(|error| ("set SO_REUSEPORT", error))
    }

    /// The port it is bound to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address family.
    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Why the kernel hands over no trains, if it should.
    pub(super) fn unjoined(&self) -> Option<&str> {
        self.unjoined.as_deref()
    }

    /// What came in and found no room, or was damaged, since it was bound.
    pub(super) fn overflowed(&self) -> u32 {
        drops(&self.inner)
    }

    /// Receive a datagram or a train (65,535 bytes hold any).
    ///
    /// # Errors
    /// `WouldBlock` when there is none; errors about something sent earlier, such as `ConnectionRefused`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut remote = SockAddr::from(self.address);
        let mut control = Incoming::new();
        let mut slices = [MaybeUninitSlice::new(uninitialised(buffer))];
        let mut message = MsgHdrMut::new()
            .with_addr(&mut remote)
            .with_buffers(&mut slices)
            .with_control(uninitialised(control.as_mut()));
        let length = self.inner.recvmsg(&mut message, 0)?;
        let (truncated, control_length) = (message.flags().is_truncated(), message.control_len());
        // Of a train without its segments' size, all would be one packet.
        let truncated = truncated || control.is_full(control_length);
        let ancillary = control.parse(control_length);
        let port = self.port();
        Ok(Received {
            length,
            segment: ancillary.segment.unwrap_or(length),
            remote: remote.as_socket().ok_or(ErrorKind::InvalidData)?,
            local: match ancillary.local {
                Some((IpAddr::V6(address), scope)) => SocketAddrV6::new(address, port, 0, scope).into(),
                Some((address, _)) => SocketAddr::new(address, port),
                None => self.address,
            },
            tos: ancillary.tos,
            truncated,
        })
    }

    /// Send one datagram made of `parts`, at once or not at all; `whole` or perhaps in fragments. It has room where trains have none
    /// any more: it is IKE, without which no tunnel of the socket lives on, while one line is choked.
    pub(super) fn send<const N: usize>(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        whole: bool,
        parts: [&[u8]; N],
    ) -> io::Result<()> {
        let control = Outgoing::new(local, 0, None);
        let _unchanged = self.wholeness.hold(&self.inner, whole);
        let (remote, slices) = (remote.into(), parts.map(IoSlice::new));
        match self.send_message(&remote, &control, &slices) {
            Err(error)
                if error.kind() == ErrorKind::WouldBlock && force_send_buffer(&self.inner, 2 * BUFFER) =>
            {
                let sent = self.send_message(&remote, &control, &slices);
                force_send_buffer(&self.inner, BUFFER);
                sent
            }
            result => result,
        }
    }

    /// Send a train: datagrams of `segment` bytes each, the last may be shorter; at most [`MAX_SEGMENTS`] and
    /// [`MAX_TRAIN`]. One call if the kernel segments, else one for each. Never waits: what
    /// finds the socket buffer full is lost (see [`BUFFER`]).
    pub fn send_train(
        &self,
        Outer { local, remote, tos, whole }: Outer,
        train: &[u8],
        segment: usize,
        segmentation: &Segmentation,
    ) -> Sent {
        if train.is_empty() || segment == 0 {
            return Sent::default();
        }
        self.wholeness.want(&self.inner, whole);
        let remote = SockAddr::from(remote);
        let alone = train.len() <= segment;
        if alone || !self.cut || !segmentation.is_allowed() {
            return self.send_each(local, &remote, tos, train.chunks(segment));
        }
        let control = Outgoing::new(local, tos, u16::try_from(segment).ok());
        match self.send_message(&remote, &control, &[IoSlice::new(train)]) {
            Ok(()) => Sent::default(),
            Err(error) if refuses_segmentation(&error) => {
                let sent = self.send_each(local, &remote, tos, train.chunks(segment));
                // Where single datagrams fail too, the address is to blame and not the segmentation.
                if sent.lost == 0 {
                    segmentation.pause(&error);
                }
                sent
            }
            Err(error) => Sent { lost: train.len().div_ceil(segment), error: Some(error) },
        }
    }

    fn send_each<'a>(
        &self,
        local: SocketAddr,
        remote: &SockAddr,
        tos: u8,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> Sent {
        let control = Outgoing::new(local, tos, None);
        let mut sent = Sent::default();
        for datagram in datagrams {
            if let Err(error) = self.send_message(remote, &control, &[IoSlice::new(datagram)]) {
                sent.lost += 1;
                sent.error = Some(error);
            }
        }
        sent
    }

    fn send_message(&self, remote: &SockAddr, control: &Outgoing, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let message = MsgHdr::new().with_addr(remote).with_buffers(slices).with_control(control.as_bytes());
        self.inner.sendmsg(&message, libc::MSG_NOSIGNAL).map(drop)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Past the administrator's limit if we may, up to it if not.
pub(super) fn widen_buffers(socket: &socket2::Socket) {
    let size = libc::c_int::try_from(BUFFER).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size).is_err() {
        let _ = socket.set_recv_buffer_size(BUFFER);
    }
    if !force_send_buffer(socket, BUFFER) {
        let _ = socket.set_send_buffer_size(BUFFER);
    }
}

/// Whether we may.
fn force_send_buffer(socket: &socket2::Socket, size: usize) -> bool {
    let size = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size).is_ok()
}

/// A call that was interrupted before it did anything.
pub(super) fn restless(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}

/// `EIO`: the device cannot checksum. `EINVAL`: segments beyond the path MTU, or no support. `EMSGSIZE`: as `EINVAL`
/// since Linux 6.14.
fn refuses_segmentation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

#[expect(unsafe_code, reason = "setsockopt(2), getsockopt(2), and a buffer as socket2 wants it")]
mod sys {
    use super::{AsRawFd, MaybeUninit, io};

    pub(in super::super) fn set_option(
        socket: &socket2::Socket,
        level: libc::c_int,
        option: libc::c_int,
        value: libc::c_int,
    ) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
        // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// `SO_MEMINFO`, whose ninth number it is (`SK_MEMINFO_DROPS` of `linux/sock_diag.h`); 0 where the kernel does not say.
    pub(in crate::net) fn drops(socket: &socket2::Socket) -> u32 {
        const DROPS: usize = 8;
        let mut numbers = [0u32; DROPS + 1];
        let mut length = libc::socklen_t::try_from(size_of_val(&numbers)).unwrap_or_default();
        // SAFETY: the kernel writes at most `length` bytes of `numbers`, and to `length`; both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                (&raw mut numbers).cast(),
                &raw mut length,
            )
        };
        if result == 0 { numbers[DROPS] } else { 0 }
    }

    pub(super) fn uninitialised(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
        // SAFETY: same layout; socket2 promises never to write uninitialised bytes into a receive buffer.
        unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
    }
}
pub(in crate::net) use sys::drops;
pub(super) use sys::set_option;
use sys::uninitialised;

#[cfg(test)]
mod tests {
    use std::io;

    use super::refuses_segmentation;

    /// What says nothing of segments must not have a peer's packets sent one by one; what does must not lose them.
    #[test]
    fn what_refuses_to_cut_a_train_is_told_from_what_else_goes_wrong() {
        let refuses = |errno| refuses_segmentation(&io::Error::from_raw_os_error(errno));
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP] {
            assert!(refuses(errno), "{}", io::Error::from_raw_os_error(errno));
        }
        let others = [
            (libc::EAGAIN, libc::ENOBUFS),
            (libc::EPERM, libc::EACCES),
            (libc::ENETUNREACH, libc::EHOSTUNREACH),
            (libc::ECONNREFUSED, libc::EADDRNOTAVAIL),
        ];
        for errno in others.into_iter().flat_map(|(one, other)| [one, other]) {
            assert!(!refuses(errno), "{}", io::Error::from_raw_os_error(errno));
        }
        assert!(!refuses_segmentation(&io::Error::other("no number")));
    }
}
