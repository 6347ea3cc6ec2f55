//! Waiting for a condition with a deadline, so that nothing sleeps and hopes.

use std::thread;
use std::time::{Duration, Instant};

/// Polls until `condition` holds; panics with `what` when `limit` has passed.
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(limit, what, || condition().then_some(()));
}

/// Polls until `probe` yields a value; panics with `what` when `limit` has passed.
pub fn wait_for<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
