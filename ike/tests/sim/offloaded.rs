//! Arithmetic that takes its time: protocol.md rule 18, "a signature, a path check or a revocation fetch never blocks
//! another SA's liveness", nor this one's, and nothing is done twice for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use sekisho_ike::event::{Command, Completion};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{EspSpi, ExchangeType, Payload};
use sekisho_ike::{Path, Transport};

use crate::{MINUTE, SECOND, patient, proven};

fn slow(seed: u64, conditions: Conditions, work_time: Duration) -> World {
    let mut world = World::new(seed, conditions);
    for side in [Side::A, Side::B] {
        world.host(side).desk.work_time = work_time;
    }
    let (mut a, mut b) = connection_pair();
    patient(&mut a, &mut b);
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world
}

fn drops(world: &mut World, side: Side, code: &str) -> u64 {
    world.host(side).endpoint.drops().into_iter().find(|(c, _)| *c == code).expect(code).1
}

#[test]
fn slow_work_on_a_bad_line_still_makes_one_tunnel() {
    run_seeds(300, |seed| {
        // Longer than the first retransmissions.
        let mut world = slow(seed, Conditions::bad(0.2), Duration::from_millis(1500));
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
            let made = (world.a.child_sas_made, world.a.ike_sas_made);
            world.command(Side::A, command).unwrap();
            world.run_for(2 * MINUTE);
            assert_eq!(world.disagreement(), None);
            assert!((world.a.child_sas_made, world.a.ike_sas_made) > made, "it was rekeyed");
        }
        assert!(world.a.ended.is_empty() && world.b.ended.is_empty());
    });
}

#[test]
fn a_request_repeated_while_it_is_worked_on_is_worked_on_once() {
    let mut world = slow(1, Conditions::GOOD, Duration::ZERO);
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    world.b.desk.work_time = 5 * SECOND;
    let made = world.b.child_sas_made;
    world.command(Side::A, Command::RekeyChildren("link".into())).unwrap();
    world.run_for(20 * SECOND);
    assert_eq!(world.disagreement(), None);
    assert_eq!(world.b.child_sas_made, made + 1);
    assert!(drops(&mut world, Side::B, "ike_in_progress") >= 1, "A asked again meanwhile");
}

#[test]
fn a_first_message_repeated_while_it_is_worked_on_is_worked_on_once() {
    let mut world = slow(1, Conditions::GOOD, Duration::ZERO);
    world.b.desk.work_time = 3 * SECOND;
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!((world.a.ike_sas_made, world.b.ike_sas_made), (1, 1));
    assert!(drops(&mut world, Side::B, "ike_in_progress") >= 1, "A asked again meanwhile");
}

/// While one SA's work is done elsewhere, the other peers' probes are answered.
///
/// Rule 18: a key exchange or a signature never blocks the liveness of another SA.
#[test]
fn work_for_one_peer_does_not_keep_another_waiting() {
    let mut world = World::new(3, Conditions::GOOD);
    let (_, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    let honest: SocketAddr = "10.0.0.1:4500".parse().unwrap();
    let mut peer = Rogue::new(connection(Side::A, true), honest, 5);
    assert!(peer.connect(&mut world, EspSpi(0x1000)));
    world.b.desk.work_time = 10 * SECOND;
    let mut stranger = Rogue::new(connection(Side::A, true), "10.0.0.77:4500".parse().unwrap(), 6);
    let first = stranger.first_messages().into_iter().next().unwrap();
    assert!(stranger.deliver(&mut world, &first).is_empty(), "its key exchange is being computed");
    let probe = peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]);
    assert_eq!(probe, Some(Vec::<Payload>::new()), "answered at once");
}

#[test]
fn any_job_may_be_lost_and_the_tunnel_comes_up_all_the_same() {
    for lost in 0..8 {
        for side in [Side::A, Side::B] {
            let mut world = slow(lost, Conditions::GOOD, Duration::ZERO);
            // What is on the desk is done; the shell loses one piece instead.
            let mut world = {
                world.host(side).desk.lose.insert(lost);
                world
            };
            assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "job {lost} of {side:?}");
            world.command(Side::A, Command::RekeyChildren("link".into())).unwrap();
            world.run_for(2 * MINUTE);
            world.command(Side::B, Command::RekeyIke("link".into())).unwrap();
            // The worst: B cannot go on with what A has made, and A learns it by its probes.
            world.run_for(10 * MINUTE);
            assert_eq!(world.disagreement(), None, "job {lost} of {side:?}");
        }
    }
}

/// Nobody who has proved nothing can pile up work without end, from however many addresses.
#[test]
fn the_work_for_strangers_is_bounded() {
    let mut world = World::new(1, Conditions::GOOD);
    let (_, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    let mut jobs = BTreeSet::new();
    for number in 0..40_u8 {
        for host in 0..8_u8 {
            let address = SocketAddr::from(([198, 51, number, host], 500));
            let mut stranger =
                Rogue::new(connection(Side::A, true), address, u64::from(number) * 8 + u64::from(host));
            let first = stranger.first_messages().into_iter().next().unwrap();
            let path =
                Path { local: "10.0.0.2:500".parse().unwrap(), remote: address, transport: Transport::Udp };
            let now = world.clock();
            world.b.endpoint.handle_datagram(now, path, &first);
            while let Some(transmit) = world.b.endpoint.poll_transmit() {
                let sekisho_ike::event::Payload::Ike(bytes) = transmit.payload else { continue };
                if let Some(with_cookie) = stranger.with_cookie(&first, &bytes) {
                    world.b.endpoint.handle_datagram(now, path, &with_cookie);
                }
            }
            while let Some(job) = world.b.endpoint.poll_job() {
                jobs.insert(job.id);
            }
        }
    }
    assert_eq!(jobs.len(), 256);
    assert_eq!(drops(&mut world, Side::B, "ike_busy"), 320 - 256);
    let now = world.clock();
    for job in jobs {
        world.b.endpoint.handle_completion(now, job, Completion::Failed("no time".into()));
    }
    let mut late = Rogue::new(connection(Side::A, true), "10.0.0.99:4500".parse().unwrap(), 9);
    assert!(late.connect(&mut world, EspSpi(0x1000)), "there is room again");
}

#[test]
fn an_idle_tunnel_asks_for_no_work() {
    let mut world = proven(1, Conditions::GOOD);
    let before = world.b.desk.count + world.a.desk.count;
    world.run_for(10 * MINUTE);
    assert_eq!(world.b.desk.count + world.a.desk.count, before);
}
