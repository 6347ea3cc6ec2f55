//! One typed record a fact; the log line, the line in the SA log and the line of `events` all derive from it.

mod record;
mod time;

pub use record::{ChildSa, ChildSaEnd, Diagnosis, End, Fact, IkeSa, IkeSaEnd, Record, Traffic};
pub use time::Timestamp;
