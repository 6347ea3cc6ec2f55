//! `sekisho explain`: why a tunnel is down, what was compared, and what comes next, in a paragraph and a table.

mod absent;
mod opening;
mod outlook;
mod peer;
mod refusal;
mod remarks;
mod strangers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::Daemon;
use super::output::{self, Done, Failed as Failure, Output, print, print_json};
use super::status::{packet_size, word};
use crate::api::{Failed, NearMiss, Refused, Request, Status, Timestamp, Tunnel};
use absent::without_daemon;
use opening::opening;
use outlook::outlook;
use refusal::{failure, near_miss, warning};
use remarks::{asides, remarks};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho explain centre\n  sekisho explain centre --json | jq -r .text\n  sekisho explain --peer 203.0.113.40    who was refused there, and why\n\nThe kinds of failures are listed in docs/diagnoses.md. Without a daemon, the configuration and this machine are looked at.";

/// Columns of a paragraph.
const WIDTH: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tunnel, as in the configuration
    #[arg(required_unless_present = "peer")]
    name: Option<String>,
    /// In place of a tunnel: what became of whoever asked from this address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "name")]
    peer: Option<IpAddr>,
    /// What a daemon that does not run would read
    #[arg(long, value_name = "FILE", default_value = "/etc/sekisho/sekisho.toml")]
    config: PathBuf,
}

/// The answer as JSON; the field names are stable.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Explanation {
    /// As configured.
    name: String,
    /// As in `status`, or `no_daemon`.
    state: String,
    /// The kind of the failure or, without one, of the last near miss or the first warning.
    kind: Option<String>,
    /// `here`, `peer` or `nobody`.
    refused_by: Option<String>,
    /// All of it in words.
    text: String,
    /// The last failure since the last success.
    failure: Option<Failed>,
    /// Refusals that named no tunnel and were perhaps meant for this one.
    near_misses: Vec<NearMiss>,
    /// Refusals that named no tunnel, from where this one's peer may be.
    refused: Vec<Refused>,
    /// What deserves a look although traffic passes.
    warnings: Vec<Failed>,
    /// Attempts since the last success.
    attempts: u32,
    /// Until the next attempt, if one is scheduled.
    next_try_in_s: Option<u64>,
}

pub(super) fn run(daemon: &Daemon, output: &Output, args: &Args) -> Done {
    let answer = daemon.ask(&Request::Status);
    match (&args.name, args.peer) {
        (Some(name), _) => tunnel(answer, output, name, &args.config),
        (None, Some(address)) => {
            let status: Status = crate::api::Reply::Done(answer?).into_data()?;
            let asked = peer::explain(address, &status, Timestamp::now());
            if output.json { print_json(&asked) } else { print(asked.text.trim_end()) }
        }
        (None, None) => Err(Failure::because("name a tunnel, or an address by `--peer`")),
    }
}

fn tunnel(answer: Result<Value, Failure>, output: &Output, name: &str, config: &Path) -> Done {
    let explanation = match answer {
        Ok(data) => {
            let status: Status = crate::api::Reply::Done(data).into_data()?;
            let found = status.tunnels.iter().find(|tunnel| tunnel.name == name);
            explain(found.ok_or_else(|| unknown(name, &status))?, &status, Timestamp::now())
        }
        Err(Failure::Because(why)) => without_daemon(name, config, &why.error),
        Err(other) => return Err(other),
    };
    if output.json { print_json(&explanation) } else { print(explanation.text.trim_end()) }?;
    if explanation.state == "no_daemon" { Err(Failure::Told) } else { Ok(()) }
}

/// No tunnel has this name.
pub(super) fn unknown(name: &str, status: &Status) -> Failure {
    let names: Vec<&str> = status.tunnels.iter().map(|tunnel| tunnel.name.as_str()).collect();
    let known = if names.is_empty() { "none is".to_owned() } else { names.join(", ") };
    Failure::because(format!("no tunnel is named `{name}`; configured are: {known}"))
}

fn explain(tunnel: &Tunnel, status: &Status, now: Timestamp) -> Explanation {
    let refused = strangers::of(tunnel, status);
    let near = tunnel.near_misses.last().map(|miss| &miss.failed);
    let near = near.or(refused.last().map(|refused| &refused.failed));
    let shown = tunnel.last_failure.as_ref().or(near).or(tunnel.warnings.first());
    let mut parts = vec![wrapped(&opening(tunnel))];
    parts.extend(remarks::expired(tunnel).map(|expired| wrapped(&expired)));
    parts.extend(tunnel.last_failure.iter().map(|failed| failure(tunnel, failed, now)));
    parts.extend(tunnel.near_misses.iter().map(|miss| near_miss(miss, now)));
    parts.extend(strangers::told(tunnel, &refused, now));
    let told = tunnel.last_failure.as_ref().map(|failed| &failed.diagnosis);
    let warnings = tunnel.warnings.iter().filter(|warning| Some(&warning.diagnosis) != told);
    parts.extend(warnings.map(|warned| warning(warned, now)));
    parts.extend(remarks(tunnel).into_iter().chain(asides(tunnel, status)).map(|remark| wrapped(&remark)));
    parts.extend(tunnel.packets.as_ref().map(|size| wrapped(&format!("It {}.", packet_size(size)))));
    parts.extend(outlook(tunnel, status).map(|outlook| wrapped(&outlook)));
    Explanation {
        name: tunnel.name.clone(),
        state: word(tunnel.state).to_owned(),
        kind: shown.map(|failed| failed.diagnosis.kind.clone()),
        refused_by: shown.map(|failed| failed.diagnosis.refused_by.clone()),
        text: parts.join("\n\n"),
        failure: tunnel.last_failure.clone(),
        near_misses: tunnel.near_misses.clone(),
        refused: refused.into_iter().cloned().collect(),
        warnings: tunnel.warnings.clone(),
        attempts: tunnel.attempts,
        next_try_in_s: tunnel.next_try_in_s,
    }
}

/// A paragraph in lines.
fn wrapped(text: &str) -> String {
    output::wrapped(text, WIDTH, 0).join("\n")
}
