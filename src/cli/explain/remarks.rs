//! What else deserves a look, whether traffic passes or not.

use super::super::blocked::{blocked_local, cut_off};
use super::super::output::{moment, not_yet};
use super::super::silence::{Silence, silences};
use crate::api::{ConfiguredChild, IkeSa, State, Status, Tunnel};
use crate::config::limits::EXPIRY_WARNING;
use crate::words::{RENEW, days};

/// Child SAs of which nothing comes back that are told of.
const SILENT: usize = 4;
/// The counter of what has a network of a tunnel for its destination and fits no selector of it.
const OUTSIDE: &str = "outbound_selector";

/// What is behind most failures of a tunnel whose certificate has expired or is not valid yet, whatever else is said of them.
pub(super) fn expired(tunnel: &Tunnel) -> Option<String> {
    if let Some(begins) = tunnel.certificate_begins {
        return Some(format!("Our own certificate is {}.", not_yet(begins)));
    }
    // Counted down, so that a second ago is -1.
    let ago = days(tunnel.certificate_days_left.filter(|left| *left < 0)?.saturating_add(1).saturating_neg());
    let on = tunnel.certificate_expires.map_or_else(String::new, |at| format!(", on {}", at.date()));
    Some(format!("Our own certificate has expired, {ago} ago{on}, and peers refuse it: {RENEW}."))
}

/// What is not of this tunnel alone, and perhaps not of this one.
pub(super) fn asides(tunnel: &Tunnel, status: &Status) -> Vec<String> {
    let outside = status.drops.get(OUTSIDE).copied().filter(|outside| *outside > 0);
    let outside = outside.filter(|_| tunnel.state == State::Up).map(|outside| {
        format!(
            "Besides, and counted for all tunnels together: since the daemon started, {outside} packets to networks of standing tunnels were dropped, as their source, protocol or ports fit no selector (`{OUTSIDE}` in `sekisho status`). What this machine sends itself needs an address in `local_networks`: try `ping -I` with one."
        )
    });
    let restart = (!status.restart_needed.is_empty()).then(|| {
        format!(
            "Besides, and of the daemon as a whole: changed in the configuration, and in force after a restart of sekishod, is {}.",
            status.restart_needed.join(", ")
        )
    });
    outside.into_iter().chain(restart).collect()
}

/// What else deserves a look.
pub(super) fn remarks(tunnel: &Tunnel) -> Vec<String> {
    let warned = i64::try_from(EXPIRY_WARNING.as_secs() / 86_400).unwrap_or_default();
    let ends = |left: Option<i64>, whose: &str, who: &str| match left {
        Some(..0) => Some(format!("{whose} has expired: {who}.")),
        Some(left) if left <= warned => Some(format!("{whose} expires in {}: {who}.", days(left))),
        _ => None,
    };
    // Before all else, where it has expired.
    let ours = tunnel.certificate_days_left.filter(|left| *left >= 0);
    let ours = ends(ours, "Our certificate", RENEW);
    let theirs =
        ends(tunnel.peer_certificate_days_left, "The peer's certificate", "the peer needs a new one");
    let note = tunnel.ike.as_ref().and_then(unchecked);
    let weak = tunnel.weak_psk.then(|| "Its pre-shared key is weak (allow_weak_psk): replace it.".to_owned());
    let children = || tunnel.configured_children.iter();
    let narrowed = children().filter_map(narrowed).chain(children().filter_map(withheld));
    let silent = silences(tunnel).into_iter().take(SILENT).map(|Silence { mut seen, mut advice }| {
        capital(&mut seen);
        capital(&mut advice);
        format!("{seen}. {advice}.")
    });
    let blocked = blocked_local(&tunnel.blocked_local).map(|(mut seen, advice)| {
        capital(&mut seen);
        format!("{seen}. {advice}.")
    });
    let cut_off = cut_off(&tunnel.cut_off).map(|(seen, advice)| {
        let mut advice = advice.to_owned();
        capital(&mut advice);
        format!("{seen}. {advice}.")
    });
    ours.into_iter()
        .chain(theirs)
        .chain(note)
        .chain(weak)
        .chain(blocked)
        .chain(cut_off)
        .chain(silent)
        .chain(narrowed)
        .collect()
}

/// Nobody says whether the peer's certificate was revoked, and it was let pass.
fn unchecked(ike: &IkeSa) -> Option<String> {
    let note = ike.peer_auth_note.as_ref()?;
    let list = "name a list of its authority that is up to date in `crl_files`";
    let advice = if note.contains("://") {
        format!(
            "See that these servers can be reached from this machine (the tunnel itself does not carry this; `curl -I` with the address shows it, but takes another way if the server is in `remote_networks`), or {list}"
        )
    } else {
        format!(
            "The certificate names no server that could be asked: {list}, or have it issued anew with a CRL or OCSP address"
        )
    };
    Some(match ike.peer_revocation_ends {
        Some(at) => format!(
            "Nobody says whether the peer's certificate was revoked: {note}. With revocation = \"strict\" the tunnel stands for a while all the same, and is ended on {} if it stays so. What to do: {advice}.",
            moment(at)
        ),
        None => format!(
            "The peer passed unchecked: {note}. What to do: {advice}; with revocation = \"strict\" this peer would be refused."
        ),
    })
}

/// A sentence begins with one.
fn capital(sentence: &mut str) {
    sentence.get_mut(..1).into_iter().for_each(str::make_ascii_uppercase);
}

/// What the peer did not let a child carry.
fn narrowed(child: &ConfiguredChild) -> Option<String> {
    let ConfiguredChild { name, left_out_local: ours, left_out_remote: theirs, .. } = child;
    let (out, named) =
        of_sides([("our side", ours, "`remote_ts`"), ("the peer's side", theirs, "`local_ts`")])?;
    Some(format!(
        "Child {name} carries less than is configured, since the peer asks for or allows less. Dropped is {out}. What to do: Widen the peer's networks (strongSwan: {named}), or take these out of the configuration here."
    ))
}

/// What the peer asked for, and was not given.
fn withheld(child: &ConfiguredChild) -> Option<String> {
    let ConfiguredChild { name, withheld_local: ours, withheld_remote: theirs, .. } = child;
    let (out, named) =
        of_sides([("our side", ours, "`local_networks`"), ("the peer's side", theirs, "`remote_networks`")])?;
    Some(format!(
        "The peer asked for more than child {name} is configured for here, and was not given {out}: it drops what it has for that. What to do: If these are to pass, add them to {named}, else take them out of the peer's networks."
    ))
}

/// Which networks of which sides, and what these are called elsewhere.
fn of_sides(sides: [(&str, &Vec<String>, &str); 2]) -> Option<(String, String)> {
    let sides = sides.into_iter().filter(|(_, networks, _)| !networks.is_empty());
    let (networks, named): (Vec<_>, Vec<_>) =
        sides.map(|(whose, networks, named)| (format!("{} of {whose}", networks.join(", ")), named)).unzip();
    (!networks.is_empty()).then(|| (networks.join(", and "), named.join(" and ")))
}
