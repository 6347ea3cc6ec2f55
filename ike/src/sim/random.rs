//! Randomness from a seed.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::random::SecureRandom;

/// A source that gives the same bytes for the same seed.
pub struct SeededRandom(ChaCha20Rng);

impl SeededRandom {
    /// The source of this number of this seed.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..16].copy_from_slice(&number.to_be_bytes());
        Self(ChaCha20Rng::from_seed(bytes))
    }

    /// Evenly from 0 up to but not including 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Evenly from `least` to `most`.
    pub fn between(&mut self, least: std::time::Duration, most: std::time::Duration) -> std::time::Duration {
        least + most.saturating_sub(least).mul_f64(self.fraction())
    }
}

impl SecureRandom for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}
