//! Which of the records a client of `events` wants.

use std::sync::Arc;

use super::Record;

/// Those of one tunnel, the last so many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this tunnel; without it of all, and of the daemon.
    pub tunnel: Option<String>,
    /// No more than so many of the recent ones, the newest.
    pub limit: Option<usize>,
}

impl Wanted {
    /// Of the recent records, oldest first.
    pub(super) fn last(&self, recent: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let mut wanted: Vec<_> = recent.into_iter().filter(|line| self.holds(line)).collect();
        let further = self.limit.map_or(0, |limit| wanted.len().saturating_sub(limit));
        wanted.drain(..further);
        wanted
    }

    /// Whether a record is of the tunnel.
    pub(super) fn holds(&self, line: &str) -> bool {
        let of = |tunnel: &str| {
            serde_json::from_str::<Record>(line).is_ok_and(|record| record.fact.tunnel() == Some(tunnel))
        };
        self.tunnel.as_deref().is_none_or(of)
    }
}
