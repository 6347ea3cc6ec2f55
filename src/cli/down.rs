//! `sekisho down`: take a tunnel down until further notice.

use super::Daemon;
use super::output::{Done, Output};
use crate::api::{Request, Tunnel};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho down centre      until `sekisho up centre` or a restart of the daemon\n\nThe networks behind the tunnel stay blocked: nothing leaves in clear.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration
    name: String,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: Args) -> Done {
    let data = daemon.ask(&Request::Down { tunnel: args.name })?;
    output.answer(data, |tunnel: &Tunnel| {
        let name = &tunnel.name;
        format!("{name} is down until `sekisho up {name}` or a restart; its networks stay blocked")
    })
}
