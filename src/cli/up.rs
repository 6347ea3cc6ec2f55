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
