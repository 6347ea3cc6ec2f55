//! A peer that has the right key, or none, and does what no honest one does.

use std::net::SocketAddr;

use sekisho_ike::Secret;
use sekisho_ike::config::{LocalAuth, RemoteAuth};
use sekisho_ike::event::{Command, ConnectionState, EndReason};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::{Delete, EspSpi, ExchangeType, Notify, NotifyType, Payload, PayloadType, Proposal};

use crate::{HOUR, MINUTE, SECOND, up_with};

const ROGUE: &str = "198.51.100.66:4500";

/// B alone, and a rogue whose tunnel stands.
fn rogue() -> (World, Rogue) {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    assert_eq!(world.b.status().state, ConnectionState::Up);
    (world, rogue)
}

fn malformed() -> Vec<Payload> {
    vec![Payload::Nonce(vec![0; 4])]
}

/// A tunnel that has ended leaves nothing behind, and wakes nobody any more.
fn assert_gone(world: &mut World) {
    world.run_for(10 * MINUTE);
    assert!(world.b.status().into_tunnel().is_none());
    assert_eq!((world.b.installed.len(), world.b.spis_in_use()), (0, 0));
    assert_eq!(world.b.endpoint.poll_timeout(), None, "nothing is waited for");
}

/// The answer that a good peer gives to our request for a Child SA: the first of everything, and another nonce.
fn choice_of(request: &[Payload]) -> Vec<Payload> {
    let mut answer: Vec<_> = request.iter().filter(|p| p.kind() != PayloadType::NOTIFY).cloned().collect();
    alter_sa(&mut answer, |proposals| {
        proposals.truncate(1);
        let mut kinds = vec![];
        proposals[0].transforms.retain(|t| {
            kinds.push(t.kind);
            kinds.iter().filter(|k| **k == t.kind).count() == 1
        });
    });
    replace(&mut answer, &Payload::Nonce(vec![9; 32]));
    answer
}

fn alter_sa(payloads: &mut [Payload], alter: impl FnOnce(&mut Vec<Proposal>)) {
    let proposals = payloads.iter_mut().find_map(|p| match p {
        Payload::Sa(proposals) => Some(proposals),
        _ => None,
    });
    alter(proposals.unwrap());
}

fn set_spi(payloads: &mut [Payload], spi: &[u8]) {
    alter_sa(payloads, |proposals| proposals[0].spi = spi.to_vec());
}

/// Puts this payload in the place of the one of its type.
fn replace(payloads: &mut [Payload], new: &Payload) {
    *payloads.iter_mut().find(|p| p.kind() == new.kind()).unwrap() = new.clone();
}

fn nonce_of(payloads: &[Payload]) -> Payload {
    payloads.iter().find(|p| p.kind() == PayloadType::NONCE).unwrap().clone()
}

#[test]
fn a_malformed_message_on_a_replaced_ike_sa_ends_the_whole_tunnel() {
    let (mut world, mut rogue) = rogue();
    let new = rogue.rekey_ike(&mut world, 0);
    assert!(rogue.ask(&mut world, new, ExchangeType::INFORMATIONAL, &[]).is_some());
    let answer = rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &malformed()).unwrap();
    assert!(matches!(&answer[..], [Payload::Notify(n)] if n.kind == NotifyType::INVALID_SYNTAX));
    assert_gone(&mut world);
    assert!(rogue.ask(&mut world, new, ExchangeType::INFORMATIONAL, &[]).is_none(), "the newer one too");
}

#[test]
fn an_ike_sa_that_expires_while_it_waits_for_its_end_wakes_nobody() {
    let mut world = World::new(1, Conditions::GOOD);
    let mut b = connection(Side::B, false);
    b.lifetime = MINUTE;
    world.configure(Side::B, vec![b]);
    let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
    assert!(rogue.connect(&mut world, EspSpi(0x1000)));
    // Replaced, and never deleted: B waits longer for that than the old one may live.
    let mut sa = 0;
    for _ in 0..20 {
        sa = rogue.rekey_ike(&mut world, sa);
        for _ in 0..4 {
            assert!(rogue.ask(&mut world, sa, ExchangeType::INFORMATIONAL, &[]).is_some());
            world.run_for(9 * SECOND);
        }
    }
    assert_eq!(world.b.status().state, ConnectionState::Up);
}

