//! `sekisho explain`: why a tunnel is down, what was compared, and what comes next, in a paragraph and a table.

use serde::Serialize;

use super::Daemon;
use super::check::obstacles;
use super::output::{self, Done, Failed as Failure, Output, comparison, print, print_json, time};
use super::status::{is_probed_soon, word};
use crate::api::{
    Child, ConfiguredChild, Diagnosis, Failed, NearMiss, Request, State, Status, Timestamp, Tunnel,
};
use crate::config::limits::EXPIRY_WARNING;

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho explain centre\n  sekisho explain centre --json | jq -r .text\n\nThe kinds of failures are listed in docs/diagnoses.md. Without a daemon, the configuration and this machine are looked at.";

/// Columns of a paragraph.
const WIDTH: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration
    name: String,
    /// What a daemon that does not run would read
    #[arg(long, value_name = "FILE", default_value = "/etc/sekisho/sekisho.toml")]
    config: std::path::PathBuf,
}

/// The answer as JSON; the field names are stable.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Explanation {
    /// As configured.
    name: String,
    /// As in `status`, or `no_daemon`.
    state: String,
    /// The kind of the failure or, without one, of the last near miss or the first warning.
    kind: Option<String>,
    /// `here`, `peer` or `nobody`.
    refused_by: Option<String>,
    /// All of it in words.
    text: String,
    /// The last failure since the last success.
    failure: Option<Failed>,
    /// Refusals that named no tunnel and were perhaps meant for this one.
    near_misses: Vec<NearMiss>,
    /// What deserves a look although traffic passes.
    warnings: Vec<Failed>,
    /// Attempts since the last success.
    attempts: u32,
    /// Until the next attempt, if one is scheduled.
    next_try_in_s: Option<u64>,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let explanation = match daemon.ask(&Request::Status) {
        Ok(data) => {
            let status: Status = crate::api::Reply::Done(data).into_data()?;
            let found = status.tunnels.iter().find(|tunnel| tunnel.name == args.name);
            explain(found.ok_or_else(|| unknown(&args.name, &status))?, Timestamp::now())
        }
        Err(Failure::Because(why)) => without_daemon(args, &why.error),
        Err(other) => return Err(other),
    };
    if output.json { print_json(&explanation) } else { print(explanation.text.trim_end()) }?;
    if explanation.state == "no_daemon" { Err(Failure::Told) } else { Ok(()) }
}

/// No tunnel has this name.
pub(super) fn unknown(name: &str, status: &Status) -> Failure {
    let names: Vec<&str> = status.tunnels.iter().map(|tunnel| tunnel.name.as_str()).collect();
    let known = if names.is_empty() { "none is".to_owned() } else { names.join(", ") };
    Failure::because(format!("no tunnel is named `{name}`; configured are: {known}"))
}

/// Nobody answers: what would keep the daemon from starting.
fn without_daemon(args: &Args, why: &str) -> Explanation {
    let mut text = format!("{}\n", wrapped(&format!("Tunnel {} is down: {why}.", args.name)));
    let obstacles = obstacles(&args.config);
    if obstacles.is_empty() {
        let file = args.config.display();
        text += &wrapped(&format!(
            "Nothing speaks against a start of sekishod with {file}: `systemctl start sekishod`, and `journalctl -u sekishod` for what it says."
        ));
    } else {
        text += "What would keep it from starting:\n";
        let obstacles: Vec<String> = obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect();
        text += &obstacles.concat();
    }
    Explanation {
        name: args.name.clone(),
        state: "no_daemon".to_owned(),
        kind: None,
        refused_by: None,
        text,
        failure: None,
        near_misses: Vec::new(),
        warnings: Vec::new(),
        attempts: 0,
        next_try_in_s: None,
    }
}

fn explain(tunnel: &Tunnel, now: Timestamp) -> Explanation {
    let near = tunnel.near_misses.last().map(|miss| &miss.failed);
    let shown = tunnel.last_failure.as_ref().or(near).or(tunnel.warnings.first());
    let mut parts = vec![wrapped(&opening(tunnel))];
    parts.extend(tunnel.last_failure.iter().map(|failed| failure(tunnel, failed, now)));
    parts.extend(tunnel.near_misses.iter().map(|miss| near_miss(miss, now)));
    let told = tunnel.last_failure.as_ref().map(|failed| &failed.diagnosis);
    let warnings = tunnel.warnings.iter().filter(|warning| Some(&warning.diagnosis) != told);
    parts.extend(warnings.map(|warning| self::warning(warning, now)));
    parts.extend(remarks(tunnel).into_iter().map(|remark| wrapped(&remark)));
    parts.extend(outlook(tunnel).map(|outlook| wrapped(&outlook)));
    Explanation {
        name: tunnel.name.clone(),
        state: word(tunnel.state).to_owned(),
        kind: shown.map(|failed| failed.diagnosis.kind.clone()),
        refused_by: shown.map(|failed| failed.diagnosis.refused_by.clone()),
        text: parts.join("\n\n"),
        failure: tunnel.last_failure.clone(),
        near_misses: tunnel.near_misses.clone(),
        warnings: tunnel.warnings.clone(),
        attempts: tunnel.attempts,
        next_try_in_s: tunnel.next_try_in_s,
    }
}

