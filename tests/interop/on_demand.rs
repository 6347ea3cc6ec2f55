//! A tunnel that stands only while there is something to carry.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Capture, End, Outer, Part, Sekisho, Site, StrongSwan, Tunnel, asks_once, wait_for};
use crate::peers::assert_carries_tcp;
use crate::refusals::assert_diagnosis;

/// How long the first packet may wait.
const PATIENCE: Duration = Duration::from_secs(10);

fn await_state(sekisho: &Sekisho<'_>, state: &str) -> Value {
    wait_for(Duration::from_secs(20), state, || {
        let tunnel = sekisho.tunnel();
        (tunnel["state"] == state).then_some(tunnel)
    })
}

fn ends(site: &Site, settings: &'static str) -> (Tunnel, Tunnel) {
    let here = Tunnel { settings, ..Tunnel::at(site, End::A, Outer::V4) };
    let there = Tunnel { remote: None, ..Tunnel::at(site, End::B, Outer::V4) };
    (here, there)
}

#[test]
fn the_first_packet_starts_the_tunnel_and_is_answered() {
    let site = Site::new("on_demand_first_packet");
    let capture = Capture::start(&site);
    let (here, there) = ends(&site, "start = \"on-demand\"");
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &here);
    let tunnel = await_state(&sekisho, "idle");
    assert_eq!((&tunnel["ike"], &tunnel["attempts"]), (&Value::Null, &0.into()), "{tunnel:#}");
    assert_eq!(tunnel["configured_children"][0]["state"], "idle");
    assert!(strongswan.ike_spis().is_empty(), "nothing is said before");

    let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    assert!(asks_once(a, b, PATIENCE), "the packet that started the tunnel came through");
    let tunnel = sekisho.await_up();
    strongswan.await_up();
    let configured = &tunnel["configured_children"][0];
    assert!(
        configured["left_out_local"].is_null() && configured["left_out_remote"].is_null(),
        "the packet's own addresses, which come first (RFC 7296 §2.9), take nothing away: {tunnel:#}"
    );
    assert_carries_tcp(&site, 100);

    // Deleted by the peer it stays away until the next packet.
    strongswan.terminate();
    await_state(&sekisho, "idle");
    let (a, b) = ((&site.a.host, site.a.inside[1]), (&site.b.host, site.b.inside[1]));
    assert!(asks_once(a, b, PATIENCE), "IPv6 too");
    sekisho.await_up();

    // An operator's word is as good as a packet.
    sekisho.json(&["down", "centre/centre"]);
    await_state(&sekisho, "idle");
    sekisho.json(&["up", "centre/centre"]);
    sekisho.await_up();
    sekisho.json(&["down", "centre"]);
    assert_eq!(await_state(&sekisho, "admin_down")["configured_children"][0]["state"], "down");
    assert!(!asks_once(a, b, Duration::from_secs(1)), "what an operator took down no packet starts");
    capture.finish().assert_no_clear_text();
}

/// strongSwan has the network in two halves, of which one Child SA carries one: it is the one that the packet is for.
#[test]
fn a_peer_that_narrows_keeps_what_the_packet_needs() {
    for last in [200, 9] {
        let site = Site::new("on_demand_narrowed");
        let host = format!("10.0.0.{last}");
        site.b.host.ip(&format!("addr add {host}/24 dev lan"));
        // strongSwan wants an address of its own in what it carries.
        site.b.namespace.ip("addr add 10.0.0.254/24 dev lan");
        let (mut here, mut there) = ends(&site, "start = \"on-demand\"");
        (here.local_networks, here.remote_networks) =
            (vec!["10.17.0.0/24".into()], vec!["10.0.0.0/24".into()]);
        let half = |name, network: &str| Part {
            name,
            local_networks: vec![network.to_owned()],
            remote_networks: vec!["10.17.0.0/24".to_owned()],
            settings: "",
        };
        there.parts = vec![half("low", "10.0.0.0/25"), half("high", "10.0.0.128/25")];
        let _strongswan = StrongSwan::start(&site.b, &there);
        let sekisho = Sekisho::start(&site.a, &here);
        await_state(&sekisho, "idle");
        let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, host.parse().unwrap()));
        assert!(asks_once(a, b, PATIENCE), "{host}: {:#}", sekisho.tunnel());
    }
}

