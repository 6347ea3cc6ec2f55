//! `sekisho reload`: read the configuration again.

use ipnet::IpNet;

use super::Daemon;
use super::blocked::blocked_local;
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
        blocked_local: local,
    } = reloaded;
    let mut lines: Vec<String> = warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    for (what, names) in [
        ("added", added),
        ("changed, so set up anew", changed),
        ("with a new certificate (what stands goes on, what does not is tried at once)", renewed),
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
    for (name, networks) in local {
        let blocked = blocked_local(networks);
        lines.extend(blocked.map(|(seen, advice)| format!("tunnel {name}: {seen}\n  => {advice}")));
    }
    let local: Vec<&IpNet> = local.values().flatten().collect();
    let stale: Vec<_> = stale.iter().filter(|net| !local.contains(net)).map(ToString::to_string).collect();
    if !stale.is_empty() {
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
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_changed_is_told_and_what_stays_blocked() {
        let reloaded = Reloaded {
            removed: vec!["lab".to_owned()],
            unchanged: vec!["centre".to_owned()],
            asked_anew: vec!["centre".to_owned()],
            restart_needed: vec!["workers".to_owned()],
            from_next_sa: vec!["dscp".to_owned(), "ecn".to_owned()],
            stale: vec!["10.17.0.0/24".parse().unwrap(), "10.99.0.0/16".parse().unwrap()],
            blocked_local: BTreeMap::from([("centre".to_owned(), vec!["10.17.0.0/24".parse().unwrap()])]),
            ..Reloaded::default()
        };
        assert_eq!(
            show(&reloaded),
            "removed: lab\nneeds a restart of the daemon to take effect: workers\ncounts from each tunnel's next SA on (`sekisho rekey NAME` makes one now): dscp, ecn\nunchanged tunnels: 1\nof the peers of 1 tunnel it is asked anew whether their certificates were revoked\ntunnel centre: nothing gets to our network 10.17.0.0/24, from the tunnel or from here: it was a remote network before, and stays blocked\n  => If it is on this side, `sekisho unprotect 10.17.0.0/24` opens the way, and it is reached without a tunnel then, as any local network\nremoved from the configuration and still blocked: 10.99.0.0/16; `sekisho unprotect NETWORK` frees one, `sekisho unprotect --stale` all, and they are reached in clear then"
        );
    }
}
