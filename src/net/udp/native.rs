//! ESP as an IP protocol of its own (RFC 4303 §3.1.2: 50), over raw sockets: many packets a call, since the kernel neither
//! cuts nor joins them as it does with UDP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Type};

use super::Outer;
use super::batch::{self, MOST, Slot};
use super::control::Outgoing;
use super::socket::{AtStep, Sent, drops, restless, widen_buffers};
use super::steer;
use super::wholeness::Wholeness;

/// Bytes of the longest packet that is received: the longest inner one, and what a tunnel adds.
const LONGEST: usize = 9_216 + 128;

/// A raw socket for ESP, non-blocking: all ESP of its family whose SPIs name its worker.
#[derive(Debug)]
#[repr(align(128))]
pub struct NativeSocket {
    inner: socket2::Socket,
    ipv6: bool,
    wholeness: Wholeness,
}

/// Room for the packets of one call.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<Slot>,
    filled: usize,
    ipv6: bool,
}

/// One packet that was received.
#[derive(Debug)]
pub struct NativePacket<'b> {
    /// The ESP packet; empty if its IP header makes no sense.
    pub esp: &'b mut [u8],
    /// TOS or traffic class: DSCP and ECN.
    pub tos: u8,
    /// It was longer than any of a tunnel; what is there is useless.
    pub truncated: bool,
}

impl NativeSocket {
    /// Open and set up, for the worker of this number among so many.
    pub(super) fn open(ipv6: bool, mark: u32, worker: u8, workers: u8) -> Result<Self, AtStep> {
        let at = |what| move |error| (what, error);
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let protocol = Some(Protocol::from(libc::IPPROTO_ESP));
        let inner = socket2::Socket::new(domain, Type::RAW.nonblocking(), protocol)
            .map_err(at("open a raw socket for ESP"))?;
        inner.set_mark(mark).map_err(at("set SO_MARK"))?;
        let wholeness = Wholeness::new(&inner, ipv6)?;
        if ipv6 {
            inner.set_recv_tclass_v6(true).map_err(at("set IPV6_RECVTCLASS"))?;
        }
        widen_buffers(&inner);
        if workers > 1 {
            let attached = steer::keep_own(inner.as_fd(), ipv6, worker, workers);
            attached.map_err(at("set SO_ATTACH_FILTER"))?;
        }
        Ok(Self { inner, ipv6, wholeness })
    }

    /// Its address family.
    pub fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// What came in and found no room since it was opened.
    pub(super) fn overflowed(&self) -> u32 {
        drops(&self.inner)
    }

    /// Receive what is there, as much as the batch has room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn recv(&self, batch: &mut Batch) -> io::Result<()> {
        (batch.filled, batch.ipv6) = (0, self.ipv6);
        batch.filled = batch::receive(self.inner.as_fd(), &mut batch.slots)?;
        Ok(())
    }

    /// Send a train: ESP packets of `segment` bytes each, the last may be shorter. Never waits, like
    /// [`super::Socket::send_train`].
    pub fn send_train(
        &self,
        Outer { local, remote, tos, whole }: Outer,
        train: &[u8],
        segment: usize,
    ) -> Sent {
        self.wholeness.want(&self.inner, whole);
        let (local, remote) = (without_port(local), SockAddr::from(without_port(remote)));
        let control = Outgoing::new(local, tos, None);
        let mut packets = train.chunks(segment.max(1)).peekable();
        let mut sent = Sent::default();
        while packets.peek().is_some() {
            let these = packets.clone().take(MOST);
            match batch::send(self.inner.as_fd(), &remote, control.as_bytes(), these) {
                Ok(count) => packets = skipped(packets, count.max(1)),
                Err(error) if restless(&error) => {}
                Err(error) => {
                    sent.lost += 1;
                    sent.error = Some(error);
                    packets = skipped(packets, 1);
                }
            }
        }
        sent
    }
}

/// What comes after the first `count`.
fn skipped<I: Iterator>(mut packets: std::iter::Peekable<I>, count: usize) -> std::iter::Peekable<I> {
    packets.by_ref().take(count).for_each(drop);
    packets
}

/// A raw socket of IPv6 takes a port for a protocol.
fn without_port(mut address: SocketAddr) -> SocketAddr {
    address.set_port(0);
    address
}

impl AsFd for NativeSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { slots: (0..MOST).map(|_| Slot::new(LONGEST)).collect(), filled: 0, ipv6: false }
    }
}

impl Batch {
    /// What was received.
    pub fn packets(&mut self) -> impl Iterator<Item = NativePacket<'_>> {
        let ipv6 = self.ipv6;
        self.slots.iter_mut().take(self.filled).map(move |slot| slot.packet(ipv6))
    }
}

impl Slot {
    /// A raw socket of IPv4 hands the IP header over, with its options; one of IPv6 does not.
    fn packet(&mut self, ipv6: bool) -> NativePacket<'_> {
        let truncated = self.is_truncated();
        if ipv6 {
            let tos = self.ancillary().tos;
            return NativePacket { esp: self.bytes(), tos, truncated };
        }
        let packet = self.bytes();
        let (esp, tos) = payload_of_ipv4(packet).unwrap_or_default();
        NativePacket { esp, tos, truncated }
    }
}

/// What an IPv4 packet carries, and its TOS.
fn payload_of_ipv4(packet: &mut [u8]) -> Option<(&mut [u8], u8)> {
    let &[version, tos, t0, t1, ..] = packet.first_chunk::<20>()?;
    let (header, total) = (usize::from(version & 0xf) * 4, usize::from(u16::from_be_bytes([t0, t1])));
    let end = total.min(packet.len());
    if version >> 4 != 4 || header < 20 {
        return None;
    }
    packet.get_mut(header..end).map(|esp| (esp, tos))
}

#[cfg(test)]
mod tests {
    use super::payload_of_ipv4;

    #[test]
    fn what_lies_behind_an_ipv4_header_is_found_and_a_header_without_sense_has_nothing() {
        let mut packet = vec![0x46, 0xb8, 0, 30, 0, 0, 0, 0, 64, 50, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        packet.extend([1, 1, 1, 0, 0xc0, 1, 2, 3, 4, 5, 0xee, 0xee]);
        assert_eq!(payload_of_ipv4(&mut packet).unwrap(), (&mut [0xc0, 1, 2, 3, 4, 5][..], 0xb8));
        for (at, byte) in [(0, 0x44), (0, 0x66), (0, 0x4f), (3, 23)] {
            let mut wrong = packet.clone();
            wrong[at] = byte;
            assert_eq!(payload_of_ipv4(&mut wrong), None, "{at} {byte:x}");
        }
        for length in 0..24 {
            assert!(payload_of_ipv4(&mut packet.clone()[..length]).is_none_or(|(esp, _)| esp.is_empty()));
        }
    }
}
