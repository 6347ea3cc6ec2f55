//! A second tunnel of the same peer; and one tunnel for many peers, told apart by their certificates.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{
    Authority, Belief, End, Gateway, KeyKind, Outer, Proof, Request, Sekisho, Site, StrongSwan, Tunnel,
    asks_once, wait_for, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// How the third gateway would be the facility: with its identity, key and networks, from elsewhere.
fn twin(site: &Site, third: &Gateway) -> Tunnel {
    // strongSwan wants an address of its own in them.
    for address in ["10.17.0.1/24", "2001:db8:17::1/64"] {
        third.namespace.ip(&format!("addr add {address} dev lan"));
    }
    Tunnel { local: third.outside[0], ..Tunnel::at(site, End::A, Outer::V4) }
}

/// The facility's strongSwan stands; then its twin comes. Neither says `INITIAL_CONTACT`: that would be believed.
fn second(name: &'static str, unique: &'static str, check: impl Fn(&Sekisho, [&StrongSwan; 2], bool)) {
    let site = Site::new(name);
    let third = site.third();
    let hub = Tunnel { remote: None, settings: unique, ..Tunnel::at(&site, End::B, Outer::V4) };
    let sekisho = Sekisho::start(&site.b, &hub);
    let options = "unique = never";
    let first = StrongSwan::start(&site.a, &Tunnel { options, ..Tunnel::at(&site, End::A, Outer::V4) });
    first.initiate();
    sekisho.await_up();
    let second = StrongSwan::start(&third, &Tunnel { options, ..twin(&site, &third) });
    let came_up = second.try_initiate().status.success();
    check(&sekisho, [&first, &second], came_up);
}

#[test]
fn a_second_tunnel_replaces_the_first() {
    second("unique_replace", "unique = \"replace\"", |sekisho, [first, second], came_up| {
        assert!(came_up);
        first.await_down();
        second.await_up();
        let tunnel = sekisho.await_up();
        assert_eq!(
            (&tunnel["peers_up"], &tunnel["remote"]),
            (&1.into(), &"192.0.2.2:4500".into()),
            "{tunnel:#}"
        );
    });
}

#[test]
fn a_second_tunnel_is_refused_while_the_first_stands() {
    second("unique_keep", "unique = \"keep\"", |sekisho, [first, second], came_up| {
        assert!(!came_up);
        assert_eq!(sekisho.await_failure_record()["diagnosis"]["kind"], "not_unique");
        assert!(second.child_spis().is_empty());
        first.await_up();
        let tunnel = sekisho.await_up();
        assert_eq!(
            (&tunnel["peers_up"], &tunnel["remote"]),
            (&1.into(), &"198.51.100.2:4500".into()),
            "{tunnel:#}"
        );
    });
}

#[test]
fn a_second_tunnel_stands_beside_the_first() {
    second("unique_never", "unique = \"never\"", |sekisho, [first, second], came_up| {
        assert!(came_up);
        first.await_up();
        second.await_up();
        let tunnel = sekisho.tunnel();
        assert_eq!(tunnel["peers_up"], 2, "{tunnel:#}");
        let remotes: Vec<&Value> =
            tunnel["peers"].as_array().unwrap().iter().map(|peer| &peer["remote"]).collect();
        assert_eq!(remotes, ["198.51.100.2:4500", "192.0.2.2:4500"]);
    });
}

/// A clinic's strongSwan, certified by the authority.
fn clinic(site: &Site, root: &Authority, gateway: &Gateway, host: &'static str, network: &str) -> Tunnel {
    Tunnel {
        local: gateway.outside[0],
        local_id: host,
        proof: Proof::by(&root.issue(&Request::of(host, KeyKind::P256))),
        belief: Belief::Authorities(vec![root.certificate.clone()]),
        local_networks: vec![network.to_owned()],
        remote_networks: vec![site.b.networks[0].to_owned()],
        ..Tunnel::at(site, End::A, Outer::V4)
    }
}

#[test]
fn two_clinics_of_one_pattern() {
    let site = Site::new("pattern");
    let third = site.third();
    let root = Authority::root("Root");
    let hub = Tunnel {
        remote: None,
        remote_id: "*.clinic.example",
        proof: Proof::by(&root.issue(&Request::of("hub.example", KeyKind::P256))),
        belief: Belief::Authorities(vec![root.certificate.clone()]),
        local_networks: vec![site.b.networks[0].to_owned()],
        remote_networks: vec!["10.16.0.0/12".to_owned()],
        ..Tunnel::at(&site, End::B, Outer::V4)
    };
    let sekisho = Sekisho::start(&site.b, &hub);
    let up = sekisho.try_command(&["up", "centre"]);
    assert!(String::from_utf8_lossy(&up.stderr).contains("only the peer can start it"), "{up:?}");

    let (one, two) = ("one.clinic.example", "two.clinic.example");
    let first = StrongSwan::start(&site.a, &clinic(&site, &root, &site.a, one, site.a.networks[0]));
    first.initiate();
    // The second asks for the first one's network, and gets its own.
    let mut there = clinic(&site, &root, &third, two, site.a.networks[0]);
    let second = StrongSwan::start(&third, &there);
    assert!(!second.try_initiate().status.success());
    let refused = sekisho.await_failure_record();
    assert_eq!(refused["diagnosis"]["kind"], "network_taken", "{refused:#}");
    assert!(refused["diagnosis"]["summary"].as_str().is_some_and(|text| text.contains(one)), "{refused:#}");
    second.terminate();
    there.local_networks = vec![third.networks[0].to_owned()];
    second.load(&there);
    second.initiate();

    let peers = || sekisho.tunnel()["peers"].as_array().cloned().unwrap_or_default();
    wait_until(PATIENCE, "both to be up", || {
        peers().iter().filter(|peer| peer["children"].as_array().is_some_and(|c| c.len() == 1)).count() == 2
    });
    let told: Vec<(Value, Value)> = peers()
        .iter()
        .map(|peer| (peer["remote_id"].clone(), peer["children"][0]["remote"].clone()))
        .collect();
    let networks = |gateway: &Gateway| Value::from(vec![gateway.networks[0]]);
    assert_eq!(told, [(one.into(), networks(&site.a)), (two.into(), networks(&third))]);
    let centre = (&site.b.host, site.b.inside[0]);
    for clinic in [&site.a, &third] {
        let clinic = (&clinic.host, clinic.inside[0]);
        assert!(asks_once(clinic, centre, PATIENCE) && asks_once(centre, clinic, PATIENCE));
    }

    // An operator's rekey is for both of them.
    let before: Vec<Value> = peers().iter().map(|peer| peer["ike"]["spi_i"].clone()).collect();
    sekisho.json(&["rekey", "centre"]);
    let after = wait_for(PATIENCE, "both to be rekeyed", || {
        let after: Vec<Value> = peers().iter().map(|peer| peer["ike"]["spi_i"].clone()).collect();
        (after.len() == 2 && after.iter().zip(&before).all(|(a, b)| a != b)).then_some(after)
    });
    assert_ne!(after, before);
    assert!(asks_once((&site.a.host, site.a.inside[0]), centre, PATIENCE));

    first.terminate();
    wait_until(PATIENCE, "one to be left", || sekisho.tunnel()["peers_up"] == 1);
    assert!(asks_once((&third.host, third.inside[0]), centre, PATIENCE), "the other goes on");
}
