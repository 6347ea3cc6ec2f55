//! How long and how often: keepalives, retransmissions, the back-off between attempts, the life of a Child SA.

use std::time::Duration;

/// NAT keepalives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between two. Default 20 s.
    pub interval: Duration,
    /// Sent even where no NAT was detected on our side (stateful IPv6 firewalls).
    pub forced: bool,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(20), forced: false }
    }
}

/// The retransmission schedule (RFC 7296 §2.1): waits of `first`, twice that, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmit {
    /// The first wait. Default 0.5 s.
    pub first: Duration,
    /// Retransmissions before the peer is given up. Default 5, so after 0.5, 1, 2, 4 and 8 s.
    pub tries: u32,
}

impl Retransmit {
    /// The wait after the transmission numbered `attempt` (0 is the first sending). The last retransmission is
    /// given as much time as the wait before it.
    pub fn wait(&self, attempt: u32) -> Duration {
        let doublings = attempt.min(self.tries.saturating_sub(1)).min(16);
        self.first.saturating_mul(1 << doublings)
    }

    /// The time from the first sending until the peer is given up, jitter included.
    pub fn whole(&self) -> Duration {
        let waits = (0..=self.tries).fold(Duration::ZERO, |sum, n| sum.saturating_add(self.wait(n)));
        waits.saturating_add(waits / 10)
    }
}

impl Default for Retransmit {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), tries: 5 }
    }
}

/// The back-off between attempts: doubling from `first` to `max`, with jitter, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Before the second attempt. Default 1 s.
    pub first: Duration,
    /// The longest. Default 60 s.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_mins(1) }
    }
}

/// When a Child SA is replaced: whatever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLifetime {
    /// By age. Default 1 hour; jitter makes it up to a tenth earlier.
    pub time: Duration,
    /// By packets in one direction. `None`: 2^31 without extended sequence numbers, 2^40 with them.
    pub packets: Option<u64>,
    /// By bytes in one direction. `None`: never.
    pub bytes: Option<u64>,
}

impl Default for ChildLifetime {
    fn default() -> Self {
        Self { time: Duration::from_hours(1), packets: None, bytes: None }
    }
}
