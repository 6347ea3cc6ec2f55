//! Inbound: ESP, in UDP or without, comes back to the TUN, IKE goes to control. One thread of each worker runs this:
//!
//! 1. `run` waits for any of the worker's sockets;
//! 2. `drain` receives datagrams, trains of datagrams or batches of packets from one of them, a bounded number at a time;
//! 3. `sort` tells IKE, ESP, keepalives and garbage apart, datagram by datagram;
//! 4. `to_control` hands IKE over, or drops it when control does not keep up;
//! 5. `open` looks up the SA once a run of packets of one SPI, opens each packet in place and clamps the MSS of a SYN;
//! 6. `joined` joins packets of one flow, also of several trains, and `deliver` writes them to the TUN.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sekisho_esp::encap::{self, Datagram};
use sekisho_esp::{DropReason, Joins, OffloadHeader, Opener, mss};
use tokio::sync::mpsc::error::TrySendError;

use super::drops::Loss;
use super::failure::Failure;
use super::joined::Joined;
use super::publish::{Receiving, Snapshot};
use super::{FromData, QUEUE, Shared, UdpPath, Worker};
use crate::net::clock::nanoseconds_since_boot;
use crate::net::ready::{Courtesy, Woken};
use crate::net::udp::{Batch, NativePacket, NativeSocket, Received, Socket};

/// Trains taken from one socket before the next has its turn.
const TURN: usize = 32;
/// The longest datagram or train.
const MAX_DATAGRAM: usize = 65_535;

/// One thread's buffers.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    train: Box<[u8]>,
    /// Where ESP without UDP is received, from the first such packet on.
    batch: Option<Batch>,
    delivery: Delivery,
    network: Failure,
}

/// What goes to the TUN.
struct Delivery {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    joined: Joined,
    device: Failure,
}

/// The SA that the last packets came on, locked until another one's come.
struct Run<'snapshot> {
    receiving: &'snapshot Receiving,
    opener: Opener<'snapshot>,
}

impl Inbound {
    pub(super) fn new(shared: Arc<Shared>, worker: Arc<Worker>) -> Self {
        let offloads = worker.queue.granted().offloads;
        let joins = Joins { tcp: offloads.tcp(), udp: offloads.udp() };
        Self {
            train: vec![0; MAX_DATAGRAM].into(),
            batch: None,
            delivery: Delivery {
                shared: Arc::clone(&shared),
                worker: Arc::clone(&worker),
                joined: Joined::new(joins, Arc::clone(&shared.refusals)),
                device: Failure::new("writing to the TUN device"),
            },
            network: Failure::new("receiving from the network"),
            shared,
            worker,
        }
    }

