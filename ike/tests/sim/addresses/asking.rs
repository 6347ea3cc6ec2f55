//! What a peer that asks for an address is told, whatever it asks, and what becomes of one that does not.

use sekisho_ike::config::{InternalAddress, Remote};
use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::{
    Attribute, AttributeType, ChildSpi, ConfigurationType, Delete, EspSpi, ExchangeType, Notify, NotifyType,
    Payload,
};

use super::{BOTH, configuration, given, only, other, pool, refused, request, roam, rogue, start, ts, used};
use crate::{MINUTE, SECOND};

#[test]
fn the_last_address_is_refused_and_comes_free() {
    let mut world = start(1, Conditions::GOOD, &["10.9.0.7"], |_, _| {});
    let (theirs, ours) = other("c");
    let (mut a, mut b) = connection_pair();
    roam(&mut a, &mut b);
    world.configure(Side::B, vec![b, ours]);
    assert!(world.run_until(MINUTE, |w| w.a.installed.len() == 1), "IPv4 alone is what there is");
    assert_eq!(only(&mut world, Side::A).selectors[0], [ts("10.9.0.7")]);
    // The pool has none left for another.
    let mut second = rogue(2, theirs);
    second.besides = vec![request(vec![Attribute::Ip4Address(None), Attribute::Ip6Address(None)])];
    second.connect(&mut world, EspSpi(0x1002));
    assert_eq!(refused(&second.answered), Some(NotifyType::INTERNAL_ADDRESS_FAILURE));
    assert_eq!(given(&second.answered), None);
    let diagnosis = world.b.failures.last().expect("a diagnosis").clone();
    assert_eq!(diagnosis.kind.code(), "pool_exhausted", "{diagnosis}");
    assert!(
        diagnosis.to_string().contains("c.example") && diagnosis.to_string().contains("1 of 1 IPv4"),
        "{diagnosis}"
    );
    assert_eq!(world.b.endpoint.pools()[0].refused, 1);
    let counted = world.b.endpoint.drops().into_iter().find(|(code, _)| *code == "ike_pool_exhausted");
    assert_eq!(counted, Some(("ike_pool_exhausted", 1)));
    // "The IKE SA is still created": on it the peer may ask again, once there is one.
    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(SECOND);
    let ask = [request(vec![Attribute::Ip4Address(None)])];
    let answer = second.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &ask).expect("an answer");
    assert_eq!(given(&answer), Some(vec![Attribute::Ip4Address(Some([10, 9, 0, 7].into()))]));
    let payloads = second.another_child(EspSpi(0x1003));
    let answer = second.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &payloads).expect("an answer");
    assert_eq!(refused(&answer), None);
    assert_eq!(only(&mut world, Side::B).selectors[1], [ts("10.9.0.7")], "and no more than that");
}

/// Whether the pool has none of the family, or there is no pool.
#[test]
fn who_asks_without_end_is_not_heard_any_more() {
    for has_pool in [true, false] {
        let mut world = World::new(1, Conditions::GOOD);
        let (theirs, mut ours) = other("c");
        world.command(Side::B, Command::ConfigurePools(vec![pool(&["2001:db8:9::/64"])])).unwrap();
        if !has_pool {
            ours.pools.clear();
            ours.children[0].remote = vec![ts("192.168.1.0/24")];
        }
        world.configure(Side::B, vec![ours]);
        let mut peer = rogue(7, theirs);
        peer.connect(&mut world, EspSpi(0x1007));
        let before = world.b.failures.len();
        let ask = [request(vec![Attribute::Ip4Address(None)])];
        let answers = (0..150).map(|_| peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &ask));
        let answers: Vec<_> = answers.map(|answer| refused(&answer.expect("an answer"))).collect();
        let refused = Some(NotifyType::INTERNAL_ADDRESS_FAILURE);
        let told = answers.iter().filter(|answer| **answer == refused).count();
        assert_eq!((told, answers.last()), (120, Some(&Some(NotifyType::TEMPORARY_FAILURE))));
        assert_eq!(world.b.failures.len() - before, 120, "what is not judged is not recorded");
    }
}

