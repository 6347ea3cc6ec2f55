//! `sekisho explain`: with a real peer at the other end, the right kind, and the words that decide what to do.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{End, Outer, Sekisho, Site, StrongSwan, Tunnel, both_ways, wait_for, wait_until};
use crate::peers::{we_initiate, we_respond};

const OTHER_PSK: &str = "0smE4zTj0N2cYx8rWqL6uHvK1pS9gBdF3aO7iXeVtCyRk=";
const OTHER_IKE: &str = "aes128gcm16-prfsha256-ecp256";
const OTHER_ESP: &str = "aes128gcm16-x25519-noesn";

#[test]
fn another_pre_shared_key() {
    let change = |tunnel: &mut Tunnel| tunnel.psk = OTHER_PSK;
    initiated(
        "explain_psk_there",
        change,
        ("authentication_failed", "peer"),
        &["psk_file", "strongSwan: `secret`"],
    );
    asked("explain_psk_here", change, ("authentication_failed", "here"), &["its pre-shared key is not ours"]);
}

#[test]
fn no_common_suite_for_the_ike_sa() {
    let change = |tunnel: &mut Tunnel| tunnel.ike_proposal = OTHER_IKE;
    let kind = "no_ike_proposal";
    let there =
        initiated("explain_ike_there", change, (kind, "peer"), &["IKE_SA_INIT", "aes128gcm16", "ecp256"]);
    assert_row(&there, "key exchange", (&["ecp256"], None), None);
    let here = asked("explain_ike_here", change, (kind, "here"), &["differ in cipher, PRF and key exchange"]);
    assert_row(&here, "cipher", (&["aes128gcm16"], Some(&["aes256gcm16"])), Some(false));
    assert_row(&here, "PRF", (&["prfsha256"], Some(&["prfsha384"])), Some(false));
}

/// A first message says nothing of who sent it: shown by a tunnel that listens, where its peer may come from anywhere.
#[test]
fn a_refusal_of_no_tunnel_is_shown_where_it_may_be_of_its_peer() {
    let change = |tunnel: &mut Tunnel| (tunnel.remote, tunnel.ike_proposal) = (None, OTHER_IKE);
    let site = Site::new("explain_of_no_tunnel");
    let mut here = Tunnel::at(&site, End::B, Outer::V4);
    change(&mut here);
    let sekisho = Sekisho::start(&site.b, &here);
    assert!(
        explain(&sekisho)["text"].as_str().is_some_and(|text| text.contains("nobody was refused lately"))
    );
    let strongswan = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    assert!(!strongswan.try_initiate().status.success());
    let explained = await_explained(&sekisho, "no_ike_proposal");
    let words = [
        "Perhaps this tunnel's peer",
        "198.51.100.2",
        "differ in cipher, PRF and key exchange",
        "it must try again",
    ];
    assert_told(&explained, ("no_ike_proposal", "here"), &words);
    assert!(explained["failure"].is_null(), "it named nobody");
    assert_row(&explained["refused"][0], "cipher", (&["aes128gcm16"], Some(&["aes256gcm16"])), Some(false));
    let status = sekisho.json(&["status"]);
    assert_eq!(status["refused"][0]["remote"], "198.51.100.2", "{status:#}");
    let of_peer = sekisho.json(&["explain", "--peer", "198.51.100.2"]);
    assert_eq!(of_peer["refused"], status["refused"]);
    assert_told(
        &serde_json::json!({ "text": of_peer["text"], "kind": "no_ike_proposal", "refused_by": "here" }),
        ("no_ike_proposal", "here"),
        &["198.51.100.2 was refused in IKE_SA_INIT"],
    );

    sekisho.rewrite(&Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    sekisho.json(&["reload"]);
    strongswan.initiate();
    sekisho.await_up();
    assert_eq!(sekisho.json(&["status"])["refused"], serde_json::json!([]), "it is in");
    assert_eq!(explain(&sekisho)["kind"], Value::Null);
}

#[test]
fn no_common_suite_for_the_child_sa() {
    let change = |tunnel: &mut Tunnel| tunnel.esp_proposal = OTHER_ESP;
    let kind = "no_child_proposal";
    initiated("explain_esp_there", change, (kind, "peer"), &["`esp_proposals`", "aes128gcm16"]);
    let here =
        asked("explain_esp_here", change, (kind, "here"), &["only the cipher differs, ours aes128gcm16"]);
    assert_row(&here, "cipher", (&["aes128gcm16"], Some(&["aes256gcm16"])), Some(false));
    assert_row(&here, "sequence numbers", (&["noesn"], Some(&["noesn"])), Some(true));
}

#[test]
fn other_networks() {
    let change = |tunnel: &mut Tunnel| {
        tunnel.remote_networks = ["10.99.0.0/24", "2001:db8:99::/64"].map(str::to_owned).to_vec();
    };
    let kind = "traffic_selectors";
    initiated("explain_networks_there", change, (kind, "peer"), &["10.99.0.0/24", "remote_ts"]);
    let words = ["the remote networks have nothing in common", "10.17.0.0/24 lies outside 10.99.0.0/24"];
    asked("explain_networks_here", change, (kind, "here"), &words);
    let interchange =
        |tunnel: &mut Tunnel| std::mem::swap(&mut tunnel.local_networks, &mut tunnel.remote_networks);
    asked("explain_networks_interchanged", interchange, (kind, "here"), &["interchanged"]);
}

#[test]
fn another_identity() {
    let change = |tunnel: &mut Tunnel| tunnel.remote_id = "other.example";
    let words = ["itself as `other.example`", "strongSwan: `remote.id`"];
    initiated("explain_identity_there", change, ("authentication_failed", "peer"), &words);
    let words = ["calls itself `clinic-17.example`", "is not configured"];
    asked("explain_identity_here", change, ("unknown_identity", "here"), &words);
    let slip = |tunnel: &mut Tunnel| (tunnel.remote, tunnel.remote_id) = (None, "clinic-17.exmaple");
    let words = ["Perhaps this tunnel's peer", "did you mean `clinic-17.exmaple`?"];
    let failure = asked("explain_identity_near", slip, ("unknown_identity", "here"), &words);
    assert!(failure.is_null(), "from anywhere, so it is only perhaps this tunnel's");
    let ours = |tunnel: &mut Tunnel| tunnel.local_id = "other.example";
    let words = ["asking for `hub.example`", "with us as `other.example`"];
    asked("explain_our_identity_here", ours, ("unknown_identity", "here"), &words);
}

/// The peer has perfect forward secrecy off, which a first rekey would show after an hour.
#[test]
fn a_mismatch_of_perfect_forward_secrecy_is_found_early() {
    let site = Site::new("explain_pfs_there");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |tunnel| {
        if !tunnel.initiate {
            tunnel.esp_proposal = "aes256gcm16-noesn";
        }
    });
    assert_eq!(sekisho.await_up()["children"][0]["pfs"], "unproven");
    let tallies = both_ways(&site, 0, || {
        let explained = await_explained(&sekisho, "pfs_mismatch");
        assert_told(&explained, ("pfs_mismatch", "peer"), &["is up with", "traffic passes until", "`nopfs`"]);
        assert_row(
            &explained["warnings"][0],
            "cipher",
            (&["aes256gcm16"], Some(&["aes256gcm16"])),
            Some(true),
        );
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0], "the standing SA goes on");
    let tunnel = sekisho.await_up();
    assert_eq!(tunnel["children"][0]["pfs"], "refused");
    assert_eq!((&tunnel["state"], &tunnel["last_failure"]), (&"up".into(), &Value::Null));
}

