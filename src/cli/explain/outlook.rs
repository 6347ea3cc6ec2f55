//! The last sentence: what comes next, and what an operator can do.

use super::super::output::time;
use crate::api::{State, Tunnel};

/// What comes next.
pub(super) fn outlook(tunnel: &Tunnel) -> Option<String> {
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

/// The networks that have the tunnel set up.
pub(super) fn on_demand(tunnel: &Tunnel) -> Option<String> {
    let children = tunnel.configured_children.iter().filter(|child| child.start == "on-demand");
    let networks: Vec<&str> = children.flat_map(|child| &child.remote).map(String::as_str).collect();
    (!networks.is_empty()).then(|| networks.join(" or "))
}
