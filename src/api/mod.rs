//! The control socket: newline-delimited JSON over a Unix socket, for `sekisho` and for scripts.

mod access;
mod awaited;
mod client;
mod failed;
mod frame;
pub mod fuzz;
mod protocol;
mod sas;
mod server;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod tunnel;
mod wanted;

pub use crate::telemetry::{Comparison, Diagnosis, Fact, Record, Timestamp};
pub use awaited::Awaited;
pub use client::{Client, ClientError};
pub use failed::{Failed, NearMiss, Refused};
pub use frame::{Frames, MAX_REPLY, MAX_REQUEST, TooLong};
pub use protocol::{Failure, Freed, Problem, Reloaded, Reply, Request, What};
pub use sas::{Child, IkeSa, PacketSize, Unanswered};
pub use server::{Asked, BindError, Limits, Server};
pub use status::{Offloads, Pool, ReloadRefused, Sas, Status};
pub use tunnel::{ChildState, ConfiguredChild, Internal, PEERS_SHOWN, Peer, State, Tunnel};
pub use wanted::Wanted;
