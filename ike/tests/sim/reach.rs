//! How far the line carries what: closed ports, lost fragments, datagrams that never leave.

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_ike::config::{Connection, EndpointConfig, Remote};
use sekisho_ike::diagnosis::{Diagnosis, DiagnosisKind};
use sekisho_ike::event::Awaited;
use sekisho_ike::sim::{Conditions, Host, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::ExchangeType;

use crate::{MINUTE, SECOND, start_with};

fn first(host: &Host) -> &Diagnosis {
    host.failures.first().expect("a diagnosis")
}

/// Many networks make `IKE_AUTH` long.
fn long(connection: &mut Connection, fragment_size: u16) {
    connection.fragment_size = fragment_size;
    let more = (0..60).map(|net| format!("10.200.{net}.0/24").parse().unwrap());
    connection.children[0].local.extend(more);
}

fn assert_told(diagnosis: &Diagnosis, kind: DiagnosisKind, words: &[&str]) {
    assert_eq!(diagnosis.kind, kind, "{diagnosis}");
    let text = diagnosis.to_string();
    words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in: {text}"));
}

#[test]
fn port_4500_is_closed_on_the_way() {
    let mut world = start_with(1, Conditions::GOOD, |_, _| {});
    world.link.closed_port = Some(4500);
    world.run_for(2 * MINUTE);
    let words =
        ["answered IKE_SA_INIT on port 500", "nor a short message on port 4500", "Let UDP port 4500 pass"];
    assert_told(first(&world.a), DiagnosisKind::NatPortFiltered, &words);
    // B only sees somebody begin and not go on: once may be a bad line.
    let words = ["10.0.0.1 began with IKE_SA_INIT", "Let UDP port 4500 pass"];
    assert_told(first(&world.b), DiagnosisKind::NatPortFiltered, &words);
    world.link.closed_port = None;
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert!(world.a.status().last_failure.is_none());
}

#[test]
fn long_messages_are_lost_and_short_ones_pass() {
    let lossy = |fragment_size, mtu| {
        let mut world = start_with(1, Conditions::GOOD, |a, b| {
            long(a, fragment_size);
            b.children[0].remote = a.children[0].local.clone();
            b.fragment_size = fragment_size;
        });
        world.link.mtu = mtu;
        world.run_for(MINUTE);
        world
    };
    let world = lossy(1280, 600);
    assert!(world.a.failures.iter().all(|failure| failure.kind == DiagnosisKind::FragmentsLost));
    let words = [
        "IKE_AUTH went to 10.0.0.2:4500 in one packet of ",
        "short messages are answered",
        "fragment_size = 576",
    ];
    assert_told(first(&world.a), DiagnosisKind::FragmentsLost, &words);
    let world = lossy(700, 650);
    let words = ["fragments of up to ", "short messages are answered", "fragment_size = 576"];
    assert_told(first(&world.a), DiagnosisKind::FragmentsLost, &words);
    let world = lossy(576, 600);
    assert!(world.is_up(), "what is advised helps: {:?}", world.disagreement());
}

/// The first fragment passes and the others never do: who gathers them knows.
#[test]
fn a_request_of_which_some_fragments_never_come_is_counted_and_explained() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        long(a, 576);
        b.children[0].remote = a.children[0].local.clone();
    });
    // The third of three fragments, each time that they are sent, in two attempts. The fourth time a short message is sent
    // with them, and answered.
    world.link.lose.extend([5, 8, 11, 14, 19, 22].into_iter().flat_map(|n| [n, n + 22]));
    world.run_for(40 * SECOND);
    let drops = |host: &Host, reason: &str| {
        host.endpoint.drops().into_iter().find(|(code, _)| *code == reason).map_or(0, |(_, count)| count)
    };
    let incomplete = drops(&world.b, "ike_fragments_incomplete");
    assert_eq!((incomplete, world.is_up()), (1, false));
    let told = world.b.failures.iter().find(|f| f.kind == DiagnosisKind::FragmentsLost);
    let words = ["of the IKE_AUTH of 10.0.0.1 only 2 fragments came within 30 s"];
    assert_told(told.expect("B explains it"), DiagnosisKind::FragmentsLost, &words);
    let words = ["in 3 fragments of up to ", "short messages are answered"];
    assert_told(first(&world.a), DiagnosisKind::FragmentsLost, &words);
}

#[test]
fn what_does_not_leave_this_machine_is_not_the_peers_fault() {
    let mut world = start_with(1, Conditions::GOOD, |_, _| {});
    world.link.cut = true;
    let path = sekisho_ike::Path::udp("10.0.0.1:500".parse().unwrap(), "10.0.0.2:500".parse().unwrap());
    for _ in 0..60 {
        world.run_for(SECOND);
        world.a.endpoint.not_sent(path, "Operation not permitted");
    }
    assert_told(
        first(&world.a),
        DiagnosisKind::NotSent,
        &["IKE_SA_INIT could not be sent to 10.0.0.2:500", "Operation not permitted", "firewall"],
    );
}

#[test]
fn a_working_line_is_asked_for_nothing_more() {
    let mut world: World = start_with(1, Conditions::GOOD, |_, _| {});
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    assert_eq!(world.link.sent, 4, "two exchanges");
}

