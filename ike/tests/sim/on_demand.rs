//! Children that wait for a packet, or for the peer, and what ends for want of one.

use std::time::Duration;

use sekisho_ike::config::{Connection, Start};
use sekisho_ike::event::{Command, CommandError, ConnectionState, EndReason, Trigger, Usage};
use sekisho_ike::negotiate::TrafficSelector;
use sekisho_ike::sim::{Conditions, Host, Side, World, connection, run_seeds};

use crate::{MINUTE, SECOND, patient, start_with};

fn on_demand(connection: &mut Connection) {
    connection.children[0].start = Start::OnDemand;
}

fn acquire(world: &mut World, side: Side) -> Result<(), CommandError> {
    world.command(side, Command::Acquire { connection: "link".into(), child: "net".into(), packet: None })
}

/// The same for a packet between these two.
fn acquire_for(world: &mut World, [source, destination]: [&str; 2]) {
    let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
    let packet = Trigger::new(source, destination, 6, Some((40_000, 443))).map(Box::new);
    assert!(packet.is_some());
    let command = Command::Acquire { connection: "link".into(), child: "net".into(), packet };
    world.command(Side::A, command).unwrap();
}

fn state(host: &Host) -> ConnectionState {
    host.status().state
}

/// What every Child SA of this end has carried until now.
fn use_up(world: &mut World, side: Side, packets: u64) {
    let ids: Vec<_> = world.host(side).installed.keys().copied().collect();
    for id in ids {
        let usage = Usage { packets_out: packets, bytes_out: packets * 100, ..Usage::default() };
        world.command(side, Command::Usage(id, usage)).unwrap();
    }
}

#[test]
fn nothing_is_said_until_a_packet_comes() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| on_demand(a));
    world.run_for(10 * MINUTE);
    assert_eq!((world.link.sent, state(&world.a)), (0, ConnectionState::Idle));
    acquire(&mut world, Side::A).unwrap();
    assert_eq!(state(&world.a), ConnectionState::Connecting);
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!((world.link.sent, state(&world.a)), (4, ConnectionState::Up), "IKE_AUTH carries the child");
}

#[test]
fn a_packet_after_another_changes_nothing() {
    run_seeds(200, |seed| {
        let mut world = start_with(seed, Conditions::bad(0.2), |a, b| {
            on_demand(a);
            patient(a, b);
        });
        for _ in 0..100 {
            acquire(&mut world, Side::A).unwrap();
            world.run_for(Duration::from_millis(50));
        }
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn a_child_that_the_peer_deletes_comes_back_with_the_next_packet_alone() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| on_demand(a));
    acquire(&mut world, Side::A).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()));
    let id = *world.b.installed.keys().next().unwrap();
    world.command(Side::B, Command::DeleteChild(id)).unwrap();
    world.run_for(10 * MINUTE);
    assert_eq!((state(&world.a), world.a.installed.len()), (ConnectionState::Idle, 0));
    assert_eq!(state(&world.b), ConnectionState::Waiting);
    acquire(&mut world, Side::A).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.a.ike_sas_made, 1, "on the IKE SA that stands");
}

#[test]
fn a_tunnel_that_the_peer_deletes_comes_back_with_the_next_packet_alone() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| on_demand(a));
    acquire(&mut world, Side::A).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()));
    world.command(Side::B, Command::Down("link".into())).unwrap();
    world.run_for(10 * MINUTE);
    assert_eq!((world.a.status().into_tunnel().is_some(), world.a.installed.len()), (false, 0));
    assert_eq!(state(&world.a), ConnectionState::Idle);
    world.restart(Side::B, vec![connection(Side::B, false)]);
    acquire(&mut world, Side::A).unwrap();
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

#[test]
fn without_an_answer_packets_do_not_hammer_the_peer() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| on_demand(a));
    world.link.cut = true;
    let hour = 3600 * 4;
    for _ in 0..hour {
        acquire(&mut world, Side::A).unwrap();
        world.run_for(SECOND / 4);
    }
    let attempts = world.a.failures.len();
    assert!((40..=60).contains(&attempts), "{attempts} attempts in an hour");
    // And without packets it is over, once the attempt on its way has failed.
    world.run_for(2 * MINUTE);
    let sent = world.link.sent;
    world.run_for(60 * MINUTE);
    assert_eq!((world.link.sent, state(&world.a)), (sent, ConnectionState::Idle));
    world.link.cut = false;
    acquire(&mut world, Side::A).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()), "the line is back, and nothing is waited for");
}

