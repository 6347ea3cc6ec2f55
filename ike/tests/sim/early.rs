//! Whether both ends agree on perfect forward secrecy is found out soon after a tunnel comes up, not hours later.

use std::time::Duration;

use sekisho_ike::config::{Childless, Connection};
use sekisho_ike::diagnosis::{DiagnosisKind, Side as Refused};
use sekisho_ike::event::{Command, Pfs, Usage};
use sekisho_ike::sim::{Conditions, Side, World, connection_pair, run_seeds};

use crate::{HOUR, MINUTE, SECOND, patient, up_with};

fn esp(connection: &mut Connection, text: &str) {
    connection.children[0].proposals = vec![text.parse().unwrap()];
}

fn pfs(world: &mut World, side: Side) -> Pfs {
    world.host(side).status().into_tunnel().unwrap().children[0].pfs
}

fn assert_no_packet_lost(world: &mut World) {
    world.traffic = None;
    world.run_for(SECOND);
    assert_eq!((world.a.refused, world.b.refused), (0, 0));
    assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
    assert!(world.a.received > 0);
}

#[test]
fn where_both_agree_there_is_just_one_early_rekey_and_no_packet_is_lost() {
    run_seeds(50, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = up_with(seed, conditions, patient);
        assert_eq!([pfs(&mut world, Side::A), pfs(&mut world, Side::B)], [Pfs::Unproven; 2]);
        world.traffic = Some(Duration::from_millis(20));
        world.run_for(MINUTE);
        assert_eq!([pfs(&mut world, Side::A), pfs(&mut world, Side::B)], [Pfs::Own; 2]);
        world.run_for(40 * MINUTE);
        assert_eq!((world.a.child_sas_made, world.b.child_sas_made), (2, 2));
        assert_no_packet_lost(&mut world);
        assert!(world.a.failures.is_empty() && world.a.status().warnings.is_empty());
    });
}

#[test]
fn a_mismatch_is_found_within_a_minute_and_the_standing_sa_goes_on() {
    for (at_a, at_b) in [
        ("aes256gcm16-x25519-noesn", "aes256gcm16-noesn"),
        ("aes256gcm16-x25519-noesn", "aes256gcm16-ecp384-noesn"),
    ] {
        let mut world = up_with(1, Conditions::GOOD, |a, b| {
            esp(a, at_a);
            esp(b, at_b);
        });
        world.traffic = Some(Duration::from_millis(20));
        world.run_for(MINUTE);
        let failures: Vec<_> = world.a.failures.iter().map(|f| (f.kind, f.refused_by)).collect();
        assert_eq!(failures, [(DiagnosisKind::PfsMismatch, Refused::Peer)], "{at_b}");
        assert_eq!(world.b.failures[0].kind, DiagnosisKind::PfsMismatch, "{}", world.b.failures[0]);
        assert_eq!(pfs(&mut world, Side::A), Pfs::Refused);
        let status = world.a.status();
        assert_eq!(status.warnings.len(), 1);
        assert!(
            status.warnings[0].1.summary.contains("traffic passes until 2023-11-14 23:"),
            "{}",
            status.warnings[0].1
        );
        assert!(status.last_failure.is_none(), "it is up, with a warning");
        // No storm: nothing more is asked until the rekey is due.
        world.run_for(50 * MINUTE);
        assert_eq!((world.a.child_sas_made, world.a.failures.len()), (1, 1));
        assert_eq!(world.a.status().warnings.len(), 1, "and the warning stays");
        assert_no_packet_lost(&mut world);
    }
}

/// A worn Child SA is measured each second; a refusal does not make that a rekey each second.
#[test]
fn a_worn_sa_whose_rekey_is_refused_is_no_reason_to_ask_each_second() {
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        esp(b, "aes256gcm16-noesn");
        a.children[0].lifetime.packets = Some(100_000);
    });
    let id = world.a.status().into_tunnel().unwrap().children[0].id;
    for second in 0..60 {
        let usage = Usage { packets_out: 100_000 + second, ..Usage::default() };
        world.command(Side::A, Command::Usage(id, usage)).unwrap();
        world.run_for(SECOND);
    }
    assert!((3..=7).contains(&world.a.failures.len()), "{} requests", world.a.failures.len());
    assert!(world.is_up());
}