/// A whose address B's connection does not name, as of a hub whose peers come from anywhere.
fn from_anywhere(config: EndpointConfig) -> World {
    let mut world = World::with_config(1, Conditions::GOOD, config);
    world.link.closed_port = Some(4500);
    let (a, mut b) = connection_pair();
    b.remote = Remote::Any;
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    world
}

#[test]
fn a_hub_tells_of_whoever_never_comes_back_on_port_4500() {
    // 0: everyone brings a cookie, always.
    for cookie_threshold in [EndpointConfig::default().cookie_threshold, 0] {
        never_comes_back(from_anywhere(EndpointConfig { cookie_threshold, ..EndpointConfig::default() }));
    }
}

fn never_comes_back(mut world: World) {
    let begun = |world: &World| world.b.endpoint.begun(world.clock());
    assert!(begun(&world).is_empty());
    for seconds in [5, 40] {
        world.run_for(seconds * SECOND);
        assert_eq!(begun(&world), ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()], "half-open, and after");
    }
    assert!(world.b.endpoint.refusals(world.clock()).is_empty(), "once may be a bad line");
    world.run_for(2 * MINUTE);
    let told = world.b.endpoint.refusals(world.clock());
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told.remote.to_string(), "10.0.0.1");
    assert!(told.times > 1, "{}", told.times);
    let words = ["UDP port 4500 is dropped on the way", "If that is a peer of ours"];
    assert_told(&told.diagnosis, DiagnosisKind::NatPortFiltered, &words);
    assert!(world.b.failures.is_empty(), "nobody proved anything: no event");
    world.link.closed_port = None;
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert!(world.b.endpoint.refusals(world.clock()).is_empty(), "it is in");
    assert!(begun(&world).is_empty(), "and has gone on");
}

/// In a flood addresses may be forged. Whoever brought a cookie receives at its own.
#[test]
fn a_hub_under_a_flood_tells_of_nobody_but_whoever_brought_its_cookie() {
    let mut world = from_anywhere(EndpointConfig { cookie_threshold: 20, ..EndpointConfig::default() });
    let strangers = |seed: u8| {
        let address = SocketAddr::from(([192, 0, seed, 9], 500));
        Rogue::new(connection(Side::A, true), address, seed.into())
    };
    let mut strangers: Vec<_> = (0..40).map(strangers).collect();
    let mut answered = 0;
    for _ in 0..60 {
        for stranger in &mut strangers {
            let [first, _] = stranger.first_messages();
            answered += stranger.deliver(&mut world, &first).len();
        }
        world.run_for(5 * SECOND);
    }
    assert!(answered > 1000, "with a cookie, or more: {answered}");
    let told: Vec<_> =
        world.b.endpoint.refusals(world.clock()).iter().map(|r| r.remote.to_string()).collect();
    assert_eq!(told, ["10.0.0.1"]);
}

/// Whoever has one line has many addresses, receives at all of them, and can bring a cookie from each.
#[test]
fn strangers_of_one_network_do_not_have_a_hub_forget_another() {
    let mut world = from_anywhere(EndpointConfig { cookie_threshold: 0, ..EndpointConfig::default() });
    let strangers = |host: u8| {
        let address = SocketAddr::from(([192, 0, 2, host], 500));
        Rogue::new(connection(Side::A, true), address, host.into())
    };
    let mut strangers: Vec<_> = (0..200).map(strangers).collect();
    let mut begun = 0;
    for _ in 0..100 {
        for stranger in &mut strangers[..6] {
            begun += usize::from(stranger.half_open(&mut world));
        }
        strangers.rotate_left(6);
        world.run_for(3 * SECOND);
    }
    assert!(begun > 500, "{begun}");
    let begun = world.b.endpoint.begun(world.clock());
    assert!(begun.contains(&"10.0.0.1".parse().unwrap()), "{begun:?}");
    let told = world.b.endpoint.refusals(world.clock());
    assert!(told.iter().any(|told| told.remote.to_string() == "10.0.0.1"), "{told:?}");
}

#[test]
fn what_an_attempt_waits_for_is_told_while_it_does() {
    let mut world = start_with(1, Conditions::GOOD, |_, _| {});
    world.link.cut = true;
    let begun = world.now;
    world.run_for(8 * SECOND);
    let Some(Awaited::Answer { exchange, path, sent, since }) = world.a.status().awaited else { panic!() };
    let found = (exchange, path.remote.port(), since.since(begun));
    assert_eq!(found, (ExchangeType::IKE_SA_INIT, 500, Duration::ZERO));
    assert!(sent > 1, "{sent}");
    (world.link.cut, world.link.closed_port) = (false, Some(4500));
    let proves = |world: &mut World| match world.a.status().awaited {
        Some(Awaited::Answer { exchange, path, .. }) => {
            (exchange, path.remote.port()) == (ExchangeType::IKE_AUTH, 4500)
        }
        _ => false,
    };
    assert!(world.run_until(MINUTE, proves), "{:?}", world.a.status());
    world.link.closed_port = None;
    assert!(world.run_until(2 * MINUTE, |w| w.is_up()));
    assert_eq!(world.a.status().awaited, None);
}
