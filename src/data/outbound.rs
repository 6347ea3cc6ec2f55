//! Outbound: packets of the TUN leave as ESP in UDP. One thread of each worker runs this:
//!
//! 1. `run` waits at the worker's queue, reads a packet or super-packet, and lets go of the train when nothing more waits; before
//!    it sleeps, those who fill the queue may go on;
//! 2. `forward` reads its headers, drops link-local noise and looks up the SA in the snapshot; `hold` keeps what is for a
//!    Child SA that is set up on demand, and `release` sends that once there is one;
//! 3. `board` makes sure that the train which waits is one that it may join;
//! 4. `lay` cuts it into packets at the end of the train and clamps the MSS of a SYN; `lay_apart` does so packet by packet, and
//!    fragments what is too big for the path, or tells its sender;
//! 5. `depart` makes ESP of all in place and sends the train, in UDP or without: one call, if the kernel segments. It holds the SA's lock
//!    meanwhile, so that sequence numbers are in order on the wire whoever sends.

use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use sekisho_esp::{
    DropReason, Fragment, InnerView, Layout, OffloadHeader, fragment, mss, plan, segment, too_big,
};

use super::allowance::Allowance;
use super::drops::Loss;
use super::failure::Failure;
use super::held::Held;
use super::publish::{Sending, Snapshot};
use super::train::{Cut, Train};
use super::{FromData, Shared, UdpPath, Worker};
use crate::net::clock::{nanoseconds_since_boot, since_boot};
use crate::net::ready::{Courtesy, Woken};
use crate::net::tun::MAX_PACKET;
use crate::net::udp::{Outer, Sent};

/// What IPv6 sends without asking (RFC 8200 §5).
const SMALLEST_IPV6: usize = 1280;

/// One thread's buffers and what it has under way.
pub(super) struct Outbound {
    shared: Arc<Shared>,
    worker: Arc<Worker>,
    /// A packet or super-packet as read.
    packet: Box<[u8]>,
    /// The one that waits while others are sent before it.
    spare: Box<[u8]>,
    /// An ICMP answer.
    answer: Box<[u8]>,
    /// Of answers.
    allowance: Allowance,
    train: Train,
    /// Whom the train is for, and how it looks.
    bound_for: Option<(Arc<Sending>, Outside)>,
    /// What is laid packet by packet.
    apart: Vec<u8>,
    /// What waits for its Child SA.
    held: Held,
    /// The snapshot by which that was last looked through.
    looked: u64,
    device: Failure,
}

/// What the packets of a train look like outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outside {
    tos: u8,
    /// None of them may be fragmented.
    whole: bool,
}

impl Outbound {
    pub(super) fn new(shared: Arc<Shared>, worker: Arc<Worker>) -> Self {
        Self {
            shared,
            worker,
            packet: vec![0; MAX_PACKET].into(),
            spare: vec![0; MAX_PACKET].into(),
            answer: vec![0; too_big::LENGTH].into(),
            allowance: Allowance::new(since_boot()),
            train: Train::new(),
            bound_for: None,
            apart: Vec::new(),
            held: Held::default(),
            looked: 0,
            device: Failure::new("reading from the TUN device"),
        }
    }

    /// Until the stop flag is raised.
    ///
    /// # Errors
    /// If the device was removed: it will not come back.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let (shared, worker) = (Arc::clone(&self.shared), Arc::clone(&self.worker));
        let mut courtesy = Courtesy::default();
        while !shared.stop.is_raised() {
            if worker.bell.answer() {
                self.attend();
            }
            let pause = match worker.queue.read(&mut self.packet) {
                Ok((header, length)) => {
                    self.device.clear();
                    courtesy.found(self.take(OffloadHeader::from_bytes(header), length));
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {
                    let name = worker.queue.name();
                    return Err(io::Error::other(format!("the TUN device {name} was removed: {error}")));
                }
                Err(error) => Some(self.device.note(&error, &shared.to_control)),
            };
            self.depart();
            if pause.is_none() && courtesy.show() {
                continue;
            }
            // A device that fails is left alone for a while; one that has nothing is waited for.
            let sources = [worker.bell.as_fd(), worker.queue.as_fd()];
            let sources = if pause.is_some() { &sources[..1] } else { &sources };
            let over = self.held.deadline().map(|at| at.saturating_sub(since_boot()));
            if let Ok(Woken::Stop) = shared.stop.wait(sources, pause.into_iter().chain(over).min()) {
                break;
            }
            if !self.held.is_empty() {
                self.attend();
            }
        }
        Ok(())
    }

    /// One packet or super-packet, `length` bytes of the buffer; how many it is, two for all that are more than one. One that joins
    /// no train has the one that waits leave: whoever floods us with what is dropped, so that there is always more to read, holds
    /// nobody up.
    fn take(&mut self, header: OffloadHeader, length: usize) -> usize {
        let boarded = self.train.boarded();
        if let Err(reason) = self.forward(header, length) {
            self.worker.drops_out.esp(reason, 1);
        }
        if self.train.boarded() == boarded {
            self.depart();
        }
        if header.gso() == OffloadHeader::GSO_NONE { 1 } else { 2 }
    }

