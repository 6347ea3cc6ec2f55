//! Outbound: packets of the TUN leave as ESP in UDP. One thread runs this:
//!
//! 1. `run` waits, reads a packet or super-packet, and lets go of the train when nothing more waits;
//! 2. `forward` reads its headers, drops link-local noise and looks up the SA in the snapshot;
//! 3. `board` makes sure that the train which waits is one that it may join;
//! 4. `lay` cuts it into packets at the end of the train, answers what is too big, and clamps the MSS of a SYN;
//! 5. `seal` makes ESP of each in place;
//! 6. `depart` sends the train: one call, if the kernel segments.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sekisho_esp::{DropReason, InnerView, Layout, OffloadHeader, OutboundSa, mss, segment, too_big};

use super::Shared;
use super::failure::Failure;
use super::publish::Sending;
use super::train::Train;
use crate::net::ready::Woken;
use crate::net::tun::MAX_PACKET;

/// One thread's buffers and what it has under way.
pub(super) struct Outbound {
    shared: Arc<Shared>,
    /// A packet or super-packet as read.
    packet: Box<[u8]>,
    /// An ICMP answer.
    answer: Box<[u8]>,
    train: Train,
    /// Whom the train is for, and its TOS.
    bound_for: Option<(Arc<Sending>, u8)>,
    device: Failure,
}

/// Packets cut from one super-packet, laid at the end of the train.
type Cut = sekisho_esp::Train;

impl Outbound {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            packet: vec![0; MAX_PACKET].into(),
            answer: vec![0; too_big::LENGTH].into(),
            train: Train::new(),
            bound_for: None,
            device: Failure::new("reading from the TUN device"),
        }
    }

    /// Until the stop flag is raised.
    ///
    /// # Errors
    /// If the device was removed: it will not come back.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        while !shared.stop.is_raised() {
            let pause = match shared.tun.read(&mut self.packet) {
                Ok((header, length)) => {
                    self.device.clear();
                    if let Err(reason) = self.forward(OffloadHeader::from_bytes(header), length) {
                        shared.drops.esp(reason, 1);
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {
                    let name = shared.tun.name();
                    return Err(io::Error::other(format!("the TUN device {name} was removed: {error}")));
                }
                Err(error) => Some(self.device.note(&error, &shared.to_control)),
            };
            self.depart();
            // A device that fails is left alone for a while; one that has nothing is waited for.
            let device = shared.tun.as_fd();
            let sources = if pause.is_some() { &[][..] } else { &[device] };
            if let Ok(Woken::Stop) = shared.stop.wait(sources, pause) {
                break;
            }
        }
        Ok(())
    }

    /// One packet or super-packet, `length` bytes of the buffer.
    fn forward(&mut self, header: OffloadHeader, length: usize) -> Result<(), DropReason> {
        let packet = self.packet.get(..length).ok_or(DropReason::InnerLength)?;
        let view = InnerView::parse(packet)?;
        if view.is_link_local() {
            return Err(DropReason::LinkLocal);
        }
        let snapshot = self.shared.snapshot.load();
        let sending = snapshot.outbound(&view)?;
        self.board(sending, sending.sa().outer_tos(view.tos()), header, length);
        if let Some(cut) = self.lay(sending.sa().layout(), header, length, &view)? {
            self.seal(sending.sa(), cut);
        }
        Ok(())
    }

    /// A super-packet has a train of its own; a packet joins others of the same SA, TOS and size.
    fn board(&mut self, sending: &Arc<Sending>, tos: u8, header: OffloadHeader, length: usize) {
        let same = self
            .bound_for
            .as_ref()
            .is_some_and(|(other, other_tos)| Arc::ptr_eq(other, sending) && *other_tos == tos);
        let whole = header.gso() == OffloadHeader::GSO_NONE;
        if !(same && whole && self.train.takes(sending.sa().layout().sealed_length(length))) {
            self.depart();
        }
        if self.bound_for.is_none() {
            self.bound_for = Some((Arc::clone(sending), tos));
        }
    }

    /// Nothing, if the sender was told instead that it is too big.
    fn lay(
        &mut self,
        layout: Layout,
        header: OffloadHeader,
        length: usize,
        view: &InnerView,
    ) -> Result<Option<Cut>, DropReason> {
        let packet = self.packet.get(..length).unwrap_or_default();
        let room = self.train.free();
        let cut = segment(layout, header, packet, room)?;
        let mtu = self.shared.mtu.load(Ordering::Relaxed);
        let first = cut.packets().next().and_then(|range| room.get_mut(range)).ok_or(DropReason::NoRoom)?;
        if first.len() > usize::from(mtu) && view.dont_fragment() {
            self.shared.drops.esp(DropReason::TooBig, 1);
            if let Ok(answered) = too_big::answer(first, mtu, &mut self.answer) {
                let answer = self.answer.get(..answered).unwrap_or_default();
                // An answer that the device does not take is lost like any ICMP message.
                let _ = self.shared.tun.write(OffloadHeader::default().to_bytes(), answer);
            }
            return Ok(None);
        }
        if cut.count == 1 {
            mss::clamp(first, mtu);
        }
        Ok(Some(cut))
    }

    /// At the first packet that the SA refuses, the rest of the super-packet is lost with it.
    fn seal(&mut self, sa: &OutboundSa, cut: Cut) {
        let room = self.train.free();
        let mut sealer = sa.sealer();
        let mut sealed = 0;
        let refused = cut.packets().find_map(|range| match sealer.seal(room, range) {
            Ok(_) => {
                sealed += 1;
                None
            }
            Err(reason) => Some(reason),
        });
        drop(sealer);
        let last = if refused.is_none() { cut.last_sealed_length() } else { cut.stride };
        self.train.push(sealed, cut.stride, last);
        if let Some(reason) = refused {
            self.shared.drops.esp(reason, cut.count - sealed);
        }
    }

    /// Send what waits, and let go of its SA: one that was removed must not live on here.
    fn depart(&mut self) {
        let Some((sending, tos)) = self.bound_for.take() else { return };
        let path = sending.path;
        let segment = self.train.segment();
        match self.shared.sockets.between(path.local, path.remote) {
            Ok(socket) => {
                for piece in self.train.pieces() {
                    let sent = socket.send_train(path.local, path.remote, tos, piece, segment);
                    if sent.lost > 0 {
                        self.shared.drops.unsent(sent.error.as_ref(), sent.lost);
                    }
                }
            }
            Err(error) => self.shared.drops.unsent(Some(&error), self.train.count()),
        }
        self.train.clear();
    }
}
