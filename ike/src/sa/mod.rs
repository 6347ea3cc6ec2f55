//! One tunnel, from its first message to its last: an IKE SA, those that replace it, and their Child SAs.
//!
//! ```text
//! Attempt  (initiator/) ──┐
//!                         ├──► Tunnel (tunnel.rs and the files that extend it) ──► gone
//! HalfOpen (responder/) ──┘
//! ```
//! A `Tunnel` can only be made with a `VerifiedPeer`, and its exchanges only take `Protected` messages.

mod addresses;
mod child_exchange;
mod child_sa;
mod claims;
mod collision;
mod context;
mod crossing;
mod delete;
mod dispatch;
mod gathering;
mod ike_sa;
mod initiator;
mod install_child;
mod liveness;
mod offloaded;
mod path_mtu;
mod pfs;
mod pools;
mod rekey_child;
mod rekey_ike;
mod responder;
mod retransmission;
mod review;
mod share;
mod spis;
mod staples;
mod starting;
mod tasks;
mod timers;
mod tunnel;
mod window;

pub(crate) use context::{Context, DropReason, Ids, JobOwner, Output};
pub(crate) use initiator::{Asking, Attempt, AttemptStep};
pub(crate) use pfs::{PfsFinding, is_wanted};
pub(crate) use pools::Pools;
pub(crate) use responder::{
    Acceptable, Directory, HalfOpen, HalfOpenStep, InitOutcome, Refusal, Sender, Standing, Unfinished,
    answer_init,
};
pub(crate) use spis::SpiPool;
pub(crate) use staples::{Next, Staples};
pub(crate) use tasks::Task;
pub(crate) use tunnel::Tunnel;