/// It says until when traffic passes: where none does any more it is not true.
#[test]
fn a_mismatch_is_warned_of_as_long_as_traffic_passes() {
    let warned = |world: &World| -> Vec<String> {
        world.a.status().warnings.into_iter().map(|(_, diagnosis)| diagnosis.summary).collect()
    };
    let mut world = up_with(1, Conditions::GOOD, |_, b| esp(b, "aes256gcm16-noesn"));
    world.run_for(MINUTE);
    let first = warned(&world);
    assert_eq!(first.len(), 1);
    world.link.cut = true;
    assert!(world.run_until(MINUTE, |w| w.a.status().tunnels.is_empty()));
    assert!(warned(&world).is_empty(), "the peer is dead");
    world.link.cut = false;
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert!(warned(&world).is_empty(), "the next tunnel ends at another time");
    assert_eq!(pfs(&mut world, Side::A), Pfs::Refused, "what is known of the peer is");
    world.run_for(MINUTE);
    let second = warned(&world);
    assert!(second.len() == 1 && second != first, "{second:?}");
    world.command(Side::A, Command::Down("link".into())).unwrap();
    assert!(warned(&world).is_empty(), "taken down");
}

#[test]
fn a_mismatch_ends_with_the_correction() {
    let mut world = up_with(1, Conditions::GOOD, |_, b| esp(b, "aes256gcm16-noesn"));
    world.run_for(MINUTE);
    assert_eq!(world.a.status().warnings.len(), 1);
    let (_, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    world.run_for(MINUTE);
    assert!(world.a.status().warnings.is_empty(), "asked again on the new tunnel");
    assert_eq!(pfs(&mut world, Side::A), Pfs::Own);
}

#[test]
fn what_is_proven_is_not_asked_again_on_a_reconnect() {
    let mut world = crate::proven(1, Conditions::GOOD);
    for _ in 0..3 {
        let (_, b) = connection_pair();
        world.restart(Side::B, vec![b]);
        assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        let made = world.a.child_sas_made;
        world.run_for(5 * MINUTE);
        assert_eq!(world.a.child_sas_made, made);
        assert_eq!(pfs(&mut world, Side::A), Pfs::First);
    }
}

#[test]
fn nothing_is_asked_where_there_is_nothing_to_find_out() {
    // No group; a rekey by order; a child that had a key exchange from the start.
    let mut none = up_with(1, Conditions::GOOD, |a, b| {
        esp(a, "aes256gcm16-noesn");
        esp(b, "aes256gcm16-noesn");
    });
    none.run_for(10 * MINUTE);
    assert_eq!((none.a.child_sas_made, pfs(&mut none, Side::A)), (1, Pfs::First));

    let mut ordered = up_with(1, Conditions::GOOD, |_, _| {});
    ordered.command(Side::A, Command::RekeyChildren("link".into())).unwrap();
    ordered.run_for(10 * MINUTE);
    assert_eq!((ordered.a.child_sas_made, pfs(&mut ordered, Side::A)), (2, Pfs::Own));

    let mut childless = up_with(1, Conditions::GOOD, |a, _| a.childless = Childless::Preferred);
    childless.run_for(10 * MINUTE);
    assert_eq!((childless.a.child_sas_made, pfs(&mut childless, Side::A)), (1, Pfs::Own));
}

#[test]
fn only_its_initiator_asks() {
    let mut world = up_with(1, Conditions::GOOD, |_, _| {});
    let wait = [Side::A, Side::B].map(|side| {
        let now = world.now;
        let child = world.host(side).status().into_tunnel().unwrap().children[0].clone();
        child.rekey_at.unwrap().since(now)
    });
    assert!(wait[0] <= 30 * SECOND && wait[1] > 50 * MINUTE, "{wait:?}");
}

/// A peer that falls silent when it is asked for a rekey would take the tunnel down each time.
#[test]
fn a_peer_that_does_not_answer_is_asked_twice_at_most() {
    let mut world = up_with(1, Conditions::GOOD, |_, _| {});
    for _ in 0..6 {
        assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        // Whatever A sends once it asks is lost.
        let made = world.a.ended.len();
        let asks = |w: &mut World| {
            let tunnel = w.a.status().into_tunnel();
            tunnel.is_some_and(|t| t.children.iter().any(|child| child.rekey_at.is_none()))
        };
        if world.run_until(3 * MINUTE, asks) {
            world.link.cut = true;
            world.run_until(2 * MINUTE, |w| w.a.ended.len() > made);
            world.link.cut = false;
            let (_, b) = connection_pair();
            world.restart(Side::B, vec![b]);
        }
    }
    assert_eq!(world.a.ended.len(), 2, "{:?}", world.a.ended);
    world.run_for(HOUR / 2);
    assert!(world.is_up(), "{:?}", world.disagreement());
}
