//! NATs before an end, and addresses that change.

use sekisho_ike::config::{Encapsulation, Remote};
use sekisho_ike::event::EndReason;
use sekisho_ike::sim::{Conditions, Nat, Side, World, connection_pair};

use crate::{MINUTE, SECOND, up};

fn behind_nat() -> World {
    let mut world = World::new(1, Conditions::GOOD);
    let outside = [192, 0, 2, 7].into();
    world.link.nat = Some((world.a.address, Nat::new(outside)));
    let (a, mut b) = connection_pair();
    b.remote = Remote::Any;
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

/// Whether each end sends ESP in UDP once a tunnel stands: what each is configured for, and whether A is behind a NAT.
fn encapsulated(a: Encapsulation, b: Encapsulation, nat: bool) -> World {
    let mut world = World::new(1, Conditions::GOOD);
    if nat {
        world.link.nat = Some((world.a.address, Nat::new([192, 0, 2, 7].into())));
    }
    let (mut ours, mut theirs) = connection_pair();
    (ours.encapsulation, theirs.encapsulation) = (a, b);
    theirs.remote = Remote::Any;
    world.configure(Side::B, vec![theirs]);
    world.configure(Side::A, vec![ours]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    world
}

#[test]
fn esp_is_in_udp_where_a_nat_is_seen_or_one_end_demands_it_and_both_know() {
    let (detected, forced) = (Encapsulation::Detected, Encapsulation::Forced);
    for (a, b, nat, expected) in [
        (detected, detected, false, false),
        (detected, detected, true, true),
        (forced, detected, false, true),
        (detected, forced, false, true),
        (forced, forced, true, true),
    ] {
        let world = encapsulated(a, b, nat);
        let ends = [&world.a, &world.b].map(|host| host.outbound().unwrap().encapsulated);
        assert_eq!(ends, [expected; 2], "{a:?}, {b:?}, NAT {nat}");
    }
}

/// A peer that sees no NAT would send to the old address for ever.
#[test]
fn a_tunnel_without_encapsulation_is_set_up_anew_from_another_address() {
    let mut world = encapsulated(Encapsulation::Detected, Encapsulation::Detected, false);
    world.traffic = Some(SECOND / 10);
    world.move_host(Side::A, [10, 0, 0, 77].into());
    let there = |w: &World| w.b.outbound().map(|out| out.path.remote.ip().to_string());
    assert!(world.run_until(MINUTE, |w| w.is_up() && there(w).as_deref() == Some("10.0.0.77")));
    assert!(matches!(world.a.ended.as_slice(), [EndReason::Failed(_)]), "{:?}", world.a.ended);
    world.run_for(MINUTE);
    assert_eq!(world.disagreement(), None);
}

/// Or what B sends would get lost for as long as A asks from its new address and is answered. That A's packets arrive is sign
/// of life enough for B.
#[test]
fn a_nat_that_appears_before_a_standing_tunnel_is_seen_though_one_way_still_works() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut ours, mut theirs) = connection_pair();
    (ours.encapsulation, theirs.encapsulation) = (Encapsulation::Detected, Encapsulation::Detected);
    (theirs.remote, theirs.liveness) = (Remote::Any, 60 * MINUTE);
    world.configure(Side::B, vec![theirs]);
    world.configure(Side::A, vec![ours]);
    world.traffic = Some(SECOND / 10);
    world.run_for(MINUTE);
    world.link.nat = Some((world.a.address, Nat::new([192, 0, 2, 7].into())));
    let in_udp = |w: &World| [&w.a, &w.b].map(|host| host.outbound().is_some_and(|out| out.encapsulated));
    assert!(world.run_until(5 * MINUTE, |w| w.is_up() && in_udp(w) == [true; 2]), "{:?}", world.b.ended);
    let (sent, received) = (world.b.sent, world.a.received);
    world.run_for(MINUTE);
    assert!(world.a.received - received >= world.b.sent - sent - 2, "B reaches A again");
    assert_eq!(world.disagreement(), None);
}

/// Whoever sees a request may send it on from anywhere, and nobody moves: the peer still answers where it was.
#[test]
fn a_request_that_was_sent_on_from_elsewhere_moves_nobody_and_ends_nothing() {
    let mut world = encapsulated(Encapsulation::Detected, Encapsulation::Detected, false);
    let (before, sent) = (world.b.outbound().unwrap().path, world.link.sent);
    world.link.nat = Some((world.a.address, Nat::new([192, 0, 2, 7].into())));
    assert!(world.run_until(MINUTE, |w| w.link.sent > sent), "one end asks the other");
    world.link.nat = None;
    world.run_for(5 * MINUTE);
    assert_eq!(world.b.outbound().unwrap().path, before);
    assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    assert!(world.link.sent - sent < 300, "{} messages", world.link.sent - sent);
}
