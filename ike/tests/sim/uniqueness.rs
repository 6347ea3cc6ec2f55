//! A second tunnel of a peer that has one (RFC 7296 §2.4).

use std::net::SocketAddr;

use sekisho_ike::config::Uniqueness;
use sekisho_ike::event::{Command, ConnectionState, EndReason};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::EspSpi;

use crate::{MINUTE, SECOND, patient, up_with};

/// The same identity from elsewhere, which says nothing of an initial contact.
fn second(world: &mut World, number: u16) -> bool {
    let from = SocketAddr::from(([198, 51, 100, 7], 1000 + number));
    let mut rogue = Rogue::new(connection(Side::A, true), from, number.into());
    rogue.connect(world, EspSpi(0x1000 + u32::from(number)))
}

fn with(unique: Uniqueness) -> World {
    up_with(1, Conditions::GOOD, |_, b| b.unique = unique)
}

#[test]
fn the_second_takes_the_place_of_the_first() {
    let mut world = with(Uniqueness::Replace);
    assert!(second(&mut world, 1));
    assert_eq!((world.b.ended.as_slice(), world.b.installed.len()), ([EndReason::Replaced].as_slice(), 1));
}

#[test]
fn the_first_is_kept_while_it_answers() {
    let mut world = with(Uniqueness::Keep);
    for number in 1..=5 {
        assert!(!second(&mut world, number));
        world.run_for(5 * SECOND);
    }
    assert!(world.is_up(), "{:?}", world.disagreement());
    assert_eq!((world.a.ike_sas_made, world.b.ike_sas_made), (1, 1));
    let refused = world.b.failures.first().expect("a diagnosis");
    assert_eq!(refused.kind.code(), "not_unique", "{refused}");
    assert!(refused.to_string().contains("a.example"), "{refused}");
}

#[test]
fn a_first_that_is_dead_gives_way() {
    let mut world = with(Uniqueness::Keep);
    // The device lost its tunnel without a word, and comes back from elsewhere.
    world.link.cut = true;
    let tries = (1..=10).position(|number| {
        let taken = second(&mut world, number);
        world.run_for(10 * SECOND);
        taken
    });
    assert!(tries.is_some_and(|tries| (1..=5).contains(&tries)), "taken in after {tries:?} refusals");
    assert_eq!(world.b.ended, [EndReason::PeerDead]);
}

#[test]
fn a_peer_that_says_that_it_has_no_other_is_believed() {
    run_seeds(50, |seed| {
        let mut world = up_with(seed, Conditions::bad(0.1), |a, b| {
            b.unique = Uniqueness::Keep;
            patient(a, b);
        });
        let (mut a, _) = connection_pair();
        patient(&mut a, &mut connection(Side::B, false));
        world.restart(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert!(world.b.failures.is_empty(), "{:?}", world.b.failures);
    });
}

#[test]
fn both_ends_may_begin_at_once_and_keep_one() {
    run_seeds(200, |seed| {
        let mut world = World::new(seed, Conditions::bad(0.2));
        for side in [Side::B, Side::A] {
            let mut connection = connection(side, true);
            connection.unique = Uniqueness::Keep;
            world.configure(side, vec![connection]);
        }
        world.run_for(5 * MINUTE);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn several_stand_side_by_side_up_to_a_limit() {
    let mut world = with(Uniqueness::Never);
    let taken = (1..=40).filter(|number| second(&mut world, *number)).count();
    assert_eq!((taken, world.b.installed.len()), (15, 16));
    assert!(world.b.ended.is_empty());
    assert_eq!(world.b.failures.last().map(|refused| refused.kind.code()), Some("not_unique"));
    assert_eq!(world.b.status().state, ConnectionState::Up);
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.run_for(MINUTE);
    assert_eq!((world.b.installed.len(), world.b.spis_in_use()), (0, 0), "all of them go");
}
