//! Refusals that named no tunnel are kept with those that they were perhaps meant for.

use std::net::SocketAddr;

use sekisho_ike::Secret;
use sekisho_ike::config::{Connection, LocalAuth, Name, Remote};
use sekisho_ike::event::{Likeness, NearMiss};
use sekisho_ike::identity::Identity;
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::{EspSpi, IdData, IdType, Payload};

use crate::MINUTE;

/// The hub's tunnel with this peer, wherever it is.
fn of_hub(name: &str, peer: &str) -> Connection {
    let mut b = connection(Side::B, false);
    (b.name, b.remote_id) = (name.into(), sekisho_ike::identity::RemoteId::Exact(peer.parse().unwrap()));
    b.remote = Remote::Any;
    b
}

fn near_misses(world: &World, name: &str) -> Vec<NearMiss> {
    let status = world.b.endpoint.status();
    let of = status.into_iter().find(|status| status.connection.name == Name::from(name));
    of.expect("a connection").near_misses
}

#[test]
fn an_identity_with_a_slip_is_kept_with_the_tunnel_that_waits_for_it() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, _) = connection_pair();
    a.local_id = "ward.clinic.exmaple".parse().unwrap();
    let hub = [of_hub("annex", "annex.clinic.example"), of_hub("ward", "ward.clinic.example")];
    world.configure(Side::B, hub.into());
    world.configure(Side::A, vec![a.clone()]);
    world.run_for(MINUTE);
    let [miss] = near_misses(&world, "ward").try_into().expect("one, however often it happened");
    assert_eq!((miss.likeness, miss.remote), (Likeness::Identity, world.a.address));
    assert!(miss.times > 3, "{}", miss.times);
    let words = miss.diagnosis.to_string();
    assert!(words.contains("did you mean `ward.clinic.example`?"), "{words}");
    assert_eq!(near_misses(&world, "annex"), []);
    let status = world.b.endpoint.status();
    assert!(status.iter().all(|status| status.last_failure.is_none()), "nobody proved anything");
    // The peer is told what any other is told.
    assert_eq!(world.a.failures[0].kind.code(), "authentication_failed");

    a.local_id = "ward.clinic.example".parse().unwrap();
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert_eq!(near_misses(&world, "ward"), [], "it stands");
}

#[test]
fn what_comes_from_their_address_is_kept_with_all_that_are_down_there() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, _) = connection_pair();
    a.local_id = "another.example".parse().unwrap();
    let mut hub = [of_hub("annex", "annex.example"), of_hub("ward", "ward.example")];
    hub.iter_mut().for_each(|b| b.remote = Remote::Hosts(vec![world.a.address.to_string()]));
    world.configure(Side::B, hub.into());
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    for name in ["annex", "ward"] {
        let likenesses: Vec<_> = near_misses(&world, name).iter().map(|miss| miss.likeness).collect();
        assert_eq!(likenesses, [Likeness::Address], "{name}");
    }
}

#[test]
fn a_peer_that_comes_again_under_another_name_is_known_by_its_address() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, _) = connection_pair();
    world.configure(Side::B, vec![of_hub("ward", "a.example")]);
    world.configure(Side::A, vec![a.clone()]);
    assert!(world.run_until(MINUTE, |world| world.b.status().tunnel().is_some()));
    world.run_for(MINUTE);
    a.local_id = "renamed.example".parse().unwrap();
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert_eq!(near_misses(&world, "ward").first().map(|miss| miss.likeness), Some(Likeness::Address));
}

#[test]
fn a_stranger_fills_a_bounded_place_and_writes_nothing_that_a_terminal_obeys() {
    let mut world = World::new(1, Conditions::GOOD);
    let mut hub = [of_hub("annex", "annex.example"), of_hub("ward", "ward.example")];
    let hosts: Vec<String> = (0..20).map(|host| format!("198.51.100.{host}")).collect();
    hub.iter_mut().for_each(|b| b.remote = Remote::Hosts(hosts.clone()));
    world.configure(Side::B, hub.into());
    for number in 0..20 {
        let from = SocketAddr::from(([198, 51, 100, number], 1000));
        let mut stranger = Rogue::new(connection_pair().0, from, number.into());
        let hostile = format!("\u{1b}[2Jnothing is wrong{number}{}", "x".repeat(3_000));
        stranger.connect_with(&mut world, EspSpi(0xc000_0001), |payloads| {
            for payload in payloads {
                if let Payload::IdInitiator(id) = payload {
                    *id = IdData::new(IdType::KEY_ID, hostile.clone().into_bytes());
                }
            }
        });
        world.run_for(MINUTE);
    }
    let kept = near_misses(&world, "ward");
    assert_eq!(kept.len(), 3);
    for miss in kept {
        let text = format!("{}", miss.diagnosis);
        assert!(text.contains("nothing is wrong") && !text.contains('\u{1b}'), "{text}");
        assert!(text.chars().count() < 4_000, "{}", text.chars().count());
    }
}

