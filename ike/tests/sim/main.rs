//! Conversations of two endpoints over a simulated line. Each failure names its seed; `SEED=n` replays it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod addresses;
mod attacks;
mod bad_lines;
mod certificates;
mod childless;
mod children;
mod collisions;
mod conformance;
mod early;
mod failures;
mod fragments;
mod handshake;
mod hostile;
mod liveness;
mod model;
mod near_misses;
mod offloaded;
mod on_demand;
mod path_mtu;
mod paths;
mod patterns;
mod reach;
mod rekey;
mod rules;
mod standing;
mod stapling;
mod strangers;
mod suites;
mod uniqueness;

#[path = "../pki/fixtures.rs"]
#[allow(dead_code, clippy::match_bool, reason = "shared with the tests of certificates")]
mod fixtures;
#[path = "../pki/made.rs"]
#[allow(dead_code, clippy::match_bool, reason = "shared with the tests of certificates")]
mod made;
#[path = "../pki/responder.rs"]
#[allow(dead_code, clippy::match_bool, reason = "shared with the tests of certificates")]
mod responder;

use std::time::Duration;

use sekisho_ike::config::{Connection, Retransmit};
use sekisho_ike::event::Pfs;
use sekisho_ike::sim::{Conditions, Side, World, connection_pair};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A world where A initiates and B answers, with the connections changed before they start.
fn start_with(
    seed: u64,
    conditions: Conditions,
    change: impl FnOnce(&mut Connection, &mut Connection),
) -> World {
    let mut world = World::new(seed, conditions);
    let (mut a, mut b) = connection_pair();
    change(&mut a, &mut b);
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world
}

/// A world whose tunnel stands.
fn up(seed: u64, conditions: Conditions) -> World {
    up_with(seed, conditions, |_, _| {})
}

fn up_with(
    seed: u64,
    conditions: Conditions,
    change: impl FnOnce(&mut Connection, &mut Connection),
) -> World {
    let mut world = start_with(seed, conditions, change);
    assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "set-up: {:?}", world.disagreement());
    world
}

/// A world whose tunnel stands, and whose ends have found out that they agree on the key exchange of rekeys.
fn proven(seed: u64, conditions: Conditions) -> World {
    proven_with(seed, conditions, |_, _| {})
}

fn proven_with(
    seed: u64,
    conditions: Conditions,
    change: impl FnOnce(&mut Connection, &mut Connection),
) -> World {
    let mut world = up_with(seed, conditions, change);
    let own = |w: &mut World| {
        let tunnel = w.a.status().into_tunnel();
        tunnel.is_some_and(|t| t.children.len() == 1 && t.children[0].pfs == Pfs::Own) && w.is_up()
    };
    assert!(world.run_until(MINUTE, own), "the early rekey: {:?}", world.disagreement());
    world
}

/// On a line so bad that five retransmissions are not always enough, a dead peer is not what is tested.
fn patient(a: &mut Connection, b: &mut Connection) {
    for connection in [a, b] {
        connection.retransmit = Retransmit { first: Duration::from_millis(50), tries: 12 };
    }
}
