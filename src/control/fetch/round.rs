//! Rounds of questions: an operator who says that all is to be asked anew begins one, and what was asked for before is old then.

use std::sync::atomic::{AtomicU64, Ordering};

/// One of them, among all of this run; what is found on disk at its start is of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Round(u64);

/// Which one it is.
#[derive(Debug, Default)]
pub(super) struct Rounds(AtomicU64);

impl Rounds {
    /// A question that is put now is of this one, whenever it is answered.
    pub(super) fn present(&self) -> Round {
        Round(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
