//! Known answers: what the standards, Wycheproof and independent computations say, against our provider.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod cbc;
mod derivation;
mod groups;
mod modp;
mod symmetric;

use sekisho_ike::SecureRandom;

/// A source of chosen bytes, over and over again: it makes a private value the one of a test vector.
struct Chosen {
    bytes: Vec<u8>,
    position: usize,
}

impl Chosen {
    fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), position: 0 }
    }
}

impl SecureRandom for Chosen {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.bytes[self.position % self.bytes.len()];
            self.position += 1;
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap()
}

fn to_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
