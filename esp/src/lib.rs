//! ESP (RFC 4303) as pure packet transforms and look-ups: no socket, no clock, no random source.
//!
//! Out: [`segment`] cuts a super-packet of the TUN into packets, each with room for ESP's header before it; [`mss::clamp`];
//! [`Table::outbound`] finds the SA; [`Sealer::seal`] makes ESP of each in place, so that a train lies ready for
//! one UDP GSO send.
//!
//! In: [`encap::classify`] tells ESP from IKE; [`Table::inbound`] finds the SA; [`Opener::open`] checks, decrypts
//! and judges each packet in place; [`Coalescer`] joins consecutive packets of one flow for one write to the TUN.
//!
//! Every refusal is a [`DropReason`], which [`Counters`] count.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod checksum;
mod cipher;
mod drop_reason;
pub mod ecn;
pub mod encap;
mod format;
mod fragment;
mod fragments;
#[doc(hidden)]
pub mod fuzzing;
pub mod icmp_quote;
mod inbound;
mod index;
mod inner;
pub mod mss;
#[cfg(feature = "null-transform")]
pub mod null_transform;
mod offload;
mod outbound;
pub mod pmtu;
mod replay;
mod sa;
mod scope;
mod selector;
mod suite;
mod table;
pub mod too_big;

pub use drop_reason::{Counters, DropReason};
pub use format::{HEADROOM, Layout, TAILROOM};
pub use fragment::fragment;
pub use fragments::Fragments;
pub use inbound::{InboundSa, Opener};
pub use index::Absent;
pub use inner::{Fragment, InnerView, Ports};
pub use offload::coalesce::{Coalescer, Joins};
pub use offload::header::OffloadHeader;
pub use offload::segment::{Train, complete_checksum, plan, segment};
pub use outbound::{OutboundSa, Sealer};
pub use sa::{ConfigError, SaConfig, Usage};
pub use selector::Selector;
pub use suite::{AesKey, GcmTag, Hmac, Keymat, Suite};
pub use table::{Table, TableBuilder};