#[test]
fn a_refused_child_is_not_asked_for_by_each_packet() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| {
        on_demand(a);
        a.children[0].remote = vec!["172.16.0.0/16".parse().unwrap()];
    });
    for _ in 0..3600 {
        acquire(&mut world, Side::A).unwrap();
        world.run_for(SECOND);
    }
    let asked = world.a.failures.len();
    assert!((50..=80).contains(&asked), "asked {asked} times in an hour");
    assert_eq!((world.a.ike_sas_made, state(&world.a)), (1, ConnectionState::BackOff));
    world.run_for(2 * MINUTE);
    let failures = world.a.failures.len();
    world.run_for(10 * MINUTE);
    assert_eq!(world.a.failures.len(), failures, "nothing without a packet");
}

#[test]
fn what_cannot_be_acquired_says_why() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| a.children[0].start = Start::Listen);
    assert!(matches!(acquire(&mut world, Side::A), Err(CommandError::OnlyAnswered(..))));
    assert!(matches!(acquire(&mut world, Side::B), Err(CommandError::OnlyAnswered(..))));
    let wrong = Command::Acquire { connection: "link".into(), child: "nothing".into(), packet: None };
    assert!(matches!(world.command(Side::A, wrong), Err(CommandError::UnknownChild(..))));
    world.command(Side::A, Command::Down("link".into())).unwrap();
    assert!(matches!(acquire(&mut world, Side::A), Err(CommandError::AdminDown(_))));
    world.run_for(10 * MINUTE);
    assert_eq!(world.link.sent, 0);
}

#[test]
fn a_child_that_only_listens_is_set_up_by_the_peer() {
    let mut world = World::new(1, Conditions::GOOD);
    let (mut a, b) = (connection(Side::A, true), connection(Side::B, true));
    a.children[0].start = Start::Listen;
    world.configure(Side::A, vec![a]);
    world.run_for(10 * MINUTE);
    assert_eq!((world.link.sent, state(&world.a)), (0, ConnectionState::Waiting));
    world.configure(Side::B, vec![b]);
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(state(&world.a), ConnectionState::Up);
}

#[test]
fn both_ends_may_have_a_packet_at_once() {
    run_seeds(300, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, true));
        patient(&mut a, &mut b);
        for (side, mut connection) in [(Side::A, a), (Side::B, b)] {
            on_demand(&mut connection);
            world.configure(side, vec![connection]);
        }
        acquire(&mut world, Side::A).unwrap();
        acquire(&mut world, Side::B).unwrap();
        world.run_for(5 * MINUTE);
        // Packets go on until something stands.
        for side in [Side::A, Side::B] {
            acquire(&mut world, side).unwrap();
        }
        world.run_for(5 * MINUTE);
        assert_eq!(world.disagreement(), None);
    });
}

#[test]
fn a_child_without_packets_ends_and_comes_back_with_one() {
    for start in [Start::Always, Start::OnDemand] {
        let mut world = start_with(1, Conditions::GOOD, |a, _| {
            (a.children[0].start, a.children[0].inactivity) = (start, Some(10 * MINUTE));
        });
        acquire(&mut world, Side::A).unwrap();
        assert!(world.run_until(SECOND, |w| w.is_up()));
        for minute in 1..=20 {
            world.run_for(MINUTE);
            use_up(&mut world, Side::A, minute);
        }
        assert!(world.is_up(), "packets keep it");
        for _ in 1..=9 {
            world.run_for(MINUTE);
            use_up(&mut world, Side::A, 20);
        }
        assert!(world.is_up(), "it is kept for as long as configured");
        world.run_for(MINUTE);
        use_up(&mut world, Side::A, 20);
        world.run_for(10 * MINUTE);
        assert_eq!(world.a.retired.last().map(|(_, reason)| reason), Some(&EndReason::Inactive));
        assert_eq!((world.a.spis_in_use(), world.b.spis_in_use()), (0, 0), "the peer was told");
        assert_eq!(state(&world.a), ConnectionState::Idle);
        acquire(&mut world, Side::A).unwrap();
        assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
        assert_eq!(world.a.ike_sas_made, 1);
    }
}

