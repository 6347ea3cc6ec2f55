//! A generator and a counter of UDP datagrams that cost as little as the kernel allows, many datagrams a call.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt};

/// Datagrams a call, at most.
pub const BATCH: usize = 64;
/// The longest train that the kernel takes, bytes.
const TRAIN: usize = 65_000;
/// Bytes of the receiver's buffer: what it bridges while another has the processor, not a whole trial.
const BUFFER: usize = 4 << 20;

/// Which datagrams, and how they are handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Bytes of payload.
    pub length: usize,
    /// As an application that knows `UDP_SEGMENT` and `UDP_GRO`: trains in one piece. Otherwise one by one, by
    /// `sendmmsg` and `recvmmsg`.
    pub trains: bool,
}

impl Flow {
    /// Most datagrams that go in one call.
    pub fn batch(self) -> usize {
        if self.trains { BATCH.min(TRAIN / self.length) } else { BATCH }
    }

    /// Sets the sending and the receiving socket up.
    pub fn prepare(self, sending: &UdpSocket, receiving: &UdpSocket) {
        setsockopt(receiving, RcvBufForce, &BUFFER).expect("a receive buffer");
        if self.trains {
            let length = i32::try_from(self.length).expect("a datagram's length");
            setsockopt(sending, UdpGsoSegment, &length).expect("UDP_SEGMENT");
            setsockopt(receiving, UdpGroSegment, &true).expect("UDP_GRO");
        }
    }
}

/// The sending end.
pub struct Generator<'a> {
    socket: &'a UdpSocket,
    flow: Flow,
    bytes: Vec<u8>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl<'a> Generator<'a> {
    pub fn new(socket: &'a UdpSocket, flow: Flow) -> Self {
        let bytes = vec![0x5a; flow.length * flow.batch()];
        Self { socket, flow, bytes, headers: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Hands so many to the kernel, no more than a batch; how many it took.
    pub fn send(&mut self, count: usize) -> usize {
        if self.flow.trains {
            // A queue that is full is a loss of the line's: they were sent.
            let _ = self.socket.send(&self.bytes[..count * self.flow.length]);
            return count;
        }
        let slices = [[IoSlice::new(&self.bytes[..self.flow.length])]; BATCH];
        let addresses = [None::<SockaddrStorage>; BATCH];
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            &slices[..count],
            addresses,
            [],
            MsgFlags::empty(),
        );
        sent.map_or(1, Iterator::count)
    }
}

/// The receiving end.
pub struct Counter<'a> {
    socket: &'a UdpSocket,
    flow: Flow,
    buffers: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl<'a> Counter<'a> {
    pub fn new(socket: &'a UdpSocket, flow: Flow) -> Self {
        let (count, length) = if flow.trains { (8, 1 << 16) } else { (BATCH, flow.length) };
        let headers = MultiHeaders::preallocate(count, None);
        Self { socket, flow, buffers: vec![vec![0; length]; count], headers }
    }

    /// Waits for datagrams; how many came. None, if the socket's time is over.
    pub fn receive(&mut self) -> u64 {
        let mut slices: Vec<_> = self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(self.socket.as_raw_fd(), &mut self.headers, &mut slices, flags, None);
        match received {
            Ok(messages) => {
                messages.map(|message| message.bytes.div_ceil(self.flow.length).max(1) as u64).sum()
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => 0,
            Err(error) => panic!("recvmmsg: {error}"),
        }
    }
}
