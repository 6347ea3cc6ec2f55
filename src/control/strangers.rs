//! How often strangers may make us write: anybody can send a first message that is refused, from as many addresses as
//! he likes, and each record is a line in the log, in the SA log and among the recent events.

use std::time::Duration;

use sekisho_ike::Instant;

/// Failures recorded at once after a quiet time.
const BURST: u32 = 20;
/// One more is recorded after each of these times.
const EACH: Duration = Duration::from_secs(3);

/// A bucket of records for failures that belong to no tunnel.
#[derive(Debug)]
pub(super) struct Strangers {
    left: u32,
    /// Until when the bucket was filled up.
    filled: Instant,
    unrecorded: u64,
}

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now, unrecorded: 0 }
    }

    /// Whether one more failure may be recorded; it is counted if not.
    pub(super) fn may_record(&mut self, now: Instant) -> bool {
        while self.left < BURST && now.since(self.filled) >= EACH {
            self.left += 1;
            self.filled = self.filled + EACH;
        }
        if self.left == BURST {
            self.filled = now;
        }
        if self.left == 0 {
            self.unrecorded = self.unrecorded.saturating_add(1);
            return false;
        }
        self.left -= 1;
        true
    }

    /// Failures that were counted only.
    pub(super) fn unrecorded(&self) -> u64 {
        self.unrecorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_few_records_and_a_count_and_quiet_times_are_recorded_in_full() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let mut strangers = Strangers::new(at(0));
        let recorded = (0..100_000).filter(|_| strangers.may_record(at(0))).count();
        assert_eq!(recorded, 20);
        assert_eq!(strangers.unrecorded(), 99_980);
        let recorded = (0..60).filter(|second| strangers.may_record(at(*second))).count();
        assert_eq!(recorded, 19, "one each three seconds");
        let recorded = (1..=100).filter(|failure| strangers.may_record(at(1000 + failure * 3))).count();
        assert_eq!(recorded, 100);
        assert!(strangers.may_record(at(u64::from(u32::MAX))), "a long suspend");
    }
}