#[test]
fn our_own_client_says_that_it_got_none_and_comes_again_later() {
    let mut world = start(1, Conditions::GOOD, &["10.9.0.7"], |a, _| {
        a.internal_address = InternalAddress { ipv4: false, ipv6: true };
    });
    world.run_for(5 * MINUTE);
    let diagnosis = world.a.failures.first().expect("a diagnosis");
    assert_eq!(diagnosis.kind.code(), "address_refused", "{diagnosis}");
    assert_eq!(world.a.status().state, ConnectionState::BackOff);
    assert!((4..=12).contains(&world.a.failures.len()), "{} tries in five minutes", world.a.failures.len());
    assert!(world.b.status().tunnels.is_empty(), "nothing is left behind at the other end");
    let there = world.b.status().last_failure.expect("a diagnosis").1;
    assert_eq!(there.kind.code(), "pool_exhausted", "{there}");
    assert_eq!((world.b.spis_in_use(), used(&world)), (0, 0));
    world.command(Side::B, Command::ConfigurePools(vec![pool(&BOTH)])).unwrap();
    assert!(
        world.run_until(2 * MINUTE, |w| w.a.installed.len() == 1),
        "once there is one, it comes up by itself"
    );
}

/// §3.15.4: where there is no pool "no addresses can be assigned", and both ends are told so.
#[test]
fn who_asks_where_there_is_no_pool_is_told_that_it_gets_none() {
    let mut world = start(1, Conditions::GOOD, &BOTH, |_, b| {
        b.pools.clear();
        b.children[0].remote = vec![ts("192.168.1.0/24")];
    });
    world.run_for(SECOND);
    let [here, there] = [&world.a, &world.b].map(|host| host.failures.first().expect("a diagnosis").clone());
    assert_eq!((here.kind.code(), there.kind.code()), ("address_refused", "no_pool"), "{here}\n{there}");
    assert!(here.summary.contains("INTERNAL_ADDRESS_FAILURE") && here.advice.contains("no pool"), "{here}");
    assert!(there.summary.contains("tunnel `link` has no pool"), "{there}");
    let last = world.b.status().last_failure.expect("it stays").1;
    assert_eq!(last.kind.code(), "no_pool", "that the peer then deletes the IKE SA says nothing new: {last}");
    assert!(world.a.child_sas_made == 0 && world.b.child_sas_made == 0);
    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(SECOND);
    assert_eq!((world.a.spis_in_use(), world.b.spis_in_use()), (0, 0), "nothing is left behind");
}

/// A host that has no pool, and a peer that will ask it for this.
fn without_pool(asks: Attribute) -> (World, Rogue) {
    let mut world = World::new(1, Conditions::GOOD);
    let (theirs, mut ours) = other("c");
    ours.pools.clear();
    ours.children[0].remote = vec![ts("192.168.1.0/24")];
    world.configure(Side::B, vec![ours]);
    let mut peer = rogue(9, theirs);
    peer.besides = vec![request(vec![asks])];
    (world, peer)
}

#[test]
fn who_asks_for_name_servers_alone_has_its_tunnel_without() {
    let (mut world, mut peer) = without_pool(Attribute::Ip4Dns(None));
    assert!(peer.connect(&mut world, EspSpi(0x1009)));
    assert_eq!((refused(&peer.answered), given(&peer.answered)), (None, Some(vec![])));
    assert_eq!(world.b.installed.len(), 1);
    // An address is refused later too, and what stands goes on.
    let ask = request(vec![Attribute::Ip4Address(None)]);
    let mut another = peer.another_child(EspSpi(0x100a));
    another.insert(0, ask.clone());
    for (exchange, payloads) in
        [(ExchangeType::INFORMATIONAL, vec![ask]), (ExchangeType::CREATE_CHILD_SA, another)]
    {
        let answer = peer.ask(&mut world, 0, exchange, &payloads).expect("an answer");
        let told = (refused(&answer), given(&answer));
        assert_eq!(told, (Some(NotifyType::INTERNAL_ADDRESS_FAILURE), None), "{exchange}");
    }
    assert_eq!((world.b.installed.len(), world.b.ended.len()), (1, 0));
    // What has none is rekeyed without.
    let mut rekey = peer.another_child(EspSpi(0x100b));
    rekey.splice(0..0, [rekeys(EspSpi(0x1009)), request(vec![Attribute::Ip4Address(None)])]);
    let answer = peer.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &rekey).expect("an answer");
    assert_eq!((refused(&answer), given(&answer), world.b.installed.len()), (None, None, 2));
}

