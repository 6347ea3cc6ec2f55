//! `sekisho unprotect`: take the blackhole routes away that outlive the daemon.

use super::Daemon;
use std::fs;
use std::path::Path;

use super::output::{Done, Failed, Output, print, print_json};
use crate::api::{Client, ClientError};
use crate::net::netlink;

pub(super) const EXAMPLES: &str = "Examples:\n  systemctl disable --now sekishod sekisho-protect && sekisho unprotect\n\nRefused while a daemon answers.";

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    match Client::connect(&daemon.0) {
        Err(ClientError::NotRunning(_)) => {}
        Ok(_) | Err(ClientError::Forbidden(_)) => {
            let why = format!("a daemon runs (its socket is {}): stop it first", daemon.0.display());
            return Err(Failed::because(why));
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(pid) = daemon_here(Path::new("/proc")) {
        let why = format!("sekishod runs as process {pid} with another control socket: stop it first");
        return Err(Failed::because(why));
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

/// A daemon in our network namespace whose socket we were not told of.
fn daemon_here(proc: &Path) -> Option<u32> {
    let namespace = |pid: &str| fs::read_link(proc.join(pid).join("ns/net"));
    let ours = namespace("self").ok()?;
    let processes = fs::read_dir(proc).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_daemon = |pid: &String| {
        let name = fs::read_to_string(proc.join(pid).join("comm")).unwrap_or_default();
        name.trim_end() == "sekishod" && namespace(pid).is_ok_and(|namespace| namespace == ours)
    };
    processes.filter(is_daemon).find_map(|pid| pid.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_daemon_in_our_network_counts() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, name: &str, namespace: &str| {
            let directory = proc.path().join(pid);
            fs::create_dir_all(directory.join("ns")).unwrap();
            fs::write(directory.join("comm"), format!("{name}\n")).unwrap();
            symlink(namespace, directory.join("ns/net")).unwrap();
        };
        process("self", "sekisho", "net:[1]");
        process("10", "charon", "net:[1]");
        process("11", "sekishod", "net:[2]");
        assert_eq!(daemon_here(proc.path()), None);
        process("12", "sekishod", "net:[1]");
        assert_eq!(daemon_here(proc.path()), Some(12));
    }
}
