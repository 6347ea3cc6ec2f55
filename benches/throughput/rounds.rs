//! The order of the measurements: everything is set up first, then each round measures everything once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::contender::{Contender, Pair, ends};
use crate::crowd::Crowd;
use crate::figures::Figures;
use crate::lab::{Namespace, Outer, Site};
use crate::measure::{Ends, Inside, echo, tcp, udp, usage::Usage};
use crate::{Measure, Options, Part};

/// Payloads of UDP: small, middle, and a packet of 1,400 bytes, which fits every MTU here.
pub const PAYLOADS: [(usize, &str); 3] = [(64, "pps64"), (512, "pps512"), (1_372, "pps1400")];
/// Sites that [`Part::Lines`] needs: IPv4 and IPv6 inside, IPv6 outside, NAT.
const LINES: usize = 3;
const LOAD_TRIPS: usize = 300;

/// Who is missing, and why.
pub type Missing = BTreeMap<&'static str, String>;

/// Measures everything that is wanted.
pub fn run(options: &Options) -> (Figures, Missing) {
    let (programs, missing) = programs(options);
    let sites: Vec<Site> = programs.iter().map(|_| Site::quiet()).collect();
    let pairs: Vec<_> = programs
        .iter()
        .zip(&sites)
        .map(|((contender, program), site)| {
            (contender.name(), contender.ends(site), contender.start(site, program.as_deref(), Outer::V4))
        })
        .collect();
    let line_sites: Vec<Site> =
        (0..LINES).filter(|_| options.wants(Part::Lines)).map(|_| Site::quiet()).collect();
    let lines = Lines::start(&line_sites);
    let crowds = options.wants(Part::Crowd).then(|| [0, options.crowd].map(Crowd::new));

    let mut figures = Figures::default();
    for round in 1..=options.rounds {
        for (name, ends, pair) in &pairs {
            eprintln!("round {round} of {}: {name}", options.rounds);
            contender(options, &mut figures, name, *ends, &pair.pids());
        }
        if let Some(lines) = &lines {
            lines.measure(options, &mut figures);
        }
        if let Some(crowds) = &crowds {
            for (key, crowd) in ["one_sa_tcp1_gbps", "many_sas_tcp1_gbps"].into_iter().zip(crowds) {
                figures.add(
                    "crowd",
                    key,
                    tcp::carried(crowd.ends(), options.streams(1), options.seconds, &[]).gbps,
                );
            }
        }
    }
    (figures, missing)
}

fn programs(options: &Options) -> (Vec<(Contender, Option<PathBuf>)>, Missing) {
    let (mut found, mut missing) = (Vec::new(), Missing::new());
    for contender in Contender::ALL.into_iter().filter(|&contender| options.wants(Part::of(contender))) {
        match contender.program() {
            Ok(program) => found.push((contender, program)),
            // Nobody misses a build to compare with who did not name one.
            Err(_) if contender == Contender::Baseline => {}
            Err(why) => drop(missing.insert(contender.name(), why)),
        }
    }
    (found, missing)
}

fn contender<N: Inside>(
    options: &Options,
    figures: &mut Figures,
    name: &'static str,
    ends: Ends<'_, N>,
    pids: &[u32],
) {
    // What sets a tunnel up with the first packets does it now.
    echo::round_trips(ends, 50, Duration::ZERO);
    if options.measures(Measure::Rtt) {
        round_trips(options, figures, name, ends);
    }
    if options.measures(Measure::Tcp) {
        streams(options, figures, name, ends, pids);
    }
    if options.measures(Measure::Udp) {
        datagrams(figures, name, ends);
    }
    if !pids.is_empty() {
        figures.add(name, "rss_mib", Usage::of(pids).resident_mib);
    }
}

fn round_trips<N: Inside>(options: &Options, figures: &mut Figures, name: &'static str, ends: Ends<'_, N>) {
    let idle = echo::round_trips(ends, options.trips, Duration::ZERO);
    figures.add(name, "rtt_idle_us_p50", idle.p50);
    figures.add(name, "rtt_idle_us_p99", idle.p99);
    let stream = tcp::Load::start(ends, options.streams(1));
    echo::round_trips(ends, LOAD_TRIPS / 3, Duration::from_millis(1));
    let load = echo::round_trips(ends, LOAD_TRIPS, Duration::from_millis(2));
    drop(stream);
    figures.add(name, "rtt_load_us_p50", load.p50);
    figures.add(name, "rtt_load_us_p99", load.p99);
}

fn streams<N: Inside>(
    options: &Options,
    figures: &mut Figures,
    name: &'static str,
    ends: Ends<'_, N>,
    pids: &[u32],
) {
    for (count, back, key) in [
        (1, false, "tcp1_gbps"),
        (1, true, "tcp1_back_gbps"),
        (4, false, "tcp4_gbps"),
        (4, true, "tcp4_back_gbps"),
    ] {
        let ends = if back { ends.turned() } else { ends };
        let carried = tcp::carried(ends, options.streams(count), options.seconds, pids);
        figures.add(name, key, carried.gbps);
        if key == "tcp1_gbps" && !pids.is_empty() {
            figures.add(name, "cpu_seconds_per_gb", carried.cpu_seconds_per_gb);
        }
    }
}

fn datagrams<N: Inside>(figures: &mut Figures, name: &'static str, ends: Ends<'_, N>) {
    let single = PAYLOADS.map(|(length, key)| (udp::Flow { length, trains: false }, key));
    let trains = (udp::Flow { trains: true, ..single[0].0 }, "pps64_trains");
    for (flow, key) in single.into_iter().chain([trains]) {
        let guess = figures.last(name, key).filter(|&rate| rate > 0.0);
        figures.add(name, key, udp::carried(ends, flow, guess));
    }
}

/// Our tunnels over other lines, and the same measurement over IPv4 beside them.
struct Lines<'a> {
    plain: (&'a Site, Pair<'a>),
    ipv6_outside: (&'a Site, Pair<'a>),
    nat: (&'a Site, Pair<'a>),
}

impl<'a> Lines<'a> {
    fn start(sites: &'a [Site]) -> Option<Self> {
        let [plain, ipv6_outside, nat] = sites else { return None };
        nat.masquerade();
        let start = |site: &'a Site, outer| (site, Contender::Sekisho.start(site, None, outer));
        Some(Self {
            plain: start(plain, Outer::V4),
            ipv6_outside: start(ipv6_outside, Outer::V6),
            nat: start(nat, Outer::V4),
        })
    }

    fn measure(&self, options: &Options, figures: &mut Figures) {
        let through = |site, inside| -> Ends<'_, Namespace> { ends(site, inside) };
        let lines = [
            ("ipv4_tcp1_gbps", through(self.plain.0, Outer::V4)),
            ("ipv6_inside_tcp1_gbps", through(self.plain.0, Outer::V6)),
            ("ipv6_outside_tcp1_gbps", through(self.ipv6_outside.0, Outer::V4)),
            ("nat_tcp1_gbps", through(self.nat.0, Outer::V4)),
            // What the line itself loses to a NAT.
            ("bare_tcp1_gbps", Contender::Bare.ends(self.plain.0)),
            ("bare_nat_tcp1_gbps", Contender::Bare.ends(self.nat.0)),
        ];
        for (key, ends) in lines {
            figures.add("lines", key, tcp::carried(ends, options.streams(1), options.seconds, &[]).gbps);
        }
    }
}
