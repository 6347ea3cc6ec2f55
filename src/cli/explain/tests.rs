#![allow(clippy::unwrap_used)]

use super::absent::without_daemon;
use super::*;
use crate::api::{Comparison, Diagnosis, State};

const STATUS: &str = include_str!("../../../tests/status.json");
const NOW: u64 = 1_763_761_750;

fn tunnel(name: &str) -> Tunnel {
    let status: Status = serde_json::from_str(STATUS).unwrap();
    status.tunnels.into_iter().find(|tunnel| tunnel.name == name).unwrap()
}

fn text(tunnel: &Tunnel) -> String {
    explain(tunnel, Timestamp::from_unix(NOW)).text
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
    let down = tunnel("spare");
    let connecting = Tunnel { state: State::Connecting, next_try_in_s: None, ..down.clone() };
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
    let idle = Tunnel { state: State::Idle, ..tunnel("imaging") };
    let all = [
        ("up", up),
        ("up_well", well),
        ("up_narrowed", narrowed),
        ("up_narrowed_on_both_sides", narrowed_on_both_sides),
        ("up_with_warning", warned),
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
fn the_json_has_the_kind_the_words_and_the_whole_diagnosis() {
    let explained =
        explain(&Tunnel { warnings: vec![refused()], ..tunnel("centre") }, Timestamp::from_unix(NOW));
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
    let args = Args { name: "centre".to_owned(), config: "/no/such/sekisho.toml".into() };
    let explained = without_daemon(&args, "no sekishod answers");
    assert!(explained.text.contains("What would keep it from starting:\n- "), "{}", explained.text);
    assert!(explained.text.contains("/no/such/sekisho.toml"), "{}", explained.text);
}
