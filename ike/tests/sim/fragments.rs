//! IKE messages in fragments (RFC 7383): over lines that carry no long packets, over bad ones, and from hostile peers.

use std::time::Duration;

use sekisho_ike::config::{Connection, Remote};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::sim::{Conditions, Rogue, RogueServer, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{EspSpi, ExchangeType, Notify, NotifyType, Payload};

use crate::{MINUTE, SECOND, patient, start_with, up_with};

const ROGUE: &str = "198.51.100.66:4500";

/// The longest IKE message of ours in clear text is `IKE_SA_INIT`, which cannot be cut.
const INIT_FITS: usize = 600;

fn sized(size: u16) -> impl Fn(&mut Connection, &mut Connection) {
    move |a, b| {
        for connection in [a, b] {
            connection.fragment_size = size;
        }
    }
}

fn dropped(world: &World, code: &str) -> u64 {
    world.b.endpoint.drops().into_iter().find(|(have, _)| *have == code).unwrap().1
}

#[test]
fn a_line_that_carries_no_long_packet_carries_a_tunnel() {
    for size in [150, 200, 300, 576] {
        let mut world = start_with(1, Conditions::GOOD, sized(size));
        world.link.mtu = INIT_FITS;
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{size}: {:?}", world.disagreement());
        // With IKE_SA_INIT behind us nothing needs more than it was told.
        world.link.mtu = size.into();
        for side in [Side::A, Side::B] {
            for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
                world.traffic = Some(Duration::from_millis(100));
                world.command(side, command).unwrap();
                world.run_for(20 * SECOND);
            }
        }
        assert_eq!(world.disagreement(), None, "{size}");
        assert_eq!((world.a.child_sas_made, world.a.ike_sas_made), (3, 3), "{size}");
        assert_eq!(world.link.too_long, 0, "{size}");
    }
}

/// Sixty networks on each side make `IKE_AUTH` 2 KB long. A line that carries packets of 1,280 bytes carries it by default,
/// and would not if it were not cut.
#[test]
fn a_line_of_1280_bytes_carries_long_messages() {
    let up = |size| {
        let mut world = start_with(1, Conditions::GOOD, |a, b| {
            sized(size)(a, b);
            for (connection, ours, theirs) in [(a, 1, 2), (b, 2, 1)] {
                let networks =
                    |side| (1..=60).map(|net| format!("10.{side}.{net}.0/24").parse().unwrap()).collect();
                connection.children[0].local = networks(ours);
                connection.children[0].remote = networks(theirs);
            }
        });
        world.link.mtu = 1280;
        let up = world.run_until(MINUTE, |w| w.is_up());
        (up, world.link.too_long > 0)
    };
    assert_eq!(up(connection(Side::A, true).fragment_size), (true, false));
    assert_eq!(up(3000), (false, true));
}

#[test]
fn what_fits_is_not_cut() {
    let mut world = start_with(1, Conditions::GOOD, sized(1280));
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent, 4);
}