    /// Until the stop flag is raised.
    ///
    /// # Errors
    /// If the sockets cannot be waited for.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let sockets = shared.sockets.of(self.worker.number);
        let native = shared.sockets.native_of(self.worker.number);
        let sources = sockets.iter().map(AsFd::as_fd).chain(native.iter().map(AsFd::as_fd));
        let sources: Vec<BorrowedFd<'_>> = sources.collect();
        let mut courtesy = Courtesy::default();
        let mut pause = None;
        loop {
            // A network that fails is left alone for a while.
            let (sources, rest): (&[_], _) = match pause.take() {
                Some(pause) => (&[], Some(pause)),
                None => (&sources, courtesy.show().then_some(Duration::ZERO)),
            };
            let Woken::Ready(ready) = shared.stop.wait(sources, rest)? else { return Ok(()) };
            let is_ready = |number: usize| ready & (1 << number) != 0;
            for (_, socket) in sockets.iter().enumerate().filter(|(number, _)| is_ready(*number)) {
                pause = self.take_turn(&mut courtesy, |inbound| inbound.receive(socket)).or(pause);
            }
            let behind = native.iter().enumerate().filter(|(number, _)| is_ready(sockets.len() + number));
            for (_, socket) in behind {
                pause = self.take_turn(&mut courtesy, |inbound| inbound.receive_native(socket)).or(pause);
            }
        }
    }

    /// What waits at one socket; or how long to leave a network alone that fails.
    fn take_turn(
        &mut self,
        courtesy: &mut Courtesy,
        receive: impl Fn(&mut Self) -> io::Result<usize>,
    ) -> Option<Duration> {
        let mut pause = None;
        for _ in 0..TURN {
            match receive(self) {
                Ok(packets) => {
                    courtesy.found(packets);
                    self.network.clear();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if is_about_the_peer(&error) => {}
                Err(error) => {
                    pause = Some(self.network.note(&error, &self.shared.to_control));
                    break;
                }
            }
        }
        self.delivery.flush();
        pause
    }

    /// How many packets it was.
    fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let received = socket.recv(&mut self.train)?;
        self.sort(&received);
        Ok(received.length.div_ceil(received.segment.max(1)))
    }

    /// ESP packets that came without UDP.
    fn receive_native(&mut self, socket: &NativeSocket) -> io::Result<usize> {
        let batch = self.batch.get_or_insert_default();
        socket.recv(batch)?;
        let (shared, drops) = (&*self.shared, &self.worker.drops_in);
        let snapshot = shared.snapshot.load();
        let (mut run, mut found) = (None, 0);
        for NativePacket { esp, tos, truncated } in batch.packets() {
            found += 1;
            let outcome = match encap::classify(esp) {
                _ if truncated => {
                    drops.loss(Loss::DatagramCut, 1);
                    continue;
                }
                Datagram::Esp { spi } => open(shared, &snapshot, &mut run, spi, esp, tos),
                // "reserved for local, implementation-specific use and MUST NOT be sent on the wire" (RFC 4303 §2.1).
                Datagram::Ike(_) => Err(DropReason::ReservedSpi),
                Datagram::Keepalive => Err(DropReason::Truncated),
                Datagram::Garbage(reason) => Err(reason),
            };
            match outcome {
                Ok(packet) => self.delivery.push(packet),
                Err(reason) => drops.esp(reason, 1),
            }
        }
        Run::end(run, shared);
        self.delivery.flush();
        Ok(found)
    }

    /// One datagram, or a train of them from one sender.
    fn sort(&mut self, received: &Received) {
        let (shared, drops) = (&*self.shared, &self.worker.drops_in);
        if received.truncated {
            drops.loss(Loss::DatagramCut, 1);
            return;
        }
        if received.length == 0 {
            drops.esp(DropReason::Truncated, 1);
            return;
        }
        let snapshot = shared.snapshot.load();
        let encap = received.local.port() == shared.sockets.settings().nat_port;
        let path = UdpPath { local: received.local, remote: received.remote, encap };
        let train = self.train.get_mut(..received.length).unwrap_or_default();
        let mut run = None;
        for datagram in train.chunks_mut(received.segment.max(1)) {
            let outcome = match classify(datagram, encap) {
                Datagram::Ike(message) => {
                    if let Err(loss) = to_control(shared, path, message) {
                        drops.loss(loss, 1);
                    }
                    Ok(())
                }
                Datagram::Esp { spi } => {
                    let packet = open(shared, &snapshot, &mut run, spi, datagram, received.tos);
                    packet.map(|packet| self.delivery.push(packet))
                }
                Datagram::Keepalive => {
                    drops.loss(Loss::Keepalive, 1);
                    Ok(())
                }
                Datagram::Garbage(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                drops.esp(reason, 1);
            }
        }
        Run::end(run, shared);
    }
}

/// On the IKE port a datagram is an IKE message as a whole, whatever it looks like (RFC 7296 §2.23); keepalives
/// come there too, from peers that have not floated yet.
fn classify(datagram: &[u8], encap: bool) -> Datagram<'_> {
    match encap::classify(datagram) {
        Datagram::Keepalive => Datagram::Keepalive,
        _ if !encap => Datagram::Ike(datagram),
        datagram => datagram,
    }
}

/// The message is copied only when there is room for it. However many ask for a new SA, half of the queue is left to
/// the SAs that stand.
fn to_control(shared: &Shared, path: UdpPath, message: &[u8]) -> Result<(), Loss> {
    if asks_for_a_new_sa(message) && shared.to_control.capacity() <= QUEUE / 2 {
        return Err(Loss::QueueFull);
    }
    match shared.to_control.try_reserve() {
        Ok(permit) => permit.send(FromData::Ike { path, bytes: message.to_vec() }),
        Err(TrySendError::Full(()) | TrySendError::Closed(())) => return Err(Loss::QueueFull),
    }
    Ok(())
}

