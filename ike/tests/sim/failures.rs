//! Negotiations that cannot succeed, and what each end says about it.

use sekisho_ike::Secret;
use sekisho_ike::config::{Connection, LocalAuth, Remote, RemoteAuth};
use sekisho_ike::diagnosis::{Diagnosis, Side as Refused};
use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::sim::{Conditions, Host, RogueServer, Side, World, connection_pair};
use sekisho_ike::wire::{Notify, NotifyType, Payload};

use crate::{MINUTE, SECOND, start_with};

fn fail(change: impl FnOnce(&mut Connection, &mut Connection)) -> World {
    let mut world = start_with(1, Conditions::GOOD, change);
    world.run_for(MINUTE);
    assert!(!world.is_up());
    world
}

fn first(host: &Host) -> &Diagnosis {
    host.failures.first().expect("a diagnosis")
}

fn assert_diagnosis(diagnosis: &Diagnosis, kind: &str, refused_by: Refused, words: &[&str]) {
    assert_eq!((diagnosis.kind.code(), diagnosis.refused_by), (kind, refused_by), "{diagnosis}");
    let text = diagnosis.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

fn other_psk(connection: &mut Connection) {
    let psk = || Secret::new(b"not the same at all".to_vec());
    connection.local_auth = LocalAuth::Psk(psk());
    connection.remote_auth = RemoteAuth::Psk(psk());
}

#[test]
fn another_pre_shared_key() {
    let mut world = fail(|a, _| other_psk(a));
    assert_diagnosis(
        first(&world.a),
        "authentication_failed",
        Refused::Peer,
        &["pre-shared key", "a.example"],
    );
    assert_diagnosis(first(&world.b), "authentication_failed", Refused::Here, &["a.example", "psk_file"]);
    let status = world.a.status();
    assert!(status.last_failure.is_some() && status.attempts > 3, "kept in the status, and tried again");
    let times = [&world.a, &world.b].map(|end| end.status().failure_times);
    assert!(times.iter().all(|times| *times > 2), "each end counts them: {times:?}");
    let from = [&world.a, &world.b].map(|end| end.status().failure_from);
    assert!(from[0].is_none() && from[1].is_some(), "and who refused says whom: {from:?}");
    assert_eq!(world.b.installed.len() + world.a.installed.len(), 0);
    world.command(Side::A, Command::Down("link".into())).unwrap();
    assert_eq!(world.a.spis_in_use() + world.b.spis_in_use(), 0, "a failed path leaves nothing behind");
}

#[test]
fn no_common_suite_for_the_ike_sa() {
    let world = fail(|a, b| {
        a.proposals = vec!["aes128gcm16-prfsha256-ecp256".parse().unwrap()];
        b.proposals = vec!["aes256gcm16-prfsha384-x25519".parse().unwrap()];
    });
    assert_diagnosis(first(&world.a), "no_ike_proposal", Refused::Peer, &["aes128gcm16-prfsha256-ecp256"]);
    let words = ["offered: aes128gcm16-prfsha256-ecp256", "acceptable: aes256gcm16-prfsha384-x25519"];
    assert_diagnosis(first(&world.b), "no_ike_proposal", Refused::Here, &words);
    // B knows one tunnel to that address: its status says why it is down.
    let (_, told) = world.b.status().last_failure.expect("a failure in the status");
    assert_eq!(told.kind.code(), "no_ike_proposal");
}

#[test]
fn no_common_suite_for_the_child_sa() {
    let mut world = fail(|a, b| {
        a.children[0].proposals = vec!["aes128gcm16-noesn".parse().unwrap()];
        b.children[0].proposals = vec!["aes256gcm16-esn".parse().unwrap()];
    });
    assert_diagnosis(first(&world.a), "no_child_proposal", Refused::Peer, &["aes128gcm16-noesn"]);
    assert_diagnosis(first(&world.b), "no_child_proposal", Refused::Here, &["acceptable: aes256gcm16-esn"]);
    let status = world.a.status();
    assert_eq!(status.state, ConnectionState::BackOff, "an IKE SA alone carries nothing");
    assert!(status.next_try.is_some_and(|at| at > world.now), "and the status says when it is tried again");
    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(5 * SECOND);
    let (_, told) = world.b.status().last_failure.expect("a failure in the status");
    assert_eq!(told.kind.code(), "no_child_proposal", "that it went is no reason: {told:?}");
}

#[test]
fn disjoint_selectors() {
    let world = fail(|a, _| a.children[0].remote = vec!["172.16.0.0/16".parse().unwrap()]);
    assert_diagnosis(first(&world.a), "traffic_selectors", Refused::Peer, &["172.16.0.0/16"]);
    assert_diagnosis(
        first(&world.b),
        "traffic_selectors",
        Refused::Here,
        &["172.16.0.0/16", "192.168.2.0/24"],
    );
}

#[test]
fn a_child_that_is_put_right_comes_up_on_the_same_ike_sa() {
    let mut world = fail(|a, _| a.children[0].remote = vec!["172.16.0.0/16".parse().unwrap()]);
    let ike_sas = world.a.ike_sas_made;
    let (a, mut b) = connection_pair();
    drop(a);
    b.children[0].local = vec!["172.16.0.0/16".parse().unwrap()];
    world.configure(Side::B, vec![b]);
    assert!(world.run_until(3 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert!(world.a.ike_sas_made > ike_sas, "the reload deleted the tunnel, the next attempt succeeds");
}

#[test]
fn an_identity_that_is_not_configured() {
    let world = fail(|a, _| a.local_id = "stranger.example".parse().unwrap());
    assert_diagnosis(
        first(&world.b),
        "unknown_identity",
        Refused::Here,
        &["stranger.example", "a.example, with us as b.example"],
    );
    assert_diagnosis(first(&world.a), "authentication_failed", Refused::Peer, &["stranger.example"]);
}

#[test]
fn a_responder_with_another_identity_is_not_who_we_want() {
    // B takes A for who it is, under another name of its own.
    let world = fail(|a, b| {
        a.remote_id = "centre.example".parse().unwrap();
        b.local_id = "other.example".parse().unwrap();
    });
    assert_diagnosis(first(&world.b), "unknown_identity", Refused::Here, &["asking for `centre.example`"]);
    assert!(world.a.installed.is_empty());
}

#[test]
fn nobody_there() {
    let mut world = start_with(1, Conditions::GOOD, |_, _| {});
    world.link.cut = true;
    world.run_for(MINUTE);
    let (at, ()) = (world.clock(), ());
    assert_diagnosis(
        first(&world.a),
        "no_answer",
        Refused::Nobody,
        &["10.0.0.2:500", "IKE_SA_INIT", "UDP ports 500 and 4500"],
    );
    assert!(world.a.status().next_try.is_some_and(|next| next > at.boot) || world.a.status().attempts > 0);
}

#[test]
fn a_name_that_cannot_be_resolved_is_tried_again() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| {
        a.remote = Remote::Hosts(vec!["no.such.host".into(), "10.0.0.2".into()]);
    });
    assert!(world.run_until(5 * SECOND, |w| w.is_up()), "the second host answers");
    let world = fail(|a, _| a.remote = Remote::Hosts(vec!["no.such.host".into()]));
    assert_diagnosis(first(&world.a), "unreachable", Refused::Nobody, &["no.such.host"]);
}

#[test]
fn who_corrects_a_mistake_is_not_shut_out_for_it() {
    let mut world = fail(|a, _| other_psk(a));
    for _ in 0..12 {
        world.command(Side::A, Command::Up("link".into())).unwrap();
        world.run_for(SECOND);
    }
    let (right, _) = connection_pair();
    world.configure(Side::A, vec![right]);
    assert!(world.run_until(5 * SECOND, |w| w.is_up()), "{:?}", world.disagreement());
}

/// §2.9: its policy is of single hosts, and "the requestor is expected to respond by requesting an SA for only the specific traffic it is
/// trying to forward" (§3.10.1): what that is only the configuration can say.
#[test]
fn a_peer_that_takes_one_pair_of_addresses_at_a_time() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, b) = connection_pair();
    a.remote = Remote::Hosts(vec!["10.0.0.66".to_owned()]);
    let ours = a.children[0].local.clone();
    world.configure(Side::A, vec![a]);
    let mut server = RogueServer::new(b, "10.0.0.66".parse().unwrap(), 1);
    server.serve_with(&mut world, &ours, |answer| {
        answer.retain(|p| !matches!(p, Payload::Sa(_) | Payload::TsInitiator(_) | Payload::TsResponder(_)));
        answer.push(Payload::Notify(Notify::new(NotifyType::SINGLE_PAIR_REQUIRED, [])));
    });
    let words = [
        "one pair of addresses at a time",
        "child `net` asks for more",
        "192.168.1.0/24",
        "Make a child of each pair of hosts",
    ];
    assert_diagnosis(first(&world.a), "peer_error", Refused::Peer, &words);
}
