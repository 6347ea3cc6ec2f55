//! Dead peers, returning peers, and clocks that jump.

use std::time::Duration;

use sekisho_ike::event::{Command, ConnectionState, EndReason};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{Delete, EspSpi, ExchangeType, Payload};

use crate::{HOUR, MINUTE, SECOND, up};

#[test]
fn a_dead_peer_is_found_and_tried_again_for_ever() {
    let mut world = up(1, Conditions::GOOD);
    world.link.cut = true;
    world.run_for(45 * SECOND);
    assert_eq!(world.a.ended, [EndReason::PeerDead]);
    assert!(world.a.installed.is_empty(), "nothing is sent into the void");
    let failure = world.a.status().last_failure.unwrap().1;
    assert_eq!(failure.kind.code(), "peer_dead");
    world.run_for(24 * HOUR);
    let status = world.a.status();
    assert!(status.attempts > 500, "{} attempts", status.attempts);
    assert_eq!(status.last_failure.unwrap().1.kind.code(), "no_answer");
    world.link.cut = false;
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    let status = world.a.status();
    assert_eq!((status.attempts, status.last_failure), (0, None), "a success wipes the slate");
}

/// A request that waits is told once it had to be sent again, and no longer than until its answer: what `status` says of a
/// silence hangs on it.
#[test]
fn what_waits_for_its_answer_is_told_and_when_the_last_came() {
    let mut world = up(1, Conditions::GOOD);
    let told = |world: &World| {
        let tunnel = world.a.status().into_tunnel().unwrap();
        (tunnel.last_answer, tunnel.unanswered_since)
    };
    world.run_for(MINUTE);
    let (answered, waits) = told(&world);
    assert!(world.now.since(answered) < 45 * SECOND && waits.is_none(), "probes are answered");
    world.link.cut = true;
    assert!(world.run_until(MINUTE, |world| told(world).1.is_some()));
    let (last, waits) = told(&world);
    assert!(waits.unwrap() < world.now && waits.unwrap() >= last, "since it was sent at first");
    world.link.cut = false;
    assert!(world.run_until(MINUTE, |world| told(world).1.is_none()));
    let (again, _) = told(&world);
    assert!(again > last && world.a.ended.is_empty(), "it stands, and was answered");
}

#[test]
fn a_line_that_comes_back_is_used_at_once() {
    let mut world = up(1, Conditions::GOOD);
    world.link.cut = true;
    world.run_for(HOUR);
    assert!(world.run_until(2 * MINUTE, |w| w.a.status().state == ConnectionState::BackOff));
    world.link.cut = false;
    world.command(Side::A, Command::NetworkChanged).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
}

#[test]
fn an_idle_tunnel_is_probed_and_a_busy_one_is_not() {
    let mut world = up(1, Conditions::GOOD);
    let before = world.link.sent;
    world.run_for(10 * MINUTE);
    let probes = world.link.sent - before;
    assert!((60..=260).contains(&probes), "{probes} messages in ten idle minutes");
}

#[test]
fn a_peer_that_restarts_is_taken_back() {
    run_seeds(100, |seed| {
        let mut world = up(seed, Conditions::GOOD);
        let (a, b) = connection_pair();
        let (side, connections) = if seed % 2 == 0 { (Side::A, vec![a]) } else { (Side::B, vec![b]) };
        world.run_for(Duration::from_millis(seed * 100));
        world.restart(side, connections);
        assert!(world.run_until(3 * MINUTE, |w| w.is_up()), "{side:?}: {:?}", world.disagreement());
    });
}

#[test]
fn an_initiator_that_restarts_replaces_its_old_tunnel_at_once() {
    let mut world = up(1, Conditions::GOOD);
    world.restart(Side::A, vec![connection(Side::A, true)]);
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.b.ended, [EndReason::Replaced]);
    assert_eq!(world.b.installed.len(), 1, "the old Child SA went with it");
}

/// Rule 15: time that jumps (suspend, NTP) neither panics nor expires everything.
#[test]
fn a_clock_that_jumps_neither_panics_nor_expires_everything() {
    run_seeds(50, |seed| {
        let mut world = up(seed, Conditions::GOOD);
        // A suspend of nine hours: both lifetimes lie behind us. A wall clock set back changes nothing.
        world.now = world.now + 9 * HOUR;
        world.wall -= 1_000_000;
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
        assert!(
            world.a.ended.is_empty() && world.b.ended.is_empty(),
            "{:?} {:?}",
            world.a.ended,
            world.b.ended
        );
    });
}

