//! The laboratory: network namespaces, real peers, and instruments that tell what crossed the wire.
//!
//! Everything here is anonymous and dies with the test process: a namespace is held by an open file of this
//! process, and each child is killed by the kernel when the thread that started it ends. So any number of tests may
//! run at once, and nothing is left behind, however a test ends. What cannot be set up is a failure, never a skip.

// Scenarios and the throughput bench each use a part of the laboratory.
#![allow(dead_code, unused_imports, reason = "shared by several test targets")]

mod capture;
mod echo;
mod effects;
mod iperf;
mod namespace;
mod pki;
mod process;
mod proof;
mod sekisho;
mod site;
mod stranger;
mod stream;
mod strongswan;
mod transfer;
mod tunnel;
mod wait;
mod web;

pub use capture::{Capture, Crossed};
pub use echo::asks_once;
pub use iperf::Iperf;
pub use namespace::Namespace;
pub use pki::{Authority, Entity, KeyKind, Request};
pub use process::{Process, run};
pub use proof::{Belief, Own, Proof};
pub use sekisho::Sekisho;
pub use site::{End, Gateway, Site};
pub use stranger::{endpoint, first_message, now};
pub use stream::{Stream, Tally, both_ways};
pub use strongswan::StrongSwan;
pub use transfer::transfer;
pub use tunnel::{Gives, Outer, Part, Tunnel};
pub use wait::{wait_for, wait_until};
pub use web::{Mute, Responder, Web};
