//! Whole tunnels side by side: two sekishods, and two strongSwans with their ESP in user space, one TCP stream each.
//!
//! `cargo bench --bench throughput` (as root) prints every round, the medians and their ratio; with `-- --json` one
//! object. The two take turns, since machines change speed within minutes. `--rounds N`, `--seconds N`, and
//! `--only sekisho|strongswan` narrow it down.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

#[path = "../../tests/lab/mod.rs"]
mod lab;

use clap::Parser;
use lab::{End, Iperf, Outer, Sekisho, Site, StrongSwan, Tunnel};
use serde_json::json;

/// One TCP stream through sekisho's tunnel and through strongSwan's.
#[derive(Parser)]
struct Options {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Measurements of each tunnel.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds a measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Only this one.
    #[arg(long, value_enum)]
    only: Option<Implementation>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Implementation {
    Sekisho,
    Strongswan,
}

fn main() {
    let options = Options::parse();
    let wanted = |implementation| options.only.is_none_or(|only| only == implementation);
    let sites = (Site::quiet(), Site::quiet());
    let sekisho = wanted(Implementation::Sekisho).then(|| sekisho_pair(&sites.0));
    let strongswan = wanted(Implementation::Strongswan).then(|| strongswan_pair(&sites.1));
    let servers = [&sites.0, &sites.1].map(|site| Iperf::serve(&site.b.host, site.b.inside[0]));

    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 1..=options.rounds {
        if sekisho.is_some() {
            ours.push(gbps(&servers[0], &sites.0, options.seconds));
        }
        if strongswan.is_some() {
            theirs.push(gbps(&servers[1], &sites.1, options.seconds));
        }
        if !options.json {
            println!(
                "round {round}: sekisho {} Gb/s, strongSwan {} Gb/s",
                shown(ours.last()),
                shown(theirs.last())
            );
        }
    }
    report(&options, ours, theirs);
}

fn report(options: &Options, ours: Vec<f64>, theirs: Vec<f64>) {
    let rounds = json!({ "sekisho": ours, "strongswan": theirs });
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
    if options.json {
        let object = json!({
            "tcp1_gbps": ours,
            "strongswan_tcp1_gbps": theirs,
            "ratio_strongswan_tcp1": ratio,
            "rounds_gbps": rounds,
        });
        println!("{object}");
    } else {
        let (ours, theirs, ratio) = (shown(ours.as_ref()), shown(theirs.as_ref()), shown(ratio.as_ref()));
        println!("median: sekisho {ours} Gb/s, strongSwan {theirs} Gb/s, ratio {ratio}");
    }
}

fn sekisho_pair(site: &Site) -> [Sekisho<'_>; 2] {
    let there = Sekisho::start(&site.b, &Tunnel::at(site, End::B, Outer::V4));
    let here = Sekisho::start(&site.a, &Tunnel { initiate: true, ..Tunnel::at(site, End::A, Outer::V4) });
    here.await_up();
    there.await_up();
    [here, there]
}

fn strongswan_pair(site: &Site) -> [StrongSwan<'_>; 2] {
    let pair = [(End::A, &site.a), (End::B, &site.b)]
        .map(|(end, gateway)| StrongSwan::start(gateway, &Tunnel::at(site, end, Outer::V4)));
    pair[0].initiate();
    pair[1].await_up();
    pair
}

/// What one TCP stream carried from host a to host b; the first second, in which TCP starts, is left out.
fn gbps(server: &Iperf, site: &Site, seconds: u32) -> f64 {
    let arrived = server.measure(&site.a.host, &["--omit", "1", "--time", &seconds.to_string()]);
    arrived["bits_per_second"].as_f64().expect("iperf3 names a rate") / 1e9
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

fn shown(value: Option<&f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}
