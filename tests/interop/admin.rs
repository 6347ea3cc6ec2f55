//! An operator takes a tunnel down and brings it up again; a peer's operator does.

use std::fs;
use std::time::Duration;

use crate::lab::{Capture, End, Outer, Sekisho, Site, StrongSwan, Tunnel, both_ways};
use crate::peers::{assert_carries_tcp, we_initiate};

#[test]
fn down_refuses_the_peer_until_up() {
    let site = Site::new("admin_down_and_up");
    let capture = Capture::start(&site);
    let sekisho = Sekisho::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let strongswan = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    sekisho.json(&["up", Tunnel::NAME]);
    strongswan.await_up();

    sekisho.json(&["down", Tunnel::NAME]);
    strongswan.await_down();
    let asked = strongswan.try_initiate();
    assert!(!asked.status.success(), "strongSwan is refused: {}", String::from_utf8_lossy(&asked.stdout));
    let tunnel = sekisho.await_down(Duration::from_secs(1));
    assert_eq!(tunnel["state"], "admin_down", "{tunnel}");

    sekisho.json(&["up", Tunnel::NAME]);
    strongswan.await_up();
    assert_carries_tcp(&site, 100);
    capture.finish().assert_no_clear_text();
}

/// As in one line of a shell: `sekisho down centre; sekisho up centre`. Another tunnel stands at both ends, nothing is left of the one
/// before, and in between nothing leaves in clear.
#[test]
fn up_right_after_down_sets_the_tunnel_up_anew() {
    let site = Site::new("admin_down_then_up");
    let capture = Capture::start(&site);
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let before = sekisho.tunnel();
    let spis = || [strongswan.ike_spis(), strongswan.child_spis()].concat();
    let old = spis();
    assert_carries_tcp(&site, 100);

    let down = sekisho.json(&["down", Tunnel::NAME]);
    assert_eq!((&down["state"], &down["ike"]), (&"admin_down".into(), &serde_json::Value::Null), "{down}");
    let up = sekisho.json(&["up", Tunnel::NAME]);
    assert_eq!(up["state"], "up", "{up}");
    assert_ne!(up["ike"]["spi_i"], before["ike"]["spi_i"]);
    strongswan.await_up();
    assert!(spis().iter().all(|spi| !old.contains(spi)), "{old:?} and now {:?}", spis());
    assert_carries_tcp(&site, 100);
    capture.finish().assert_no_clear_text();
}

/// The peer's operator deletes the SAs; we, who keep the tunnel up, set it up again.
#[test]
fn a_tunnel_that_the_peer_deletes_comes_back() {
    let site = Site::new("admin_peer_terminates");
    let (sekisho, strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let before = sekisho.await_up();
    strongswan.terminate();
    let after = sekisho.await_up_again(&before);
    assert_eq!(after["last_failure"], serde_json::Value::Null, "a tunnel that is up shows no old failure");
    strongswan.await_up();
    assert_carries_tcp(&site, 100);
}

/// Reading the same configuration again changes nothing: the SAs stay, and no packet is lost.
#[test]
fn reload_keeps_what_did_not_change() {
    let site = Site::new("admin_reload");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    let before = sekisho.await_up();
    let tallies = both_ways(&site, 0, || {
        sekisho.json(&["reload"]);
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
    assert_eq!(sekisho.await_up()["ike"]["spi_i"], before["ike"]["spi_i"]);
}

/// What is a matter of each SA's making is told of for as long as one stands that was made before.
#[test]
fn a_setting_that_waits_for_the_next_sa_is_told_until_there_is_one() {
    let site = Site::new("admin_next_sa");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    sekisho.await_up();
    let waits = || sekisho.json(&["status"])["from_next_sa"].clone();
    assert!(waits().is_null(), "{}", waits());
    let good = fs::read_to_string(sekisho.configuration()).unwrap();
    fs::write(sekisho.configuration(), good.replacen("[daemon]\n", "[daemon]\necn = false\n", 1)).unwrap();
    assert_eq!(sekisho.json(&["reload"])["from_next_sa"][0], "ecn");
    assert_eq!(waits(), serde_json::json!(["ecn"]));
    sekisho.json(&["rekey", Tunnel::NAME]);
    assert!(waits().is_null(), "{}", waits());
}

/// The hub's operator takes the tunnel down: the facility is told so, and not that its key is wrong.
#[test]
fn a_tunnel_that_is_down_there_is_told_apart_from_a_wrong_key() {
    let site = Site::new("admin_down_there");
    let b = Sekisho::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let a = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    a.await_up();
    b.json(&["down", Tunnel::NAME]);
    a.await_tunnel("a refusal for the time being", Duration::from_secs(20), |tunnel| {
        tunnel["last_failure"]["kind"] == "put_off"
    });
    for (end, words) in [
        (&a, "most often an operator took the tunnel down there"),
        (&b, "is down: an operator took it down here"),
    ] {
        let text = end.json(&["explain", Tunnel::NAME])["text"].as_str().unwrap().replace('\n', " ");
        assert!(text.contains(words), "{text}");
    }
    b.json(&["up", Tunnel::NAME]);
    a.await_up();
}