fn rekeys(old: EspSpi) -> Payload {
    Payload::Notify(Notify::about(NotifyType::REKEY_SA, ChildSpi::Esp(old)))
}

/// What is wrong with the first Child SA says nothing of a peer that has got another since.
#[test]
fn why_a_peer_goes_is_told_also_of_one_that_was_refused_an_address_once() {
    let (mut world, mut peer) = without_pool(Attribute::Ip4Address(None));
    peer.connect(&mut world, EspSpi(0x1009));
    assert_eq!(refused(&peer.answered), Some(NotifyType::INTERNAL_ADDRESS_FAILURE));
    let payloads = peer.another_child(EspSpi(0x100a));
    peer.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &payloads).expect("an answer");
    assert_eq!(world.b.installed.len(), 1);
    world.run_for(5 * SECOND);
    let delete_child = Payload::Delete(Delete::Esp(vec![EspSpi(0x100a)]));
    peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[delete_child]).expect("an answer");
    assert_eq!(world.b.installed.len(), 0);
    peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]).expect("an answer");
    let status = world.b.endpoint.status().pop().expect("configured");
    assert_eq!(status.last_failure.expect("a diagnosis").1.kind.code(), "deleted_by_peer");
}

#[test]
fn who_must_ask_and_does_not_is_told_so() {
    let mut world = start(1, Conditions::GOOD, &BOTH, |a, _| {
        a.internal_address = InternalAddress::default();
        a.children[0].local = vec![ts("192.168.1.0/24")];
    });
    world.run_for(MINUTE);
    let diagnosis = world.b.failures.first().expect("a diagnosis");
    assert_eq!(diagnosis.kind.code(), "address_not_asked", "{diagnosis}");
    assert!(world.a.failures[0].summary.contains("FAILED_CP_REQUIRED"), "{}", world.a.failures[0]);
    assert_eq!((world.b.installed.len(), used(&world)), (0, 0));
}

#[test]
fn who_needs_an_address_does_not_answer() {
    let mut world =
        start(1, Conditions::GOOD, &BOTH, |a, _| a.remote = Remote::Hosts(vec!["10.0.0.66".to_owned()]));
    world.configure(Side::B, vec![connection(Side::B, true)]);
    world.run_for(MINUTE);
    let kinds: Vec<_> = world.a.failures.iter().map(|failure| failure.kind.code()).collect();
    assert!(kinds.contains(&"address_refused"), "{kinds:?}");
    assert!(world.a.installed.is_empty() && world.b.installed.is_empty());
}

#[test]
fn no_lease_is_left_after_a_proof_that_fails() {
    use sekisho_ike::Secret;
    use sekisho_ike::config::LocalAuth;
    let mut world = start(1, Conditions::GOOD, &BOTH, |a, _| {
        a.local_auth = LocalAuth::Psk(Secret::new(b"not the same at all".to_vec()));
    });
    world.run_for(MINUTE);
    assert!(!world.b.failures.is_empty());
    assert_eq!((used(&world), world.b.assigned.len()), (0, 0));
}

#[test]
fn a_peer_gets_no_address_but_its_own_through() {
    let mut world = start(1, Conditions::GOOD, &BOTH, |_, _| {});
    let (mut theirs, ours) = other("c");
    // It names the address of another peer.
    theirs.children[0].local = vec![ts("10.9.0.1")];
    let (mut a, mut b) = connection_pair();
    roam(&mut a, &mut b);
    world.configure(Side::B, vec![b, ours]);
    assert!(world.run_until(MINUTE, |w| w.b.installed.len() == 1));
    let mut thief = rogue(3, theirs);
    thief.besides = vec![request(vec![Attribute::Ip4Address(Some([10, 9, 0, 1].into()))])];
    thief.connect(&mut world, EspSpi(0x1003));
    assert_eq!(refused(&thief.answered), Some(NotifyType::TS_UNACCEPTABLE));
    assert_eq!(given(&thief.answered), Some(vec![Attribute::Ip4Address(Some([10, 9, 0, 2].into()))]));
    assert_eq!(world.b.installed.len(), 1);
}

