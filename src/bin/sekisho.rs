//! The command line. The same executable is each node and each daemon of the demonstration.

use std::process::ExitCode;

use sekisho::{cli, demo};

fn main() -> ExitCode {
    // Before anything else: a part of the demonstration must have one thread only.
    demo::take_part().unwrap_or_else(cli::run)
}
