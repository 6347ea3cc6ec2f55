//! Setting a tunnel up, on good lines and bad ones.

use sekisho_ike::Path;
use sekisho_ike::config::EndpointConfig;
use sekisho_ike::event::{Command, ConnectionState};
use sekisho_ike::sim::{Conditions, Side, World, connection, connection_pair, run_seeds};

use crate::{MINUTE, SECOND, patient, start_with, up};

fn start(seed: u64, conditions: Conditions) -> World {
    start_with(seed, conditions, |_, _| {})
}

#[test]
fn four_messages_set_a_tunnel_up() {
    let mut world = start(1, Conditions::GOOD);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent, 4);
    for side in [Side::A, Side::B] {
        let status = world.host(side).status();
        assert_eq!(status.state, ConnectionState::Up);
        let tunnel = status.tunnel().unwrap();
        assert_eq!(tunnel.ike_sa.suite.to_string(), "aes256gcm16-prfsha384-x25519");
        assert_eq!(tunnel.children[0].suite.to_string(), "aes256gcm16-esn");
        assert!(tunnel.ike_sa.nat.there, "encapsulation is forced by a hash that cannot match");
        assert!(tunnel.ike_sa.nat.there_asks, "and known to be no NAT");
        assert!(!tunnel.ike_sa.nat.here);
        assert_eq!(tunnel.ike_sa.path.local.port(), 4500);
    }
}

#[test]
fn a_line_that_loses_thirty_per_cent_each_way_gets_a_tunnel_all_the_same() {
    run_seeds(1000, |seed| {
        let mut world = start(seed, Conditions::bad(0.3));
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    });
}

#[test]
fn each_message_may_be_lost_in_turn() {
    for lost in 1..=4 {
        let mut world = World::new(lost, Conditions::GOOD);
        world.link.lose.insert(lost);
        let (a, b) = connection_pair();
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "message {lost}: {:?}", world.disagreement());
        assert!(world.link.sent > 4);
        assert_eq!(world.a.ike_sas_made, 1, "message {lost}: sent again, not begun again");
        assert_eq!(world.b.ike_sas_made, 1);
    }
}

#[test]
fn both_ends_may_begin_at_once_and_one_ike_sa_survives() {
    run_seeds(1000, |seed| {
        let conditions = if seed % 2 == 0 { Conditions::GOOD } else { Conditions::bad(0.2) };
        let mut world = World::new(seed, conditions);
        let (mut a, mut b) = (connection(Side::A, true), connection(Side::B, true));
        patient(&mut a, &mut b);
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        world.run_for(5 * MINUTE);
        // Whatever was on its way is settled; a probe may be outstanding.
        assert_eq!(world.disagreement(), None);
    });
}

#[test]
fn a_group_that_the_responder_does_not_have_costs_one_round_trip() {
    let mut world = start_with(1, Conditions::GOOD, |_, b| {
        b.proposals = vec!["aes256gcm16-prfsha384-ecp384".parse().unwrap()];
    });
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent, 6);
    assert_eq!(
        world.a.status().into_tunnel().unwrap().ike_sa.suite.to_string(),
        "aes256gcm16-prfsha384-ecp384"
    );
    assert!(world.a.failures.is_empty() && world.b.failures.is_empty(), "no failure, only a detour");
}

