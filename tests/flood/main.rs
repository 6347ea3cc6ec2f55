//! A hub under a flood of 20,000 spoofed messages a second: a hundred honest peers hold their tunnels, rekey and
//! answer, one more connects, and the memory stays bounded.
//!
//! ```text
//! crowd     10.1.N.2, N = 1..100 ──┐
//! newcomer  10.3.0.2 ──────────────┼── hub   198.18.0.1, 2001:db8:1::1
//! flooder   any address ───────────┘
//! ```
//!
//! The hub is a sekishod; so is the newcomer. The crowd is one process with one endpoint of ours over real sockets. What
//! the flooder is answered goes back to it and is lost there.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod crowd;
mod ground;
mod hub;
#[path = "../lab/mod.rs"]
mod lab;
mod storm;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crowd::Crowd;
use ground::{Family, Ground};
use lab::{Sekisho, wait_until};
use storm::{Kind, Storm};

/// Messages a second.
const RATE: u32 = 20_000;
/// Honest peers.
const PEERS: u32 = 100;
/// What the issue promises for one more.
const WITHIN: Duration = Duration::from_secs(3);
/// How much the hub may grow: a thousand half-open SAs, its queues, and the SAs being replaced.
const GROWTH_MIB: f64 = 24.0;

/// First messages from everywhere, on both ports.
#[test]
fn of_first_messages_over_ipv4() {
    assert_cookies(&weather(Family::V4, Kind::FirstMessages));
}

/// The same from more IPv6 networks than there are counters for.
#[test]
fn of_first_messages_over_ipv6() {
    assert_cookies(&weather(Family::V6, Kind::FirstMessages));
}

/// Well-formed messages for the IKE SAs of the honest, with their addresses, that nobody sealed.
#[test]
fn of_forged_messages_for_tunnels_that_stand() {
    let told = weather(Family::V4, Kind::Forged);
    assert!(told.drops["ike_forged"] > 50_000, "most were opened in vain: {told:?}");
}

/// Whoever came without a good cookie was sent one, and none of them got further.
fn assert_cookies(told: &Told) {
    assert!(told.drops["ike_cookie_wanted"] > 50_000, "most were asked for a cookie: {told:?}");
    assert!(told.drops["ike_bad_cookie"] > 5_000, "and those with a wrong one for another: {told:?}");
}

/// What the flood did to the hub.
#[derive(Debug)]
struct Told {
    /// What it dropped during the flood, by reason.
    drops: BTreeMap<String, u64>,
}

fn weather(family: Family, kind: Kind) -> Told {
    let ground = Ground::new();
    let hub = hub::start(&ground);
    let newcomer = hub::newcomer(&ground, family);
    let crowd = Crowd::start(&ground.crowd, family);
    crowd.connect(Duration::from_secs(30));
    wait_until(Duration::from_secs(10), "the hub to hold the tunnels of all", || up(&hub) == PEERS as usize);
    let (before, memory, worked) = (drops(&hub), hub.resident_mib(), hub.processor_s());
    let (old, standing) = (crowd.held(), crowd.tunnels());

    let storm = Storm::begin(&ground.flooder, family, kind, standing);
    wait_until(Duration::from_secs(10), "the flood to reach the hub", || {
        since(&before, &drops(&hub)).values().sum::<u64>() > u64::from(RATE) / 2
    });
    crowd.rekey_all(Duration::from_secs(4), |tunnels| storm.aim(tunnels));
    let start = Instant::now();
    hub::up(&newcomer);
    let connected = start.elapsed();
    crowd.rekey_all(Duration::from_secs(4), |tunnels| storm.aim(tunnels));
    crowd.await_rekeyed(&old, Duration::from_secs(10));
    let in_storm = hub.resident_mib();
    let flood = storm.end();
    let worked = (hub.processor_s() - worked) * 1e6 / f64::from(flood.sent);

    let told = Told { drops: since(&before, &drops(&hub)) };
    println!(
        "{flood}; the newcomer was up within {connected:?}; memory {memory:.1} MiB, {in_storm:.1} MiB in the flood"
    );
    println!("hub: {worked:.1} µs of processor a message; {:?}; {:?}", told.drops, ground.hub.kernel_drops());
    assert!(flood.rate() >= f64::from(RATE), "the flood was a trickle: {flood}");
    assert!(flood.duration >= Duration::from_secs(8), "and it lasted: {flood}");
    assert!(connected < WITHIN, "a new peer waited {connected:?}");
    assert!(in_storm - memory < GROWTH_MIB, "the hub grew from {memory:.1} to {in_storm:.1} MiB");
    let accounted = told.drops.values().sum::<u64>();
    assert!(accounted >= u64::from(flood.sent) / 20 * 19, "every drop has its reason: {flood}: {told:?}");
    assert_eq!(crowd.lost(), Vec::<String>::new(), "no honest tunnel is lost");
    hub::assert_nothing_lost(&hub);
    // What was rekeyed last may be on its way still.
    wait_until(Duration::from_secs(10), "both ends of each tunnel to hold the same SAs", || {
        hub::agrees(&hub, &crowd.held())
    });
    told
}

/// Tunnels that are up.
fn up(hub: &Sekisho<'_>) -> usize {
    let status = hub.json(&["status"]);
    let tunnels = status["tunnels"].as_array().expect("tunnels");
    tunnels.iter().filter(|tunnel| tunnel["state"] == "up").count()
}

fn drops(hub: &Sekisho<'_>) -> BTreeMap<String, u64> {
    serde_json::from_value(hub.json(&["status"])["drops"].clone()).expect("counters")
}

fn since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = |(reason, count): (&String, &u64)| {
        let more = count - before.get(reason).copied().unwrap_or_default();
        (more > 0).then(|| (reason.clone(), more))
    };
    after.iter().filter_map(grown).collect()
}
