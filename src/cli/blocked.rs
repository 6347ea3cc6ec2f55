//! Networks of our side that stay blocked, since a tunnel protected them before: a network was on the wrong side of the configuration,
//! or a hub's tunnel to it is gone. And those that a tunnel takes away.

use std::fmt::Display;

use crate::words::{self, GIVE_BACK};

/// What is seen, and what to do about it; nothing where none is blocked.
pub(super) fn blocked_local(networks: &[impl Display]) -> Option<(String, String)> {
    let (ours, was, are) = match networks.len() {
        0 => return None,
        1 => ("our network", "it was a remote network before, and stays", "it is"),
        _ => ("our networks", "they were remote networks before, and stay", "they are"),
    };
    let list = |between: &str| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(between);
    Some((
        format!("nothing gets to {ours} {}, from the tunnel or from here: {was} blocked", list(", ")),
        format!(
            "If {are} on this side, `sekisho unprotect {}` opens the way, and {are} reached without a tunnel then, as any local network",
            list(" ")
        ),
    ))
}

/// The same of networks that this machine is on and that lie in the peer's networks.
pub(super) fn cut_off(networks: &[String]) -> Option<(String, &'static str)> {
    (!networks.is_empty()).then(|| (words::cut_off(networks, "the peer's networks"), GIVE_BACK))
}
