//! The command line. The same executable is each gateway, host and daemon of the demonstration.

use std::process::ExitCode;

fn main() -> ExitCode {
    sekisho::demo::take_part().unwrap_or_else(sekisho::cli::run)
}