#[test]
fn what_no_tunnel_is_told_of_is_kept_until_its_sender_gets_in() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, _) = connection_pair();
    let good = a.clone();
    a.proposals = vec!["aes128gcm16-prfsha256-ecp256".parse().unwrap()];
    let mut hub = [of_hub("annex", "a.example"), of_hub("ward", "ward.example")];
    for b in &mut hub {
        b.proposals = vec!["aes256gcm16-prfsha384-x25519".parse().unwrap()];
    }
    world.configure(Side::B, hub.into());
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert_eq!(near_misses(&world, "ward"), [], "a first message says nothing of who sent it");
    let [refused] =
        world.b.endpoint.refusals(world.clock()).try_into().expect("one, however often it happened");
    assert_eq!((refused.remote, refused.diagnosis.kind.code()), (world.a.address, "no_ike_proposal"));
    assert!(refused.times > 3, "{}", refused.times);

    world.configure(Side::A, vec![good]);
    world.run_for(MINUTE);
    assert!(world.b.endpoint.status().iter().any(|status| status.tunnel().is_some()));
    assert_eq!(world.b.endpoint.refusals(world.clock()), []);
}

/// First its suites are refused, then its identity, then its key: told is what it was refused last, and nothing once it stands.
#[test]
fn of_one_address_the_newest_finding_alone_is_told() {
    let mut world = World::new(1, Conditions::GOOD);
    let (good, _) = connection_pair();
    let mut of_hub = of_hub("ward", "a.example");
    of_hub.proposals = vec!["aes256gcm16-prfsha384-x25519".parse().unwrap()];
    world.configure(Side::B, vec![of_hub]);
    let found = |world: &World| {
        let status = world.b.status();
        let untold = world.b.endpoint.refusals(world.clock()).into_iter().map(|refusal| refusal.diagnosis);
        let near = status.near_misses.into_iter().map(|miss| miss.diagnosis);
        let failure = status.last_failure.map(|(_, diagnosis)| diagnosis);
        untold.chain(near).chain(failure).map(|diagnosis| diagnosis.kind.code()).collect::<Vec<_>>()
    };
    let suites = || vec!["aes128gcm16-prfsha256-ecp256".parse().unwrap()];
    let other = || Secret::new(b"another key, and not a short one".to_vec());
    let slip = "a.exmaple".parse::<Identity>().unwrap();
    let changes: [(Connection, &[&str]); 5] = [
        (Connection { proposals: suites(), ..good.clone() }, &["no_ike_proposal"]),
        (Connection { local_auth: LocalAuth::Psk(other()), ..good.clone() }, &["authentication_failed"]),
        (Connection { local_id: slip, ..good.clone() }, &["unknown_identity"]),
        (Connection { proposals: suites(), ..good.clone() }, &["no_ike_proposal"]),
        (good.clone(), &[]),
    ];
    for (a, told) in changes {
        world.configure(Side::A, vec![a]);
        world.run_for(MINUTE);
        assert_eq!(found(&world), told);
    }
    assert!(world.b.status().tunnel().is_some());
}

/// What one of them is refused does not hide what the other was; and what is known to be of neither is told of both.
#[test]
fn two_peers_behind_one_nat_do_not_take_the_place_of_each_other() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![of_hub("annex", "annex.example"), of_hub("ward", "ward.example")]);
    let peer = |id: &str, port| {
        let (mut a, _) = connection_pair();
        a.local_id = id.parse().unwrap();
        a.local_auth = LocalAuth::Psk(Secret::new(b"another key, and not a short one".to_vec()));
        Rogue::new(a, SocketAddr::from(([198, 51, 100, 66], port)), port.into())
    };
    let told = |world: &World| {
        ["annex", "ward"].map(|name| {
            let status =
                world.b.endpoint.status().into_iter().find(|s| s.connection.name == Name::from(name));
            let status = status.unwrap();
            let near = status.near_misses.into_iter().map(|miss| miss.diagnosis);
            let failure = status.last_failure.map(|(_, diagnosis)| diagnosis);
            near.chain(failure).map(|diagnosis| diagnosis.kind.code()).collect::<Vec<_>>()
        })
    };
    for round in 0..3 {
        assert!(!peer("ward.exmaple", 1000 + round).connect(&mut world, EspSpi(0x1000)));
        assert!(!peer("annex.example", 2000 + round).connect(&mut world, EspSpi(0x1000)));
        assert_eq!(told(&world), [["authentication_failed"], ["unknown_identity"]], "round {round}");
    }
    assert!(!peer("ward.example", 3000).connect(&mut world, EspSpi(0x1000)));
    assert_eq!(told(&world), [["authentication_failed"], ["authentication_failed"]], "each of its own");
}
