//! Inbound ESP SPIs: random, unique, and carrying the number of the data worker that receives them.

use std::collections::BTreeSet;

use sekisho_ike::wire::EspSpi;
use sekisho_ike::{SecureRandom, SpiAllocator};

/// Tries to find a free one; of 2^24 no sensible number is in use.
const TRIES: usize = 64;

/// Gives out SPIs for one worker: 24 random bits (never zero, so that no reserved SPI comes out), then its number.
pub(super) struct Spis {
    worker: u8,
    used: BTreeSet<EspSpi>,
}

impl Spis {
    pub(super) fn of_worker(worker: u8) -> Self {
        Self { worker, used: BTreeSet::new() }
    }
}

impl SpiAllocator for Spis {
    fn allocate(&mut self, random: &mut dyn SecureRandom) -> Option<EspSpi> {
        for _ in 0..TRIES {
            let [high, middle, low] = random.bytes::<3>();
            let spi = EspSpi(u32::from_be_bytes([high, middle, low, self.worker]));
            if spi.0 >= EspSpi::MIN && self.used.insert(spi) {
                return Some(spi);
            }
        }
        None
    }

    fn release(&mut self, spi: EspSpi) {
        self.used.remove(&spi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeats three bytes.
    struct Stuck([u8; 3]);

    impl SecureRandom for Stuck {
        fn fill(&mut self, out: &mut [u8]) {
            out.copy_from_slice(&self.0);
        }
    }

    #[test]
    fn an_spi_names_its_worker_and_is_given_out_once() {
        let mut spis = Spis::of_worker(3);
        let mut random = Stuck([1, 2, 4]);
        assert_eq!(spis.allocate(&mut random), Some(EspSpi(0x0102_0403)));
        assert_eq!(spis.allocate(&mut random), None);
        spis.release(EspSpi(0x0102_0403));
        assert_eq!(spis.allocate(&mut random), Some(EspSpi(0x0102_0403)));
    }

    #[test]
    fn a_reserved_spi_never_comes_out() {
        assert_eq!(Spis::of_worker(255).allocate(&mut Stuck([0, 0, 0])), None);
    }
}
