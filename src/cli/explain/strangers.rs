//! Refusals that named no tunnel: those that may have been meant for this one, since its peer may be where they came from.

use std::net::IpAddr;

use super::super::output::time;
use super::refusal::told as in_full;
use crate::api::{Failed, Refused, State, Status, Timestamp, Tunnel};

/// The newest, which are told in full.
const TOLD: usize = 3;

/// Those that came from where the tunnel's peer may be, the newest last.
pub(super) fn of<'a>(tunnel: &Tunnel, status: &'a Status) -> Vec<&'a Refused> {
    let may_be = |refused: &&Refused| waits(tunnel) && may_be_at(tunnel, refused.remote);
    status.refused.iter().filter(may_be).collect()
}

/// Where somebody began and has not gone on who may be the tunnel's peer, in words.
pub(super) fn begun(tunnel: &Tunnel, status: &Status) -> Option<String> {
    let may_be: Vec<String> =
        status.begun.iter().filter(|at| may_be_at(tunnel, **at)).map(ToString::to_string).collect();
    let shown = may_be.get(..may_be.len().min(TOLD))?.join(", ");
    let more = may_be.len().saturating_sub(TOLD);
    match more {
        _ if may_be.is_empty() => None,
        0 => Some(shown),
        _ => Some(format!("{shown} and {more} more addresses")),
    }
}

/// Whether a peer of it may still be on its way in. Of many peers there is always one more.
fn waits(tunnel: &Tunnel) -> bool {
    !matches!(tunnel.state, State::Up | State::AdminDown) || !tunnel.peers.is_empty()
}

/// A name may stand for any address.
fn may_be_at(tunnel: &Tunnel, remote: IpAddr) -> bool {
    let fits = |host: &String| host.parse().map_or(true, |host: IpAddr| host == remote);
    tunnel.remote_hosts.is_empty() || tunnel.remote_hosts.iter().any(fits)
}

/// The newest in full, and how many more there are.
pub(super) fn told(tunnel: &Tunnel, refused: &[&Refused], now: Timestamp) -> Vec<String> {
    let since = if tunnel.remote_hosts.is_empty() {
        "it may come from anywhere".to_owned()
    } else {
        format!("it is at {}", tunnel.remote_hosts.join(" or "))
    };
    let mut parts: Vec<String> =
        refused.iter().rev().take(TOLD).map(|refused| one(&since, refused, now)).collect();
    let more = refused.len().saturating_sub(TOLD);
    if more > 0 {
        parts.push(format!("And {more} more: `sekisho status` lists them."));
    }
    parts
}

fn one(since: &str, refused: &Refused, now: Timestamp) -> String {
    let Refused { remote, times, failed: Failed { at, diagnosis } } = refused;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    // Nobody refused anything where one did not go on.
    let what = if diagnosis.refused_by == "nobody" { "got no further" } else { "was refused" };
    let head = format!(
        "Perhaps this tunnel's peer, since {since}, {what} at {remote} {ago} ago{often} ({}): {}",
        diagnosis.kind, diagnosis.summary
    );
    in_full(&head, diagnosis)
}
