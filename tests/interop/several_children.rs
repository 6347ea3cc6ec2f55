//! Several Child SAs in one tunnel, each with its own networks; selectors that one end narrows; IKE SAs without a child.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{
    Capture, End, Outer, Part, Sekisho, Site, StrongSwan, Tunnel, asks_once, wait_for, wait_until,
};
use crate::peers::assert_carries_tcp;

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Three Child SAs as the facility sees them: IPv4, IPv6, and a second IPv4 network on either side.
fn parts(site: &Site) -> Vec<Part> {
    for (gateway, [ours, hosts]) in
        [(&site.a, ["10.17.1.1/24", "10.17.1.2/24"]), (&site.b, ["10.0.1.1/24", "10.0.1.2/24"])]
    {
        gateway.namespace.ip(&format!("addr add {ours} dev lan"));
        gateway.host.ip(&format!("addr add {hosts} dev lan"));
    }
    let [a4, a6] = site.a.networks;
    let [b4, b6] = site.b.networks;
    let part = |name, local: &str, remote: &str| Part {
        name,
        local_networks: vec![local.to_owned()],
        remote_networks: vec![remote.to_owned()],
        settings: "",
    };
    vec![part("records", a4, b4), part("images", a6, b6), part("voice", "10.17.1.0/24", "10.0.1.0/24")]
}

fn both_ends(site: &Site, end: End) -> (Tunnel, Tunnel) {
    let parts = parts(site);
    let turned: Vec<Part> = parts.iter().map(Part::turned).collect();
    let at = |of: End| Tunnel {
        parts: if of == End::A { parts.clone() } else { turned.clone() },
        ..Tunnel::at(site, of, Outer::V4)
    };
    (at(end), at(end.other()))
}

/// The Child SA of this name that is sent on, if there is exactly one Child SA of it.
fn child(tunnel: &Value, name: &str) -> Option<Value> {
    let children = tunnel["children"].as_array().expect("a list");
    let mut named = children.iter().filter(|child| child["name"] == name);
    let only = named.next().filter(|child| child["sending"] == true)?;
    named.next().is_none().then(|| only.clone())
}

fn spis(sekisho: &Sekisho<'_>) -> [Value; 3] {
    wait_for(PATIENCE, "three Child SAs", || {
        let tunnel = sekisho.tunnel();
        let spi = |name| child(&tunnel, name).map(|child| child["spi_in"].clone());
        Some([spi("records")?, spi("images")?, spi("voice")?])
    })
}

/// Each Child SA carries its own traffic, and counts it.
fn assert_each_carries(site: &Site, sekisho: &Sekisho<'_>) {
    assert_carries_tcp(site, 200);
    let second = |text: &str| text.parse().expect("an address");
    assert!(asks_once((&site.a.host, second("10.17.1.2")), (&site.b.host, second("10.0.1.2")), PATIENCE));
    let tunnel = sekisho.tunnel();
    for name in ["records", "images", "voice"] {
        let child = child(&tunnel, name).unwrap_or_else(|| panic!("{name}: {tunnel:#}"));
        for counter in ["packets_in", "packets_out"] {
            assert!(child[counter].as_u64().is_some_and(|count| count > 0), "{name} {counter}: {child:#}");
        }
    }
}

/// A rekey of one child by either end leaves the others alone.
fn assert_rekeyed_alone(sekisho: &Sekisho<'_>, strongswan: &StrongSwan<'_>) {
    let before = spis(sekisho);
    sekisho.json(&["rekey", "centre/images"]);
    let after = spis(sekisho);
    assert_ne!(before[1], after[1]);
    assert_eq!([&before[0], &before[2]], [&after[0], &after[2]]);
    strongswan.rekey_child_named("voice");
    wait_until(PATIENCE, "strongSwan's rekey", || spis(sekisho)[2] != after[2]);
    assert_eq!(spis(sekisho)[..2], after[..2]);
}

