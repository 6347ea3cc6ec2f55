//! `sekisho rekey`: replace a tunnel's keys now.

use super::Daemon;
use super::output::{Done, Output};
use crate::api::{Request, Tunnel, What};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho rekey centre             the Child SAs, then the IKE SA\n  sekisho rekey centre --child     only the Child SAs";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration
    name: String,
    /// Only the IKE SA
    #[arg(long, conflicts_with = "child")]
    ike: bool,
    /// Only the Child SAs
    #[arg(long)]
    child: bool,
    /// The longest wait, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Request::DEFAULT_WAIT,
        value_parser = clap::value_parser!(u64).range(1..=Request::MAX_WAIT))]
    timeout: u64,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: Args) -> Done {
    let (what, words) = match (args.ike, args.child) {
        (true, _) => (What::Ike, "a new IKE SA"),
        (_, true) => (What::Child, "new Child SAs"),
        _ => (What::Both, "new Child SAs and a new IKE SA"),
    };
    let data = daemon.ask(&Request::Rekey { tunnel: args.name, what, timeout_s: args.timeout })?;
    output.answer(data, |tunnel: &Tunnel| format!("{} has {words}", tunnel.name))
}
