//! `sekisho unprotect`: take the blackhole routes away that outlive the daemon, all or those that no tunnel covers any more.

use std::fs;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::Daemon;
use super::output::{Done, Failed, Output, print, print_json};
use crate::api::{Client, ClientError, Freed, Reply, Request};
use crate::config;
use crate::net::{guard, netlink};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho unprotect 10.99.0.0/16     free a network that was removed from the configuration\n  sekisho unprotect --stale          free all that were removed from it\n  systemctl disable --now sekishod sekisho-protect && sekisho unprotect\n\nWithout --stale and NETWORK everything is freed, which is refused while a daemon answers. What a tunnel covers is never freed alone.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these networks, which are blocked though no tunnel of the configuration covers them any more
    #[arg(value_name = "NETWORK")]
    networks: Vec<IpNet>,
    /// All networks that are blocked though no tunnel of the configuration covers them any more
    #[arg(long, conflicts_with = "networks")]
    stale: bool,
    /// Where no daemon runs: the configuration that says what its tunnels cover
    #[arg(long, value_name = "FILE", default_value = "/etc/sekisho/sekisho.toml")]
    config: PathBuf,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let in_part = args.stale || !args.networks.is_empty();
    match Client::connect(&daemon.0) {
        Err(ClientError::NotRunning(_)) => {}
        Ok(client) if in_part => return ask(client, output, args),
        Ok(_) | Err(ClientError::Forbidden(_)) => {
            let why = format!(
                "a daemon runs (its socket is {}): stop it first to free everything; `--stale` frees what no tunnel covers any more",
                daemon.0.display()
            );
            return Err(Failed::because(why));
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(pid) = daemon_here(Path::new("/proc")) {
        let why = format!(
            "sekishod runs as process {pid} with another control socket: stop it, or name that by `--socket`"
        );
        return Err(Failed::because(why));
    }
    if in_part { free_in_part(output, args) } else { free_everything(output) }
}

/// The daemon knows what its tunnels cover.
fn ask(mut client: Client, output: &Output, args: &Args) -> Done {
    let data = client.ask(&Request::Unprotect { networks: args.networks.clone() })?.into_data()?;
    if output.json {
        return print_json(&data);
    }
    let Freed { prefixes } = Reply::Done(data).into_data()?;
    told(&prefixes)
}

/// The configuration says it.
fn free_in_part(output: &Output, args: &Args) -> Done {
    let config = config::load_to_start(&args.config).map_err(|error| {
        Failed::because(format!("{error}\nwithout a good configuration nobody knows what tunnels cover: mend it, name another by `--config`, or free everything by `sekisho unprotect`"))
    })?;
    let failed = |error: netlink::Error| Failed::because(error.to_string());
    let blocked = netlink::blocked().map_err(failed)?;
    let free =
        config::to_free(&blocked, &config::protected(&config), &args.networks).map_err(Failed::because)?;
    netlink::free(&free).map_err(failed)?;
    let prefixes: Vec<IpNet> = free.into_iter().collect();
    if output.json { print_json(&Freed { prefixes }) } else { told(&prefixes) }
}

fn told(prefixes: &[IpNet]) -> Done {
    if prefixes.is_empty() {
        return print(
            "nothing to free: every network that is blocked belongs to a tunnel of the configuration",
        );
    }
    prefixes.iter().try_for_each(|prefix| {
        print(&format!("{prefix} is no longer blocked: from now on its traffic leaves in clear"))
    })
}

fn free_everything(output: &Output) -> Done {
    let removed = netlink::unprotect().map_err(|error| Failed::because(error.to_string()))?;
    guard::remove().map_err(|error| {
        Failed::because(format!("the packet filter's part could not be removed: {error}"))
    })?;
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
