//! Addresses that one end gives to the other (RFC 7296 §2.19, §3.15).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sekisho_ike::config::{Connection, InternalAddress, Pool, Remote, Uniqueness};
use sekisho_ike::event::{Command, CommandError, ConnectionState, EndReason};
use sekisho_ike::identity::RemoteId;
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::sim::{
    Conditions, Installed, Rogue, RogueServer, Side, World, connection, connection_pair, run_seeds,
};
use sekisho_ike::wire::{
    Attribute, AttributeType, Configuration, ConfigurationType, EspSpi, ExchangeType, NotifyType, Payload,
};

use crate::{HOUR, MINUTE, SECOND, patient};

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn ts(text: &str) -> TrafficSelector {
    text.parse().expect(text)
}

fn pool(ranges: &[&str]) -> Pool {
    let ranges = ranges.iter().map(|range| range.parse().expect("a range")).collect();
    Pool { name: "office".into(), ranges, dns: vec![ip("192.168.2.53"), ip("2001:db8:2::53")] }
}

/// A asks B, which has 192.168.2.0/24 and `2001:db8:2::/64` behind it, for an address of each family.
fn roam(a: &mut Connection, b: &mut Connection) {
    a.internal_address = InternalAddress { ipv4: true, ipv6: true };
    a.children[0].local.clear();
    a.children[0].remote = vec![ts("192.168.2.0/24"), ts("2001:db8:2::/64")];
    b.children[0].local.clone_from(&a.children[0].remote);
    give(b);
}

fn give(b: &mut Connection) {
    b.pools = vec!["office".into()];
    b.children[0].remote.clear();
}

const BOTH: [&str; 2] = ["10.9.0.0/24", "2001:db8:9::/64"];

fn start(
    seed: u64,
    conditions: Conditions,
    ranges: &[&str],
    more: impl FnOnce(&mut Connection, &mut Connection),
) -> World {
    let mut world = World::new(seed, conditions);
    let (mut a, mut b) = connection_pair();
    roam(&mut a, &mut b);
    more(&mut a, &mut b);
    world.command(Side::B, Command::ConfigurePools(vec![pool(ranges)])).unwrap();
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world
}

fn up(seed: u64, conditions: Conditions, more: impl FnOnce(&mut Connection, &mut Connection)) -> World {
    let mut world = start(seed, conditions, &BOTH, more);
    assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "set-up: {:?}", world.disagreement());
    world
}

/// IPv4 addresses of B's pool that are held.
fn used(world: &World) -> usize {
    world.b.endpoint.pools()[0].used[0]
}

fn only(world: &mut World, side: Side) -> Installed {
    let installed = &world.host(side).installed;
    assert_eq!(installed.len(), 1);
    installed.values().next().expect("one").clone()
}

/// Another peer of B, whose identity is `name`.example, as A's view of it.
fn other(name: &str) -> (Connection, Connection) {
    let (mut theirs, mut ours) = (connection(Side::A, true), connection(Side::B, false));
    theirs.local_id = format!("{name}.example").parse().unwrap();
    ours.remote_id = RemoteId::Exact(theirs.local_id.clone());
    ours.name = name.into();
    ours.remote = Remote::Any;
    theirs.children[0].local = vec![ts("0.0.0.0/0")];
    give(&mut ours);
    (theirs, ours)
}

fn configuration(kind: ConfigurationType, attributes: Vec<Attribute>) -> Payload {
    Payload::Configuration(Configuration { kind, attributes })
}

fn request(attributes: Vec<Attribute>) -> Payload {
    configuration(ConfigurationType::CFG_REQUEST, attributes)
}

fn rogue(number: u16, connection: Connection) -> Rogue {
    Rogue::new(connection, SocketAddr::from(([198, 51, 100, 7], 1000 + number)), number.into())
}

/// The attributes of the answer's `CFG_REPLY`, if there is one.
fn given(answer: &[Payload]) -> Option<Vec<Attribute>> {
    answer.iter().find_map(|payload| match payload {
        Payload::Configuration(Configuration { kind: ConfigurationType::CFG_REPLY, attributes }) => {
            Some(attributes.clone())
        }
        _ => None,
    })
}

fn refused(answer: &[Payload]) -> Option<NotifyType> {
    answer.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind.is_error() => Some(notify.kind),
        _ => None,
    })
}

