//! What a peer that gives addresses is believed.

use sekisho_ike::config::Remote;
use sekisho_ike::event::Command;
use sekisho_ike::identity::RemoteId;
use sekisho_ike::sim::{Conditions, RogueServer, Side, World, connection, connection_pair};
use sekisho_ike::wire::{Attribute, AttributeType, ConfigurationType, Delete, Payload};

use super::{configuration, ip, only, pool, roam, ts};

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
    let (world, said) = hostile(Some(vec![v4("10.9.0.5")]), "10.9.7.0/24");
    assert!(world.a.installed.is_empty());
    let deletes = |payloads: &Vec<Payload>| matches!(&payloads[..], [Payload::Delete(Delete::Esp(_))]);
    assert!(said.iter().any(deletes), "the responder is told to close its half: {said:?}");
    assert_eq!(world.a.failures[0].kind.code(), "traffic_selectors", "{}", world.a.failures[0]);
}
