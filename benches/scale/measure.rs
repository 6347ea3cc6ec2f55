//! Counts processor time and memory of one side alone.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::ALLOCATOR;

/// What was used within [`Meter::run`], and nothing else.
#[derive(Default)]
pub struct Meter {
    pub time: Duration,
    pub bytes: i64,
}

impl Meter {
    pub fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (time, bytes) = (processor_time(), held());
        let result = work();
        self.time += processor_time().saturating_sub(time);
        self.bytes += held() - bytes;
        result
    }
}

fn processor_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"))
}

fn held() -> i64 {
    let stats = ALLOCATOR.stats();
    // What reallocation adds and takes is in both.
    let (more, less) = (stats.bytes_allocated, stats.bytes_deallocated);
    i64::try_from(more).unwrap() - i64::try_from(less).unwrap()
}
