//! What is learned, and what is brought about, by those who have proved nothing yet.

use sekisho_ike::Secret;
use sekisho_ike::config::{Connection, LocalAuth};
use sekisho_ike::event::{Command, ConnectionState, EndReason};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::{EspSpi, NotifyType, Payload};

use crate::{HOUR, MINUTE, SECOND};

const ELSEWHERE: &str = "198.51.100.66:4500";

fn other_key() -> LocalAuth {
    LocalAuth::Psk(Secret::new(b"another key, and not a short one".to_vec()))
}

/// What B says to a peer with this connection.
fn answer(world: &mut World, connection: Connection, seed: u64) -> Vec<Payload> {
    let mut rogue = Rogue::new(connection, ELSEWHERE.parse().unwrap(), seed);
    rogue.connect_with(world, EspSpi(0x1000), |_| {}).expect("an answer")
}

fn is_only(answer: &[Payload], kind: NotifyType) -> bool {
    matches!(answer, [Payload::Notify(notify)] if notify.kind == kind && notify.data.is_empty())
}

/// That an operator took a tunnel down is told to its peer, who has shown that it is that, and to nobody else: what a stranger
/// hears does not tell which identities exist.
#[test]
fn whether_a_tunnel_was_taken_down_is_for_its_peer_alone() {
    let good = connection(Side::A, true);
    let wrong_key = Connection { local_auth: other_key(), ..good.clone() };
    let unknown = Connection { local_id: "nobody.example".parse().unwrap(), ..good.clone() };
    for down in [false, true] {
        let mut world = World::new(1, Conditions::GOOD);
        world.configure(Side::B, vec![connection(Side::B, false)]);
        if down {
            world.command(Side::B, Command::Down("link".into())).unwrap();
        }
        for (seed, stranger) in [(1, &wrong_key), (2, &unknown)] {
            let answer = answer(&mut world, stranger.clone(), seed);
            assert!(is_only(&answer, NotifyType::AUTHENTICATION_FAILED), "down: {down}: {answer:?}");
        }
        let answer = answer(&mut world, good.clone(), 3);
        assert_eq!(is_only(&answer, NotifyType::TEMPORARY_FAILURE), down, "{answer:?}");
        assert_eq!(world.b.status().state == ConnectionState::Up, !down);
    }
}

/// It says so without a proof: it is believed no more than a refusal, and asked ever more rarely.
#[test]
fn who_puts_a_peer_off_is_not_asked_in_a_circle() {
    let mut world = World::new(1, Conditions::GOOD);
    let (a, b) = connection_pair();
    let most = HOUR.as_secs() / a.retry.max.as_secs() * 2 + 20;
    world.configure(Side::B, vec![b]);
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.configure(Side::A, vec![a]);
    world.run_for(HOUR);
    assert!(world.a.failures.iter().all(|failure| failure.kind.code() == "put_off"));
    let tries = world.a.failures.len() as u64;
    assert!((5..most).contains(&tries), "{tries} of {most}");
    assert_eq!((world.a.installed.len(), world.a.spis_in_use()), (0, 0));
    world.command(Side::B, Command::Up("link".into())).unwrap();
    assert!(world.run_until(HOUR, |w| w.is_up()), "{:?}", world.disagreement());
}

/// A's proof is good and B's is not; until that is found, B asks.
#[test]
fn what_a_responder_asks_whose_proof_is_refused_is_never_heard() {
    for down in [false, true] {
        let mut world = World::new(1, Conditions::GOOD);
        world.a.desk.work_time = SECOND;
        let (a, mut b) = connection_pair();
        b.local_auth = other_key();
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.b.status().tunnel().is_some()));
        let tunnel = world.b.status().into_tunnel().unwrap().ike_sa.tunnel;
        if down {
            world.command(Side::B, Command::Down("link".into())).unwrap();
        } else {
            world.command(Side::B, Command::LineCarries(tunnel, 1500)).unwrap();
        }
        world.run_for(SECOND * 5);
        assert_eq!(world.a.failures[0].kind.code(), "authentication_failed");
        assert_eq!((world.a.ike_sas_made, world.a.installed.len()), (0, 0), "down: {down}");
        assert!(world.b.status().tunnel().is_none(), "it was told");
    }
}

/// What is kept may be the end of what it waits for.
#[test]
fn a_tunnel_that_its_responder_deletes_before_it_stands_comes_and_goes() {
    for seed in 0..20 {
        let mut world = World::new(seed, Conditions::GOOD);
        world.a.desk.work_time = SECOND / 2;
        let (a, b) = connection_pair();
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.b.status().tunnel().is_some()), "seed {seed}");
        world.command(Side::B, Command::Down("link".into())).unwrap();
        assert!(world.run_until(MINUTE, |w| !w.a.ended.is_empty()), "seed {seed}");
        assert_eq!(world.a.ended, [EndReason::DeletedByPeer], "seed {seed}");
        assert_eq!((world.a.installed.len(), world.b.installed.len()), (0, 0), "seed {seed}");
        world.run_for(MINUTE);
        assert_eq!(world.a.failures.last().unwrap().kind.code(), "put_off", "seed {seed}");
        world.command(Side::A, Command::Down("link".into())).unwrap();
        world.run_for(10 * MINUTE);
        for host in [&world.a, &world.b] {
            assert_eq!((host.spis_in_use(), host.endpoint.poll_timeout()), (0, None), "seed {seed}");
        }
    }
}
