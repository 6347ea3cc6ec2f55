//! `sekisho unprotect`: take the blackhole routes away that outlive the daemon.

use super::Daemon;
use super::output::{Done, Failed, Output, print, print_json};
use crate::api::{Client, ClientError};
use crate::net::netlink;

pub(super) const EXAMPLES: &str =
    "Examples:\n  systemctl disable --now sekishod && sekisho unprotect\n\nRefused while a daemon answers.";

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    match Client::connect(&daemon.0) {
        Err(ClientError::NotRunning(_)) => {}
        Ok(_) | Err(ClientError::Forbidden(_)) => {
            let why = format!("a daemon runs (its socket is {}): stop it first", daemon.0.display());
            return Err(Failed::because(why));
        }
        Err(error) => return Err(error.into()),
    }
    let removed = netlink::unprotect().map_err(|error| Failed::because(error.to_string()))?;
    if output.json {
        let prefixes: Vec<String> = removed.prefixes.iter().map(ToString::to_string).collect();
        let json =
            serde_json::json!({ "prefixes": prefixes, "rules": removed.rules, "routes": removed.routes });
        return print_json(&json);
    }
    if removed == netlink::Removed::default() {
        return print("nothing was protected");
    }
    for prefix in &removed.prefixes {
        print(&format!("{prefix} is no longer blocked: from now on its traffic leaves in clear"))?;
    }
    print(&format!("removed rules: {}, routes: {}", removed.rules, removed.routes))
}
