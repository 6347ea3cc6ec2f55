//! A device or socket that fails again and again: told once, tried again ever more slowly.

use std::fmt::Display;
use std::time::Duration;

use super::{FromData, FromDataSender};

/// Errors in a row that make a failure persistent.
const PERSISTENT: u32 = 8;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is watched: one device or all sockets of a thread.
#[derive(Debug)]
pub(super) struct Failure {
    what: &'static str,
    in_a_row: u32,
    told: bool,
}

impl Failure {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, in_a_row: 0, told: false }
    }

    /// It works (again).
    pub(super) fn clear(&mut self) {
        self.in_a_row = 0;
        self.told = false;
    }

    /// It failed: how long to leave it alone. Control is told once a failure, as soon as its queue has room.
    pub(super) fn note(&mut self, error: &dyn Display, to_control: &FromDataSender) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row >= PERSISTENT && !self.told {
            let message = FromData::Failed(format!("{} fails: {error}", self.what));
            self.told = to_control.try_send(message).is_ok();
        }
        Duration::from_millis(1 << self.in_a_row.min(10)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, FromData, LONGEST_PAUSE, PERSISTENT};
    use crate::data::channel;

    #[test]
    fn a_failure_is_told_once_until_it_clears_and_pauses_grow_to_a_limit() {
        let (sender, mut receiver) = channel();
        let mut failure = Failure::new("the TUN device");
        let pauses: Vec<_> = (0..PERSISTENT * 4).map(|_| failure.note(&"no buffer", &sender)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert!(
            matches!(receiver.try_recv(), Ok(FromData::Failed(what)) if what == "the TUN device fails: no buffer")
        );
        assert!(receiver.try_recv().is_err(), "told twice");

        failure.clear();
        for _ in 0..PERSISTENT {
            failure.note(&"gone", &sender);
        }
        assert!(matches!(receiver.try_recv(), Ok(FromData::Failed(_))));
    }
}
