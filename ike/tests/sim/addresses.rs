//! Addresses that one end gives to the other (RFC 7296 §2.19, §3.15): how long they are held, and by whom.

mod answers;
mod asking;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sekisho_ike::config::{Connection, InternalAddress, Pool, Remote, Uniqueness};
use sekisho_ike::event::{Command, CommandError, EndReason};
use sekisho_ike::identity::RemoteId;
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::sim::{Conditions, Installed, Rogue, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{Attribute, Configuration, ConfigurationType, EspSpi, NotifyType, Payload};

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
