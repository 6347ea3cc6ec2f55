//! The self-contained demonstration (to be built).

use std::process::ExitCode;

/// What `sekisho demo` was asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Leave it running and print how to play with it
    #[arg(long)]
    pub keep: bool,
    /// End with one JSON object
    #[arg(skip)]
    pub json: bool,
}

/// Runs it; success only if all that it claims held.
pub fn run(args: &Args) -> ExitCode {
    let _ = args;
    eprintln!("sekisho: the demonstration is not built yet");
    ExitCode::FAILURE
}