#[test]
fn a_bad_line_carries_a_handshake_in_fragments() {
    run_seeds(1000, |seed| {
        let size = [160, 200, 300, 400][usize::try_from(seed % 4).unwrap()];
        let mut world = start_with(seed, Conditions::bad(0.2), |a, b| {
            patient(a, b);
            sized(size)(a, b);
        });
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn rekeys_in_fragments_lose_no_packet() {
    run_seeds(200, |seed| {
        let side = if seed % 2 == 0 { Side::A } else { Side::B };
        let conditions = if seed % 4 < 2 { Conditions::GOOD } else { Conditions::bad(0.15) };
        let mut world = up_with(seed, conditions, |a, b| {
            patient(a, b);
            sized(200)(a, b);
        });
        world.traffic = Some(Duration::from_millis(50));
        world.run_for(SECOND);
        let before = (world.a.child_sas_made, world.a.ike_sas_made);
        world.command(side, Command::RekeyChildren("link".into())).unwrap();
        world.run_for(20 * SECOND);
        world.command(side, Command::RekeyIke("link".into())).unwrap();
        world.run_for(MINUTE);
        world.traffic = None;
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
        assert_eq!((world.a.child_sas_made, world.a.ike_sas_made), (before.0 + 1, before.1 + 1), "once");
        assert_eq!((world.a.refused, world.b.refused), (0, 0));
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
    });
}

#[test]
fn each_fragment_may_be_lost_in_turn() {
    let mut whole = start_with(1, Conditions::GOOD, sized(160));
    assert!(whole.run_until(MINUTE, |w| w.is_up()), "{:?}", whole.disagreement());
    let datagrams = whole.link.sent;
    assert!(datagrams >= 8, "{datagrams}");
    for lost in 1..=datagrams {
        let mut world = World::new(lost, Conditions::GOOD);
        world.link.lose.insert(lost);
        let (mut a, mut b) = connection_pair();
        sized(160)(&mut a, &mut b);
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "datagram {lost}: {:?}", world.disagreement());
        assert_eq!(
            (world.a.ike_sas_made, world.b.ike_sas_made),
            (1, 1),
            "{lost}: sent again, not begun again"
        );
    }
}

/// B alone, and a rogue whose tunnel stands.
fn rogue(fragmentation: bool, size: u16) -> (World, Rogue) {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![Connection { fragment_size: size, ..connection(Side::B, false) }]);
    let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
    rogue.fragmentation = fragmentation;
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    assert_eq!(world.b.status().state, ConnectionState::Up);
    (world, rogue)
}

/// Something long that changes nothing and is answered.
fn long() -> Vec<Payload> {
    vec![Payload::Notify(Notify::new(NotifyType(40_960), vec![7; 500]))]
}

fn deliver_all(world: &mut World, rogue: &Rogue, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    datagrams.iter().flat_map(|datagram| rogue.deliver(world, datagram)).collect()
}

/// RFC 7383 §2.3: only if both ends said so.
#[test]
fn a_peer_that_did_not_say_so_is_sent_no_fragments_and_may_send_none() {
    let (mut world, mut rogue) = rogue(false, 150);
    let payloads = rogue.another_child(EspSpi(0x2000));
    let request = rogue.seal(0, ExchangeType::CREATE_CHILD_SA, &payloads);
    let answers = rogue.deliver(&mut world, &request);
    assert_eq!(answers.len(), 1, "the answer is whole");
    assert!(answers[0].len() > 200);
    let fragments = rogue.seal_fragments(0, ExchangeType::INFORMATIONAL, &long(), 200);
    assert!(deliver_all(&mut world, &rogue, &fragments).is_empty());
    assert_eq!(dropped(&world, "ike_unexpected_exchange"), u64::try_from(fragments.len()).unwrap());
}

/// RFC 7383 §2.6.1: a request that comes again is answered once, when its first fragment comes; and with the same bytes
/// (RFC 7296 §2.1).
#[test]
fn a_repeated_request_is_answered_once_for_all_its_fragments() {
    let (mut world, mut rogue) = rogue(true, 150);
    let payloads = rogue.another_child(EspSpi(0x2000));
    let request = rogue.seal_fragments(0, ExchangeType::CREATE_CHILD_SA, &payloads, 120);
    assert!(request.len() >= 3, "{} datagrams", request.len());
    let made = world.b.child_sas_made;
    let answer = deliver_all(&mut world, &rogue, &request);
    assert!(answer.len() >= 3, "{} datagrams", answer.len());
    assert_eq!(world.b.child_sas_made, made + 1);
    for turn in 0..request.len() {
        let mut again = request.clone();
        again.rotate_left(turn);
        assert_eq!(deliver_all(&mut world, &rogue, &again), answer);
    }
    assert_eq!(world.b.child_sas_made, made + 1, "asked once");
    let later = u64::try_from((request.len() - 1) * request.len()).unwrap();
    assert_eq!(dropped(&world, "ike_fragment_repeated"), later);
    assert!(
        rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]).is_some(),
        "the window has moved by one"
    );
}