/// A request without a responder SPI (RFC 7296 §3.1): `IKE_SA_INIT`. Nothing else costs us much before it proves to be
/// of an SA that we know.
fn asks_for_a_new_sa(message: &[u8]) -> bool {
    const RESPONSE: u8 = 0x20;
    let header = message.first_chunk::<28>();
    header.is_none_or(|header| header[8..16] == [0; 8] && header[19] & RESPONSE == 0)
}

/// The inner packet of an ESP packet, opened in place.
fn open<'packet, 'snapshot>(
    shared: &Shared,
    snapshot: &'snapshot Snapshot,
    run: &mut Option<Run<'snapshot>>,
    spi: u32,
    packet: &'packet mut [u8],
    tos: u8,
) -> Result<&'packet [u8], DropReason> {
    if run.as_ref().is_none_or(|run| run.receiving.sa().spi() != spi) {
        // The lock on the one before is let go before the next is taken.
        Run::end(run.take(), shared);
        let receiving = snapshot.inbound(spi).ok_or(DropReason::UnknownSpi)?;
        *run = Some(Run { receiving, opener: receiving.sa().opener(nanoseconds_since_boot()) });
    }
    let run = run.as_mut().ok_or(DropReason::UnknownSpi)?;
    let inner = run.opener.open(packet, tos)?;
    let inner = packet.get_mut(inner).ok_or(DropReason::InnerLength)?;
    if shared.clamp_mss.load(Ordering::Relaxed) {
        mss::clamp(inner, run.receiving.mtu());
    }
    Ok(inner)
}

impl Run<'_> {
    fn end(run: Option<Self>, shared: &Shared) {
        if let Some(Self { receiving, mut opener }) = run {
            receiving.announce(opener.first_packet(), &shared.to_control);
        }
    }
}

impl Delivery {
    fn push(&mut self, packet: &[u8]) {
        let Self { shared, worker, joined, device } = self;
        joined.push(packet, |header, packet| deliver(shared, worker, device, header, packet));
    }

    fn flush(&mut self) {
        let Self { shared, worker, joined, device } = self;
        joined.flush(|header, packet| deliver(shared, worker, device, header, packet));
    }
}

/// What is refused for being joined is not lost: [`Joined`] sees to that.
fn deliver(
    shared: &Shared,
    worker: &Worker,
    device: &mut Failure,
    header: OffloadHeader,
    packet: &[u8],
) -> io::Result<()> {
    let written = worker.queue.write(header.to_bytes(), packet);
    match &written {
        Ok(()) => device.clear(),
        Err(error)
            if error.raw_os_error() == Some(libc::EINVAL) && header.gso() != OffloadHeader::GSO_NONE => {}
        Err(error) => {
            worker.drops_in.loss(Loss::DeliverFailed, 1);
            // Down or gone. What the device refuses in a packet is no failure of the device.
            if matches!(error.raw_os_error(), Some(libc::EIO | libc::EBADFD | libc::ENODEV)) {
                device.note(error, &shared.to_control);
            }
        }
    }
    written
}

/// The kernel tells of an ICMP error to something sent earlier; the socket itself is well.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EMSGSIZE | libc::EINTR)
    )
}

#[cfg(test)]
mod tests {
    use sekisho_esp::encap::Datagram;

    use super::classify;

    #[test]
    fn on_the_ike_port_everything_but_a_keepalive_is_ike() {
        let esp = [0xc1; 60];
        assert_eq!(classify(&esp, true), Datagram::Esp { spi: 0xc1c1_c1c1 });
        assert_eq!(classify(&esp, false), Datagram::Ike(&esp));
        let marked = [0, 0, 0, 0, 7];
        assert_eq!(classify(&marked, true), Datagram::Ike(&[7]));
        assert_eq!(classify(&marked, false), Datagram::Ike(&marked));
        for encap in [true, false] {
            assert_eq!(classify(&[0xff], encap), Datagram::Keepalive);
        }
    }
}
