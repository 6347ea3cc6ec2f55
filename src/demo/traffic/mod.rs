//! What the hosts send each other. All of it carries a marker, by which it can be recognised if it is ever seen in clear text.

pub mod ping;
pub mod stream;
pub mod tcp;

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// The longest that one step of a transfer may stand still before the transfer counts as failed.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Random bytes, made anew for every run, that nothing but this run's traffic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker([u8; 16]);

impl Marker {
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("no random numbers"))?;
        Ok(Self(bytes))
    }

    /// The bytes to look for.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