/// A and B, whose rekeys are always refused, for they do not agree on perfect forward secrecy.
#[test]
fn a_peer_that_refuses_every_rekey_does_not_keep_old_keys_alive() {
    let mut world = up_with(1, Conditions::GOOD, |a, b| {
        a.children[0].lifetime.time = 10 * MINUTE;
        b.children[0].lifetime.time = 1000 * HOUR;
        b.children[0].proposals = vec!["aes256gcm16".parse().unwrap()];
    });
    let first = world.a.status().into_tunnel().unwrap().children[0].id;
    world.run_for(20 * MINUTE);
    let ids: Vec<_> = world.a.status().into_tunnel().unwrap().children.iter().map(|c| c.id).collect();
    assert!(!ids.contains(&first), "its hard lifetime ended");
    // Nothing but IKE_AUTH makes a Child SA with this peer: so the tunnel is set up anew.
    assert_eq!(world.a.ended, [EndReason::Expired]);
    assert_eq!(world.a.status().state, ConnectionState::Up);
}

#[test]
fn refused_peers_at_one_address_leave_room_for_others() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let mut wrong = connection(Side::A, true);
    let psk = || Secret::new(b"not the same at all".to_vec());
    wrong.local_auth = LocalAuth::Psk(psk());
    wrong.remote_auth = RemoteAuth::Psk(psk());
    for number in 0..100u16 {
        let from = SocketAddr::from(([198, 51, 100, 66], 1000 + number));
        let mut rogue = Rogue::new(wrong.clone(), from, number.into());
        assert!(!rogue.connect(&mut world, EspSpi(0x1000)));
    }
    let sent = world.link.sent;
    let (a, _) = connection_pair();
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent - sent, 4, "an honest peer elsewhere needs no cookie");
}

#[test]
fn an_unknown_critical_payload_is_named_and_ends_nothing() {
    let (mut world, mut rogue) = rogue();
    // Type 200, critical, four bytes long.
    for exchange in [ExchangeType::INFORMATIONAL, ExchangeType::CREATE_CHILD_SA] {
        let request = rogue.seal_raw(0, exchange, PayloadType(200), &[0, 0x80, 0, 4]);
        let answer = rogue.ask_sealed(&mut world, 0, &request).unwrap();
        let expected = Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [200]);
        assert_eq!(answer, [Payload::Notify(expected)]);
    }
    assert_eq!(world.b.status().state, ConnectionState::Up);
    assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]).is_some_and(|p| p.is_empty()));
}

#[test]
fn the_end_of_a_second_child_sa_gives_the_first_its_traffic_back() {
    let (mut world, mut rogue) = rogue();
    let first = world.b.sending.clone();
    let another = rogue.another_child(EspSpi(0x2000));
    assert!(rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &another).is_some());
    assert_ne!(world.b.sending, first, "the newer one is sent on");
    let delete = [Payload::Delete(Delete::Esp(vec![EspSpi(0x2000)]))];
    assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &delete).is_some());
    assert_eq!(world.b.sending, first, "and then the one that is left");
}

/// Rule 10: the answer names none of them.
#[test]
fn deletes_of_what_is_not_there_change_nothing() {
    let (mut world, mut rogue) = rogue();
    let spis = vec![EspSpi(0), EspSpi(1), EspSpi(0x9999), EspSpi(u32::MAX), EspSpi(0x9999)];
    let ours = world.b.status().into_tunnel().unwrap().children[0].spi_in;
    let delete = [Payload::Delete(Delete::Esp(spis)), Payload::Delete(Delete::Esp(vec![ours]))];
    let answer = rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &delete).unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    assert_eq!(world.b.installed.len(), 1, "our own SPI is not the peer's to delete");
}

#[test]
fn child_sas_and_ike_sas_of_a_peer_are_bounded() {
    let (mut world, mut rogue) = rogue();
    for number in 0..110 {
        let another = rogue.another_child(EspSpi(0x2000 + number));
        rogue.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &another).unwrap();
        world.run_for(SECOND);
    }
    assert_eq!(world.b.installed.len(), 64);
    // Replaced again and again, and none deleted.
    let (mut sa, mut made) = (0, 1);
    let refused = loop {
        match rogue.try_rekey_ike(&mut world, sa) {
            Ok(new) => (sa, made) = (new, made + 1),
            Err(kind) => break kind,
        }
        world.run_for(SECOND);
    };
    assert_eq!((made, refused), (8, NotifyType::NO_ADDITIONAL_SAS));
    rogue.ask(&mut world, sa, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]).unwrap();
    assert_gone(&mut world);
}

fn drops(world: &World, code: &str) -> u64 {
    world.b.endpoint.drops().into_iter().find(|(have, _)| *have == code).expect(code).1
}

