//! An outbound train: packets of one SA and one outer TOS, back to back in one buffer, whose ESP packets are all of one
//! size but for a shorter last one. It is sealed as a whole when it departs, and leaves in as few calls as the kernel allows.

use sekisho_esp::{DropReason, Sealer};

use crate::net::udp::{MAX_SEGMENTS, MAX_TRAIN};

/// The ESP packets of one super-packet of 64 KiB, even with segments of a hundred bytes; or of four with long ones.
/// With 128 KiB a TCP stream lost 6 %, with 192 KiB 4 %; 512 KiB gained nothing.
const BUFFER: usize = 320 << 10;
/// From here on no single packet is added.
const FULL: usize = MAX_TRAIN;

/// Packets cut from one packet or super-packet of the TUN.
pub(super) type Cut = sekisho_esp::Train;

/// Packets that wait to leave together.
#[derive(Debug)]
pub(super) struct Train {
    buffer: Box<[u8]>,
    /// What was laid, and where each begins.
    cuts: Vec<(usize, Cut)>,
    filled: usize,
    segment: usize,
    count: usize,
    closed: bool,
    /// Times that something was laid, in all trains.
    boarded: u64,
}

impl Train {
    pub(super) fn new() -> Self {
        // A super-packet and as many packets as may join it: steady traffic allocates nothing.
        let cuts = Vec::with_capacity(MAX_SEGMENTS + 1);
        Self {
            buffer: vec![0; BUFFER].into(),
            cuts,
            filled: 0,
            segment: 0,
            count: 0,
            closed: false,
            boarded: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many packets wait.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Changes whenever something is laid.
    pub(super) fn boarded(&self) -> u64 {
        self.boarded
    }

    /// Bytes of each ESP packet but the last.
    pub(super) fn segment(&self) -> usize {
        self.segment
    }

    /// Whether these may follow what is there. Packets of super-packets fill the buffer: were each sent by itself, most
    /// would leave a few packets for a train of their own, since the kernel takes less than 64 KiB of ESP at once.
    pub(super) fn takes(&self, cut: Cut) -> bool {
        let end = self.filled.saturating_add(cut.sealed_length());
        let fits = if cut.count > 1 {
            cut.stride == self.segment && end <= BUFFER && self.cuts.len() < MAX_SEGMENTS
        } else {
            cut.stride <= self.segment && end <= FULL && self.count < MAX_SEGMENTS
        };
        self.is_empty() || (fits && !self.closed)
    }

    /// Whether there is room for these at all.
    pub(super) fn holds(cut: Cut) -> bool {
        cut.sealed_length() <= BUFFER
    }

    /// Where the next packets are to be laid.
    pub(super) fn free(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// These packets now lie where [`Self::free`] began.
    pub(super) fn push(&mut self, cut: Cut) {
        let last = cut.last_sealed_length();
        if self.is_empty() {
            self.segment = if cut.count == 1 { last } else { cut.stride };
        }
        self.closed = last < self.segment;
        self.cuts.push((self.filled, cut));
        self.filled += cut.sealed_length();
        self.count += cut.count;
        self.boarded = self.boarded.wrapping_add(1);
    }

    /// Makes ESP of all packets, in place and in order.
    ///
    /// # Errors
    /// Why the SA refused one, and how many are lost from there on: those do not leave.
    pub(super) fn seal(&mut self, sealer: &mut Sealer<'_>) -> Result<(), (DropReason, usize)> {
        let mut sealed = 0;
        for &(start, cut) in &self.cuts {
            let room = self.buffer.get_mut(start..).unwrap_or_default();
            for (number, packet) in cut.packets().enumerate() {
                if let Err(reason) = sealer.seal_as(cut.layout, room, packet) {
                    let lost = self.count - sealed;
                    (self.count, self.filled) = (sealed, start + number * cut.stride);
                    return Err((reason, lost));
                }
                sealed += 1;
            }
        }
        Ok(())
    }

    /// What is there, in pieces that one call can send.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let packets = (MAX_TRAIN / self.segment.max(1)).clamp(1, MAX_SEGMENTS);
        self.buffer.get(..self.filled).unwrap_or_default().chunks((self.segment * packets).max(1))
    }

    pub(super) fn clear(&mut self) {
        self.cuts.clear();
        (self.filled, self.segment, self.count, self.closed) = (0, 0, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use sekisho_esp::{DropReason, Keymat, Layout, OutboundSa, SaConfig, Selector, Suite};

    use super::{Cut, MAX_SEGMENTS, MAX_TRAIN, Train};

    const SUITE: Suite = Suite::AES_128_GCM_16;

    fn layout() -> Layout {
        SUITE.layout()
    }

    /// The inner length of an ESP packet of this length, a multiple of four.
    fn inner(sealed: usize) -> usize {
        assert_eq!(layout().sealed_length(layout().inner_length(sealed)), sealed);
        layout().inner_length(sealed)
    }

    fn cut(count: usize, stride: usize, last: usize) -> Cut {
        Cut { count, stride, length: inner(stride), last_length: inner(last), layout: layout() }
    }

    /// ESP packets of these lengths.
    fn train(lengths: &[usize]) -> Train {
        let mut train = Train::new();
        for &length in lengths {
            train.push(cut(1, length, length));
        }
        train
    }

    #[test]
    fn packets_of_one_size_ride_together_and_a_shorter_one_closes_the_train() {
        let takes = |lengths: &[usize], length| train(lengths).takes(cut(1, length, length));
        assert!(takes(&[], 65_532), "a lone packet may have any size");
        assert!(takes(&[1_000], 1_000));
        assert!(takes(&[1_000], 100));
        assert!(!takes(&[1_000], 1_004));
        assert!(!takes(&[1_000, 100], 100));
        assert!(!takes(&[100; MAX_SEGMENTS], 100), "more than the kernel takes");
        assert!(!takes(&[MAX_TRAIN / 2, MAX_TRAIN / 2], 100), "longer than the kernel takes");
    }

    /// Or each of 47 packets would leave as one train of 44 and one of 3.
    #[test]
    fn super_packets_ride_together_as_long_as_there_is_room() {
        let mut long = train(&[1_448]);
        while long.takes(cut(47, 1_448, 1_448)) {
            long.push(cut(47, 1_448, 1_448));
        }
        assert_eq!(long.count(), 1 + 4 * 47);
        assert!(!long.takes(cut(47, 1_448, 1_000)));
        let pieces: Vec<_> = long.pieces().map(|piece| piece.len() / 1_448).collect();
        assert_eq!(pieces, [44, 44, 44, 44, 13]);

        let mut short = Train::new();
        short.push(cut(47, 1_448, 1_000));
        assert!(!short.takes(cut(47, 1_448, 1_448)), "its last packet is short");
        assert!(!train(&[1_448]).takes(cut(2, 1_444, 1_444)), "nothing but the last may be shorter");
    }

    #[test]
    fn a_long_train_leaves_in_pieces_of_whole_packets() {
        let mut long = Train::new();
        long.push(cut(48, 1_448, 1_000));
        let pieces: Vec<_> = long.pieces().map(<[u8]>::len).collect();
        assert_eq!(pieces, [1_448 * 44, 1_448 * 3 + 1_000]);
        assert!(!long.takes(cut(1, 1_000, 1_000)), "its last packet is short");
        let many = train(&[100; 130]);
        assert_eq!(many.pieces().map(<[u8]>::len).collect::<Vec<_>>(), [6_400, 6_400, 200]);
        assert_eq!(train(&[]).pieces().count(), 0);
    }

    #[test]
    fn what_the_sa_refuses_is_left_behind_with_all_that_follows() {
        let any = || vec![Selector::new([0; 4].into(), [255; 4].into(), 0, (0, u16::MAX)).unwrap()];
        let sa = OutboundSa::new(SaConfig {
            spi: 0x1000,
            suite: SUITE,
            keymat: Keymat::new(vec![7; SUITE.keymat_length()]),
            esn: true,
            local: any(),
            remote: any(),
            marking: sekisho_esp::ecn::Marking::default(),
            replay_window: 64,
            packet_limit: Some(4),
        });
        let sa = sa.unwrap();
        let mut waiting = Train::new();
        for cut in [cut(1, 100, 100), cut(5, 100, 80)] {
            waiting.free().fill(0x45);
            waiting.push(cut);
        }
        assert_eq!(waiting.seal(&mut sa.sealer(0)), Err((DropReason::PacketLimit, 2)));
        assert_eq!(waiting.count(), 4);
        let sent: Vec<u8> = waiting.pieces().flatten().copied().collect();
        let numbers: Vec<u8> = sent.chunks(100).map(|packet| packet[7]).collect();
        assert_eq!((sent.len(), numbers), (400, vec![1, 2, 3, 4]));
        waiting.clear();
        waiting.free().fill(0x45);
        waiting.push(cut(1, 100, 100));
        assert_eq!(waiting.seal(&mut sa.sealer(0)), Err((DropReason::PacketLimit, 1)));
        assert_eq!((waiting.count(), waiting.pieces().count()), (0, 0));
    }
}