#[test]
fn both_ends_agree_on_the_address_however_bad_the_line_is() {
    run_seeds(200, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.25) };
        let mut world = up(seed, conditions, patient);
        let (a, b) = (only(&mut world, Side::A), only(&mut world, Side::B));
        let mine = [ts("10.9.0.1"), ts("2001:db8:9::1")].to_vec();
        assert_eq!((&a.selectors[0], &b.selectors[1]), (&mine, &mine), "bound to the peer, at both ends");
        assert_eq!(a.selectors[1], b.selectors[0]);
        for (host, ours) in [(&world.a, true), (&world.b, false)] {
            let told = &host.assigned.last().expect("an assignment").inner;
            assert_eq!(told.addresses, [ip("10.9.0.1"), ip("2001:db8:9::1")]);
            assert_eq!((told.dns.len(), told.ours), (2, ours));
            assert_eq!(host.status().into_tunnel().and_then(|tunnel| tunnel.inner).as_ref(), Some(told));
        }
        assert_eq!(world.b.endpoint.pools()[0].used, [1, 1]);
    });
}

#[test]
fn rekeys_of_both_kinds_keep_it() {
    run_seeds(20, |seed| {
        let mut world = up(seed, Conditions::bad(0.1), patient);
        world.run_for(12 * HOUR);
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert!(world.a.ike_sas_made > 1 && world.a.child_sas_made > 10);
        assert!(world.a.ended.is_empty(), "{:?}", world.a.ended);
        let (a, b) = (only(&mut world, Side::A), only(&mut world, Side::B));
        assert_eq!(
            (&a.selectors[0], &b.selectors[1]),
            (&b.selectors[1], &vec![ts("10.9.0.1"), ts("2001:db8:9::1")])
        );
        assert_eq!((world.a.assigned.len(), used(&world)), (1, 1));
    });
}

#[test]
fn a_child_of_its_own_exchange_uses_the_same_address() {
    let mut world = up(1, Conditions::GOOD, |a, b| {
        for (connection, side) in [(a, Side::A), (b, Side::B)] {
            let mut second = connection.children[0].clone();
            second.name = "second".into();
            let list = if side == Side::A { &mut second.remote } else { &mut second.local };
            *list = vec![ts("172.16.0.0/16")];
            connection.children.push(second);
        }
    });
    let second = world.b.installed.values().find(|i| i.child.1.as_str() == "second").expect("the second");
    assert_eq!(second.selectors[1], [ts("10.9.0.1")]);
    assert_eq!(used(&world), 1);
    world.run_for(MINUTE);
    assert!(world.is_up());
}

#[test]
fn a_tunnel_without_a_child_has_its_address_all_the_same() {
    use sekisho_ike::config::Childless;
    let world = up(1, Conditions::GOOD, |a, _| a.childless = Childless::Preferred);
    assert_eq!((world.a.assigned.len(), used(&world)), (1, 1));
}

#[test]
fn a_peer_that_comes_back_gets_it_again_and_after_its_end_it_is_free() {
    run_seeds(50, |seed| {
        let mut world = up(seed, Conditions::bad(0.1), patient);
        for _ in 0..3 {
            world.command(Side::A, Command::Down("link".into())).unwrap();
            assert!(world.run_until(5 * MINUTE, |w| used(w) == 0), "it is given back");
            world.command(Side::A, Command::Up("link".into())).unwrap();
            assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        }
        let all: Vec<_> = world.a.assigned.iter().map(|told| told.inner.addresses.clone()).collect();
        assert!(all.iter().all(|addresses| *addresses == [ip("10.9.0.1"), ip("2001:db8:9::1")]), "{all:?}");
        world.command(Side::B, Command::Shutdown).unwrap();
        assert_eq!(world.b.endpoint.pools()[0].used, [0, 0]);
    });
}

#[test]
fn a_hub_that_forgot_everything_is_told_what_we_had() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, mut b) = connection_pair();
    roam(&mut a, &mut b);
    let (theirs, ours) = other("c");
    let configure = |world: &mut World| {
        world.command(Side::B, Command::ConfigurePools(vec![pool(&BOTH)])).unwrap();
        world.configure(Side::B, vec![b.clone(), ours.clone()]);
    };
    configure(&mut world);
    let mut first = rogue(8, theirs);
    first.besides = vec![request(vec![Attribute::Ip4Address(None)])];
    assert!(first.connect(&mut world, EspSpi(0x1008)));
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.a.installed.len() == 1));
    let had = only(&mut world, Side::A).selectors[0].clone();
    assert_eq!(had, [ts("10.9.0.2"), ts("2001:db8:9::1")]);
    world.restart(Side::B, Vec::new());
    configure(&mut world);
    assert!(world.run_until(5 * MINUTE, |w| !w.a.ended.is_empty() && w.b.installed.len() == 1));
    assert_eq!(only(&mut world, Side::B).selectors[1], had);
}