/// RFC 7383 §2.5.2: an initiator that gets no answer may cut its request into smaller pieces.
#[test]
fn a_request_may_be_cut_anew_before_and_after_it_was_answered() {
    let (mut world, mut rogue) = rogue(true, 1280);
    let header = |bytes: &[u8]| sekisho_ike::wire::Datagram::parse(bytes).unwrap().header.message_id;
    for _ in 0..2 {
        let [large, small] = [300, 200].map(|most| {
            let fragments = rogue.seal_fragments(0, ExchangeType::INFORMATIONAL, &long(), most);
            rogue.go_back(0);
            fragments
        });
        rogue.skip(0);
        let (last, others) = large.split_last().unwrap();
        assert!(deliver_all(&mut world, &rogue, others).is_empty());
        let answer = deliver_all(&mut world, &rogue, &small);
        assert!(rogue.read(0, header(&small[0]), &answer).is_some());
        assert!(
            rogue.deliver(&mut world, last).is_empty(),
            "a later fragment of a request that was answered"
        );
        assert_eq!(rogue.deliver(&mut world, &large[0]), answer, "genuine, and the first");
        let mut forged = large[0].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(rogue.deliver(&mut world, &forged).is_empty());
    }
    assert_eq!(dropped(&world, "ike_forged"), 2);
}

#[test]
fn forged_and_impossible_fragments_are_dropped_and_counted() {
    let (mut world, mut rogue) = rogue(true, 1280);
    let good = rogue.seal_fragments(0, ExchangeType::INFORMATIONAL, &long(), 200);
    rogue.go_back(0);
    assert!(rogue.deliver(&mut world, &good[0]).is_empty());
    let kind = ExchangeType::INFORMATIONAL;
    for (numbers, code) in [
        ([0, 3], "ike_malformed"),
        ([5, 3], "ike_malformed"),
        ([1, 0], "ike_malformed"),
        ([1, 65], "ike_fragment_limit"),
        ([u16::MAX, u16::MAX], "ike_fragment_limit"),
        ([1, 1], "ike_fragment_repeated"),
        ([1, u16::try_from(good.len()).unwrap()], "ike_fragment_repeated"),
    ] {
        let before = dropped(&world, code);
        let fragment = rogue.fragment(0, kind, numbers, b"overlapping");
        assert!(rogue.deliver(&mut world, &fragment).is_empty());
        assert_eq!(dropped(&world, code), before + 1, "{numbers:?}");
    }
    // A stranger knows the SPIs, and nothing else.
    for position in 28..good[1].len() {
        let mut forged = good[1].clone();
        forged[position] ^= 0x10;
        assert!(rogue.deliver(&mut world, &forged).is_empty());
    }
    rogue.skip(0);
    assert!(!deliver_all(&mut world, &rogue, &good[1..]).is_empty(), "none of that was in the way");
}

/// Rule 8: whatever a peer sends, what is held of it is bounded; and its next whole message is heard.
#[test]
fn a_flood_of_incomplete_messages_is_bounded() {
    let (mut world, mut rogue) = rogue(true, 1280);
    let kind = ExchangeType::INFORMATIONAL;
    for round in 0..20 {
        for number in 1..=63 {
            let fragment = rogue.fragment(0, kind, [number, 64], &[7; 1_200]);
            assert!(rogue.deliver(&mut world, &fragment).is_empty());
        }
        assert!(dropped(&world, "ike_fragment_limit") > 0, "64 KiB are not exceeded");
        assert!(dropped(&world, "ike_fragment_repeated") >= round * 50);
    }
    // Of messages that are not the next one nothing is kept at all.
    rogue.skip(0);
    let before = dropped(&world, "ike_outside_window");
    for number in 1..=10 {
        let fragment = rogue.fragment(0, kind, [number, 64], &[7; 1_200]);
        assert!(rogue.deliver(&mut world, &fragment).is_empty());
    }
    assert_eq!(dropped(&world, "ike_outside_window"), before + 10);
    rogue.go_back(0);
    assert!(rogue.ask(&mut world, 0, kind, &long()).is_some());
    assert_eq!(world.b.status().state, ConnectionState::Up);
}

