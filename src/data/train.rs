//! An outbound train: sealed packets of one SA and one outer TOS, back to back in one buffer, all of one size but for
//! a shorter last one. It leaves in as few calls as the kernel allows.

use crate::net::udp::{MAX_SEGMENTS, MAX_TRAIN};

/// The sealed packets of one super-packet of 64 KiB, even with segments of a hundred bytes, and of one that waits.
const BUFFER: usize = 320 << 10;
/// From here on nothing more is added: a whole super-packet must fit behind what waits.
const FULL: usize = MAX_TRAIN;

/// Packets that wait to leave together.
#[derive(Debug)]
pub(super) struct Train {
    buffer: Box<[u8]>,
    filled: usize,
    segment: usize,
    count: usize,
    closed: bool,
}

impl Train {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into(), filled: 0, segment: 0, count: 0, closed: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many packets wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of each packet but the last.
    pub(super) fn segment(&self) -> usize {
        self.segment
    }

    /// Whether a packet of `length` bytes may follow what is there.
    pub(super) fn takes(&self, length: usize) -> bool {
        self.is_empty()
            || (!self.closed
                && length <= self.segment
                && self.count < MAX_SEGMENTS
                && self.filled.saturating_add(length) <= FULL)
    }

    /// Where the next packets are to be laid.
    pub(super) fn free(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// `packets` now stand where [`Self::free`] began, of `length` bytes each, the last of `last`.
    pub(super) fn push(&mut self, packets: usize, length: usize, last: usize) {
        let Some(others) = packets.checked_sub(1) else { return };
        if self.is_empty() {
            self.segment = if others == 0 { last } else { length };
        }
        self.closed = last < self.segment;
        self.filled += others * length + last;
        self.count += packets;
    }

    /// What is there, in pieces that one call can send.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let packets = (MAX_TRAIN / self.segment.max(1)).clamp(1, MAX_SEGMENTS);
        self.buffer.get(..self.filled).unwrap_or_default().chunks((self.segment * packets).max(1))
    }

    pub(super) fn clear(&mut self) {
        (self.filled, self.segment, self.count, self.closed) = (0, 0, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_SEGMENTS, MAX_TRAIN, Train};

    fn train(lengths: &[usize]) -> Train {
        let mut train = Train::new();
        for &length in lengths {
            train.push(1, length, length);
        }
        train
    }

    #[test]
    fn packets_of_one_size_ride_together_and_a_shorter_one_closes_the_train() {
        assert!(train(&[]).takes(65_535), "a lone packet may have any size");
        assert!(train(&[1_000]).takes(1_000));
        assert!(train(&[1_000]).takes(10));
        assert!(!train(&[1_000]).takes(1_001));
        assert!(!train(&[1_000, 10]).takes(10));
        assert!(!train(&[100; MAX_SEGMENTS]).takes(100), "more than the kernel takes");
        assert!(!train(&[MAX_TRAIN / 2, MAX_TRAIN / 2]).takes(1), "longer than the kernel takes");
    }

    #[test]
    fn a_long_train_leaves_in_pieces_of_whole_packets() {
        let mut long = Train::new();
        long.push(48, 1_446, 1_000);
        let pieces: Vec<_> = long.pieces().map(<[u8]>::len).collect();
        assert_eq!(pieces, [1_446 * 44, 1_446 * 3 + 1_000]);
        assert!(!long.takes(1_000), "its last packet is short");
        let many = train(&[100; 130]);
        assert_eq!(many.pieces().map(<[u8]>::len).collect::<Vec<_>>(), [6_400, 6_400, 200]);
        assert_eq!(train(&[]).pieces().count(), 0);
    }
}
