//! The boot clock: runs on through a suspend and never jumps back.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time since the machine started (`CLOCK_BOOTTIME`).
pub fn since_boot() -> Duration {
    // The clock exists on every Linux since 2.6.39; a kernel without it would stop time, not the daemon.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// The same in nanoseconds, as SAs of the data path want it.
pub fn nanoseconds_since_boot() -> u64 {
    u64::try_from(since_boot().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::since_boot;

    #[test]
    fn runs_forward() {
        let earlier = since_boot();
        assert!(!earlier.is_zero());
        assert!(since_boot() >= earlier);
    }
}
