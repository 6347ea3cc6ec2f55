//! Time as it comes in from outside: the protocol never reads a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the boot clock (`CLOCK_BOOTTIME`), which runs on through a suspend and never jumps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The instant `since_boot` after the machine (or the simulation) started.
    pub const fn from_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The time since the machine started.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future (a clock that jumped never panics).
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(rhs))
    }
}

/// Both clocks at the moment of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Drives every timer.
    pub boot: Instant,
    /// Seconds since 1970 UTC: for records and the validity of certificates, never for timers.
    pub wall: u64,
}