    /// What will not get its SA, or has waited for too long, goes; what has got it is sent; what nobody knows of is told.
    fn attend(&mut self) {
        let abandoned = mem::take(&mut *self.worker.abandoned.lock().unwrap_or_else(PoisonError::into_inner));
        let failed = abandoned.into_iter().map(|policy| self.held.take(policy).len()).sum();
        self.worker.drops_out.loss(Loss::AcquireFailed, failed);
        self.expire();
        let snapshot = self.shared.snapshot.load_full();
        self.release(&snapshot);
        self.ask();
    }

    fn expire(&mut self) {
        let expired = self.held.expire(since_boot());
        self.worker.drops_out.loss(Loss::AcquireExpired, expired);
    }

    /// Control is told of each policy that packets wait for. If its queue is full, once more before long.
    fn ask(&mut self) {
        let now = since_boot();
        while let Some(policy) = self.held.due(now) {
            let told = {
                let first = self.held.front(policy).and_then(|(_, packet)| InnerView::parse(packet).ok());
                self.shared.to_control.try_send(FromData::Acquire(policy, first)).is_ok()
            };
            self.held.asked(now, policy, told);
        }
    }

    /// Sends what has waited and need not wait any more.
    fn release(&mut self, snapshot: &Snapshot) {
        self.looked = snapshot.number();
        let waits = |policy, packet: &[u8]| {
            InnerView::parse(packet).is_ok_and(|view| snapshot.acquires(&view) == Some(policy))
        };
        let free = self.held.first().filter(|(policy, (_, packet))| !waits(*policy, packet));
        let free: Vec<u64> = free.map(|(policy, _)| policy).collect();
        let free: Vec<_> = free.into_iter().flat_map(|policy| self.held.take(policy)).collect();
        mem::swap(&mut self.packet, &mut self.spare);
        for (header, packet) in free {
            let Some(room) = self.packet.get_mut(..packet.len()) else { continue };
            room.copy_from_slice(&packet);
            if let Err(reason) = self.send_by(snapshot, header, packet.len()) {
                self.worker.drops_out.esp(reason, 1);
            }
        }
        mem::swap(&mut self.packet, &mut self.spare);
    }

    /// What waits for the same SA goes first.
    fn forward(&mut self, header: OffloadHeader, length: usize) -> Result<(), DropReason> {
        if self.held.is_empty() {
            let snapshot = self.shared.snapshot.load();
            return self.send_by(&snapshot, header, length);
        }
        let snapshot = self.shared.snapshot.load_full();
        if self.looked != snapshot.number() {
            self.release(&snapshot);
        }
        self.send_by(&snapshot, header, length)
    }

    fn send_by(
        &mut self,
        snapshot: &Snapshot,
        header: OffloadHeader,
        length: usize,
    ) -> Result<(), DropReason> {
        let packet = self.packet.get(..length).ok_or(DropReason::InnerLength)?;
        let view = InnerView::parse(packet)?;
        if view.is_link_local() {
            return Err(DropReason::LinkLocal);
        }
        let judged = self.judge(snapshot, packet, &view)?;
        let sending = match snapshot.outbound(&judged) {
            Ok(sending) => sending,
            Err(reason) => {
                let policy = snapshot.acquires(&judged).ok_or(reason)?;
                self.hold(policy, header, length);
                return Ok(());
            }
        };
        let mtu = sending.mtu();
        let cut = plan(sending.sa().layout_for(mtu.into()), header, packet, &view)?;
        let too_big = cut.length > mtu.into();
        // What IPv6 need not make smaller is fragmented outside, where the path carries less (RFC 8200 §5).
        let cut_outside = too_big && cut.length <= SMALLEST_IPV6 && view.source().is_ipv6();
        let whole = sending.is_whole() && !cut_outside;
        let outside = Outside { tos: sending.sa().outer_tos(view.tos()), whole };
        if (too_big && !cut_outside) || !Train::holds(cut) {
            return self.lay_apart((sending, outside), (header, length), mtu, &view);
        }
        self.board(sending, outside, cut);
        self.lay(cut.layout, header, length, mtu)
    }

    /// Where ports decide, a later fragment is judged by those of the first.
    fn judge(&self, snapshot: &Snapshot, packet: &[u8], view: &InnerView) -> Result<InnerView, DropReason> {
        if view.fragment() == Fragment::Whole || !snapshot.names_ports() {
            return Ok(*view);
        }
        let now = nanoseconds_since_boot();
        self.shared.fragments.lock().unwrap_or_else(PoisonError::into_inner).judge(now, packet, view)
    }

    /// Keeps it until there is an SA for it.
    fn hold(&mut self, policy: u64, header: OffloadHeader, length: usize) {
        self.expire();
        let packet = self.packet.get(..length).unwrap_or_default();
        match self.held.keep(since_boot(), policy, header, packet) {
            Ok(()) => self.ask(),
            Err(loss) => self.worker.drops_out.loss(loss, 1),
        }
    }

