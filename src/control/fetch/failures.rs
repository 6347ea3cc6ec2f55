//! Questions that failed a moment ago: who has waited for the same meanwhile has the same answer, and does not ask again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::PATIENCE;
use super::cache::Key;
use crate::net::http;

/// What failed lately.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    arrivals: u64,
    all: BTreeMap<Key, Failure>,
}

#[derive(Debug)]
struct Failure {
    /// Who had arrived by then has waited for it.
    arrivals: u64,
    when: Instant,
    why: String,
}

/// When somebody came, among all who came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival(u64);

/// Nobody waits for longer: for a turn, and for the answer of the one who has it.
const LONGEST: Duration = PATIENCE.saturating_add(http::PATIENCE);

impl Failures {
    /// Somebody comes.
    pub(super) fn arrival(&self) -> Arrival {
        let mut lately = self.lock();
        lately.arrivals = lately.arrivals.saturating_add(1);
        Arrival(lately.arrivals)
    }

    /// Why this question failed while they waited, if it did.
    pub(super) fn since(&self, arrival: Arrival, key: &Key) -> Option<String> {
        let lately = self.lock();
        let failure = lately.all.get(key).filter(|failure| arrival.0 <= failure.arrivals)?;
        Some(failure.why.clone())
    }

    /// It failed. What nobody can be waiting for any more is forgotten, so that these are no more than are asked in that time.
    pub(super) fn note(&self, key: &Key, why: &str) {
        let mut lately = self.lock();
        lately.all.retain(|_, failure| failure.when.elapsed() <= LONGEST);
        let failure = Failure { arrivals: lately.arrivals, when: Instant::now(), why: why.to_owned() };
        lately.all.insert(key.clone(), failure);
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
