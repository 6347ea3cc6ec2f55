//! Conversations of two endpoints over a simulated line. Each failure names its seed; `SEED=n` replays it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod handshake;