#[test]
fn a_peers_rekey_with_perfect_forward_secrecy_that_we_do_not_have() {
    let site = Site::new("explain_pfs_here");
    let (sekisho, strongswan) = we_respond(&site, Outer::V4, |tunnel| {
        if tunnel.local_id == "hub.example" {
            tunnel.esp_proposal = "aes256gcm16-noesn";
        }
    });
    strongswan.ask_rekey_child();
    let explained = await_explained(&sekisho, "pfs_mismatch");
    assert_told(&explained, ("pfs_mismatch", "here"), &["is up with", "ours none, the peer's x25519"]);
    assert_eq!(sekisho.tunnel()["state"], "up");
}

#[test]
fn both_agree_and_nothing_is_wrong() {
    let site = Site::new("explain_well");
    let (sekisho, _strongswan) = we_initiate(&site, Outer::V4, |_| {});
    sekisho.await_up();
    let explained = wait_for(Duration::from_mins(1), "the early rekey", || {
        let explained = explain(&sekisho);
        explained["text"]
            .as_str()
            .is_some_and(|text| text.contains("(perfect forward secrecy)"))
            .then_some(explained)
    });
    assert_eq!((&explained["state"], &explained["kind"]), (&"up".into(), &Value::Null));
    assert!(
        explained["text"]
            .as_str()
            .is_some_and(|text| text.contains("Nothing is\nwrong") || text.contains("Nothing is wrong"))
    );
    let unknown = sekisho.try_command(&["explain", "center"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("configured are: centre"), "{unknown:?}");
}

/// IKE passes on port 500 and not on port 4500: found as initiator and, by what does not come back, as responder.
#[test]
fn port_4500_is_closed_on_the_way() {
    let words = ["answered IKE_SA_INIT on port 500", "Let UDP port 4500 pass"];
    let site = Site::new("explain_4500_there");
    site.close_port(4500);
    let _strongswan = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    assert_told(&await_explained(&sekisho, "nat_port_filtered"), ("nat_port_filtered", "nobody"), &words);
    site.mend();
    sekisho.await_up();
    assert_eq!(explain(&sekisho)["kind"], Value::Null);
}

#[test]
fn port_4500_is_closed_on_the_way_to_us() {
    let site = Site::new("explain_4500_here");
    site.close_port(4500);
    let sekisho = Sekisho::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let there = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) };
    let mut strongswan = StrongSwan::start(&site.a, &there);
    let asks = |strongswan: &StrongSwan<'_>, times| {
        wait_until(Duration::from_secs(10), "strongSwan to send IKE_AUTH", || {
            strongswan.log().matches("generating IKE_AUTH request 1").count() >= times
        });
    };
    asks(&strongswan, 1);
    // Once may be a bad line: a second one that nothing comes of.
    strongswan.restart();
    asks(&strongswan, 2);
    let explained = await_explained(&sekisho, "nat_port_filtered");
    assert_told(&explained, ("nat_port_filtered", "nobody"), &["198.51.100.2 began with IKE_SA_INIT"]);
}

