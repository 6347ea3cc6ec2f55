//! IKE SAs without a Child SA (RFC 6023), and children that all have a key exchange of their own.

use sekisho_ike::config::{Childless, Connection, Start};
use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::sim::{Conditions, Side, World, connection, run_seeds};

use crate::{MINUTE, SECOND, start_with};

fn prefer(a: &mut Connection, _: &mut Connection) {
    a.childless = Childless::Preferred;
}

fn groups(world: &World) -> Vec<bool> {
    world.a.status().into_tunnel().unwrap().children.iter().map(|child| child.suite.group.is_some()).collect()
}

#[test]
fn the_first_child_may_have_a_key_exchange_of_its_own() {
    let mut world = start_with(1, Conditions::GOOD, prefer);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!((world.link.sent, groups(&world)), (6, vec![true]));
    assert!(world.a.failures.is_empty() && world.b.failures.is_empty());
}

#[test]
fn it_comes_up_on_bad_lines_and_whoever_begins() {
    run_seeds(200, |seed| {
        let mut world = World::new(seed, Conditions::bad(0.2));
        for side in [Side::B, Side::A] {
            let mut connection = connection(side, true);
            connection.childless = if seed % 2 == 0 { Childless::Preferred } else { Childless::Allowed };
            if side == Side::A {
                connection.childless = Childless::Preferred;
            }
            world.configure(side, vec![connection]);
        }
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        world.run_for(5 * MINUTE);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn a_peer_that_cannot_is_asked_for_a_child_at_once() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        prefer(a, b);
        b.childless = Childless::Never;
    });
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!((world.link.sent, groups(&world)), (4, vec![false]));
}

#[test]
fn a_peer_that_may_not_is_refused_and_told_why() {
    // Another tunnel of B lets it say that it can.
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, false));
    let mut other = b.clone();
    (other.name, other.remote_id) = ("other".into(), "c.example".parse().unwrap());
    (a.childless, b.childless) = (Childless::Preferred, Childless::Never);
    world.configure(Side::B, vec![b, other]);
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert!(world.b.installed.is_empty() && world.b.ike_sas_made == 0);
    let refused = world.b.failures.first().expect("a diagnosis");
    assert_eq!(refused.kind.code(), "child_refused", "{refused}");
    assert_eq!(world.a.failures[0].kind.code(), "peer_error");
}

#[test]
fn a_disagreement_about_the_key_exchange_shows_at_once() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        prefer(a, b);
        a.children[0].proposals = vec!["aes256gcm16-x25519".parse().unwrap()];
        b.children[0].proposals = vec!["aes256gcm16-ecp384".parse().unwrap()];
    });
    world.run_for(10 * SECOND);
    assert!(!world.a.failures.is_empty() && world.a.installed.is_empty());
    assert_eq!(world.a.status().state, ConnectionState::BackOff);
}

#[test]
fn an_operator_may_set_up_an_ike_sa_for_the_peer_to_use() {
    for there in [Childless::Allowed, Childless::Never] {
        let mut world = start_with(1, Conditions::GOOD, |a, b| {
            a.children[0].start = Start::Listen;
            b.childless = there;
        });
        world.command(Side::A, Command::Up("link".into())).unwrap();
        world.run_for(10 * MINUTE);
        let status = world.a.status();
        assert_eq!(status.state, ConnectionState::Waiting);
        assert_eq!(status.tunnel().is_some(), there == Childless::Allowed);
        assert_eq!(status.last_failure.is_some(), there == Childless::Never);
        assert!(world.a.installed.is_empty() && world.a.spis_in_use() == 0);
    }
}
