//! What the demonstration says on the way, and what it proved.

use std::cell::Cell;
use std::fmt::Display;
use std::process::ExitCode;

use serde::Serialize;

/// What was measured and proved; the field names of `--json` are stable. What was not reached is `null`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    /// Whether all claims held and none was left out.
    pub(super) ok: bool,
    /// From the start of the daemons to a tunnel that both ends call up, milliseconds.
    pub(super) tunnel_up_ms: Option<u64>,
    /// The median time of a ping from host to host through the tunnel, microseconds.
    pub(super) ping_rtt_us: Option<u64>,
    /// One TCP stream through the tunnel, thousands of millions of bits of content a second.
    pub(super) tcp_gbps: Option<f64>,
    /// Of the packet stream, both ways, while the Child SA was replaced.
    pub(super) packets_lost_child_rekey: Option<u64>,
    /// Of the packet stream, both ways, while the IKE SA was replaced.
    pub(super) packets_lost_ike_rekey: Option<u64>,
    /// Packets between the gateways that showed the marker or a protected address, from the start of the daemons to the end.
    pub(super) cleartext_packets: Option<u64>,
    /// ESP packets between the gateways in that time (a train that the kernel carries in one piece counts once).
    pub(super) esp_packets: Option<u64>,
    /// Packets that crossed in that time unseen by the capture.
    pub(super) capture_drops: Option<u64>,
    /// What was claimed, in order.
    pub(super) claims: Vec<Finding>,
    /// What ended the demonstration early.
    pub(super) error: Option<String>,
    /// How long it took, seconds.
    pub(super) seconds: f64,
}

/// A claim and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// The claim.
    pub(super) claim: String,
    /// Whether it held.
    pub(super) ok: bool,
    /// What was seen.
    pub(super) seen: String,
}

impl Report {
    /// Notes whether a claim held and what was seen.
    pub(super) fn claim(&mut self, claim: &str, ok: bool, seen: impl Display) {
        self.claims.push(Finding { claim: claim.to_owned(), ok, seen: seen.to_string() });
    }

    /// Ends the report with what came of the whole.
    pub(super) fn finish(&mut self, result: Result<(), impl Display>, seconds: f64) {
        self.error = result.err().map(|error| error.to_string());
        self.seconds = (seconds * 1000.0).round() / 1000.0;
        self.ok = self.error.is_none() && self.claims.iter().all(|claim| claim.ok);
    }

    /// Success only if all held.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Where the words go: to standard output, or to standard error if standard output is for the JSON object alone.
#[derive(Debug)]
pub(super) struct Voice {
    json: bool,
    steps: Cell<u8>,
}

impl Voice {
    /// For the output asked for.
    pub(super) fn new(json: bool) -> Self {
        Self { json, steps: Cell::new(0) }
    }

    /// One line, or several.
    pub(super) fn say(&self, words: impl Display) {
        if self.json {
            eprintln!("{words}");
        } else {
            println!("{words}");
        }
    }

    /// A step of the story.
    pub(super) fn step(&self, words: impl Display) {
        self.steps.set(self.steps.get() + 1);
        self.say(format_args!("\n{}. {words}", self.steps.get()));
    }

    /// A claim, as soon as it is judged.
    pub(super) fn judge(&self, report: &mut Report, claim: &str, ok: bool, seen: impl Display) {
        self.say(format_args!("   {} {claim}: {seen}", mark(ok)));
        report.claim(claim, ok, seen);
    }

    /// The whole, at the end.
    pub(super) fn conclude(&self, report: &Report) {
        self.say("\nWhat this run proved");
        for Finding { claim, ok, seen } in &report.claims {
            self.say(format_args!("   {} {claim}\n          {seen}", mark(*ok)));
        }
        if let Some(error) = &report.error {
            self.say(format_args!(
                "   {} it ended early\n          {}",
                mark(false),
                error.replace('\n', "\n          ")
            ));
        }
        let verdict = if report.ok { "All of it held" } else { "It did NOT hold" };
        self.say(format_args!("\n{verdict}; it took {:.1} s.", report.seconds));
        if self.json {
            match serde_json::to_string(report) {
                Ok(object) => println!("{object}"),
                Err(error) => eprintln!("sekisho: the report cannot be written as JSON: {error}"),
            }
        }
    }
}

fn mark(ok: bool) -> &'static str {
    if ok { "ok    " } else { "FAILED" }
}
