//! `sekisho check`: judge a configuration, and then the machine.

mod bridges;
mod explain;
mod machine;
mod networks;
mod ports;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Daemon;
use super::output::{Colour, Done, Failed, Output, print, print_json};
use crate::api::{Request, Status};
use crate::config::{self, Config, ConfigError, Problem};
use explain::{Explained, explain};
use machine::{Finding, Machine, Severity};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho check /etc/sekisho/sekisho.toml\n  sekisho check --explain --file-only new.toml\n  sekisho check --file-only new.toml && cp new.toml /etc/sekisho/sekisho.toml && sekisho reload\n\nExit code 1 if the file has errors, or if the daemon could not start on this machine. Warnings leave it at 0.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file
    file: PathBuf,
    /// Judge the file, not this machine
    #[arg(long)]
    file_only: bool,
    /// Show for each tunnel what it would offer and accept, preferred first
    #[arg(long)]
    explain: bool,
}

/// The whole verdict.
#[derive(Serialize)]
struct Verdict {
    file: PathBuf,
    ok: bool,
    errors: Vec<Place>,
    warnings: Vec<Place>,
    machine: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnels: Option<Vec<Explained>>,
}

/// A problem of the file.
#[derive(Serialize)]
struct Place {
    line: usize,
    column: usize,
    message: String,
    help: String,
}

impl From<&Problem> for Place {
    fn from(problem: &Problem) -> Self {
        let Problem { message, place, help } = problem.clone();
        Self { line: place.line, column: place.column, message, help }
    }
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let judged = config::load(&args.file);
    let findings = match &judged {
        Ok(config) if !args.file_only => {
            let running = daemon.ask(&Request::Status).ok();
            let status = running.and_then(|data| serde_json::from_value::<Status>(data).ok());
            let looked = Machine::this().look(config, status.map(|status| status.pid));
            looked.into_iter().chain(networks::cut_off(config)).collect()
        }
        _ => Vec::new(),
    };
    let ok = judged.is_ok() && findings.iter().all(|finding| finding.severity != Severity::Error);
    let tunnels = judged.as_ref().ok().filter(|_| args.explain).map(explain);
    if output.json {
        print_json(&Verdict { tunnels, ..verdict(&args.file, &judged, ok, findings) })?;
    } else {
        tell(output, &args.file, &judged, &findings, args.file_only)?;
        tunnels.unwrap_or_default().iter().try_for_each(|tunnel| print(&tunnel.to_string()))?;
    }
    if ok { Ok(()) } else { Err(Failed::Told) }
}

/// What keeps a daemon with this configuration from starting on this machine, each with its remedy.
pub(super) fn obstacles(file: &Path) -> Vec<String> {
    match config::load_to_start(file) {
        Err(error) => vec![error.to_string().trim_end().to_owned()],
        Ok(config) => {
            let findings = Machine::this().look(&config, None).into_iter();
            findings
                .filter(|finding| finding.severity == Severity::Error || finding.code == "missing_capability")
                .map(|Finding { what, remedy, .. }| format!("{what}: {remedy}"))
                .collect()
        }
    }
}

fn verdict(file: &Path, judged: &Result<Config, ConfigError>, ok: bool, machine: Vec<Finding>) -> Verdict {
    let (errors, warnings) = match judged {
        Ok(config) => (&[][..], &config.warnings),
        Err(error) => (error.errors.as_slice(), &error.warnings),
    };
    let places = |problems: &[Problem]| problems.iter().map(Place::from).collect();
    let (errors, warnings) = (places(errors), places(warnings));
    Verdict { file: file.to_owned(), ok, errors, warnings, machine, tunnels: None }
}

fn tell(
    output: &Output,
    file: &Path,
    judged: &Result<Config, ConfigError>,
    findings: &[Finding],
    file_only: bool,
) -> Done {
    let warnings = match judged {
        Ok(config) => &config.warnings,
        Err(error) => &error.warnings,
    };
    for warning in warnings {
        print(&warning.show("warning", file))?;
    }
    let config = match judged {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return Ok(());
        }
    };
    print(&format!("{} is good; tunnels: {}", file.display(), config.connections.len()))?;
    for Finding { severity, what, remedy, .. } in findings {
        let (colour, word) = match severity {
            Severity::Error => (Colour::Red, "error"),
            Severity::Warning => (Colour::Yellow, "warning"),
        };
        let line = format!("{}: {what}\n  = help: {remedy}", output.paint(colour, word));
        match severity {
            Severity::Error => eprintln!("{line}"),
            Severity::Warning => print(&line)?,
        }
    }
    if findings.is_empty() && !file_only {
        print("this machine is fit for it")?;
    }
    Ok(())
}
