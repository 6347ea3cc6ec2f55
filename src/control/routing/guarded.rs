//! The guard against clear text in the name of protected networks, looked after (RFC 4301 §5.2).

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{self, Config};
use crate::net::guard::{self, Ike};

/// Between two looks whether the guard stands.
const AGAIN: Duration = Duration::from_secs(5);

/// What is known of the guard.
#[derive(Debug)]
pub(super) struct Guarded {
    /// When it is looked whether it stands.
    again: Instant,
    /// What it lacks.
    lacks: Option<&'static str>,
    /// Whether a peer's own address may be in a protected network.
    peer_may_be_protected: bool,
}

impl Guarded {
    pub(super) fn new() -> Self {
        Self { again: Instant::now(), lacks: None, peer_may_be_protected: false }
    }

    /// This configuration is in force.
    pub(super) fn configure(&mut self, config: &Config) {
        self.peer_may_be_protected = config::peer_may_be_protected(config);
    }

    /// Puts it up again if somebody took it away with the rest of the packet filter, and takes it away if it is not wanted.
    pub(super) fn look_after(&mut self, interface: &str, ports: &[u16], wanted: bool) {
        let now = Instant::now();
        if now < self.again {
            return;
        }
        self.again = now + AGAIN;
        let ike = Ike { ports, peer_may_be_protected: self.peer_may_be_protected };
        let guarded = guard::look_after(interface, ike, wanted);
        let lacks = if guarded.is_err() { Some(guard::MISSING) } else { guard::gap().filter(|_| wanted) };
        let before = std::mem::replace(&mut self.lacks, lacks);
        if let Err(error) = guarded
            && before != lacks
        {
            tracing::warn!(%error, "{}", guard::MISSING);
        }
    }

    /// What it lets in though it should not, and why.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        self.lacks
    }
}