#[test]
fn three_children_when_we_initiate() {
    let site = Site::new("children_initiate");
    let capture = Capture::start(&site);
    let (here, mut there) = both_ends(&site, End::A);
    there.remote = None;
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..here });
    spis(&sekisho);
    assert_each_carries(&site, &sekisho);
    assert_eq!(strongswan.child_spis().len(), 3);
    assert_rekeyed_alone(&sekisho, &strongswan);
    assert_each_carries(&site, &sekisho);

    let configured = sekisho.tunnel()["configured_children"].clone();
    let states: Vec<_> = configured.as_array().unwrap().iter().map(|c| (&c["start"], &c["state"])).collect();
    assert!(states.iter().all(|(start, state)| *start == "always" && *state == "up"), "{configured:#}");
    let refused = sekisho.try_command(&["down", "centre/images"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is to stand always"), "{refused:?}");
    capture.finish().assert_no_clear_text();
}

#[test]
fn three_children_when_we_respond() {
    let site = Site::new("children_respond");
    let capture = Capture::start(&site);
    let (mut here, there) = both_ends(&site, End::B);
    here.remote = None;
    let sekisho = Sekisho::start(&site.b, &here);
    let strongswan = StrongSwan::start(&site.a, &there);
    for name in ["voice", "records", "images"] {
        strongswan.initiate_child(name);
    }
    spis(&sekisho);
    assert_each_carries(&site, &sekisho);
    assert_rekeyed_alone(&sekisho, &strongswan);
    assert_each_carries(&site, &sekisho);
    sekisho.json(&["down", "centre/images"]);
    assert_eq!(child(&sekisho.tunnel(), "images"), None);
    wait_until(PATIENCE, "strongSwan to have two left", || strongswan.child_spis().len() == 2);
    capture.finish().assert_no_clear_text();
}

fn dropped(sekisho: &Sekisho<'_>, reason: &str) -> u64 {
    sekisho.json(&["status"])["drops"][reason].as_u64().unwrap_or_else(|| panic!("no reason {reason}"))
}

/// Ours are wider than strongSwan's in both roles: it narrows our offer, and we what is left of it.
#[test]
fn what_one_end_leaves_out_is_not_carried() {
    for (name, end, wide) in [
        ("narrowed_by_strongswan", End::A, End::A),
        ("narrowed_by_us", End::B, End::A),
        ("narrowed_answering_us", End::A, End::B),
    ] {
        let site = Site::new(name);
        let (mut a, mut b) = (Tunnel::at(&site, End::A, Outer::V4), Tunnel::at(&site, End::B, Outer::V4));
        // One end takes all of 10.0.0.0/16 for the centre's, the other only 10.0.0.0/24.
        match wide {
            End::A => a.remote_networks = vec!["10.0.0.0/16".to_owned()],
            End::B => b.local_networks = vec!["10.0.0.0/16".to_owned()],
        }
        for (tunnel, network) in [(&mut a, "10.17.0.0/24"), (&mut b, "10.17.0.0/24")] {
            let networks = if tunnel.local_id == "hub.example" {
                &mut tunnel.remote_networks
            } else {
                &mut tunnel.local_networks
            };
            *networks = vec![network.to_owned()];
        }
        match wide {
            End::A => b.local_networks = vec!["10.0.0.0/24".to_owned()],
            End::B => a.remote_networks = vec!["10.0.0.0/24".to_owned()],
        }
        let (sekisho, _strongswan) = match end {
            End::A => {
                let strongswan = StrongSwan::start(&site.b, &Tunnel { remote: None, ..b });
                (Sekisho::start(&site.a, &Tunnel { initiate: true, ..a }), strongswan)
            }
            End::B => {
                let sekisho = Sekisho::start(&site.b, &Tunnel { remote: None, ..b });
                let strongswan = StrongSwan::start(&site.a, &a);
                strongswan.initiate();
                (sekisho, strongswan)
            }
        };
        let tunnel = sekisho.await_up();
        let side = if end == End::A { "remote" } else { "local" };
        assert_eq!(tunnel["children"][0][side], serde_json::json!(["10.0.0.0/24"]), "{tunnel:#}");
        let left_out = &tunnel["configured_children"][0][format!("left_out_{side}")];
        let explained = sekisho.json(&["explain", Tunnel::NAME])["text"].to_string();
        if end == wide {
            assert_eq!(left_out, &serde_json::json!(["10.0.1.0-10.0.255.255"]));
            assert!(explained.contains("carries less than is configured"), "{explained}");
        } else {
            assert!(left_out.is_null(), "we have all that we are configured for: {left_out}");
        }
        let withheld = &tunnel["configured_children"][0]["withheld_local"];
        if (end, wide) == (End::B, End::A) {
            assert_eq!(withheld, &serde_json::json!(["10.0.1.0-10.0.255.255"]), "the peer asked for more");
            assert!(explained.contains("asked for more than child centre is configured for"), "{explained}");
            let events = String::from_utf8(sekisho.try_command(&["events"]).stdout).unwrap();
            assert!(events.contains("the peer asked for more, which is not configured here"), "{events}");
        } else {
            assert!(withheld.is_null(), "{withheld}");
        }
        let (a, b) = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
        assert!(asks_once(a, b, PATIENCE), "what both allow passes");
        if (end, wide) == (End::A, End::A) {
            let outside = "10.0.7.7:9".parse::<std::net::SocketAddr>().unwrap();
            let before = dropped(&sekisho, "narrowed");
            let socket = site.a.host.run(|| std::net::UdpSocket::bind((site.a.inside[0], 0)).unwrap());
            socket.send_to(b"not for this Child SA", outside).unwrap();
            wait_until(PATIENCE, "the drop to be counted", || dropped(&sekisho, "narrowed") == before + 1);
        }
    }
}

/// The IKE SA comes first, and each child has a key exchange of its own from the start (RFC 6023).
#[test]
fn without_a_child_at_first_when_we_initiate() {
    let site = Site::new("childless_initiate");
    let mut there = Tunnel::at(&site, End::B, Outer::V4);
    (there.remote, there.options) = (None, "childless = force");
    let here = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) };
    let strongswan = StrongSwan::start(&site.b, &there);
    let sekisho = Sekisho::start(&site.a, &Tunnel { settings: "childless = \"preferred\"", ..here });
    assert_eq!(sekisho.await_up()["children"][0]["pfs"], "own");
    strongswan.await_up();
    assert_carries_tcp(&site, 100);
}

#[test]
fn without_a_child_at_first_when_we_respond() {
    for (setting, comes_up) in [("", true), ("childless = \"never\"", false)] {
        let site = Site::new("childless_respond");
        let mut here = Tunnel::at(&site, End::B, Outer::V4);
        (here.remote, here.settings) = (None, setting);
        let there = Tunnel { options: "childless = force", ..Tunnel::at(&site, End::A, Outer::V4) };
        let sekisho = Sekisho::start(&site.b, &here);
        let strongswan = StrongSwan::start(&site.a, &there);
        assert_eq!(strongswan.try_initiate().status.success(), comes_up, "{setting}");
        if comes_up {
            assert_eq!(sekisho.await_up()["children"][0]["pfs"], "own");
            assert_carries_tcp(&site, 100);
        } else {
            assert!(sekisho.tunnel()["ike"].is_null());
        }
    }
}
