//! NATs before an end, and addresses that change.

use sekisho_ike::sim::{Conditions, Nat, Side, World, connection_pair};

use crate::{MINUTE, SECOND, up};

fn behind_nat() -> World {
    let mut world = World::new(1, Conditions::GOOD);
    let outside = [192, 0, 2, 7].into();
    world.link.nat = Some((world.a.address, Nat::new(outside)));
    let (a, mut b) = connection_pair();
    b.remote = sekisho_ike::config::Remote::Any;
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    world
}

#[test]
fn a_nat_is_detected_and_passed() {
    let world = behind_nat();
    let a = world.a.status().into_tunnel().unwrap().ike_sa;
    let b = world.b.status().into_tunnel().unwrap().ike_sa;
    assert!(a.nat.here, "A sees that its address is changed on the way");
    assert!(b.nat.there);
    assert_eq!(b.path.remote.to_string(), "192.0.2.7:24500");
}

#[test]
fn a_nat_that_forgets_its_mappings_loses_nobody() {
    let mut world = behind_nat();
    let outbound = |w: &World| w.b.outbound().unwrap().path.remote.to_string();
    assert_eq!(outbound(&world), "192.0.2.7:24500");
    world.link.nat.as_mut().unwrap().1.rebind();
    // The next probe comes from the new mapping, and B follows it.
    assert!(world.run_until(30 * SECOND, |w| outbound(w) == "192.0.2.7:25500"), "{}", outbound(&world));
    world.run_for(5 * MINUTE);
    assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    assert_eq!(world.disagreement(), None);
}

#[test]
fn a_site_that_gets_another_address_keeps_its_tunnel() {
    let mut world = up(1, Conditions::GOOD);
    world.traffic = Some(SECOND / 10);
    world.move_host(Side::A, [10, 0, 0, 77].into());
    let there = |w: &World| w.b.outbound().unwrap().path.remote.ip();
    assert!(world.run_until(SECOND, |w| there(w).to_string() == "10.0.0.77"), "{}", there(&world));
    world.run_for(MINUTE);
    assert_eq!(world.disagreement(), None);
    assert!(world.a.ended.is_empty() && world.b.ended.is_empty(), "the same tunnel goes on");
}
