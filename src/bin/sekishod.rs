//! The daemon.

use std::process::ExitCode;

use clap::Parser;
use sekisho::daemon::{self, Args};

fn main() -> ExitCode {
    daemon::run(&Args::parse())
}