#[test]
fn an_address_that_is_asked_for_is_given_where_it_is_free() {
    let mut world = start(1, Conditions::GOOD, &BOTH, |a, _| a.initiate = true);
    let (theirs, ours) = other("c");
    world.configure(Side::B, vec![ours]);
    let mut peer = rogue(4, theirs);
    let wanted = vec![
        Attribute::Ip4Address(Some([10, 9, 0, 77].into())),
        Attribute::Other(AttributeType::INTERNAL_IP4_NETMASK, vec![]),
        Attribute::Ip4Address(None),
        Attribute::Ip4Dns(None),
    ];
    peer.besides = vec![request(wanted)];
    assert!(peer.connect(&mut world, EspSpi(0x1004)));
    let dns = Attribute::Ip4Dns(Some([192, 168, 2, 53].into()));
    assert_eq!(given(&peer.answered), Some(vec![Attribute::Ip4Address(Some([10, 9, 0, 77].into())), dns]));
    // Asked again it is the same; what nobody asked for is not told.
    let ask = [request(vec![Attribute::Ip4Address(None)])];
    let answer = peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &ask).expect("an answer");
    assert_eq!(
        given(&answer).and_then(|all| all.into_iter().next()),
        Some(Attribute::Ip4Address(Some([10, 9, 0, 77].into())))
    );
    assert_eq!(used(&world), 1);
}

/// "A request for such a temporary address can be included in any request to create a Child SA."
#[test]
fn a_child_of_its_own_exchange_may_ask_for_the_address_too() {
    let mut world = start(1, Conditions::GOOD, &BOTH, |_, _| {});
    let (theirs, ours) = other("c");
    world.configure(Side::B, vec![ours]);
    let mut peer = rogue(6, theirs);
    peer.connect(&mut world, EspSpi(0x1006));
    assert_eq!((refused(&peer.answered), used(&world)), (Some(NotifyType::FAILED_CP_REQUIRED), 0));
    let mut ask = |peer: &mut Rogue, spi, configuration: Option<Payload>| {
        let mut payloads = peer.another_child(EspSpi(spi));
        payloads.splice(0..0, configuration);
        peer.ask(&mut world, 0, ExchangeType::CREATE_CHILD_SA, &payloads).expect("an answer")
    };
    let without = ask(&mut peer, 0x1007, None);
    assert_eq!(refused(&without), Some(NotifyType::FAILED_CP_REQUIRED));
    for spi in [0x1008, 0x1009] {
        let answer = ask(&mut peer, spi, Some(request(vec![Attribute::Ip4Address(None)])));
        let address = Attribute::Ip4Address(Some([10, 9, 0, 1].into()));
        assert_eq!(given(&answer).and_then(|all| all.into_iter().next()), Some(address), "{answer:?}");
        let [cp, sa] =
            [|p: &Payload| matches!(p, Payload::Configuration(_)), |p: &Payload| matches!(p, Payload::Sa(_))]
                .map(|is| answer.iter().position(is));
        assert!(cp < sa, "CP is inserted before SA: {answer:?}");
    }
    assert_eq!((used(&world), world.b.installed.len()), (1, 2));
}

#[test]
fn a_configuration_payload_that_makes_no_sense_is_refused_or_ignored() {
    let address = || Attribute::Ip4Address(None);
    let twice = vec![request(vec![address()]), request(vec![address()])];
    let reply = vec![configuration(ConfigurationType::CFG_REPLY, vec![address()])];
    for besides in [twice, reply] {
        let mut world = start(1, Conditions::GOOD, &BOTH, |_, _| {});
        let (theirs, ours) = other("c");
        world.configure(Side::B, vec![ours]);
        let mut peer = rogue(5, theirs);
        peer.besides = besides;
        peer.connect(&mut world, EspSpi(0x1005));
        assert_eq!(refused(&peer.answered), Some(NotifyType::INVALID_SYNTAX));
        assert_eq!((used(&world), world.b.installed.len()), (0, 0));
    }
    // "MAY ignore CFG_SET payloads": then it has asked for nothing.
    for kind in [ConfigurationType::CFG_SET, ConfigurationType::CFG_ACK, ConfigurationType(77)] {
        let mut world = start(1, Conditions::GOOD, &BOTH, |_, _| {});
        let (theirs, ours) = other("c");
        world.configure(Side::B, vec![ours]);
        let mut peer = rogue(6, theirs);
        peer.besides = vec![configuration(kind, vec![address()])];
        assert!(peer.connect(&mut world, EspSpi(0x1006)));
        assert_eq!(refused(&peer.answered), Some(NotifyType::FAILED_CP_REQUIRED), "{kind}");
        assert_eq!(used(&world), 0);
    }
}
