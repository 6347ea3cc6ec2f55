//! The command line.

use std::process::ExitCode;

use sekisho::demo;

fn main() -> ExitCode {
    if let Some(ended) = demo::take_part() {
        return ended;
    }
    let json = std::env::args().any(|argument| argument == "--json");
    let keep = std::env::args().any(|argument| argument == "--keep");
    demo::run(&demo::Args { keep, json })
}
