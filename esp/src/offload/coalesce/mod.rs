//! Joins consecutive TCP segments or UDP datagrams of one flow into a super-packet for one write to the TUN (GRO in
//! software).
//!
//! A run holds packets whose headers differ only in what cutting changes (see [`super::segment`]), whose checksums
//! are right and whose sizes are equal but for a smaller last one. So cutting the super-packet again gives the same
//! packets. Whatever fits no run is passed on as it is, behind all that came before it in its flow.

mod joinable;
mod run;

use super::header::OffloadHeader;
use crate::inner::{Fragment, InnerView, TCP, UDP};
use joinable::Joinable;
use run::Run;

/// Flows whose runs are held at once: packets of several often take turns in one train.
const RUNS: usize = 8;

/// What may be joined: what the device at the other end takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// Segments of TCP.
    pub tcp: bool,
    /// Datagrams of UDP.
    pub udp: bool,
}

impl Joins {
    /// All that can be joined.
    pub const ALL: Self = Self { tcp: true, udp: true };
    /// Each packet is passed on as it is.
    pub const NONE: Self = Self { tcp: false, udp: false };

    fn allow(self, protocol: u8) -> bool {
        match protocol {
            TCP => self.tcp,
            UDP => self.udp,
            _ => false,
        }
    }
}

/// Collects runs. The packets of one flow leave in the order in which they came.
#[derive(Debug)]
pub struct Coalescer {
    joins: Joins,
    /// The first `held` are in use, the oldest first; the others keep their buffers.
    runs: [Run; RUNS],
    held: usize,
}

impl Coalescer {
    /// An empty one, with room for one super-packet of 65,535 bytes; for each further flow it makes room once.
    pub fn new(joins: Joins) -> Self {
        let mut runs: [Run; RUNS] = Default::default();
        if let Some(first) = runs.first_mut() {
            first.make_room();
        }
        Self { joins, runs, held: 0 }
    }

    /// What may be joined from now on.
    pub fn set_joins(&mut self, joins: Joins) {
        self.joins = joins;
    }

    /// Takes an inner packet, exactly as [`crate::Opener::open`] gave it. `write` is called for what is complete by
    /// then: what came before in its flow if this one does not continue it, and this one if nothing can be joined to it.
    pub fn push(&mut self, packet: &[u8], mut write: impl FnMut(OffloadHeader, &[u8])) {
        let Ok(view) = InnerView::parse(packet) else {
            self.flush(&mut write);
            return write(OffloadHeader::default(), packet);
        };
        let at = self.position(&view);
        let joinable = self.joins.allow(view.protocol()).then(|| Joinable::new(packet, &view)).flatten();
        let Some(joinable) = joinable else {
            self.overtake(at, &view, &mut write);
            return write(OffloadHeader::default(), packet);
        };
        if let Some(run) = at.and_then(|at| self.runs.get_mut(at))
            && run.append(&joinable)
        {
            if run.is_complete() {
                self.release(at, write);
            }
            return;
        }
        self.release(at, &mut write);
        if joinable.ends() || !self.start(packet, &view, &joinable, &mut write) {
            write(OffloadHeader::default(), packet);
        }
    }

    /// Writes what is held back. To be called at the end of each train.
    pub fn flush(&mut self, mut write: impl FnMut(OffloadHeader, &[u8])) {
        for run in self.runs.iter_mut().take(self.held) {
            run.write(&mut write);
        }
        self.held = 0;
    }

    /// The run of this packet's flow.
    fn position(&self, view: &InnerView) -> Option<usize> {
        self.runs.iter().take(self.held).position(|run| run.is_of(view))
    }

    /// A packet that stays alone leaves behind those of its flow; behind all, if it does not show which these are.
    fn overtake(&mut self, at: Option<usize>, view: &InnerView, write: impl FnMut(OffloadHeader, &[u8])) {
        if view.fragment() == Fragment::Whole && matches!(view.protocol(), TCP | UDP) {
            self.release(at, write);
        } else {
            self.flush(write);
        }
    }

    fn release(&mut self, at: Option<usize>, write: impl FnMut(OffloadHeader, &[u8])) {
        let Some(at) = at.filter(|at| *at < self.held) else { return };
        if let Some(run) = self.runs.get_mut(at) {
            run.write(write);
        }
        if let Some(younger) = self.runs.get_mut(at..self.held) {
            younger.rotate_left(1);
        }
        self.held -= 1;
    }

    /// Begins a run, or says that it cannot: the checksum is wrong.
    fn start(
        &mut self,
        packet: &[u8],
        view: &InnerView,
        joinable: &Joinable,
        write: impl FnMut(OffloadHeader, &[u8]),
    ) -> bool {
        if self.held == RUNS {
            self.release(Some(0), write);
        }
        let started = self.runs.get_mut(self.held).is_some_and(|run| run.start(packet, view, joinable));
        self.held += usize::from(started);
        started
    }
}