#[test]
fn down_deletes_refuses_and_up_brings_back() {
    let mut world = up(1, Conditions::GOOD);
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.run_for(MINUTE);
    assert!(world.b.installed.is_empty() && world.a.installed.is_empty());
    assert_eq!(world.b.status().state, ConnectionState::AdminDown);
    assert_eq!(world.a.ended, [EndReason::DeletedByPeer]);
    assert!(world.a.status().attempts > 2, "A tries and is refused");
    assert_eq!(world.b.failures.last().unwrap().kind.code(), "admin_down");
    assert_eq!(world.b.status().last_failure.unwrap().1.kind.code(), "admin_down");
    world.command(Side::B, Command::Up("link".into())).unwrap();
    assert_eq!(world.b.status().last_failure, None, "what it was refused for is mended");
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

/// The peer has forgotten the tunnel that an operator takes down: nobody answers its DELETE, nor what waits before that. Whatever
/// is set up in its place hears nothing of it.
#[test]
fn a_tunnel_that_was_taken_down_ends_in_silence() {
    for probed in [false, true] {
        let mut world = up(1, Conditions::GOOD);
        world.restart(Side::B, vec![connection(Side::B, false)]);
        let waits = |w: &mut World| w.a.status().into_tunnel().unwrap().unanswered_since.is_some();
        assert!(!probed || world.run_until(MINUTE, waits), "it is asked whether it is there");
        world.command(Side::A, Command::Down("link".into())).unwrap();
        world.command(Side::A, Command::Up("link".into())).unwrap();
        assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
        world.run_for(MINUTE);
        assert_eq!(world.a.ended, [EndReason::DeletedHere], "why it ended is told");
        assert_eq!(world.a.failures, []);
        let status = world.a.status();
        assert_eq!((status.last_failure, status.attempts), (None, 0));
    }
}

/// What is set up in its place has failures of its own.
#[test]
fn a_tunnel_that_was_taken_down_lends_its_silence_to_no_attempt() {
    let mut world = up(1, Conditions::GOOD);
    world.link.cut = true;
    let waits = |w: &mut World| w.a.status().into_tunnel().unwrap().unanswered_since.is_some();
    assert!(world.run_until(MINUTE, waits));
    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.command(Side::A, Command::Up("link".into())).unwrap();
    world.run_for(MINUTE);
    let failures: Vec<_> = world.a.failures.iter().map(|failure| failure.kind.code()).collect();
    assert!(failures.len() >= 2 && failures.iter().all(|kind| *kind == "no_answer"), "{failures:?}");
}

#[test]
fn a_clean_shutdown_tells_the_peer() {
    let mut world = up(1, Conditions::GOOD);
    world.command(Side::A, Command::Shutdown).unwrap();
    assert!(!world.a.endpoint.is_idle());
    assert!(world.run_until(SECOND, |w| w.a.endpoint.is_idle()));
    assert_eq!(world.b.ended, [EndReason::DeletedByPeer]);
    assert_eq!(world.a.ended, [EndReason::Shutdown]);
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let mut world = up(1, Conditions::GOOD);
    let spi = world.a.status().into_tunnel().unwrap().ike_sa.spi_i;
    let (a, _) = connection_pair();
    world.configure(Side::A, vec![a.clone()]);
    assert_eq!(world.a.status().into_tunnel().unwrap().ike_sa.spi_i, spi);
    let mut changed = a;
    changed.liveness = 20 * SECOND;
    world.configure(Side::A, vec![changed]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_ne!(world.a.status().into_tunnel().unwrap().ike_sa.spi_i, spi, "what changed is set up anew");
    world.configure(Side::A, vec![]);
    world.run_for(MINUTE);
    assert!(world.a.endpoint.status().is_empty() && world.a.installed.is_empty());
    assert!(world.b.installed.is_empty());
}

/// An initiator sees our proof last: that it may have refused it is said of one that goes at once and in silence alone.
#[test]
fn who_went_on_with_a_tunnel_before_ending_it_has_accepted_our_proof() {
    let why_it_went = |asks: &[&[Payload]], after: Duration| {
        let mut world = World::new(1, Conditions::GOOD);
        world.configure(Side::B, vec![connection(Side::B, false)]);
        let mut rogue = Rogue::new(connection(Side::A, true), "10.0.0.1:4500".parse().unwrap(), 1);
        assert!(rogue.connect(&mut world, EspSpi(0x1000)));
        world.run_for(after);
        for payloads in asks {
            assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, payloads).is_some());
        }
        assert_eq!(world.b.ended, [EndReason::DeletedByPeer]);
        world.b.failures.last().unwrap().to_string()
    };
    let (probe, delete): (&[Payload], _) = (&[], [Payload::Delete(Delete::Ike)]);
    let doubt = "it does not accept our pre-shared key";
    assert!(why_it_went(&[&delete], SECOND).contains(doubt));
    assert!(!why_it_went(&[probe, &delete], SECOND).contains(doubt), "it has asked something");
    assert!(!why_it_went(&[&delete], 5 * SECOND).contains(doubt), "that is too late for a refusal");
}
