//! The first sentence: what the tunnel is doing, and with what.

use super::super::awaited::awaited;
use super::super::output::time;
use super::super::status::is_probed_soon;
use super::outlook::on_demand;
use super::remarks::{expired, remarks};
use crate::api::{Child, State, Tunnel};

/// What the tunnel is doing.
pub(super) fn opening(tunnel: &Tunnel) -> String {
    let Tunnel { name, remote_id, .. } = tunnel;
    match tunnel.state {
        State::Up => up(tunnel),
        State::Connecting => {
            let waits = tunnel.awaited.as_ref().map(awaited);
            let waits = waits.map_or_else(String::new, |waits| format!(": {waits}"));
            format!("{name} is being set up with {remote_id}; nothing passes yet{waits}.")
        }
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
        State::Waiting if tunnel.ike.is_some() => format!(
            "{name}: the IKE SA with {remote_id} stands without a Child SA, so nothing passes; the peer sets that up."
        ),
        State::Waiting => format!("{name} waits for {remote_id}, which starts this tunnel."),
    }
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
    let well = well && expired(tunnel).is_none();
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
