//! Several messages a call: recvmmsg(2) and sendmmsg(2), without allocation.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use super::control::{Ancillary, Incoming};

/// Messages of one call.
pub(super) const MOST: usize = 32;

/// Room for one message, and what came.
#[repr(align(64))]
pub(super) struct Slot {
    room: Box<[u8]>,
    control: Incoming,
    length: usize,
    control_length: usize,
    flags: libc::c_int,
}

impl Slot {
    /// For messages of so many bytes at most.
    pub(super) fn new(longest: usize) -> Self {
        let control = Incoming::new();
        Self { room: vec![0; longest].into(), control, length: 0, control_length: 0, flags: 0 }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.room.get_mut(..self.length).unwrap_or_default()
    }

    /// Also if there was no room for all that goes along.
    pub(super) fn is_truncated(&self) -> bool {
        self.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0
    }

    pub(super) fn ancillary(&self) -> Ancillary {
        self.control.parse(self.control_length)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({} bytes)", self.length)
    }
}

/// Receives at most [`MOST`] messages that wait: how many of the slots have one.
#[expect(unsafe_code, reason = "recvmmsg(2)")]
pub(super) fn receive(socket: BorrowedFd<'_>, slots: &mut [Slot]) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a value of these structures: null pointers and lengths of 0.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut vectors: [libc::iovec; MOST] = unsafe { std::mem::zeroed() };
    for ((header, vector), slot) in headers.iter_mut().zip(&mut vectors).zip(slots.iter_mut()) {
        let control = slot.control.as_mut();
        (vector.iov_base, vector.iov_len) = (slot.room.as_mut_ptr().cast(), slot.room.len());
        (header.msg_hdr.msg_iov, header.msg_hdr.msg_iovlen) = (vector, 1);
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = control.len();
    }
    let count = libc::c_uint::try_from(slots.len().min(MOST)).unwrap_or_default();
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: the first `count` headers each point to an `iovec`, which points to a slot's room, and to its control buffer, with
    // their lengths; all outlive the call, and no slot is in two.
    let received = unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), count, flags, std::ptr::null_mut()) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for (slot, header) in slots.iter_mut().zip(&headers).take(received) {
        slot.length = usize::try_from(header.msg_len).unwrap_or_default();
        (slot.flags, slot.control_length) = (header.msg_hdr.msg_flags, header.msg_hdr.msg_controllen);
    }
    Ok(received)
}

/// Sends at most [`MOST`] messages to one address with the same control data: how many the kernel took, one at least.
#[expect(unsafe_code, reason = "sendmmsg(2)")]
pub(super) fn send<'m>(
    socket: BorrowedFd<'_>,
    remote: &SockAddr,
    control: &[u8],
    messages: impl Iterator<Item = &'m [u8]>,
) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a value of these structures: null pointers and lengths of 0.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut vectors: [libc::iovec; MOST] = unsafe { std::mem::zeroed() };
    let mut count: libc::c_uint = 0;
    for ((header, vector), message) in headers.iter_mut().zip(&mut vectors).zip(messages) {
        (vector.iov_base, vector.iov_len) = (message.as_ptr().cast_mut().cast(), message.len());
        (header.msg_hdr.msg_iov, header.msg_hdr.msg_iovlen) = (vector, 1);
        header.msg_hdr.msg_name = remote.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = remote.len();
        if !control.is_empty() {
            header.msg_hdr.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_controllen = control.len();
        }
        count += 1;
    }
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    // SAFETY: the first `count` headers each point to an `iovec`, which points to a message, to the address and to the control
    // data, with their lengths; all outlive the call, and the kernel writes to none of them.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