#[test]
fn a_device_that_died_hands_its_address_over_to_itself() {
    run_seeds(50, |seed| {
        let mut world = up(seed, Conditions::bad(0.1), patient);
        let (mut a, mut b) = connection_pair();
        roam(&mut a, &mut b);
        patient(&mut a, &mut b);
        world.restart(Side::A, vec![a]);
        assert!(world.run_until(5 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert_eq!(only(&mut world, Side::B).selectors[1][0], ts("10.9.0.1"));
        assert_eq!((used(&world), world.b.ended.as_slice()), (1, [EndReason::Replaced].as_slice()));
    });
}

#[test]
fn what_may_stand_side_by_side_has_addresses_of_its_own() {
    for (unique, expected) in [(Uniqueness::Never, 3), (Uniqueness::Replace, 1)] {
        let mut world = up(1, Conditions::GOOD, |_, b| b.unique = unique);
        for number in 1..=2 {
            let (mut a, mut b) = connection_pair();
            roam(&mut a, &mut b);
            a.children[0].local = vec![ts("0.0.0.0/0")];
            let mut rogue = rogue(number, a);
            rogue.besides = vec![request(vec![Attribute::Ip4Address(None)])];
            assert!(rogue.connect(&mut world, EspSpi(0x1000 + u32::from(number))));
        }
        assert_eq!((used(&world), world.b.installed.len()), (expected, expected));
    }
}

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

#[test]
fn who_asks_without_end_is_not_heard_any_more() {
    let mut world = World::new(1, Conditions::GOOD);
    let (theirs, ours) = other("c");
    world.command(Side::B, Command::ConfigurePools(vec![pool(&["2001:db8:9::/64"])])).unwrap();
    world.configure(Side::B, vec![ours]);
    let mut peer = rogue(7, theirs);
    peer.connect(&mut world, EspSpi(0x1007));
    let ask = [request(vec![Attribute::Ip4Address(None)])];
    let answers = (0..150).map(|_| peer.ask(&mut world, 0, ExchangeType::INFORMATIONAL, &ask));
    let answers: Vec<_> = answers.map(|answer| refused(&answer.expect("an answer"))).collect();
    let told = answers.iter().filter(|answer| **answer == Some(NotifyType::INTERNAL_ADDRESS_FAILURE)).count();
    assert_eq!((told, answers.last()), (120, Some(&Some(NotifyType::TEMPORARY_FAILURE))));
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

#[test]
fn a_pool_that_is_taken_away_ends_its_tunnels_and_one_that_grows_does_not() {
    let mut world = up(1, Conditions::GOOD, |a, _| a.retry.first = Duration::from_mins(30));
    let grown = pool(&["10.8.0.0/16", "10.9.0.0/24", "2001:db8:9::/64"]);
    world.command(Side::B, Command::ConfigurePools(vec![grown])).unwrap();
    world.run_for(SECOND);
    assert!(world.is_up() && world.b.ended.is_empty());
    world.command(Side::B, Command::ConfigurePools(vec![pool(&["10.8.0.0/16", "2001:db8:9::/64"])])).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.b.ended, [EndReason::DeletedHere]);
    assert_eq!((world.b.endpoint.pools()[0].used, world.a.installed.len()), ([0, 0], 0));
    assert!(world.run_until(HOUR, |w| w.a.installed.len() == 1), "and comes up again with another one");
    assert_eq!(only(&mut world, Side::A).selectors[0], [ts("10.8.0.1"), ts("2001:db8:9::1")]);
}

#[test]
fn what_cannot_be_is_not_configured() {
    let mut world = World::new(1, Conditions::GOOD);
    let refuse = |world: &mut World, change: &dyn Fn(&mut Connection)| {
        let mut wrong = connection(Side::B, false);
        change(&mut wrong);
        let refused = world.command(Side::B, Command::Configure(vec![std::sync::Arc::new(wrong)]));
        let Err(CommandError::Invalid(error)) = refused else { panic!("{refused:?}") };
        error.to_string()
    };
    assert!(refuse(&mut world, &give).contains("pool `office`, which does not exist"));
    world.command(Side::B, Command::ConfigurePools(vec![pool(&BOTH)])).unwrap();
    let initiates = |c: &mut Connection| {
        give(c);
        c.initiate = true;
    };
    assert!(refuse(&mut world, &initiates).contains("only the peer can start it"));
    let asks = InternalAddress { ipv4: true, ipv6: false };
    assert!(refuse(&mut world, &|c| c.internal_address = asks).contains("only we can start it"));
    assert!(refuse(&mut world, &|c| c.children[0].local.clear()).contains("local networks"));
    assert!(refuse(&mut world, &|c| c.children[0].remote.clear()).contains("or a pool"));
}

/// A, which asks a server for an IPv4 address that says `reply`, narrowing `TSi` to `ts_i`; A also has another tunnel.
fn hostile(reply: Option<Vec<Attribute>>, ts_i: &str) -> (World, Vec<Vec<Payload>>) {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, mut b) = connection_pair();
    roam(&mut a, &mut b);
    a.internal_address.ipv6 = false;
    a.remote = Remote::Hosts(vec!["10.0.0.66".to_owned()]);
    let mut other = connection(Side::A, false);
    other.name = "other".into();
    other.remote = Remote::Hosts(vec!["other.example".to_owned(), "203.0.113.9".to_owned()]);
    other.remote_id = RemoteId::Exact("c.example".parse().unwrap());
    other.children[0].local = vec![ts("172.16.1.0/24")];
    other.children[0].remote = vec![ts("172.16.2.0/24")];
    world.command(Side::A, Command::ConfigurePools(vec![pool(&["10.7.0.0/24"])])).unwrap();
    world.configure(Side::A, vec![a, other]);
    let mut server = RogueServer::new(b, ip("10.0.0.66"), 1);
    let besides: Vec<_> =
        reply.map(|all| configuration(ConfigurationType::CFG_REPLY, all)).into_iter().collect();
    let (asked, said) = server.serve(&mut world, &besides, &[ts(ts_i)]);
    let cp = asked.iter().position(|p| matches!(p, Payload::Configuration(_))).expect("a CFG_REQUEST");
    let sa = asked.iter().position(|p| matches!(p, Payload::Sa(_))).expect("an SA payload");
    assert!(cp < sa, "the CP payload MUST be inserted before the SA payload");
    (world, said)
}

fn v4(text: &str) -> Attribute {
    Attribute::Ip4Address(text.parse().ok())
}

#[test]
fn an_honest_answer_is_taken_and_no_more_than_the_address_however_wide_it_is() {
    let dns = |last| Attribute::Ip4Dns(Some([192, 168, 2, last].into()));
    let many = (1..=20).map(dns).chain([Attribute::Ip4Dns(Some([127, 0, 0, 1].into()))]);
    let reply = [v4("10.9.0.5"), v4("10.9.0.6")].into_iter().chain(many).collect();
    let (mut world, _) = hostile(Some(reply), "0.0.0.0/0");
    assert_eq!(only(&mut world, Side::A).selectors[0], [ts("10.9.0.5")]);
    let told = &world.a.assigned[0].inner;
    assert_eq!((told.addresses.as_slice(), told.dns.len()), ([ip("10.9.0.5")].as_slice(), 8));
}

#[test]
fn an_answer_that_gives_what_is_no_address_for_us_is_refused() {
    let cases = [
        (None, "no address"),
        (Some(vec![]), "no address"),
        (Some(vec![Attribute::Ip4Address(None)]), "no address"),
        (Some(vec![Attribute::Ip6Address(Some(("2001:db8::7".parse().unwrap(), 64)))]), "no address"),
        (Some(vec![Attribute::Other(AttributeType::INTERNAL_IP4_ADDRESS, vec![10, 9, 0])]), "no address"),
        (Some(vec![v4("0.0.0.0")]), "0.0.0.0"),
        (Some(vec![v4("127.0.0.1")]), "127.0.0.1"),
        (Some(vec![v4("224.0.0.5")]), "224.0.0.5"),
        (Some(vec![v4("255.255.255.255")]), "255.255.255.255"),
        (Some(vec![v4("169.254.1.1")]), "169.254.1.1"),
        (Some(vec![v4("10.0.0.66")]), "outside the tunnel"),
        (Some(vec![v4("10.0.0.1")]), "outside the tunnel"),
        (Some(vec![v4("203.0.113.9")]), "an end of another tunnel"),
        (Some(vec![v4("172.16.1.9")]), "network of another tunnel"),
        (Some(vec![v4("172.16.2.9")]), "network of another tunnel"),
        (Some(vec![v4("10.7.0.9")]), "network of another tunnel"),
    ];
    for (reply, word) in cases {
        let (mut world, said) = hostile(reply, "10.9.0.0/24");
        let diagnosis = world.a.failures.first().expect("a diagnosis");
        assert_eq!(diagnosis.kind.code(), "address_refused", "{diagnosis}");
        assert!(diagnosis.summary.contains(word), "{diagnosis}");
        assert!(world.a.installed.is_empty() && world.a.assigned.is_empty());
        world.command(Side::A, Command::Down("link".into())).unwrap();
        assert_eq!(world.a.spis_in_use(), 0, "a failed path leaves nothing behind");
        let deletes = |payloads: &Vec<Payload>| payloads.iter().any(|p| matches!(p, Payload::Delete(_)));
        assert!(said.iter().any(deletes), "the responder is told: {said:?}");
    }
}

#[test]
fn an_answer_whose_selectors_leave_the_address_out_makes_no_child() {
    let (world, _) = hostile(Some(vec![v4("10.9.0.5")]), "10.9.7.0/24");
    assert!(world.a.installed.is_empty());
    assert_eq!(world.a.failures[0].kind.code(), "traffic_selectors", "{}", world.a.failures[0]);
}
