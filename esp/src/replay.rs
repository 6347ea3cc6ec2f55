//! The replay window (RFC 4303 §3.4.3), a ring bitmap in the manner of RFC 6479, and the inference of 64-bit
//! sequence numbers (RFC 4303 Appendix A).

use crate::drop_reason::DropReason;

/// Which of the last `size` sequence numbers were accepted.
#[derive(Debug)]
pub(crate) struct ReplayWindow {
    size: u64,
    highest: u64,
    /// A power of two of blocks, at least one more than `size` needs, so that moving on clears whole blocks only.
    blocks: Box<[u64]>,
}

/// Sequence numbers a block.
const BLOCK: u64 = u64::BITS as u64;

impl ReplayWindow {
    /// A window of `size` packets that has seen none.
    pub(crate) fn new(size: u32) -> Self {
        let blocks = (size as usize).div_ceil(u64::BITS as usize) + 1;
        Self { size: size.into(), highest: 0, blocks: vec![0; blocks.next_power_of_two()].into() }
    }

    /// The highest sequence number accepted; 0 before the first.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// The whole sequence number of a packet that shows its low half (RFC 4303 Appendix A2.2).
    pub(crate) fn infer(&self, low: u32, esn: bool) -> Result<u64, DropReason> {
        if !esn {
            return Ok(low.into());
        }
        let (top_high, top_low) = (self.highest >> 32, self.highest & u64::from(u32::MAX));
        let low = u64::from(low);
        // The window's lower edge may lie in the subspace before the one that its upper edge lies in.
        let high = match (top_low + 1).checked_sub(self.size) {
            Some(bottom) if low >= bottom => top_high,
            Some(_) => top_high + 1,
            None if low >= (1 << 32) + top_low + 1 - self.size => {
                top_high.checked_sub(1).ok_or(DropReason::TooOld)?
            }
            None => top_high,
        };
        u32::try_from(high).map(|high| u64::from(high) << 32 | low).map_err(|_| DropReason::TooOld)
    }

    /// Whether a packet with this number may still be accepted.
    pub(crate) fn check(&self, sequence: u64) -> Result<(), DropReason> {
        if sequence == 0 {
            return Err(DropReason::SequenceZero);
        }
        if sequence > self.highest {
            return Ok(());
        }
        if self.highest - sequence >= self.size {
            return Err(DropReason::TooOld);
        }
        let seen = self.blocks.get(self.position(sequence)).is_none_or(|block| block & bit(sequence) != 0);
        if seen { Err(DropReason::Replayed) } else { Ok(()) }
    }

    /// Accepts a number that [`Self::check`] allowed and whose packet proved authentic.
    pub(crate) fn commit(&mut self, sequence: u64) {
        if sequence > self.highest {
            let fresh = (sequence / BLOCK - self.highest / BLOCK).min(self.blocks.len() as u64);
            for step in 0..fresh {
                let position = self.position(sequence - step * BLOCK);
                self.blocks.get_mut(position).into_iter().for_each(|block| *block = 0);
            }
            self.highest = sequence;
        }
        let position = self.position(sequence);
        self.blocks.get_mut(position).into_iter().for_each(|block| *block |= bit(sequence));
    }

    fn position(&self, sequence: u64) -> usize {
        let block = (sequence / BLOCK) & (self.blocks.len() as u64 - 1);
        usize::try_from(block).unwrap_or(usize::MAX)
    }
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Remembers everything.
    #[derive(Default)]
    struct Naive {
        seen: BTreeSet<u64>,
    }

    impl Naive {
        fn accept(&mut self, sequence: u64, size: u64) -> Result<(), DropReason> {
            let highest = self.seen.last().copied().unwrap_or(0);
            if sequence == 0 {
                Err(DropReason::SequenceZero)
            } else if sequence + size <= highest {
                Err(DropReason::TooOld)
            } else if self.seen.insert(sequence) {
                Ok(())
            } else {
                Err(DropReason::Replayed)
            }
        }
    }

    /// Steps of a few packets, around the size of the window, and far beyond it.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![6 => -70..70i64, 2 => -3000..3000i64, 1 => -70_000..200_000i64];
        proptest::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn the_window_does_what_a_perfect_memory_does(
            size in prop_oneof![Just(32u32), Just(64), Just(1024), Just(65_536), 32..3000u32],
            start in prop_oneof![0..100u64, Just(u64::from(u32::MAX) - 50)],
            steps in steps(),
        ) {
            let (mut window, mut naive) = (ReplayWindow::new(size), Naive::default());
            let mut at = start;
            for step in steps {
                at = at.saturating_add_signed(step);
                let expected = naive.accept(at, size.into());
                prop_assert_eq!(window.check(at), expected, "sequence {} after {}", at, window.highest());
                if expected.is_ok() {
                    window.commit(at);
                    prop_assert_eq!(window.check(at), Err(DropReason::Replayed));
                }
            }
        }

        /// Appendix A: the number inferred is the one of 2^32 consecutive ones, from the window's lower edge on,
        /// that has this low half.
        #[test]
        fn a_low_half_means_the_only_number_in_reach(
            size in 32..=65_536u32,
            highest in prop_oneof![
                0..200_000u64,
                (1u64 << 32) - 100_000..(1 << 32) + 100_000,
                (7u64 << 32) - 100_000..(7 << 32) + 100_000,
                0..u64::MAX,
            ],
            distance in prop_oneof![-66_000..66_000i64, -1..(1i64 << 32)],
        ) {
            let mut window = ReplayWindow::new(size);
            window.commit(highest.max(1));
            let highest = window.highest();
            let sequence = i128::from(highest) + i128::from(distance);
            let bottom = i128::from(highest) - i128::from(size) + 1;
            prop_assume!(bottom <= sequence && sequence < bottom + (1 << 32));
            let low = u32::try_from(sequence.rem_euclid(1 << 32)).expect("32 bits");
            let expected = u64::try_from(sequence).map_err(|_| DropReason::TooOld);
            prop_assert_eq!(window.infer(low, true), expected);
            prop_assert_eq!(window.infer(low, false), Ok(low.into()));
        }
    }
}
