//! The command line.

use std::process::ExitCode;

use sekisho::demo;

fn main() -> ExitCode {
    if let Some(ended) = demo::take_part() {
        return ended;
    }
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("demo") {
        eprintln!("sekisho: the other commands are not built yet");
        return ExitCode::FAILURE;
    }
    let options: Vec<String> = arguments.collect();
    let given = |option: &str| options.iter().any(|argument| argument == option);
    demo::run(&demo::Args { keep: given("--keep"), json: given("--json") })
}
