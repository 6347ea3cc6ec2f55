//! What is told of failures and refusals.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Diagnosis;

/// A failure and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Unix time.
    pub at: u64,
    /// What happened and what to change.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
}

/// A refusal that was perhaps meant for a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// Where it came from.
    pub remote: IpAddr,
    /// What speaks for it: `address` (the tunnel's peer is or was there) or `identity` (it calls itself almost so).
    pub likeness: String,
    /// How often the same happened.
    pub times: u32,
    /// The last time, and why.
    #[serde(flatten)]
    pub failed: Failed,
}

/// A refusal that named no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it came from.
    pub remote: IpAddr,
    /// How often the same happened.
    pub times: u32,
    /// The last time, and why.
    #[serde(flatten)]
    pub failed: Failed,
}

impl From<sekisho_ike::event::Refusal> for Refused {
    fn from(refusal: sekisho_ike::event::Refusal) -> Self {
        let failed = Failed { at: refusal.at, diagnosis: (&refusal.diagnosis).into() };
        Self { remote: refusal.remote, times: refusal.times, failed }
    }
}