/// A message whose fragments are all genuine and that is malformed as a whole is answered like any other.
#[test]
fn a_malformed_message_in_fragments_is_refused_by_name() {
    let (mut world, mut rogue) = rogue(true, 1280);
    let kind = ExchangeType::CREATE_CHILD_SA;
    let first = rogue.fragment(0, kind, [1, 2], &[0, 0, 0, 200]);
    assert!(rogue.deliver(&mut world, &first).is_empty());
    let second = rogue.fragment(0, kind, [2, 2], &[9; 10]);
    let answer = rogue.deliver(&mut world, &second);
    let message_id = sekisho_ike::wire::Datagram::parse(&second).unwrap().header.message_id;
    let payloads = rogue.read(0, message_id, &answer).unwrap();
    assert!(
        matches!(&payloads[..], [Payload::Notify(n)] if n.kind == NotifyType::INVALID_SYNTAX),
        "{payloads:?}"
    );
}

/// An SA that its initiator has not proved anything for gathers one message as well, and goes when its time is up.
#[test]
fn a_half_open_sa_gathers_its_proof_and_nothing_is_left_of_one_that_never_comes() {
    let mut world = start_with(1, Conditions::GOOD, sized(160));
    // All of IKE_AUTH but its last fragment.
    let mut whole = start_with(1, Conditions::GOOD, sized(160));
    assert!(whole.run_until(MINUTE, |w| w.is_up()));
    world.link.lose.extend(5..100_000);
    world.run_for(10 * MINUTE);
    assert!(world.b.status().into_tunnel().is_none());
    world.link.lose.clear();
    assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

/// More fragments, and more bytes, than are gathered.
const TOO_LARGE: [(u16, usize); 2] = [(65, 20), (64, 1_100)];

/// An enormous chain of certificates: its sender is told at once and the operator too, and not that fragments are lost.
#[test]
fn a_proof_that_is_too_large_is_refused_by_name() {
    for (total, length) in TOO_LARGE {
        let mut world = World::new(1, Conditions::GOOD);
        world.configure(Side::B, vec![connection(Side::B, false)]);
        let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
        rogue.fragmentation = true;
        assert!(rogue.half_open(&mut world));
        let kind = ExchangeType::IKE_AUTH;
        let pieces: Vec<_> =
            (1..=total).map(|number| rogue.fragment(0, kind, [number, total], &vec![7; length])).collect();
        // A stranger cannot say so.
        let mut forged = pieces[0].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(rogue.deliver(&mut world, &forged).is_empty());
        assert_eq!(world.b.failures, []);

        let answers = deliver_all(&mut world, &rogue, &pieces);
        let payloads = rogue.read(0, 1, &answers).expect("an answer");
        let [Payload::Notify(notify)] = &payloads[..] else { panic!("{payloads:?}") };
        assert_eq!(notify.kind, NotifyType::AUTHENTICATION_FAILED);
        let again = rogue.deliver(&mut world, &pieces[0]);
        assert_eq!(rogue.read(0, 1, &again).as_ref(), Some(&payloads), "and when it asks again");
        world.run_for(2 * MINUTE);
        let [told] = &world.b.failures[..] else { panic!("{:?}", world.b.failures) };
        assert_eq!(told.kind, DiagnosisKind::CertificateTooLarge, "{told}");
    }
}

#[test]
fn an_answer_that_is_too_large_is_refused_by_name() {
    for (total, length) in TOO_LARGE {
        let (mut a, b) = connection_pair();
        a.remote = Remote::Hosts(vec!["10.0.0.66".to_owned()]);
        let mut world = World::new(1, Conditions::GOOD);
        world.configure(Side::A, vec![a]);
        let mut server = RogueServer::new(b, "10.0.0.66".parse().unwrap(), 1);
        server.fragmentation = true;
        let said = server.serve_fragments(&mut world, (1..=total).map(|number| [number, total]), length);
        let refused =
            |p: &Payload| matches!(p, Payload::Notify(n) if n.kind == NotifyType::AUTHENTICATION_FAILED);
        assert!(said.iter().flatten().any(refused), "{said:?}");
        let told = world.a.failures.first().expect("a failure");
        assert_eq!(told.kind, DiagnosisKind::CertificateTooLarge, "{told}");
    }
}