/// What the tunnel is doing.
fn opening(tunnel: &Tunnel) -> String {
    let Tunnel { name, remote_id, .. } = tunnel;
    match tunnel.state {
        State::Up => up(tunnel),
        State::Connecting => format!("{name} is being set up with {remote_id}; nothing passes yet."),
        State::Backoff if tunnel.ike.is_some() => {
            format!("{name}: the IKE SA with {remote_id} stands, but a Child SA that is to stand does not.")
        }
        State::Backoff => format!("{name} is down: the last attempt to set it up with {remote_id} failed."),
        State::AdminDown => {
            format!("{name} is down: an operator took it down here, and {remote_id} is refused.")
        }
        State::Idle => format!(
            "{name} is idle: {remote_id} is called when a packet for {} is to be sent.",
            on_demand(tunnel).unwrap_or_else(|| "its networks".to_owned())
        ),
        State::Waiting => format!("{name} waits for {remote_id}, which starts this tunnel."),
    }
}

/// The networks that have the tunnel set up.
fn on_demand(tunnel: &Tunnel) -> Option<String> {
    let children = tunnel.configured_children.iter().filter(|child| child.start == "on-demand");
    let networks: Vec<&str> = children.flat_map(|child| &child.remote).map(String::as_str).collect();
    (!networks.is_empty()).then(|| networks.join(" or "))
}

fn up(tunnel: &Tunnel) -> String {
    let Tunnel { name, remote_id, .. } = tunnel;
    let at = tunnel.remote.map_or_else(String::new, |remote| format!(" at {remote}"));
    let age = tunnel.age_s.map_or_else(String::new, |age| format!(" for {}", time(age)));
    let suite = tunnel.ike.as_ref().map_or_else(String::new, |ike| {
        let by = if ike.peer_auth.is_empty() { "" } else { ", proved by " };
        format!("; IKE SA {}{by}{}", ike.suite, ike.peer_auth)
    });
    let soon = is_probed_soon(tunnel);
    let sending = tunnel.children.iter().filter(|child| child.sending);
    let children: Vec<String> = sending.map(|sa| child(sa, soon)).collect();
    let passes = if children.is_empty() {
        "; no Child SA stands, so nothing passes".to_owned()
    } else {
        children.concat()
    };
    let well = tunnel.last_failure.is_none() && tunnel.warnings.is_empty() && remarks(tunnel).is_empty();
    let verdict = if well && !children.is_empty() { " Nothing is wrong with it." } else { "" };
    format!("{name} is up with {remote_id}{at}{age}{suite}{passes}.{verdict}")
}

/// `soon`: its first rekey is about to come, which shows what the peer agrees to.
fn child(child: &Child, soon: bool) -> String {
    let Child { name, suite, local, remote, pfs, .. } = child;
    let pfs = match pfs.as_str() {
        "own" => "perfect forward secrecy",
        "off" => "no perfect forward secrecy",
        "unproven" if soon => {
            "whether the peer agrees to perfect forward secrecy shows at its first rekey, which is made early for that, within half a minute"
        }
        "unproven" => "whether the peer agrees to perfect forward secrecy shows at its first rekey",
        "refused" => "perfect forward secrecy refused",
        _ => "keys of the IKE SA's key exchange",
    };
    format!("; Child SA {name} {suite} ({pfs}) between {} and {}", local.join(" "), remote.join(" "))
}

/// A failure with all that was compared.
fn failure(tunnel: &Tunnel, Failed { at, diagnosis }: &Failed, now: Timestamp) -> String {
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let exchange = diagnosis.exchange.as_ref().map_or_else(String::new, |exchange| format!(" in {exchange}"));
    let who = match diagnosis.refused_by.as_str() {
        "here" => format!(", we refused{exchange}"),
        "peer" => format!(", {} refused{exchange}", tunnel.remote_id),
        _ if exchange.is_empty() => exchange,
        _ => format!(",{exchange}"),
    };
    let head = format!("{ago} ago{who} ({}): {}", diagnosis.kind, diagnosis.summary);
    told(&head, diagnosis)
}

/// The same where traffic passes all the same.
fn warning(Failed { at, diagnosis }: &Failed, now: Timestamp) -> String {
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    told(&format!("Warning ({}, {ago} ago): {}", diagnosis.kind, diagnosis.summary), diagnosis)
}

/// Who was perhaps its peer, and refused.
fn near_miss(NearMiss { remote, likeness, times, failed }: &NearMiss, now: Timestamp) -> String {
    let Failed { at, diagnosis } = failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    let since = match likeness.as_str() {
        "address" => "it came from where the peer is, or was when the tunnel last stood",
        _ => "it calls itself almost so, or so and us otherwise",
    };
    let head = format!(
        "Perhaps this tunnel's peer, since {since}, was refused at {remote} {ago} ago{often} ({}): {}",
        diagnosis.kind, diagnosis.summary
    );
    told(&head, diagnosis)
}