#[test]
fn a_rekey_is_no_activity() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| {
        a.children[0].inactivity = Some(150 * MINUTE);
    });
    assert!(world.run_until(SECOND, |w| w.is_up()));
    for _ in 0..149 {
        world.run_for(MINUTE);
        use_up(&mut world, Side::A, 0);
    }
    assert!(world.is_up() && world.a.child_sas_made > 2, "rekeyed each hour");
    for _ in 0..2 {
        world.run_for(MINUTE);
        use_up(&mut world, Side::A, 0);
    }
    assert!(world.a.installed.is_empty(), "{:?}", world.a.status().into_tunnel());
}

#[test]
fn an_operator_may_set_up_what_waits_for_a_packet() {
    let mut world = start_with(1, Conditions::GOOD, |a, _| on_demand(a));
    world.command(Side::A, Command::Up("link".into())).unwrap();
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.disagreement());
}

/// What waits for a child need not wait on where nobody is about to set it up.
#[test]
fn it_is_known_whether_a_child_is_being_set_up() {
    let setting_up =
        |world: &World, child: &str| world.a.endpoint.is_setting_up(&"link".into(), &child.into());
    let acquire = |world: &mut World, child: &str| {
        world
            .command(
                Side::A,
                Command::Acquire { connection: "link".into(), child: child.into(), packet: None },
            )
            .unwrap();
    };
    let mut world = start_with(1, Conditions::GOOD, |a, _| {
        on_demand(a);
        let mut refused = a.children[0].clone();
        (refused.name, refused.remote) = ("refused".into(), vec!["172.16.0.0/16".parse().unwrap()]);
        a.children.push(refused);
    });
    assert!(!setting_up(&world, "net") && !setting_up(&world, "refused"));
    acquire(&mut world, "refused");
    acquire(&mut world, "net");
    assert!(setting_up(&world, "net") && setting_up(&world, "refused"), "the attempt is for both");
    assert!(world.run_until(SECOND, |w| !w.a.failures.is_empty()));
    assert!(!setting_up(&world, "refused"), "its back-off is waited for");
    assert!(world.run_until(SECOND, |w| w.a.installed.len() == 1));
    assert!(!setting_up(&world, "net") && !setting_up(&world, "nothing"));

    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(MINUTE);
    world.command(Side::A, Command::Up("link".into())).unwrap();
    world.link.cut = true;
    assert!(setting_up(&world, "net"));
    world.run_for(MINUTE);
    assert!(!setting_up(&world, "net"), "given up, and waits for its next try");
}

/// RFC 7296 §2.9: a responder that cannot let all pass keeps what the packet needs that had it set up, whatever child of its own
/// that is; in `IKE_AUTH` and after it.
#[test]
fn what_a_peer_leaves_of_a_child_carries_the_packet_that_asked_for_it() {
    for (destination, kept, in_auth) in [
        ("192.168.2.9", "192.168.2.0/25", true),
        ("192.168.2.200", "192.168.2.128/25", true),
        ("192.168.2.9", "192.168.2.0/25", false),
        ("192.168.2.200", "192.168.2.128/25", false),
    ] {
        let mut world = start_with(1, Conditions::GOOD, |a, b| {
            on_demand(a);
            let half = |text: &str| text.parse::<TrafficSelector>().unwrap();
            let halves = ["192.168.2.0/25", "192.168.2.128/25"].map(half);
            let mut second = b.children[0].clone();
            second.name = "second".into();
            (b.children[0].local, second.local) = (vec![halves[0].clone()], vec![halves[1].clone()]);
            b.children.push(second);
        });
        if !in_auth {
            acquire(&mut world, Side::A).unwrap();
            assert!(world.run_until(SECOND, |w| w.a.status().tunnel().is_some()));
            let id = *world.a.installed.keys().next().unwrap();
            world.command(Side::A, Command::DeleteChild(id)).unwrap();
            world.run_for(SECOND * 10);
            assert!(world.a.installed.is_empty());
        }
        acquire_for(&mut world, ["192.168.1.5", destination]);
        world.run_for(SECOND);
        let tunnel = world.a.status().into_tunnel().unwrap();
        let remote: Vec<_> = tunnel.children[0].remote.iter().map(ToString::to_string).collect();
        assert_eq!(remote, [kept], "for {destination}, in IKE_AUTH: {in_auth}");
        assert_eq!(tunnel.children[0].local.len(), 1, "{:?}", tunnel.children[0].local);
    }
}
