//! How many answers a thread gives: "An IPv6 node MUST limit the rate of the `ICMPv6` error messages it originates" (RFC 4443
//! §2.4 f, which names the token bucket; IPv4: RFC 1812 §4.3.2.8).
//!
//! Pure: the thread says what time it is.

use std::time::Duration;

/// Answers at once.
const BURST: u64 = 100;
/// Between two after that: 1,000 a second.
const INTERVAL: Duration = Duration::from_millis(1);

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Allowance {
    tokens: u64,
    /// Until when they have been counted.
    counted: Duration,
}

impl Allowance {
    pub(super) fn new(now: Duration) -> Self {
        Self { tokens: BURST, counted: now }
    }

    /// Whether one more answer may be given now.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.counted).as_nanos();
        if passed >= INTERVAL.as_nanos() {
            let earned = u64::try_from(passed / INTERVAL.as_nanos()).unwrap_or(u64::MAX);
            self.tokens = self.tokens.saturating_add(earned).min(BURST);
            // What is left of an interval counts for the next one.
            let left = u64::try_from(passed % INTERVAL.as_nanos()).unwrap_or(0);
            self.counted = now.saturating_sub(Duration::from_nanos(left));
        }
        let may = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Allowance, BURST, INTERVAL};

    const START: Duration = Duration::from_secs(1_000);

    #[test]
    fn a_burst_passes_and_then_one_an_interval_and_silence_earns_no_more_than_a_burst() {
        let mut allowance = Allowance::new(START);
        let mut given = |at: Duration, asked: u64| (0..asked).filter(|_| allowance.take(at)).count();
        assert_eq!(given(START, BURST * 3), 100);
        assert_eq!(given(START + INTERVAL / 2, 5), 0);
        assert_eq!(given(START + INTERVAL, 5), 1);
        assert_eq!(given(START + INTERVAL * 5 / 2, 5), 1);
        assert_eq!(given(START + INTERVAL * 3, 5), 1, "halves add up");
        assert_eq!(given(START * 1_000_000, BURST * 3), 100);
        assert_eq!(given(START, 5), 0, "a clock that goes back gives nothing");
    }
}
