//! `sekisho down`: take a tunnel down until further notice.

use super::Daemon;
use super::output::{Done, Output};
use super::target::Target;
use crate::api::{ChildState, ConfiguredChild, Request, Tunnel};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho down centre          until `sekisho up centre` or a restart of the daemon\n  sekisho down centre/images   one Child SA, until a packet or the peer brings it back\n\nThe networks behind the tunnel stay blocked: nothing leaves in clear.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration, or one child of it
    #[arg(value_name = "TUNNEL[/CHILD]")]
    name: Target,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let Target { tunnel, child } = args.name.clone();
    let data = daemon.ask(&Request::Down { tunnel, child })?;
    output.answer(data, |tunnel: &Tunnel| {
        let name = &tunnel.name;
        if let Some(child) = &args.name.child {
            let idle = |configured: &ConfiguredChild| {
                configured.name == *child && configured.state == ChildState::Idle
            };
            let who = if tunnel.configured_children.iter().any(idle) { "a packet" } else { "the peer" };
            return format!("{} is down until {who} brings it back; its networks stay blocked", args.name);
        }
        format!("{name} is down until `sekisho up {name}` or a restart; its networks stay blocked")
    })
}