    /// What is of the same SA, look and size rides together.
    fn board(&mut self, sending: &Arc<Sending>, outside: Outside, cut: Cut) {
        let same = self
            .bound_for
            .as_ref()
            .is_some_and(|(other, others)| Arc::ptr_eq(other, sending) && *others == outside);
        if !(same && self.train.takes(cut)) {
            self.depart();
        }
        if self.bound_for.is_none() {
            self.bound_for = Some((Arc::clone(sending), outside));
        }
    }

    /// At the end of the train.
    fn lay(
        &mut self,
        layout: Layout,
        header: OffloadHeader,
        length: usize,
        mtu: u16,
    ) -> Result<(), DropReason> {
        let packet = self.packet.get(..length).unwrap_or_default();
        let room = self.train.free();
        let cut = segment(layout, header, packet, room)?;
        let first = cut.packets().next().and_then(|range| room.get_mut(range)).ok_or(DropReason::NoRoom)?;
        if cut.count == 1 && self.shared.clamp_mss.load(Ordering::Relaxed) {
            mss::clamp(first, mtu);
        }
        self.train.push(cut);
        Ok(())
    }

    /// Each packet by itself: what is too big for the path, or would with its padding need more room than there is.
    fn lay_apart(
        &mut self,
        (sending, outside): (&Arc<Sending>, Outside),
        (header, length): (OffloadHeader, usize),
        mtu: u16,
        view: &InnerView,
    ) -> Result<(), DropReason> {
        let mut apart = mem::take(&mut self.apart);
        let packet = self.packet.get(..length).unwrap_or_default();
        let layout = sending.sa().layout();
        let cut = plan(layout, header, packet, view).and_then(|cut| {
            apart.resize(cut.sealed_length(), 0);
            segment(layout, header, packet, &mut apart)
        });
        let laid = cut.and_then(|cut| {
            let mut packets = cut.packets().filter_map(|range| apart.get(range));
            packets.try_for_each(|packet| self.lay_one(sending, outside, mtu, packet))
        });
        self.apart = apart;
        laid
    }

    fn lay_one(
        &mut self,
        sending: &Arc<Sending>,
        outside: Outside,
        mtu: u16,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let view = InnerView::parse(packet)?;
        let layout = sending.sa().layout_for(mtu.into());
        if packet.len() <= mtu.into() {
            let whole = OffloadHeader::default();
            self.board(sending, outside, plan(layout, whole, packet, &view)?);
            let cut = segment(layout, whole, packet, self.train.free())?;
            self.train.push(cut);
            return Ok(());
        }
        if view.dont_fragment() {
            self.answer_too_big(packet, mtu);
            return Err(DropReason::TooBig);
        }
        self.depart();
        self.bound_for = Some((Arc::clone(sending), outside));
        let fragments = fragment(layout, packet, mtu.into(), self.train.free())?;
        self.train.push(fragments);
        Ok(())
    }

    /// The sender is told, unless many were told just now.
    fn answer_too_big(&mut self, packet: &[u8], mtu: u16) {
        if self.allowance.take(since_boot())
            && let Ok(answered) = too_big::answer(packet, mtu, &mut self.answer)
        {
            let answer = self.answer.get(..answered).unwrap_or_default();
            // An answer that the device does not take is lost like any ICMP message.
            let _ = self.worker.queue.write(OffloadHeader::default().to_bytes(), answer);
        }
    }

    /// Send what waits, and let go of its SA: one that was removed must not live on here.
    fn depart(&mut self) {
        let Some((sending, outside)) = self.bound_for.take() else { return };
        let mut sealer = sending.sa().sealer(nanoseconds_since_boot());
        if let Err((reason, lost)) = self.train.seal(&mut sealer) {
            self.worker.drops_out.esp(reason, lost);
        }
        self.send(&sending, outside);
        drop(sealer);
        self.train.clear();
    }

    /// By the socket of the SA's worker, whoever sends: the kernel may choose the line's queue by it.
    fn send(&self, sending: &Sending, Outside { tos, whole }: Outside) {
        let UdpPath { local, remote, encap } = sending.path;
        let outer = Outer { local, remote, tos, whole };
        let (sockets, size) = (&self.shared.sockets, self.train.segment());
        let sent = if encap {
            let segmentation = &sending.segmentation;
            sockets.for_trains(sending.worker, local, remote).map(|socket| {
                self.send_pieces(|piece| socket.send_train(outer, piece, size, segmentation));
            })
        } else {
            sockets.native(sending.worker, remote).map(|socket| {
                self.send_pieces(|piece| socket.send_train(outer, piece, size));
            })
        };
        if let Err(error) = sent {
            self.worker.drops_out.unsent(Some(&error), self.train.count());
        }
    }

    fn send_pieces(&self, send: impl Fn(&[u8]) -> Sent) {
        for sent in self.train.pieces().map(send).filter(|sent| sent.lost > 0) {
            self.worker.drops_out.unsent(sent.error.as_ref(), sent.lost);
        }
    }
}

#[cfg(test)]
mod tests;
