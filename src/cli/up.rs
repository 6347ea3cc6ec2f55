//! `sekisho up`: set a tunnel up and wait.

use super::Daemon;
use super::output::{Done, Output};
use super::target::Target;
use crate::api::{Request, State, Tunnel};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho up centre                 every child that is ours to set up\n  sekisho up centre/records         one child\n  sekisho up centre --timeout 5 || sekisho status";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration, or one child of it
    #[arg(value_name = "TUNNEL[/CHILD]")]
    name: Target,
    /// The longest wait, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Request::DEFAULT_WAIT,
        value_parser = clap::value_parser!(u64).range(1..=Request::MAX_WAIT))]
    timeout: u64,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let Target { tunnel, child } = args.name.clone();
    let data = daemon.ask(&Request::Up { tunnel, child, timeout_s: args.timeout })?;
    output.answer(data, |tunnel: &Tunnel| {
        if let Some(child) = &args.name.child {
            return child_up(&args.name, child, tunnel);
        }
        if tunnel.state == State::Waiting && tunnel.ike.is_some() {
            return format!(
                "{} has an IKE SA with {}, which sets up its Child SAs",
                tunnel.name, tunnel.remote_id
            );
        }
        if tunnel.state == State::Waiting {
            return format!(
                "{} is allowed again, and waits for {}, which starts it",
                tunnel.name, tunnel.remote_id
            );
        }
        let peer = tunnel.remote.map_or_else(String::new, |remote| format!(" at {remote}"));
        let suite = tunnel.ike.as_ref().map_or_else(String::new, |ike| format!(", {}", ike.suite));
        if !tunnel.peers.is_empty() {
            return format!("{} is up, with {} tunnels to {}", args.name, tunnel.peers_up, tunnel.remote_id);
        }
        format!("{} is up with {}{peer}{suite}", args.name, tunnel.remote_id)
    })
}

/// One child, by what it carries.
fn child_up(name: &Target, child: &str, tunnel: &Tunnel) -> String {
    let of_peers = tunnel.peers.iter().flat_map(|peer| &peer.children);
    let sas = tunnel.children.iter().chain(of_peers);
    match sas.filter(|sa| sa.sending).find(|sa| sa.name == child) {
        Some(sa) => {
            let (local, remote) = (sa.local.join(" "), sa.remote.join(" "));
            format!("{name} is up between {local} and {remote}, {}, with {}", sa.suite, tunnel.remote_id)
        }
        None => format!("{name} is up with {}", tunnel.remote_id),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Status;

    #[test]
    fn a_child_is_told_of_by_what_it_carries() {
        let status: Status = serde_json::from_str(include_str!("../../tests/status.json")).unwrap();
        let centre = status.tunnels.iter().find(|tunnel| tunnel.name == "centre").unwrap();
        let name: Target = "centre/centre".parse().unwrap();
        assert_eq!(
            child_up(&name, "centre", centre),
            "centre/centre is up between 10.17.0.0/24 and 10.0.0.0/16 10.200.0.0/16[tcp/443], aes256gcm16-x25519-esn, with hub.example"
        );
    }
}
