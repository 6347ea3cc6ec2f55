//! The order of the measurements: everything is set up first, then each round measures everything once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::contender::{Contender, Pair, without_udp};
use crate::crowd::Crowd;
use crate::figures::Figures;
use crate::lab::{Namespace, Outer, Site};
use crate::measure::{Ends, echo, tcp, udp, usage::Usage};
use crate::peers::Peers;
use crate::{CROWD, LINES, Measure, Options, PEERS};

/// Payloads of UDP: small, middle, and a packet of 1,400 bytes, which fits every MTU here.
pub const PAYLOADS: [(usize, &str); 3] = [(64, "pps64"), (512, "pps512"), (1_372, "pps1400")];
const LOAD_TRIPS: usize = 300;

/// Who is missing, and why.
pub type Missing = BTreeMap<&'static str, String>;

/// A tunnel, and between what it is measured, over IPv4 and IPv6 inside.
struct Party<'a> {
    name: &'static str,
    ends: [Ends<'a, Namespace>; 2],
    pair: Pair<'a>,
}

/// Measures everything that is wanted.
pub fn run(options: &Options) -> (Figures, Missing) {
    let (programs, missing) = programs(options);
    let sites: Vec<Site> = programs.iter().map(|_| Site::quiet()).collect();
    let party = |((contender, program), site): (&(Contender, Option<PathBuf>), _)| Party {
        name: contender.name(),
        ends: [Outer::V4, Outer::V6].map(|family| contender.ends(site, family)),
        pair: contender.start(site, program.as_deref(), Outer::V4),
    };
    let parties: Vec<_> = programs.iter().zip(&sites).map(party).collect();
    let line_sites = options.wants(LINES).then(|| [(); 4].map(|()| Site::quiet()));
    let lines = line_sites.as_ref().map(Lines::start);
    let crowds = options.wants(CROWD).then(|| [0, options.crowd].map(Crowd::new));
    let peers = options.wants(PEERS).then(|| [1, 2].map(Peers::new));

    let mut figures = Figures::default();
    for round in 1..=options.rounds {
        for party in &parties {
            eprintln!("round {round} of {}: {}", options.rounds, party.name);
            party.measure(options, &mut figures);
        }
        if let Some(lines) = &lines {
            lines.measure(options, &mut figures);
        }
        if let Some(crowds) = &crowds {
            for (key, crowd) in ["one_sa_tcp1_gbps", "many_sas_tcp1_gbps"].into_iter().zip(crowds) {
                let carried = tcp::carried(&[crowd.ends()], options.streams(1), options.seconds, &[]);
                figures.add(CROWD, key, carried.gbps);
            }
        }
        if let Some(peers) = &peers {
            for (key, peers) in ["one_worker_tcp4_gbps", "two_workers_tcp4_gbps"].into_iter().zip(peers) {
                let carried = tcp::carried(&peers.ends(), options.streams(2), options.seconds, &[]);
                figures.add(PEERS, key, carried.gbps);
            }
        }
    }
    (figures, missing)
}

fn programs(options: &Options) -> (Vec<(Contender, Option<PathBuf>)>, Missing) {
    let (mut found, mut missing) = (Vec::new(), Missing::new());
    for contender in Contender::ALL.into_iter().filter(|&contender| options.wants(contender.name())) {
        match contender.program() {
            Ok(program) => found.push((contender, program)),
            // Nobody misses a build to compare with who did not name one.
            Err(_) if contender == Contender::Baseline => {}
            Err(why) => drop(missing.insert(contender.name(), why)),
        }
    }
    (found, missing)
}

