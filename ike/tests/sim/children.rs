//! Several Child SAs of one tunnel, each with networks of its own.

use sekisho_ike::config::{Connection, Start};
use sekisho_ike::event::{Command, ConnectionState, EndReason};
use sekisho_ike::sim::{Conditions, Side, World, connection, run_seeds};

use crate::{HOUR, MINUTE, SECOND, patient, start_with, up_with};

/// Adds a second and a third child: 10.1.N.0/24 behind A, 10.2.N.0/24 behind B.
fn add(connection: &mut Connection, side: Side) {
    for (index, name) in ["second", "third"].into_iter().enumerate() {
        let net = |of| format!("10.{}.{index}.0/24", if of == Side::A { 1 } else { 2 });
        let mut child = connection.children[0].clone();
        child.name = name.into();
        child.local = vec![net(side).parse().unwrap()];
        child.remote = vec![net(side.other()).parse().unwrap()];
        connection.children.push(child);
    }
}

fn three(a: &mut Connection, b: &mut Connection) {
    add(a, Side::A);
    add(b, Side::B);
}

/// The names of the Child SAs that this end sends on.
fn names(world: &mut World, side: Side) -> Vec<String> {
    let tunnel = world.host(side).status().into_tunnel();
    let children = tunnel.iter().flat_map(|tunnel| &tunnel.children);
    let mut names: Vec<_> = children.filter(|c| c.sending).map(|c| c.child.to_string()).collect();
    names.sort();
    names
}

#[test]
fn each_is_rekeyed_without_a_loss_of_another() {
    run_seeds(30, |seed| {
        let mut world = up_with(seed, Conditions::bad(0.1), |a, b| {
            three(a, b);
            patient(a, b);
        });
        world.run_for(5 * HOUR);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert!(world.a.child_sas_made >= 15, "{} in five hours", world.a.child_sas_made);
        let unasked = |(_, why): &&(_, EndReason)| *why != EndReason::Rekeyed;
        assert_eq!(world.a.retired.iter().chain(&world.b.retired).find(unasked), None);
        assert!(world.a.ended.is_empty(), "{:?}", world.a.ended);
    });
}

#[test]
fn both_ends_may_keep_all_of_them_up() {
    run_seeds(200, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        for side in [Side::B, Side::A] {
            let mut connection = connection(side, true);
            add(&mut connection, side);
            world.configure(side, vec![connection]);
        }
        world.run_for(10 * MINUTE);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn a_refused_one_leaves_the_others_and_is_tried_again() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        three(a, b);
        a.children[1].remote = vec!["172.16.0.0/16".parse().unwrap()];
    });
    world.run_for(10 * MINUTE);
    for side in [Side::A, Side::B] {
        assert_eq!(names(&mut world, side), ["net", "third"]);
    }
    let status = world.a.status();
    assert_eq!(status.state, ConnectionState::BackOff, "one that is to stand does not");
    assert!(status.next_try.is_some() && status.last_failure.is_some(), "and it is said why, and what comes");
    assert!((10..=20).contains(&world.a.failures.len()), "{} tries", world.a.failures.len());
    let rekeyed = |(_, reason): &(_, EndReason)| *reason == EndReason::Rekeyed;
    assert!(world.a.retired.iter().all(rekeyed) && world.a.ended.is_empty());
}

#[test]
fn a_deleted_one_comes_back_and_the_others_stay() {
    run_seeds(100, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = up_with(seed, conditions, |a, b| {
            three(a, b);
            patient(a, b);
        });
        let ids: Vec<_> = world.b.installed.keys().copied().collect();
        let id = ids[usize::try_from(seed % 3).unwrap()];
        world.command(Side::B, Command::DeleteChild(id)).unwrap();
        world.run_for(SECOND);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert_eq!(world.b.retired.iter().filter(|(_, why)| *why != EndReason::Rekeyed).count(), 1);
        assert_eq!(world.a.ike_sas_made, 1);
    });
}

#[test]
fn the_first_packet_brings_up_its_child_and_no_other() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        three(a, b);
        a.children.iter_mut().for_each(|child| child.start = Start::OnDemand);
    });
    let acquire =
        |child: &str| Command::Acquire { connection: "link".into(), child: child.into(), packet: None };
    world.command(Side::A, acquire("third")).unwrap();
    world.run_for(MINUTE);
    for side in [Side::A, Side::B] {
        assert_eq!(names(&mut world, side), ["third"]);
        assert_eq!(world.host(side).status().state, ConnectionState::Up);
    }
    world.command(Side::A, acquire("net")).unwrap();
    world.run_for(MINUTE);
    assert_eq!(names(&mut world, Side::B), ["net", "third"]);
    assert_eq!(world.a.ike_sas_made, 1);
}

#[test]
fn what_one_end_leaves_to_demand_the_other_keeps_up() {
    run_seeds(100, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        for side in [Side::B, Side::A] {
            let mut connection = connection(side, true);
            add(&mut connection, side);
            if side == Side::A {
                connection.children[1].start = Start::OnDemand;
                connection.children[2].start = Start::Listen;
            }
            world.configure(side, vec![connection]);
        }
        assert!(world.run_until(15 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn overlapping_networks_find_the_child_that_is_meant() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        three(a, b);
        // Everything, the wide one first: each request fits into it too.
        for connection in [&mut *a, &mut *b] {
            connection.children[0].local = vec!["0.0.0.0/0".parse().unwrap()];
            connection.children[0].remote = vec!["0.0.0.0/0".parse().unwrap()];
        }
        // What A asks for with its third is a part of B's third.
        a.children[2].remote = vec!["10.2.1.128/25".parse().unwrap()];
    });
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(names(&mut world, Side::A), ["net", "second", "third"]);
    let tunnel = world.b.status().into_tunnel().unwrap();
    let second = tunnel.children.iter().find(|c| c.child.as_str() == "second").expect("named exactly");
    assert_eq!(second.local[0].to_string(), "10.2.0.0/24");
}

#[test]
fn both_ends_may_have_packets_for_all_of_them_at_once() {
    run_seeds(300, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, true));
        three(&mut a, &mut b);
        patient(&mut a, &mut b);
        for (side, mut connection) in [(Side::A, a), (Side::B, b)] {
            connection.children.iter_mut().for_each(|child| child.start = Start::OnDemand);
            world.configure(side, vec![connection]);
        }
        let acquire =
            |child: &str| Command::Acquire { connection: "link".into(), child: child.into(), packet: None };
        world.command(Side::A, acquire("net")).unwrap();
        assert!(world.run_until(MINUTE, |w| names(w, Side::A) == ["net"]));
        for child in ["second", "third"] {
            for side in [Side::A, Side::B] {
                world.command(side, acquire(child)).unwrap();
            }
        }
        world.run_for(10 * MINUTE);
        assert_eq!(world.disagreement(), None);
    });
}
