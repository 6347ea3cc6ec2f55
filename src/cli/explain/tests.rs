#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::absent::without_daemon;
use super::*;
use crate::api::{Comparison, Diagnosis, State};

const STATUS: &str = include_str!("../../../tests/status.json");
const NOW: u64 = 1_763_761_750;

fn tunnel(name: &str) -> Tunnel {
    let status: Status = serde_json::from_str(STATUS).unwrap();
    status.tunnels.into_iter().find(|tunnel| tunnel.name == name).unwrap()
}

/// Where nobody else was refused, no packet dropped, and nothing waits for a restart.
fn told(tunnel: &Tunnel) -> Explanation {
    let mut status: Status = serde_json::from_str(STATUS).unwrap();
    status.refused.clear();
    status.restart_needed.clear();
    explain(tunnel, &status, Timestamp::from_unix(NOW))
}

fn text(tunnel: &Tunnel) -> String {
    told(tunnel).text
}

fn refused() -> Failed {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let row = |what: &str, ours: &[&str], theirs: Option<&[&str]>, agrees| Comparison {
        what: what.to_owned(),
        ours: words(ours),
        theirs: theirs.map(words),
        common: if agrees == Some(true) { words(ours) } else { vec![] },
        agrees,
        remarks: vec![],
    };
    let mut last = row("key exchange", &["x25519"], Some(&[]), Some(false));
    last.remarks = words(&["the peer wants none: perfect forward secrecy is off there"]);
    Failed {
        at: NOW - 125,
        diagnosis: Diagnosis {
            kind: "pfs_mismatch".to_owned(),
            refused_by: "peer".to_owned(),
            summary: "the peer refuses the key exchange of Child SA rekeys".to_owned(),
            offered: Some("aes256gcm16-x25519-noesn".to_owned()),
            acceptable: None,
            advice: "Switch perfect forward secrecy on at both ends or at neither".to_owned(),
            exchange: Some("CREATE_CHILD_SA".to_owned()),
            comparison: vec![
                row("cipher", &["aes256gcm16"], Some(&["aes256gcm16"]), Some(true)),
                row("sequence numbers", &["noesn"], None, None),
                last,
            ],
        },
    }
}

#[test]
fn each_state_is_explained() {
    let up = tunnel("centre");
    let mut well = Tunnel { weak_psk: false, certificate_days_left: None, ike: None, ..up.clone() };
    well.configured_children[0].left_out_remote.clear();
    let mut narrowed = well.clone();
    narrowed.configured_children[0].left_out_remote = vec!["10.200.0.0/16[tcp/443]".to_owned()];
    let mut narrowed_on_both_sides = narrowed.clone();
    narrowed_on_both_sides.configured_children[0].left_out_local = vec!["10.17.0.128/25".to_owned()];
    let warned = Tunnel { warnings: vec![refused()], ..well.clone() };
    let blocked = Tunnel { blocked_local: vec!["10.17.0.0/24".to_owned()], ..well.clone() };
    let cut_off = Tunnel { cut_off: vec!["10.200.3.1/24 of eth1".to_owned()], ..well.clone() };
    let down = tunnel("spare");
    let connecting = Tunnel { state: State::Connecting, next_try_in_s: None, ..down.clone() };
    let remote = "203.0.113.2:500".parse().unwrap();
    let answer =
        crate::api::Awaited::Answer { exchange: "IKE_SA_INIT".to_owned(), remote, sent: 3, for_s: 7 };
    let connecting = Tunnel { awaited: Some(answer), ..connecting };
    let half = Tunnel { ike: up.ike.clone(), last_failure: Some(refused()), ..down.clone() };
    let waiting = Tunnel { near_misses: vec![], ..tunnel("ward") };
    let at_known_address = Tunnel { startable: true, last_failure: Some(refused()), ..waiting.clone() };
    let mut probed = up.clone();
    (probed.age_s, probed.children[0].rekey_in_s) = (Some(9), Some(17));
    probed.children[0].pfs = "unproven".to_owned();
    let failed_on_demand =
        Tunnel { state: State::Backoff, last_failure: Some(refused()), ..tunnel("imaging") };
    let refusing = Tunnel { last_failure: Some(refused()), ..waiting.clone() };
    let mut silent = refused();
    silent.diagnosis.refused_by = "nobody".to_owned();
    silent.diagnosis.comparison.clear();
    let unanswered = Tunnel { last_failure: Some(silent), ..down.clone() };
    assert!(
        text(&Tunnel { next_try_in_s: Some(0), ..down.clone() })
            .ends_with("It is tried again by itself now after 3 failed attempts.")
    );
    let idle = Tunnel { state: State::Idle, ..tunnel("imaging") };
    let all = vec![
        ("up", up),
        ("up_well", well),
        ("up_narrowed", narrowed),
        ("up_narrowed_on_both_sides", narrowed_on_both_sides),
        ("up_with_warning", warned),
        ("up_with_local_network_blocked", blocked),
        ("up_with_network_cut_off", cut_off),
        ("down", down),
        ("unanswered", unanswered),
        ("connecting", connecting),
        ("half_up", half),
        ("admin_down", tunnel("support")),
        ("waiting", waiting),
        ("waiting_with_near_miss", tunnel("ward")),
        ("waiting_refused", refusing),
        ("waiting_refused_startable", at_known_address),
        ("idle", idle),
        ("on_demand_refused", failed_on_demand),
        ("up_probed_soon", probed),
    ];
    for (name, tunnel) in all {
        insta::assert_snapshot!(name, text(&tunnel));
    }
}

