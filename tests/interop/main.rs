//! Tunnels between real daemons in network namespaces: sekishod with strongSwan, sekishod with sekishod.
//!
//! Needs root, and strongSwan with its user-space ESP; `tests/run` installs it. A scenario that cannot run fails.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a scenario fails by panicking"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod addresses;
mod admin;
mod certificate_refusals;
mod certificates;
mod cookies;
mod esp_suites;
mod expired;
mod explain;
mod fragmentation;
mod idle;
mod initiate;
mod lab_self_check;
mod liveness;
mod long_chains;
mod loss;
mod many_peers;
mod nat;
mod native;
mod offloads;
mod on_demand;
mod pair;
mod path_mtu;
mod peers;
mod pfs;
mod real_client;
mod refusals;
mod rekey;
mod respond;
mod restart;
mod revocation;
mod several_children;
mod spoofed;
mod spoofed_fragments;
mod suites;
mod tfc_padding;
mod unprotect;
