//! Whole tunnels side by side, both ends and all traffic on this machine, in namespaces: sekisho, the same daemon without a
//! cipher (our own limit), strongSwan with its ESP in user space, and WireGuards in user space.
//!
//! `cargo bench --bench throughput` (as root) prints a table and how far we are from each goal; with `-- --json` one object.
//! Who takes part takes turns, since machines change speed within minutes, and streams that are compared take turns of a fifth of
//! a second, since they change within seconds; what is told are medians, and medians of each round's ratios. `--rounds N`, `--seconds N`, `--only PART,…` and `--measure WHAT,…` narrow it down.
//!
//! A comparator is found on PATH or by an environment variable: `SEKISHO_BENCH_BORINGTUN` (boringtun-cli),
//! `SEKISHO_BENCH_GOTATUN` (gotatun), `SEKISHO_BENCH_WIREGUARD_GO` (wireguard-go); strongSwan is where Debian puts it. One that
//! is missing is said to be missing. `SEKISHO_BENCH_BASELINE` names a `sekishod` of another build, to see what a change does.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench fails by panicking"
)]
#![allow(dead_code, reason = "what tests and benches share is not all used here")]

#[path = "../../tests/lab/mod.rs"]
mod lab;
#[path = "../../tests/datapath/namespace.rs"]
mod namespace;
#[path = "../../tests/datapath/site.rs"]
mod site;

mod contender;
mod crowd;
mod figures;
mod goals;
mod lines;
mod measure;
mod party;
mod peers;
mod report;
mod rounds;
mod run;
mod wireguard;

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use contender::Contender;
use measure::tcp::How;

/// Tunnels of several implementations, measured in turns.
#[derive(Parser)]
pub struct Options {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Measurements of each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds a TCP measurement, in all its turns together.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Congestion control of the streams. Linux's own choice is CUBIC; what a machine may be set to instead, as BBR, paces what
    /// it sends by a timer, and then that is measured.
    #[arg(long, default_value = "cubic")]
    congestion: String,
    /// Only these.
    #[arg(long, value_parser = parts(), value_delimiter = ',')]
    only: Vec<String>,
    /// Only this of each implementation.
    #[arg(long, value_enum, value_delimiter = ',')]
    measure: Vec<Measure>,
    /// Round trips of a measurement on an idle tunnel.
    #[arg(long, default_value_t = 1_500)]
    trips: usize,
    /// SAs held beside the one that is used.
    #[arg(long, default_value_t = 9_999)]
    crowd: u32,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// IPv6 outside, a NAT between, and ESP without UDP, each against IPv4 in UDP.
const LINES: &str = "lines";
/// Ten thousand SAs against one.
const CROWD: &str = "crowd";
/// Two peers, and one worker or two.
const PEERS: &str = "peers";

/// What can be left out.
fn parts() -> PossibleValuesParser {
    PossibleValuesParser::new(Contender::ALL.map(Contender::name).into_iter().chain([LINES, CROWD, PEERS]))
}

/// What is measured of an implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    Tcp,
    Rtt,
    Udp,
}

impl Options {
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// How streams are measured, in so many turns of each.
    pub fn tcp(&self, turns: u32) -> How<'_> {
        How { control: &self.congestion, seconds: self.seconds, turns }
    }

    pub fn measures(&self, measure: Measure) -> bool {
        self.measure.is_empty() || self.measure.contains(&measure)
    }
}

fn main() -> ExitCode {
    if let Some(code) = contender::daemon_without_cipher() {
        return code;
    }
    let options = Options::parse();
    if !options.bench {
        println!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let (figures, missing) = rounds::run(&options);
    if options.json {
        println!("{}", report::json(&figures, &missing, &options.congestion));
    } else {
        report::table(&figures, &missing, &options.congestion);
    }
    ExitCode::SUCCESS
}
