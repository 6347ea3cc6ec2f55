//! What a hub costs: processor time a handshake as responder, through the whole endpoint, and memory a held tunnel.
//!
//! `cargo bench --bench scale` prints a table and which goals are met; with `-- --json` one object. `--tunnels N` holds another number than
//! 10,000. The initiators are endpoints, too, whose time and memory are not counted; nothing goes over a network, so
//! the figures are those of the negotiator and of the SAs alone.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench fails by panicking"
)]

mod cookie;
mod crowd;
#[path = "../../tests/lab/effects.rs"]
mod effects;
mod goals;
mod measure;
mod pair;

use std::alloc::System;

use clap::Parser;
use crowd::{Crowd, Proof};
use goals::Goal;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Handshakes a second a core, and bytes a held tunnel.
#[derive(Parser)]
struct Options {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Tunnels held when memory is measured.
    #[arg(long, default_value_t = 10_000)]
    tunnels: u32,
    /// Handshakes that are timed.
    #[arg(long, default_value_t = 2_000)]
    handshakes: u32,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let mut psk = Crowd::new(Proof::Psk, options.tunnels);
    psk.connect(options.tunnels);
    let bytes = psk.bytes_held() as f64 / f64::from(options.tunnels);
    let endpoint = psk.endpoint_bytes_held() as f64 / f64::from(options.tunnels);
    // Timed with all the others held.
    psk.disconnect(options.handshakes);
    let psk_rate = psk.timed(options.handshakes);
    drop(psk);
    let mut ecdsa = Crowd::new(Proof::Ecdsa, options.handshakes);
    let ecdsa_rate = ecdsa.timed(options.handshakes);
    drop(ecdsa);
    let cookie = cookie::microseconds();

    let goals = [
        Goal::at_least("psk_handshakes_per_core_second", psk_rate, 4_000.0),
        Goal::at_least("ecdsa_handshakes_per_core_second", ecdsa_rate, 2_000.0),
        Goal::at_most("bytes_per_tunnel_10k", bytes, 16.0 * 1024.0),
        Goal::at_most("cookie_answer_us", cookie, 8.0),
    ];
    if options.json {
        let object = json!({
            "psk_handshakes_per_core_second": psk_rate.round(),
            "ecdsa_handshakes_per_core_second": ecdsa_rate.round(),
            "bytes_per_tunnel_10k": bytes.round(),
            "bytes_per_tunnel_endpoint": endpoint.round(),
            "cookie_answer_us": (cookie * 100.0).round() / 100.0,
            "tunnels": options.tunnels,
            "handshakes": options.handshakes,
            "goals": goals::json(&goals),
        });
        println!("{object}");
    } else {
        let [psk, ecdsa, held, answer] = goals.each_ref().map(Goal::told);
        println!("responder, PSK and X25519      {psk_rate:8.0} handshakes a second a core   {psk}");
        println!("responder, ECDSA P-256         {ecdsa_rate:8.0} handshakes a second a core   {ecdsa}");
        println!("held tunnel at {:6}          {bytes:8.0} bytes   {held}", options.tunnels);
        println!("  of these in the endpoint     {endpoint:8.0} bytes");
        println!("stateless cookie answer        {cookie:8.2} µs   {answer}");
    }
}
