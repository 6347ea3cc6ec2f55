//! The control socket: newline-delimited JSON over a Unix socket, for `sekisho` and for scripts.

mod access;
mod awaited;
mod client;
mod frame;
pub mod fuzz;
mod protocol;
mod server;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod wanted;

pub use crate::telemetry::{Comparison, Diagnosis, Fact, Record, Timestamp};
pub use awaited::Awaited;
pub use client::{Client, ClientError};
pub use frame::{Frames, MAX_REPLY, MAX_REQUEST, TooLong};
pub use protocol::{Failure, Freed, Problem, Reloaded, Reply, Request, What};
pub use server::{Asked, BindError, Limits, Server};
pub use status::{
    Child, ChildState, ConfiguredChild, Failed, IkeSa, Internal, NearMiss, Offloads, PEERS_SHOWN, PacketSize,
    Peer, Pool, Refused, ReloadRefused, Sas, State, Status, Tunnel, Unanswered,
};
pub use wanted::Wanted;
