//! `sekisho reload`: read the configuration again.

use super::Daemon;
use super::output::{Done, Output};
use crate::api::{Reloaded, Request};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho check /etc/sekisho/sekisho.toml && sekisho reload\n\nA configuration with errors is refused as a whole; the one in force stays.";

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    let data = daemon.ask(&Request::Reload)?;
    output.answer(data, show)
}

fn show(reloaded: &Reloaded) -> String {
    let Reloaded {
        added,
        changed,
        renewed,
        reviewed,
        asked_anew,
        removed,
        unchanged,
        restart_needed,
        from_next_sa,
        warnings,
        stale,
    } = reloaded;
    let mut lines: Vec<String> = warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    for (what, names) in [
        ("added", added),
        ("changed, so set up anew", changed),
        ("with a new certificate, and as they stand", renewed),
        ("with other trust, by which the peers of what stands are judged", reviewed),
        ("removed", removed),
        ("needs a restart of the daemon to take effect", restart_needed),
        ("counts from each tunnel's next SA on (`sekisho rekey NAME` makes one now)", from_next_sa),
    ] {
        if !names.is_empty() {
            lines.push(format!("{what}: {}", names.join(", ")));
        }
    }
    lines.push(format!("unchanged tunnels: {}", unchanged.len()));
    if !asked_anew.is_empty() {
        let tunnels = if asked_anew.len() == 1 { "tunnel" } else { "tunnels" };
        lines.push(format!(
            "of the peers of {} {tunnels} it is asked anew whether their certificates were revoked",
            asked_anew.len()
        ));
    }
    if !stale.is_empty() {
        let stale: Vec<_> = stale.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "removed from the configuration and still blocked: {}; `sekisho unprotect NETWORK` frees one, `sekisho unprotect --stale` all, and they are reached in clear then",
            stale.join(", ")
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_and_what_stays_blocked() {
        let reloaded = Reloaded {
            removed: vec!["lab".to_owned()],
            unchanged: vec!["centre".to_owned()],
            asked_anew: vec!["centre".to_owned()],
            restart_needed: vec!["workers".to_owned()],
            from_next_sa: vec!["dscp".to_owned(), "ecn".to_owned()],
            stale: vec!["10.99.0.0/16".parse().unwrap()],
            ..Reloaded::default()
        };
        assert_eq!(
            show(&reloaded),
            "removed: lab\nneeds a restart of the daemon to take effect: workers\ncounts from each tunnel's next SA on (`sekisho rekey NAME` makes one now): dscp, ecn\nunchanged tunnels: 1\nof the peers of 1 tunnel it is asked anew whether their certificates were revoked\nremoved from the configuration and still blocked: 10.99.0.0/16; `sekisho unprotect NETWORK` frees one, `sekisho unprotect --stale` all, and they are reached in clear then"
        );
    }
}