/// Each asks for a key exchange of ours.
#[test]
fn a_peer_that_makes_and_deletes_child_sas_without_end_is_refused_until_its_minute_is_over() {
    let (mut world, mut rogue) = rogue();
    let ask = |world: &mut World, rogue: &mut Rogue, number: u32| {
        let spi = EspSpi(0x2000 + number);
        let another = rogue.another_child(spi);
        let answer = rogue.ask(world, 0, ExchangeType::CREATE_CHILD_SA, &another).unwrap();
        let delete = [Payload::Delete(Delete::Esp(vec![spi]))];
        rogue.ask(world, 0, ExchangeType::INFORMATIONAL, &delete).unwrap();
        world.run_for(SECOND * 2 / 5);
        answer
    };
    let (computed, refusal) = (world.b.desk.count, Notify::new(NotifyType::NO_ADDITIONAL_SAS, []));
    for number in 0..130 {
        let answer = ask(&mut world, &mut rogue, number);
        assert_eq!(answer == [Payload::Notify(refusal.clone())], number >= 120, "{number}: {answer:?}");
    }
    assert_eq!((world.b.child_sas_made, world.b.desk.count - computed), (1 + 120, 120));
    for _ in 0..60 {
        // It shows that it lives.
        assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]).is_some());
        world.run_for(SECOND);
    }
    assert!(ask(&mut world, &mut rogue, 130).len() > 1, "and then it may again");
    assert_eq!(world.b.status().state, ConnectionState::Up);
}

/// What asks for nothing costs us an opening and a sealing all the same.
#[test]
fn a_peer_that_asks_for_nothing_without_end_is_not_answered_without_end() {
    let (mut world, mut rogue) = rogue();
    let mut ask = |world: &mut World| rogue.ask(world, 0, ExchangeType::INFORMATIONAL, &[]).is_some();
    let answered = (0..1_100).take_while(|_| ask(&mut world)).count();
    assert_eq!(answered, 1_000);
    assert_eq!(drops(&world, "ike_too_many_requests"), 1);
    rogue.go_back(0);
    world.run_for(10 * SECOND);
    assert!(rogue.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[]).is_some(), "the one that was dropped");
    assert_eq!(world.b.status().state, ConnectionState::Up);
}

#[test]
fn one_address_opens_eight_and_another_the_next() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let open = |world: &mut World, host: u8, port: u16| {
        let from = SocketAddr::from(([198, 51, 100, host], port));
        Rogue::new(connection(Side::A, true), from, u64::from(port) + u64::from(host)).half_open(world)
    };
    let opened: Vec<bool> = (1000..1010).map(|port| open(&mut world, 66, port)).collect();
    assert_eq!(opened.iter().position(|opened| !opened), Some(8));
    assert_eq!(drops(&world, "ike_half_open_limit"), 2);
    assert!(open(&mut world, 67, 1000));
}

#[test]
fn a_delete_that_is_answered_with_nonsense_is_answered() {
    let (mut world, mut rogue) = rogue();
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.run_for(SECOND / 10);
    let delete = rogue.requests(&mut world, 0).remove(0);
    let next = rogue.answer(&mut world, 0, &delete, &malformed());
    assert!(next.is_empty(), "and not sent again");
    assert_gone(&mut world);
}

/// What a rogue makes of a right answer; it may look at our request.
type Twist<'a> = Box<dyn Fn(&mut Vec<Payload>, &[Payload]) + 'a>;

