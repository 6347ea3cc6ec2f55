//! The operating system's randomness, for the endpoint.

use ring::rand::{SecureRandom as _, SystemRandom};
use sekisho_ike::SecureRandom;

/// The kernel's random source. The process ends if it fails: without it nothing here is secret.
pub(super) struct OsRandom(SystemRandom);

impl OsRandom {
    pub(super) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) {
        if self.0.fill(out).is_err() {
            tracing::error!("the kernel's random source failed; the daemon cannot go on");
            std::process::abort();
        }
    }
}
