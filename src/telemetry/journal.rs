//! The recent records, and whoever follows the new ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Records kept for `events`, and records that a follower may lag behind before it loses some.
pub const RECENT: usize = 256;

#[derive(Debug)]
pub(super) struct Journal(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    recent: VecDeque<Arc<str>>,
    live: broadcast::Sender<Arc<str>>,
}

/// What a client of `events` reads.
#[derive(Debug)]
pub struct Subscription {
    /// Oldest first.
    pub recent: Vec<Arc<str>>,
    /// Those that came after `recent`, without a gap. A receiver that lags by more than [`RECENT`] is told how many
    /// it lost.
    pub live: broadcast::Receiver<Arc<str>>,
}

impl Default for Journal {
    fn default() -> Self {
        let live = broadcast::Sender::new(RECENT);
        Self(Mutex::new(Inner { recent: VecDeque::with_capacity(RECENT), live }))
    }
}

impl Journal {
    pub(super) fn push(&self, line: Arc<str>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.recent.len() >= RECENT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(Arc::clone(&line));
        // An error says that nobody follows.
        let _ = inner.live.send(line);
    }

    pub(super) fn subscribe(&self) -> Subscription {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Subscription { recent: inner.recent.iter().cloned().collect(), live: inner.live.subscribe() }
    }
}