#[test]
fn whom_nobody_asked_about_is_told_by_what_can_be_done_for_it() {
    let mut unchecked = tunnel("centre");
    let ike = unchecked.ike.as_mut().unwrap();
    ike.peer_auth_note = Some("nobody says whether certificate `CN=hub` is revoked".to_owned());
    ike.peer_revocation_ends = Some(Timestamp::from_unix(NOW + 3600));
    let text = text(&unchecked).replace('\n', " ");
    assert!(text.contains("is ended on 2025-11-21 22:49:10 UTC if it stays so"), "{text}");
    assert!(text.contains("The certificate names no server that could be asked: name a list"), "{text}");
    let past = "the tunnel itself does not carry this";
    assert!(self::text(&tunnel("centre")).replace('\n', " ").contains(past), "where there is one");
    assert!(!text.contains("curl") && !text.contains("would be refused"), "{text}");
}

#[test]
fn the_json_has_the_kind_the_words_and_the_whole_diagnosis() {
    let explained = told(&Tunnel { warnings: vec![refused()], ..tunnel("centre") });
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&explained).unwrap());
}

#[test]
fn an_unknown_name_is_answered_with_those_that_are_known() {
    let status: Status = serde_json::from_str(STATUS).unwrap();
    let Failure::Because(why) = unknown("center", &status) else { panic!("told") };
    assert_eq!(
        why.error,
        "no tunnel is named `center`; configured are: centre, spare, support, ward, imaging, homes"
    );
}

#[test]
fn without_a_daemon_the_machine_is_looked_at() {
    let explained = without_daemon("centre", Path::new("/no/such/sekisho.toml"), "no sekishod answers");
    assert!(
        explained.text.contains(
            "What would keep it from starting with /no/such/sekisho.toml (`--config FILE` names another):\n- "
        ),
        "{}",
        explained.text
    );
    assert!(explained.text.contains("/no/such/sekisho.toml"), "{}", explained.text);
}

#[test]
fn refusals_of_no_tunnel_are_told_where_they_may_be_of_its_peer() {
    let mut status: Status = serde_json::from_str(STATUS).unwrap();
    status.restart_needed.clear();
    let waiting = Tunnel { near_misses: vec![], remote_hosts: vec![], ..tunnel("ward") };
    let now = Timestamp::from_unix(NOW);
    let anywhere = explain(&waiting, &status, now);
    insta::assert_snapshot!("waiting_refused_of_no_tunnel", anywhere.text);
    assert_eq!((anywhere.kind.as_deref(), anywhere.refused.len()), (Some("no_ike_proposal"), 1));
    let at = |host: &str| Tunnel { remote_hosts: vec![host.to_owned()], ..waiting.clone() };
    assert_eq!(explain(&at("198.51.100.40"), &status, now).refused.len(), 1);
    assert_eq!(explain(&at("hub.example"), &status, now).refused.len(), 1, "a name may be anywhere");
    let elsewhere = explain(&at("203.0.113.99"), &status, now);
    assert!(elsewhere.refused.is_empty() && elsewhere.kind.is_none());
    assert!(
        elsewhere.text.contains("Others were refused lately") && !elsewhere.text.contains("Nothing is to be")
    );
    let up = explain(&tunnel("centre"), &status, now);
    assert!(up.refused.is_empty(), "its peer is in");
    let one_more = explain(&tunnel("homes"), &status, now);
    assert_eq!(one_more.refused.len(), 1, "there are more peers than those that are in");
}

