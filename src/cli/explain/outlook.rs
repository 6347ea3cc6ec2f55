//! The last sentence: what comes next, and what an operator can do.

use super::super::output::time;
use super::strangers;
use crate::api::{State, Status, Tunnel};

/// What comes next.
pub(super) fn outlook(tunnel: &Tunnel, status: &Status) -> Option<String> {
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
        (State::Waiting, None)
            if !tunnel.near_misses.is_empty() || !strangers::of(tunnel, status).is_empty() =>
        {
            "If that is this tunnel's peer, it must try again once that is put right.".to_owned()
        }
        // IKE gets here, whoever else was refused.
        (State::Waiting, None) if tunnel.ike.is_some() => format!(
            "Nothing is to be done here: the peer sets a Child SA up when it has something to send.{}",
            start_here(tunnel)
        ),
        // The peer's address may be another one than is thought, as behind a NAT.
        (State::Waiting, None) if !status.refused.is_empty() => {
            "Others were refused lately (`sekisho status` lists them): is one of their addresses the peer's?"
                .to_owned()
        }
        (State::Waiting, None) => format!("{}{}", nobody_refused(tunnel, status), start_here(tunnel)),
        (State::Idle, None) => format!("`sekisho up {name}` sets it up without one."),
        (State::Backoff, None) if let Some(networks) = on_demand(tunnel) => {
            format!("The next packet for {networks} has it tried again; `sekisho up {name}` tries at once.")
        }
        (_, None) => format!("The peer must ask again{}.", from_here(tunnel)),
    })
}

/// Why a peer that is waited for is not in, where nobody was refused: what is not known is not claimed.
fn nobody_refused(tunnel: &Tunnel, status: &Status) -> String {
    match strangers::begun(tunnel, status) {
        Some(begun) => format!(
            "Somebody at {begun} began and has not gone on (yet). If that is this tunnel's peer and it stays so for half a minute, look at the way between the ends, both directions of it, and at UDP port 4500 above all."
        ),
        None => "Nothing is to be done here, and nobody was refused lately. If the peer tries all the same, and `sekisho status` counts no more under Dropped when it does, its packets do not get here (UDP ports 500 and 4500).".to_owned(),
    }
}

/// How it is started from here, if it can be, as a sentence.
fn start_here(tunnel: &Tunnel) -> String {
    if tunnel.startable {
        format!(" `sekisho up {}` starts it from here.", tunnel.name)
    } else {
        String::new()
    }
}

/// Whether and how it is started from here, to go on with.
fn from_here(tunnel: &Tunnel) -> String {
    if tunnel.startable {
        format!("; `sekisho up {}` starts it from here", tunnel.name)
    } else {
        ": it cannot be started from here".to_owned()
    }
}

/// The networks that have the tunnel set up.
pub(super) fn on_demand(tunnel: &Tunnel) -> Option<String> {
    let children = tunnel.configured_children.iter().filter(|child| child.start == "on-demand");
    let networks: Vec<&str> = children.flat_map(|child| &child.remote).map(String::as_str).collect();
    (!networks.is_empty()).then(|| networks.join(" or "))
}