#[test]
fn a_responder_under_load_asks_for_a_cookie_and_gets_it() {
    let config = EndpointConfig { cookie_threshold: 0, ..EndpointConfig::default() };
    let mut world = World::with_config(1, Conditions::GOOD, config);
    let (a, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    assert_eq!(world.link.sent, 6, "one round trip for the cookie");
    let wanted = world.b.endpoint.drops().into_iter().find(|(code, _)| *code == "ike_cookie_wanted").unwrap();
    assert_eq!(wanted.1, 1);
}

#[test]
fn a_cookie_and_another_group_may_both_be_wanted() {
    let config = EndpointConfig { cookie_threshold: 0, ..EndpointConfig::default() };
    let mut world = World::with_config(1, Conditions::GOOD, config);
    let (a, mut b) = connection_pair();
    b.proposals = vec!["aes256gcm16-prfsha384-ecp384".parse().unwrap()];
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
}

#[test]
fn several_children_come_up_one_after_the_other() {
    run_seeds(50, |seed| {
        let mut world = start_with(seed, Conditions::bad(0.1), |a, b| {
            for (index, name) in ["second", "third"].into_iter().enumerate() {
                for (connection, ours, theirs) in [(&mut *a, 1, 2), (&mut *b, 2, 1)] {
                    let mut child = connection.children[0].clone();
                    child.name = name.into();
                    child.local = vec![format!("10.{ours}.{index}.0/24").parse().unwrap()];
                    child.remote = vec![format!("10.{theirs}.{index}.0/24").parse().unwrap()];
                    connection.children.push(child);
                }
            }
        });
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        let tunnel = world.b.status().into_tunnel().unwrap();
        let mut names: Vec<_> = tunnel.children.iter().map(|c| c.child.to_string()).collect();
        names.sort();
        assert_eq!(names, ["net", "second", "third"]);
        assert!(
            tunnel.children.iter().filter(|c| c.child.as_str() != "net").all(|c| c.suite.group.is_some())
        );
    });
}

#[test]
fn a_responder_narrows_and_both_ends_use_what_is_left() {
    let mut world = start_with(1, Conditions::GOOD, |a, b| {
        a.children[0].remote = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        b.children[0].local =
            vec!["192.168.2.0/25[tcp/443]".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    });
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    let text = |list: &[sekisho_ike::negotiate::TrafficSelector]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (host, ours) in [(&world.a, false), (&world.b, true)] {
        let child = &host.status().into_tunnel().unwrap().children[0];
        let selectors = if ours { &child.local } else { &child.remote };
        assert_eq!(text(selectors), ["192.168.2.0/25[tcp/443]", "2001:db8::/32"]);
        // Who narrowed knows what was wanted, and who was narrowed what it is configured for.
        let withheld =
            child.withheld.as_ref().map(|withheld| (text(&withheld.local), text(&withheld.remote)));
        let beyond = [
            "0.0.0.0/0",
            "::-2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        assert_eq!(withheld, ours.then(|| (beyond.map(str::to_owned).to_vec(), vec![])));
    }
    // It is known after a rekey too, whoever makes it: the initiator of that asks for no more than it is configured for.
    world.command(Side::B, Command::RekeyChildren("link".into())).unwrap();
    world.run_for(MINUTE);
    let child = &world.b.status().into_tunnel().unwrap().children[0];
    assert!(child.withheld.is_some(), "{child:?}");
}

/// On a good line nothing is dropped that an honest peer sends.
#[test]
fn an_ordinary_start_drops_nothing() {
    for seed in 0..20 {
        let mut world = up(seed, Conditions::GOOD);
        world.run_for(2 * MINUTE);
        for host in [&world.a, &world.b] {
            let dropped: Vec<_> = host.endpoint.drops().into_iter().filter(|(_, n)| *n > 0).collect();
            assert!(dropped.is_empty(), "seed {seed}: {dropped:?}");
        }
    }
}

/// The responder has its tunnel while the initiator still examines who that is, and finds out at once what the path carries.
#[test]
fn what_the_responder_asks_before_its_proof_is_examined_waits_for_that() {
    for seed in 0..20 {
        let mut world = World::new(seed, Conditions::GOOD);
        world.a.desk.work_time = SECOND / 5;
        let (a, b) = connection_pair();
        world.configure(Side::B, vec![b]);
        world.configure(Side::A, vec![a]);
        assert!(world.run_until(MINUTE, |w| w.b.status().tunnel().is_some()), "seed {seed}");
        let tunnel = world.b.status().into_tunnel().unwrap().ike_sa.tunnel;
        world.command(Side::B, Command::LineCarries(tunnel, 1500)).unwrap();
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None, "seed {seed}");
        assert_eq!(world.b.path_mtus.last(), Some(&(1500, true)), "seed {seed}");
        for host in [&world.a, &world.b] {
            let dropped: Vec<_> = host.endpoint.drops().into_iter().filter(|(_, n)| *n > 0).collect();
            assert!(dropped.is_empty(), "seed {seed}: {dropped:?}");
        }
    }
}

/// Whoever has seen the SPIs can make up such requests: a few are kept, and turn out to be forged.
#[test]
fn made_up_requests_before_the_proof_is_examined_are_bounded_and_change_nothing() {
    let mut world = World::new(1, Conditions::GOOD);
    world.a.desk.work_time = SECOND;
    let (a, b) = connection_pair();
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
    assert!(world.run_until(MINUTE, |w| w.b.status().tunnel().is_some()));
    world.run_for(SECOND / 20);
    assert!(world.a.status().tunnel().is_none(), "B's answer has arrived and is examined");
    let sa = world.b.status().into_tunnel().unwrap().ike_sa;
    let path = Path { local: sa.path.remote, remote: sa.path.local, transport: sa.path.transport };
    for number in 0..20_u8 {
        // A header of an INFORMATIONAL request of the responder, and an Encrypted payload of 60 bytes.
        let header = [0x2e, 0x20, 37, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0, 0, 0, 60];
        let bytes = [&sa.spi_i.0[..], &sa.spi_r.0, &header, &[number; 56]].concat();
        assert!(world.inject(Side::A, path, &bytes).is_empty());
    }
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
    let dropped: Vec<_> = world.a.endpoint.drops().into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(dropped, [("ike_forged", 8), ("ike_unexpected_exchange", 12)]);
}