/// The line carries short messages and loses long ones, of either end.
#[test]
fn fragments_are_lost_on_the_way() {
    let site = Site::new("explain_fragments");
    site.lose_long_ike(576);
    let end = |end, fragment_size| {
        let mut tunnel = Tunnel { fragment_size, ..Tunnel::at(&site, end, Outer::V4) };
        let here = site.side(End::A).outside.contains(&tunnel.local);
        let networks = if here { &mut tunnel.local_networks } else { &mut tunnel.remote_networks };
        networks.extend((1..=60).map(|net| format!("10.200.{net}.0/24")));
        tunnel
    };
    let _strongswan = StrongSwan::start(&site.b, &end(End::B, 576));
    let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..end(End::A, 1000) });
    let explained = await_explained(&sekisho, "fragments_lost");
    let words =
        ["IKE_AUTH went to", "fragments of up to", "short messages are answered", "`fragment_size = 576`"];
    assert_told(&explained, ("fragments_lost", "nobody"), &words);
    sekisho.rewrite(&Tunnel { initiate: true, ..end(End::A, 576) });
    sekisho.json(&["reload"]);
    sekisho.await_up();
}

/// A firewall of this machine drops what we send.
#[test]
fn nothing_leaves_this_machine() {
    let site = Site::new("explain_not_sent");
    site.a.namespace.nft(
        "add table inet wall; add chain inet wall out { type filter hook output priority 0; }; \
         add rule inet wall out udp dport 500 drop",
    );
    let sekisho = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) });
    let explained = await_explained(&sekisho, "not_sent");
    assert_told(&explained, ("not_sent", "nobody"), &["Operation not permitted", "nft list ruleset"]);
}

/// `change` is applied to our end only; we start the tunnel.
fn initiated(name: &'static str, change: impl Fn(&mut Tunnel), kind: (&str, &str), words: &[&str]) -> Value {
    let site = Site::new(name);
    let _strongswan = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    let mut here = Tunnel { initiate: true, ..Tunnel::at(&site, End::A, Outer::V4) };
    change(&mut here);
    let sekisho = Sekisho::start(&site.a, &here);
    let explained = await_explained(&sekisho, kind.0);
    assert_told(&explained, kind, words);
    explained["failure"].clone()
}

/// The same with strongSwan starting it.
fn asked(name: &'static str, change: impl Fn(&mut Tunnel), kind: (&str, &str), words: &[&str]) -> Value {
    let site = Site::new(name);
    let mut here = Tunnel::at(&site, End::B, Outer::V4);
    change(&mut here);
    let sekisho = Sekisho::start(&site.b, &here);
    let strongswan = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    assert!(!strongswan.try_initiate().status.success());
    let explained = await_explained(&sekisho, kind.0);
    assert_told(&explained, kind, words);
    explained["failure"].clone()
}

fn explain(sekisho: &Sekisho<'_>) -> Value {
    sekisho.json(&["explain", Tunnel::NAME])
}

fn await_explained(sekisho: &Sekisho<'_>, kind: &str) -> Value {
    wait_for(Duration::from_mins(1), kind, || {
        let explained = explain(sekisho);
        (explained["kind"] == kind).then_some(explained)
    })
}

fn assert_told(explained: &Value, (kind, refused_by): (&str, &str), words: &[&str]) {
    println!("{}", explained["text"].as_str().unwrap_or_default());
    assert_eq!((&explained["kind"], &explained["refused_by"]), (&kind.into(), &refused_by.into()));
    let text = explained["text"].as_str().unwrap_or_default().replace('\n', " ");
    words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in: {text}"));
}

/// A line of the comparison.
fn assert_row(failure: &Value, what: &str, (ours, theirs): (&[&str], Option<&[&str]>), agrees: Option<bool>) {
    let rows = failure["comparison"].as_array().expect("a comparison");
    let row = rows.iter().find(|row| row["what"] == what).unwrap_or_else(|| panic!("{what}: {failure:#}"));
    let theirs = theirs.map_or(Value::Null, Into::into);
    let ours: Value = ours.into();
    assert_eq!((&row["ours"], &row["theirs"], &row["agrees"]), (&ours, &theirs, &agrees.into()), "{row}");
}
