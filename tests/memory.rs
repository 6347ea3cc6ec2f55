//! What a held tunnel costs a hub, IKE SA and Child SA pair together. It is the same on every machine, so it is held here; what
//! takes time is told by `cargo bench --bench scale`, which is made of the same parts.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; what tests and benches share is not all used here"
)]

#[path = "../benches/scale/crowd.rs"]
mod crowd;
#[path = "lab/effects.rs"]
mod effects;
#[path = "../benches/scale/measure.rs"]
mod measure;
#[path = "../benches/scale/pair.rs"]
mod pair;

use std::alloc::System;

use crowd::{Crowd, Proof};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TUNNELS: u32 = 1_000;
/// Bytes of each at most.
const MOST: i64 = 16 * 1024;
/// What may be left of one that has ended: why it did.
const LEFT: i64 = 1024;

#[test]
fn a_held_tunnel_takes_less_than_16_kib() {
    let mut crowd = Crowd::new(Proof::Psk, TUNNELS);
    let before = crowd.bytes_held();
    crowd.connect(TUNNELS);
    let each = (crowd.bytes_held() - before) / i64::from(TUNNELS);
    assert!((1024..MOST).contains(&each), "{each} bytes");
    crowd.disconnect(TUNNELS);
    let left = (crowd.bytes_held() - before) / i64::from(TUNNELS);
    assert!(left < LEFT, "{left} of {each} bytes");
}
