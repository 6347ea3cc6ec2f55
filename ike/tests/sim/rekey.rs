//! Rekeys: by time, by wear, by order; without a lost packet.

use std::time::Duration;

use sekisho_ike::event::{Command, Usage};
use sekisho_ike::sim::{Conditions, Side, World, run_seeds};

use crate::{HOUR, MINUTE, SECOND, patient, proven, proven_with, up, up_with};

const GRACE: Duration = Duration::from_mins(1);

fn child(world: &mut World, side: Side) -> sekisho_ike::event::ChildSaId {
    world.host(side).status().into_tunnel().unwrap().children[0].id
}

#[test]
fn a_rekey_by_either_end_loses_no_packet() {
    run_seeds(200, |seed| {
        let side = if seed % 2 == 0 { Side::A } else { Side::B };
        let conditions = if seed % 4 < 2 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = up_with(seed, conditions, patient);
        world.traffic = Some(Duration::from_millis(20));
        world.run_for(SECOND);
        let before = (world.a.child_sas_made, world.a.ike_sas_made);
        world.command(side, Command::RekeyChildren("link".into())).unwrap();
        world.run_for(10 * SECOND);
        world.command(side, Command::RekeyIke("link".into())).unwrap();
        world.run_for(GRACE);
        world.traffic = None;
        world.run_for(GRACE);
        assert_eq!(world.disagreement(), None);
        assert_eq!((world.a.child_sas_made, world.a.ike_sas_made), (before.0 + 1, before.1 + 1));
        assert_eq!((world.a.refused, world.b.refused), (0, 0));
        assert!(world.a.received > 3000 && world.b.received > 3000);
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
    });
}

#[test]
fn lifetimes_replace_both_sas_for_days_without_a_lost_packet() {
    run_seeds(10, |seed| {
        let mut world = up(seed, Conditions::GOOD);
        world.traffic = Some(Duration::from_millis(500));
        world.run_for(24 * HOUR);
        world.traffic = None;
        world.run_for(GRACE);
        assert_eq!(world.disagreement(), None);
        assert_eq!((world.a.refused, world.b.refused), (0, 0));
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
        assert!((24..=30).contains(&world.a.child_sas_made), "{} Child SAs", world.a.child_sas_made);
        assert!((4..=6).contains(&world.a.ike_sas_made), "{} IKE SAs", world.a.ike_sas_made);
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    });
}

#[test]
fn wear_replaces_a_child_sa_in_time() {
    let mut world = proven_with(1, Conditions::GOOD, |a, _| a.children[0].lifetime.packets = Some(100_000));
    let id = child(&mut world, Side::A);
    // 1,000 packets a second: the schedule of 26 s needs 26,000 packets of notice.
    for second in 0..80u64 {
        let usage = Usage { packets_out: second * 1000, ..Usage::default() };
        world.command(Side::A, Command::Usage(id, usage)).unwrap();
        world.run_for(SECOND);
        let replaced = world.a.child_sas_made > 2;
        assert_eq!(replaced, second >= 75, "after {second} s");
    }
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

#[test]
fn a_spent_child_sa_stops_at_once() {
    let mut world = up_with(1, Conditions::GOOD, |a, _| a.children[0].lifetime.bytes = Some(1_000_000));
    let id = child(&mut world, Side::A);
    world.link.cut = true;
    let usage = Usage { bytes_in: 2_000_000, ..Usage::default() };
    world.command(Side::A, Command::Usage(id, usage)).unwrap();
    assert!(world.a.installed.is_empty(), "nothing may pass beyond the hard limit");
    world.link.cut = false;
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

#[test]
fn a_refused_rekey_keeps_the_old_sa_and_says_why() {
    // The peer has no perfect forward secrecy: an operator asks before the early rekey would.
    let mut world = up_with(1, Conditions::GOOD, |_, b| {
        b.children[0].proposals = vec!["aes256gcm16".parse().unwrap()];
    });
    let id = child(&mut world, Side::A);
    world.command(Side::A, Command::RekeyChildren("link".into())).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(child(&mut world, Side::A), id, "the old one still stands");
    let failure = world.a.failures.last().unwrap();
    assert_eq!(failure.kind.code(), "pfs_mismatch");
    assert!(failure.advice.contains("Perfect forward secrecy"), "{failure}");
    assert_eq!(world.b.failures.last().unwrap().kind.code(), "pfs_mismatch");
    assert!(world.a.status().last_failure.is_some(), "it stays in the status");
    assert!(world.is_up());
}

#[test]
fn an_ike_sa_that_cannot_be_rekeyed_ends_and_is_set_up_anew() {
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        a.lifetime = 10 * MINUTE;
        b.lifetime = 1000 * HOUR;
    });
    let first = world.a.status().into_tunnel().unwrap().ike_sa.spi_i;
    world.run_for(11 * MINUTE);
    let second = world.a.status().into_tunnel().unwrap().ike_sa.spi_i;
    assert_ne!(first, second, "rekeyed by time");
    assert!(world.a.ended.is_empty());
}

#[test]
fn each_message_of_a_rekey_may_be_lost_in_turn() {
    for side in [Side::A, Side::B] {
        for ike in [false, true] {
            // The request, its answer, the DELETE, its answer.
            for lost in 1..=4 {
                let mut world = proven(lost, Conditions::GOOD);
                world.traffic = Some(Duration::from_millis(20));
                world.run_for(SECOND);
                let (sent, made) = (world.link.sent, (world.a.child_sas_made, world.a.ike_sas_made));
                world.link.lose.insert(sent + lost);
                let name = "link".into();
                let command = if ike { Command::RekeyIke(name) } else { Command::RekeyChildren(name) };
                world.command(side, command).unwrap();
                world.run_for(GRACE);
                world.traffic = None;
                world.run_for(SECOND);
                let what = format!("message {lost} of a rekey by {side:?}, of the IKE SA: {ike}");
                assert_eq!(world.disagreement(), None, "{what}");
                let now = (world.a.child_sas_made, world.a.ike_sas_made);
                assert_eq!(now, (made.0 + u32::from(!ike), made.1 + u32::from(ike)), "{what}: once");
                assert_eq!((world.a.refused, world.b.refused), (0, 0), "{what}: no packet is lost");
                assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent), "{what}");
            }
        }
    }
}
