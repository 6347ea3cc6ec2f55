//! `sekisho events`: what happened, one line a record.

use super::Daemon;
use super::output::{Done, Failed, Output, print};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho events                    the recent records\n  sekisho events --follow           and those to come, until Ctrl-C\n  sekisho events --follow --json | jq -c 'select(.event == \"tunnel_down\")'";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on with what happens from now on
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    for event in daemon.connect()?.events(args.follow)? {
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