/// What became of it is not known: that its packets do not get here least of all.
#[test]
fn whoever_began_and_has_not_gone_on_got_here() {
    let mut status: Status = serde_json::from_str(STATUS).unwrap();
    status.refused.clear();
    status.restart_needed.clear();
    status.begun = vec!["203.0.113.99".parse().unwrap()];
    let now = Timestamp::from_unix(NOW);
    let of = |address: &str| peer::explain(address.parse().unwrap(), &status, now).text;
    insta::assert_snapshot!("peer_begun", of("203.0.113.99"));
    assert!(!of("203.0.113.98").contains("began"));
    let at = |hosts: &[&str]| Tunnel {
        near_misses: vec![],
        remote_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        ..tunnel("ward")
    };
    let waiting = |hosts: &[&str]| explain(&at(hosts), &status, now).text;
    insta::assert_snapshot!("waiting_begun", waiting(&[]));
    assert!(waiting(&["203.0.113.98"]).contains("Nothing is to be done here"));
    let mut many = status.clone();
    many.begun = (1..=5).map(|host| IpAddr::from([203, 0, 113, host])).collect();
    let many = explain(&at(&[]), &many, now).text.replace('\n', " ");
    assert!(many.contains("at 203.0.113.1, 203.0.113.2, 203.0.113.3 and 2 more addresses began"), "{many}");
}

/// Its peer's child ended, as one on demand does that nothing passes through: IKE gets here, and nothing else is told.
#[test]
fn of_a_peer_whose_ike_sa_stands_it_is_not_said_that_its_packets_do_not_get_here() {
    let mut status: Status = serde_json::from_str(STATUS).unwrap();
    let idle =
        Tunnel { near_misses: vec![], remote_hosts: vec![], ike: tunnel("centre").ike, ..tunnel("ward") };
    let idle = Tunnel { ike: idle.ike.map(|ike| crate::api::IkeSa { peer_auth_note: None, ..ike }), ..idle };
    status.restart_needed.clear();
    status.refused.clear();
    status.begun = vec!["203.0.113.99".parse().unwrap()];
    insta::assert_snapshot!("waiting_with_ike_sa", explain(&idle, &status, Timestamp::from_unix(NOW)).text);
    let elsewhere = Tunnel { remote_hosts: vec!["203.0.113.98".to_owned()], startable: true, ..idle };
    let status: Status = serde_json::from_str(STATUS).unwrap();
    let told = explain(&elsewhere, &status, Timestamp::from_unix(NOW)).text.replace('\n', " ");
    assert!(told.contains("when it has something to send. `sekisho up ward` starts it from here."), "{told}");
    assert!(!told.contains("Others were refused"), "{told}");
}

#[test]
fn an_address_is_explained_whatever_tunnel_was_meant() {
    let status: Status = serde_json::from_str(STATUS).unwrap();
    let of = |address: &str| peer::explain(address.parse().unwrap(), &status, Timestamp::from_unix(NOW)).text;
    insta::assert_snapshot!("peer_refused", of("198.51.100.40"));
    insta::assert_snapshot!("peer_near_miss", of("198.51.100.9"));
    insta::assert_snapshot!("peer_up", of("203.0.113.1"));
    insta::assert_snapshot!("peer_unknown", of("203.0.113.99"));
    let mut status = status.clone();
    let mut here = refused();
    here.diagnosis.refused_by = "here".to_owned();
    let asked_for = Tunnel {
        last_failure: Some(here),
        failure_from: Some("203.0.113.99".parse().unwrap()),
        ..tunnel("spare")
    };
    status.tunnels.push(asked_for);
    let told = peer::explain("203.0.113.99".parse().unwrap(), &status, Timestamp::from_unix(NOW)).text;
    assert!(
        told.contains("we refused 203.0.113.99") && told.contains("in the name of tunnel spare"),
        "{told}"
    );
}

#[test]
fn silence_and_packets_outside_are_told_of_a_tunnel_that_is_up() {
    let mut status: Status = serde_json::from_str(STATUS).unwrap();
    let mut silent = tunnel("centre");
    silent.children[0].unanswered = Some(crate::api::Unanswered { packets: 53, for_s: 40 });
    silent.children[0].last_in_s = None;
    silent.ike.as_mut().unwrap().esp_in_udp = false;
    insta::assert_snapshot!("up_silent", text(&silent));
    status.drops.insert("outbound_selector".to_owned(), 7);
    let told = explain(&tunnel("centre"), &status, Timestamp::from_unix(NOW)).text;
    assert!(
        told.replace('\n', " ").contains("7 packets to networks of standing tunnels were dropped"),
        "{told}"
    );
    status.restart_needed = vec!["workers".to_owned()];
    let told = explain(&tunnel("centre"), &status, Timestamp::from_unix(NOW)).text.replace('\n', " ");
    assert!(told.contains("in force after a restart of sekishod, is workers."), "{told}");
}
