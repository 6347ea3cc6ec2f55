//! Setting a tunnel up, on good lines and bad ones.

use std::time::Duration;

use sekisho_ike::event::ConnectionState;
use sekisho_ike::sim::{Conditions, Side, World, connection, connection_pair, run_seeds};

const MINUTE: Duration = Duration::from_secs(60);

fn start(seed: u64, conditions: Conditions) -> World {
    let mut world = World::new(seed, conditions);
    let (a, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world
}

#[test]
fn four_messages_set_a_tunnel_up() {
    let mut world = start(1, Conditions::GOOD);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent, 4);
    for side in [Side::A, Side::B] {
        let status = world.host(side).status();
        assert_eq!(status.state, ConnectionState::Up);
        let tunnel = status.tunnel.unwrap();
        assert_eq!(tunnel.ike_sa.suite.to_string(), "aes256gcm16-prfsha384-x25519");
        assert_eq!(tunnel.children[0].suite.to_string(), "aes256gcm16-esn");
        assert!(tunnel.ike_sa.nat.there, "encapsulation is forced by a hash that cannot match");
        assert!(!tunnel.ike_sa.nat.here);
        assert_eq!(tunnel.ike_sa.path.local.port(), 4500);
    }
}

#[test]
fn a_line_that_loses_thirty_per_cent_each_way_gets_a_tunnel_all_the_same() {
    run_seeds(1000, |seed| {
        let mut world = start(seed, Conditions::bad(0.3));
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn each_message_may_be_lost_in_turn() {
    for lost in 1..=4 {
        let mut world = World::new(lost, Conditions::GOOD);
        world.link.lose.insert(lost);
        let (a, b) = connection_pair();
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "message {lost}: {:?}", world.disagreement());
        assert!(world.link.sent > 4);
        assert_eq!(world.a.ike_sas_made, 1, "message {lost}: sent again, not begun again");
        assert_eq!(world.b.ike_sas_made, 1);
    }
}

#[test]
fn both_ends_may_begin_at_once_and_one_ike_sa_survives() {
    run_seeds(1000, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        world.configure(Side::B, vec![connection(Side::B, true)]);
        world.configure(Side::A, vec![connection(Side::A, true)]);
        world.run_for(5 * MINUTE);
        // Whatever was on its way is settled; a probe may be outstanding.
        assert_eq!(world.disagreement(), None);
    });
}
