//! Slow work that the shell does off the loop, and what comes of it.

use crate::config::Name;
use crate::path::Path;
use crate::pki::{Answer, Fetch};
use crate::work::{Class, Done, Work};

/// Slow work for the shell to do off the loop. Each is answered by one [`Completion`], whatever happens.
#[derive(Debug)]
pub struct Job {
    /// Names it in [`crate::Endpoint::handle_completion`].
    pub id: JobId,
    /// Whose it is.
    pub class: Class,
    /// What to do.
    pub kind: JobKind,
}

/// Names a job. Never used again in an endpoint's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What to do.
#[derive(Debug)]
pub enum JobKind {
    /// Find paths (source and destination address, plain IKE port) to a host name or address.
    Resolve {
        /// The connection it is for.
        connection: Name,
        /// The host, as configured.
        host: String,
    },
    /// Run it on any thread.
    Compute(Work),
    /// Find out about revocation; an answer that was had before and is still good will do.
    Fetch(Fetch),
}

/// What came of a job.
#[derive(Debug)]
pub enum Completion {
    /// Paths to the host, best first; or why there is none, as a sentence for the operator.
    Resolved(Result<Vec<Path>, String>),
    /// What [`Work::run`] returned.
    Computed(Done),
    /// What came of the fetch, a failure included.
    Fetched(Box<Answer>),
    /// It could not be done: why, as a sentence for the operator.
    Failed(String),
}