impl Party<'_> {
    fn measure(&self, options: &Options, figures: &mut Figures) {
        // What sets a tunnel up with the first packets does it now.
        echo::round_trips(self.ends[0], 50, Duration::ZERO);
        if options.measures(Measure::Rtt) {
            self.round_trips(options, figures);
        }
        let pids = self.pair.pids();
        if options.measures(Measure::Tcp) {
            self.streams(options, figures, &pids);
        }
        if options.measures(Measure::Udp) {
            self.datagrams(figures);
        }
        if !pids.is_empty() {
            figures.add(self.name, "rss_mib", Usage::of(&pids).resident_mib);
        }
    }

    fn round_trips(&self, options: &Options, figures: &mut Figures) {
        let Self { name, ends: [ends, _], .. } = *self;
        let idle = echo::round_trips(ends, options.trips, Duration::ZERO);
        figures.add(name, "rtt_idle_us_p50", idle.p50);
        figures.add(name, "rtt_idle_us_p99", idle.p99);
        let stream = tcp::Load::start(&[ends], options.streams(1));
        echo::round_trips(ends, LOAD_TRIPS / 3, Duration::from_millis(1));
        let load = echo::round_trips(ends, LOAD_TRIPS, Duration::from_millis(2));
        drop(stream);
        figures.add(name, "rtt_load_us_p50", load.p50);
        figures.add(name, "rtt_load_us_p99", load.p99);
    }

    fn streams(&self, options: &Options, figures: &mut Figures, pids: &[u32]) {
        let [v4, v6] = self.ends;
        for (ends, count, key) in [
            (v4, 1, "tcp1_gbps"),
            (v6, 1, "tcp1_ipv6_gbps"),
            (v4.turned(), 1, "tcp1_back_gbps"),
            (v4, 4, "tcp4_gbps"),
            (v4.turned(), 4, "tcp4_back_gbps"),
        ] {
            let carried = tcp::carried(&[ends], options.streams(count), options.seconds, pids);
            figures.add(self.name, key, carried.gbps);
            if key == "tcp1_gbps" && !pids.is_empty() {
                figures.add(self.name, "cpu_seconds_per_gb", carried.cpu_seconds_per_gb);
            }
        }
    }

    fn datagrams(&self, figures: &mut Figures) {
        let single = PAYLOADS.map(|(length, key)| (udp::Flow { length, trains: false }, key));
        let trains = (udp::Flow { trains: true, ..single[0].0 }, "pps64_trains");
        for (flow, key) in single.into_iter().chain([trains]) {
            let guess = figures.last(self.name, key).filter(|&rate| rate > 0.0);
            figures.add(self.name, key, udp::carried(self.ends[0], flow, guess));
        }
    }
}

/// Our tunnels over other lines, and without UDP, and the same measurement over IPv4 in UDP beside them.
struct Lines<'a> {
    sites: &'a [Site; 4],
    _pairs: [Pair<'a>; 4],
}

impl<'a> Lines<'a> {
    fn start(sites: &'a [Site; 4]) -> Self {
        let [plain, ipv6_outside, nat, native] = sites;
        nat.masquerade();
        let in_udp = |site, outer| Contender::Sekisho.start(site, None, outer);
        let pairs = [
            in_udp(plain, Outer::V4),
            in_udp(ipv6_outside, Outer::V6),
            in_udp(nat, Outer::V4),
            without_udp(native),
        ];
        Self { sites, _pairs: pairs }
    }

    fn measure(&self, options: &Options, figures: &mut Figures) {
        let [plain, ipv6_outside, nat, native] = self.sites;
        for (key, contender, site) in [
            ("ipv4_tcp1_gbps", Contender::Sekisho, plain),
            ("ipv6_outside_tcp1_gbps", Contender::Sekisho, ipv6_outside),
            ("nat_tcp1_gbps", Contender::Sekisho, nat),
            ("native_tcp1_gbps", Contender::Sekisho, native),
            // What the line itself loses to a NAT.
            ("bare_tcp1_gbps", Contender::Bare, plain),
            ("bare_nat_tcp1_gbps", Contender::Bare, nat),
        ] {
            let ends = contender.ends(site, Outer::V4);
            figures.add(LINES, key, tcp::carried(&[ends], options.streams(1), options.seconds, &[]).gbps);
        }
    }
}
