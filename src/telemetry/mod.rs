//! One typed record a fact; the log line, the line in the SA log and the line of `events` all derive from it.

mod file;
mod journal;
mod record;
mod text;
mod time;

use std::path::Path;
use std::sync::Arc;

use file::LogFile;
use journal::Journal;

pub use journal::{RECENT, Subscription};
pub use record::{
    Addresses, ChildSa, ChildSaEnd, Comparison, Diagnosis, End, Fact, IkeSa, IkeSaEnd, Record, Traffic,
};
pub use time::{NoTimestamp, Timestamp};

/// Where facts go. Clones share everything; but for [`flush`](Self::flush), no method waits for a disk or a client.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Outlets>);

#[derive(Debug)]
struct Outlets {
    journal: Journal,
    /// The life of every SA; absent in tests and tools.
    sa_log: Option<LogFile>,
}

impl Telemetry {
    /// With an SA log. A file that cannot be opened is told of in the log and tried again for each record.
    pub fn with_sa_log(path: &Path) -> Self {
        Self(Arc::new(Outlets { journal: Journal::default(), sa_log: LogFile::start(path) }))
    }

    /// Without an SA log.
    pub fn without_file() -> Self {
        Self(Arc::new(Outlets { journal: Journal::default(), sa_log: None }))
    }

    /// Notes a fact: a log line, a line in the SA log, and one for whoever follows the events.
    pub fn record(&self, fact: Fact) {
        let record = Record { time: Timestamp::now(), fact };
        record.log();
        match serde_json::to_string(&record) {
            Ok(line) => {
                let line: Arc<str> = line.into();
                if let Some(file) = &self.0.sa_log {
                    file.write(Arc::clone(&line));
                }
                self.0.journal.push(line);
            }
            Err(error) => tracing::error!("a record cannot be written as JSON: {error}"),
        }
    }

    /// The recent records and those to come, JSON objects without a newline.
    pub fn subscribe(&self) -> Subscription {
        self.0.journal.subscribe()
    }

    /// Opens the SA log anew, after it was moved away (SIGHUP).
    pub fn reopen(&self) {
        if let Some(file) = &self.0.sa_log {
            file.reopen();
        }
    }

    /// Waits until everything recorded so far is in the SA log or known to be lost: for the daemon's end.
    pub fn flush(&self) {
        if let Some(file) = &self.0.sa_log {
            file.flush();
        }
    }
}

#[cfg(test)]
mod tests;