#[test]
fn a_wrong_answer_to_a_rekey_installs_nothing() {
    let wide = Payload::TsInitiator(vec!["0.0.0.0/0".parse::<TrafficSelector>().unwrap().to_wire()]);
    let none = Payload::TsResponder(vec![]);
    let short = Payload::KeyExchange { group: 31, data: vec![9; 31] };
    let zero = Payload::KeyExchange { group: 31, data: vec![0; 32] };
    let other = Payload::KeyExchange { group: 19, data: vec![9; 64] };
    let twists: [(&str, Twist<'_>); 12] = [
        ("nothing", Box::new(|p, _| p.clear())),
        ("selectors wider than ours", Box::new(|p, _| replace(p, &wide))),
        ("no selectors", Box::new(|p, _| replace(p, &none))),
        ("no key exchange", Box::new(|p, _| p.retain(|p| p.kind() != PayloadType::KE))),
        ("a short public value", Box::new(|p, _| replace(p, &short))),
        ("a public value of small order", Box::new(|p, _| replace(p, &zero))),
        ("another group", Box::new(|p, _| replace(p, &other))),
        ("a reserved SPI", Box::new(|p, _| set_spi(p, &[0, 0, 0, 7]))),
        ("an SPI of the wrong length", Box::new(|p, _| set_spi(p, &[1, 2, 3]))),
        ("two proposals", Box::new(|p, _| alter_sa(p, |sa| sa.push(sa[0].clone())))),
        ("another proposal's number", Box::new(|p, _| alter_sa(p, |sa| sa[0].number = 2))),
        ("our own nonce", Box::new(|p, ours| replace(p, &nonce_of(ours)))),
    ];
    for (what, twist) in twists {
        let (mut world, mut rogue) = rogue();
        world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
        world.run_for(SECOND / 10);
        let request = rogue.requests(&mut world, 0).remove(0);
        let mut answer = choice_of(&request.payloads);
        twist(&mut answer, &request.payloads);
        let made = world.b.child_sas_made;
        rogue.answer(&mut world, 0, &request, &answer);
        assert_eq!(world.b.child_sas_made, made, "{what}");
        assert_eq!(world.b.ended.len(), 1, "{what}: the tunnel has ended");
        assert_gone(&mut world);
    }
}

#[test]
fn a_right_answer_to_a_rekey_installs_one_child_sa_and_its_repetition_none() {
    let (mut world, mut rogue) = rogue();
    world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
    world.run_for(SECOND / 10);
    let request = rogue.requests(&mut world, 0).remove(0);
    let answer = choice_of(&request.payloads);
    for _ in 0..3 {
        rogue.answer(&mut world, 0, &request, &answer);
        assert_eq!(world.b.child_sas_made, 2);
    }
}

#[test]
fn an_ike_sa_whose_rekeys_are_refused_comes_to_its_end() {
    for refusal in
        [NotifyType::NO_ADDITIONAL_SAS, NotifyType::TEMPORARY_FAILURE, NotifyType::INVALID_KE_PAYLOAD]
    {
        let mut world = World::new(1, Conditions::GOOD);
        let mut b = connection(Side::B, false);
        b.lifetime = 10 * MINUTE;
        world.configure(Side::B, vec![b]);
        let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
        assert!(rogue.connect(&mut world, EspSpi(0x1000)));
        for _ in 0..120 * 20 {
            world.run_for(SECOND / 2);
            for request in rogue.requests(&mut world, 0) {
                let answer = match request.exchange {
                    ExchangeType::CREATE_CHILD_SA => vec![Payload::Notify(Notify::new(refusal, [0, 31]))],
                    _ => vec![],
                };
                rogue.answer(&mut world, 0, &request, &answer);
            }
        }
        assert_eq!(world.b.ended.len(), 1, "{refusal}");
        assert_gone(&mut world);
    }
}

#[test]
fn a_replayed_message_does_not_move_the_path() {
    let (mut world, mut rogue) = rogue();
    let there = |w: &World| w.b.outbound().unwrap().path.remote.to_string();
    assert_eq!(there(&world), ROGUE);
    let probe = rogue.seal(0, ExchangeType::INFORMATIONAL, &[]);
    assert_eq!(rogue.deliver(&mut world, &probe).len(), 1);
    rogue.move_to("203.0.113.1:4500".parse().unwrap());
    assert_eq!(rogue.deliver(&mut world, &probe).len(), 1, "answered once more, bit for bit");
    assert_eq!(there(&world), ROGUE, "but nobody is followed");
    let forged = [&probe[..probe.len() - 1], &[0]].concat();
    assert!(rogue.deliver(&mut world, &forged).is_empty());
    assert_eq!(there(&world), ROGUE);
    let fresh = rogue.seal(0, ExchangeType::INFORMATIONAL, &[]);
    rogue.deliver(&mut world, &fresh);
    assert_eq!(there(&world), "203.0.113.1:4500", "a new authentic message is");
    rogue.move_to(ROGUE.parse().unwrap());
    assert!(rogue.deliver(&mut world, &probe).is_empty(), "an older one is not even answered");
    assert_eq!(there(&world), "203.0.113.1:4500");
}

/// Rule 14: whoever forges an address needs no cookie for the first few half-open SAs, and must not have each repetition answered.
#[test]
fn a_first_message_is_not_answered_without_end() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
    let [first, other] = rogue.first_messages();
    let answered = (0..1000).filter(|_| !rogue.deliver(&mut world, &first).is_empty()).count();
    assert_eq!(answered, 17);
    assert_eq!(rogue.deliver(&mut world, &other).len(), 1, "another beginning has its own");
}

#[test]
fn a_first_message_is_known_by_all_its_bytes() {
    let mut world = World::new(1, Conditions::GOOD);
    world.configure(Side::B, vec![connection(Side::B, false)]);
    let mut rogue = Rogue::new(connection(Side::A, true), ROGUE.parse().unwrap(), 1);
    let [first, other] = rogue.first_messages();
    let answer = rogue.deliver(&mut world, &first);
    assert_eq!(answer.len(), 1);
    assert_eq!(rogue.deliver(&mut world, &first), answer, "the same again");
    // Somebody else behind the same NAT, or the same peer after an INVALID_KE_PAYLOAD that was not from us.
    let another = rogue.deliver(&mut world, &other);
    assert_eq!(another.len(), 1, "another message is another beginning");
    assert_ne!(another[0][8..16], answer[0][8..16]);
    assert_eq!(rogue.deliver(&mut world, &first), answer);
}