fn told(head: &str, diagnosis: &Diagnosis) -> String {
    let mut text = wrapped(&format!("{head}. What to do: {}.", diagnosis.advice.trim_end_matches('.')));
    let table = comparison(diagnosis);
    if !table.is_empty() {
        text = format!("{text}\n\n  {}", table.join("\n  "));
    }
    let parts = [("offered", &diagnosis.offered), ("acceptable", &diagnosis.acceptable)];
    let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("\n  {name}: {}", part.as_ref()?)));
    let parts: String = parts.collect();
    if parts.is_empty() { text } else { format!("{text}\n{parts}") }
}

/// What else deserves a look.
fn remarks(tunnel: &Tunnel) -> Vec<String> {
    let warned = i64::try_from(EXPIRY_WARNING.as_secs() / 86_400).unwrap_or_default();
    let ends = |left: Option<i64>, whose: &str, who: &str| match left {
        Some(..0) => Some(format!("{whose} has expired: {who}.")),
        Some(days) if days <= warned => Some(format!("{whose} expires in {days} days: {who}.")),
        _ => None,
    };
    let ours = ends(
        tunnel.certificate_days_left,
        "Our certificate",
        "have it renewed, put the new one into the same file, and `sekisho reload`",
    );
    let theirs =
        ends(tunnel.peer_certificate_days_left, "The peer's certificate", "the peer needs a new one");
    let note = tunnel.ike.as_ref().and_then(|ike| ike.peer_auth_note.as_ref());
    let note = note.map(|note| format!("The peer passed unchecked: {note}."));
    let weak = tunnel.weak_psk.then(|| "Its pre-shared key is weak (allow_weak_psk): replace it.".to_owned());
    let narrowed = tunnel.configured_children.iter().filter_map(narrowed);
    ours.into_iter().chain(theirs).chain(note).chain(weak).chain(narrowed).collect()
}

/// What the peer did not let a child carry.
fn narrowed(child: &ConfiguredChild) -> Option<String> {
    let ConfiguredChild { name, left_out_local: ours, left_out_remote: theirs, .. } = child;
    let sides = [("our side", ours, "remote_ts"), ("the peer's side", theirs, "local_ts")];
    let sides = sides.into_iter().filter(|(_, networks, _)| !networks.is_empty());
    let (out, named): (Vec<_>, Vec<_>) = sides
        .map(|(whose, networks, strongswan)| {
            (format!("{} of {whose}", networks.join(" ")), format!("`{strongswan}`"))
        })
        .unzip();
    (!out.is_empty()).then(|| {
        format!(
            "Child {name} carries less than is configured, since the peer asks for or allows less. Left out, and dropped, is {}. What to do: Widen the peer's networks (strongSwan: {}), or take these out of the configuration here.",
            out.join(", and "),
            named.join(", ")
        )
    })
}

/// What comes next.
fn outlook(tunnel: &Tunnel) -> Option<String> {
    let Tunnel { name, state, attempts, next_try_in_s, .. } = tunnel;
    let so_far = match attempts {
        0 => String::new(),
        1 => " after 1 failed attempt".to_owned(),
        _ => format!(" after {attempts} failed attempts"),
    };
    let failed = tunnel.last_failure.is_some();
    Some(match (state, next_try_in_s) {
        (State::Up, _) => return None,
        (State::AdminDown, _) => format!("`sekisho up {name}` allows it again."),
        (_, Some(0)) => format!("It is tried again by itself now{so_far}."),
        (_, Some(wait)) => format!(
            "It is tried again by itself in {}{so_far}; `sekisho up {name}` tries at once.",
            time(*wait)
        ),
        (State::Connecting, None) => format!("This attempt is under way{so_far}."),
        (State::Waiting, None) if failed => {
            format!("Once that is put right, the peer must try again{}.", from_here(tunnel))
        }
        (State::Waiting, None) if !tunnel.near_misses.is_empty() => {
            "If that is this tunnel's peer, it must try again once that is put right.".to_owned()
        }
        // A first message that is refused names nobody, and its sender may be this tunnel's peer.
        (State::Waiting, None) => {
            "Nothing is to be done here. If the peer says that it is refused: `sekisho events` has the refusals that named no tunnel.".to_owned()
        }
        (State::Idle, None) => format!("`sekisho up {name}` sets it up without one."),
        (State::Backoff, None) if let Some(networks) = on_demand(tunnel) => {
            format!("The next packet for {networks} has it tried again; `sekisho up {name}` tries at once.")
        }
        (_, None) => format!("The peer must ask again{}.", from_here(tunnel)),
    })
}

/// Whether and how it is started from here, to go on with.
fn from_here(tunnel: &Tunnel) -> String {
    if tunnel.startable {
        format!("; `sekisho up {}` starts it from here", tunnel.name)
    } else {
        ": it cannot be started from here".to_owned()
    }
}

/// A paragraph in lines.
fn wrapped(text: &str) -> String {
    output::wrapped(text, WIDTH, 0).join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Comparison;

    const STATUS: &str = include_str!("../../tests/status.json");
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
        let all = vec![
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
}
