//! `sekisho rekey`: replace a tunnel's keys now.

use super::Daemon;
use super::output::{Done, Failed, Output};
use super::target::Target;
use crate::api::{Request, Tunnel, What};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho rekey centre             the Child SAs, then the IKE SA\n  sekisho rekey centre --child     only the Child SAs\n  sekisho rekey centre/records     one Child SA";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration, or one child of it
    #[arg(value_name = "TUNNEL[/CHILD]")]
    name: Target,
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

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let Target { tunnel, child } = args.name.clone();
    if args.ike && child.is_some() {
        return Err(Failed::because("a child has no IKE SA of its own: name the tunnel alone"));
    }
    let (what, words) = match (args.ike, args.child) {
        _ if child.is_some() => (What::Child, "a new Child SA"),
        (true, _) => (What::Ike, "a new IKE SA"),
        (_, true) => (What::Child, "new Child SAs"),
        _ => (What::Both, "new Child SAs and a new IKE SA"),
    };
    let data = daemon.ask(&Request::Rekey { tunnel, child, what, timeout_s: args.timeout })?;
    output.answer(data, |_: &Tunnel| format!("{} has {words}", args.name))
}
