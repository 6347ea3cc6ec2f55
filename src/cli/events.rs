//! `sekisho events`: what happened, one line a record.

use super::Daemon;
use super::explain::unknown;
use super::output::{Done, Failed, Output, print};
use crate::api::{Reply, Request, Status, Wanted};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho events                    the recent records\n  sekisho events centre --limit 10  the last ten of one tunnel\n  sekisho events --follow           and those to come, until Ctrl-C\n  sekisho events --follow --json | jq -c 'select(.event == \"tunnel_down\")'";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those of this tunnel; what named no tunnel is left out
    tunnel: Option<String>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    follow: bool,
    /// Of the recent records only so many, the newest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    if let Some(name) = &args.tunnel {
        let status: Status = Reply::Done(daemon.ask(&Request::Status)?).into_data()?;
        if !status.tunnels.iter().any(|tunnel| tunnel.name == *name) {
            return Err(unknown(name, &status));
        }
    }
    let wanted = Wanted { tunnel: args.tunnel.clone(), limit: args.limit };
    for event in daemon.connect()?.events(args.follow, wanted)? {
        match event? {
            (_, Some(record)) if !output.json => print(&record.to_string())?,
            (line, _) => print(&line)?,
        }
    }
    if args.follow {
        return Err(Failed::because(
            "no more events come: the daemon has ended, or this reader was too slow for it",
        ));
    }
    Ok(())
}
