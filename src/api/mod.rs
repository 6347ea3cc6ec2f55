//! The control socket: newline-delimited JSON over a Unix socket, for `sekisho` and for scripts.

mod protocol;
mod status;

pub use crate::telemetry::{Diagnosis, Fact, Record, Timestamp};
pub use protocol::{Failure, Reloaded, Reply, Request, What};
pub use status::{Child, Failed, IkeSa, Sas, State, Status, Tunnel};