#[test]
fn what_could_not_be_set_up_is_dropped_for_a_reason() {
    let site = Site::new("on_demand_refused");
    let capture = Capture::start(&site);
    let (here, mut there) = ends(&site, "start = \"on-demand\"");
    there.psk = "0sAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &here);
    let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    assert!(!asks_once(a, b, Duration::from_secs(2)));
    assert_diagnosis(&sekisho.await_failure(), "authentication_failed", "peer");
    let dropped = || sekisho.json(&["status"])["drops"]["acquire_failed"].as_u64();
    wait_for(PATIENCE, "the packet to be dropped", || (dropped() == Some(1)).then_some(()));

    there.psk = here.psk;
    strongswan.load(&there);
    wait_for(Duration::from_secs(20), "a packet to come through", || {
        asks_once(a, b, Duration::from_secs(1)).then_some(())
    });
    sekisho.await_up();
    capture.finish().assert_no_clear_text();
}

#[test]
fn a_child_without_packets_goes_and_the_next_packet_brings_it_back() {
    let site = Site::new("on_demand_inactivity");
    let (here, there) = ends(&site, "start = \"on-demand\"\ninactivity = \"5s\"");
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &here);
    let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    assert!(asks_once(a, b, PATIENCE));
    let before = sekisho.await_up();
    let idle = await_state(&sekisho, "idle");
    assert_eq!(idle["ike"]["spi_i"], before["ike"]["spi_i"], "the IKE SA stands");
    wait_for(PATIENCE, "strongSwan to be told", || strongswan.child_spis().is_empty().then_some(()));
    let records = String::from_utf8(sekisho.try_command(&["events", "--json"]).stdout).unwrap();
    assert!(
        records.lines().any(|line| line.contains("child_sa_down") && line.contains("\"inactive\"")),
        "{records}"
    );

    assert!(asks_once(a, b, PATIENCE), "the packet that brought it back");
    let after = sekisho.await_up();
    assert_eq!(after["ike"]["spi_i"], before["ike"]["spi_i"]);
    assert_ne!(after["children"][0]["spi_in"], before["children"][0]["spi_in"]);
}

/// strongSwan's own start on demand (`start_action = trap`) does nothing with its ESP in user space, so it is told to.
#[test]
fn the_peer_may_start_what_waits_for_a_packet() {
    let site = Site::new("on_demand_by_the_peer");
    let (here, there) = ends(&site, "start = \"on-demand\"");
    let sekisho = Sekisho::start(&site.a, &here);
    let strongswan = StrongSwan::start(&site.b, &Tunnel { remote: Some(here.local), ..there });
    strongswan.initiate();
    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["ike"]["initiator"], false, "{tunnel:#}");
    assert_carries_tcp(&site, 100);
    assert_eq!(sekisho.await_up()["ike"]["spi_i"], tunnel["ike"]["spi_i"], "nothing else was set up");
    strongswan.terminate();
    await_state(&sekisho, "idle");
}

/// Two sekishods that both wait for a packet, and both get one at once: one tunnel is left, and carries both ways. The first
/// packets themselves may be lost here: whoever answers sends before the other end can have its answer.
#[test]
fn both_ends_on_demand_at_once() {
    let site = Site::new("on_demand_both");
    let capture = Capture::start(&site);
    let at = |end| Tunnel { settings: "start = \"on-demand\"", ..Tunnel::at(&site, end, Outer::V4) };
    let a = Sekisho::start(&site.a, &at(End::A));
    let b = Sekisho::start(&site.b, &at(End::B));
    let (host_a, host_b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    std::thread::scope(|scope| {
        for (from, to) in [(host_a, host_b), (host_b, host_a)] {
            let ask = move || asks_once(from, to, Duration::from_secs(1)).then_some(());
            scope.spawn(move || wait_for(PATIENCE, "a packet to be answered", ask));
        }
    });
    wait_for(Duration::from_secs(20), "one tunnel, the same at both ends", || {
        let (a, b) = (a.tunnel(), b.tunnel());
        let one = a["peers_up"] == 1 && b["peers_up"] == 1 && a["ike"]["spi_i"] == b["ike"]["spi_i"];
        (one && a["state"] == "up" && b["state"] == "up").then_some(())
    });
    assert_carries_tcp(&site, 100);
    capture.finish().assert_no_clear_text();
}
