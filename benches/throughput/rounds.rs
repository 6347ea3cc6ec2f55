//! The order of the measurements: everything is set up first, then each round measures everything once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::contender::Contender;
use crate::crowd::Crowd;
use crate::figures::Figures;
use crate::lab::{Outer, Site};
use crate::lines::Lines;
use crate::party::Party;
use crate::peers::Peers;
use crate::run::{Run, streams};
use crate::{CROWD, LINES, Measure, Options, PEERS};

/// Turns of streams that are compared. This machine's speed changes by a third for seconds at a time.
const TURNS: u32 = 10;

/// Who is missing, and why.
pub type Missing = BTreeMap<&'static str, String>;

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
        eprintln!("round {round} of {}", options.rounds);
        all_parties(&parties, options, &mut figures);
        if let Some(lines) = &lines {
            streams(&lines.runs(), TURNS, options, &mut figures);
        }
        if let Some([one, many]) = &crowds {
            let sides = [(one, "one_sa_tcp1_gbps"), (many, "many_sas_tcp1_gbps")];
            let runs = sides.map(|(crowd, key)| Run::new(CROWD, key, [crowd.ends()], 1));
            streams(&runs, TURNS, options, &mut figures);
        }
        if let Some([one, two]) = &peers {
            let sides = [(one, "one_worker_tcp4_gbps"), (two, "two_workers_tcp4_gbps")];
            let runs = sides.map(|(peers, key)| Run::new(PEERS, key, peers.ends(), 2));
            streams(&runs, TURNS, options, &mut figures);
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

fn all_parties(parties: &[Party<'_>], options: &Options, figures: &mut Figures) {
    for party in parties {
        eprintln!("    {}", party.name);
        party.wake();
        if options.measures(Measure::Rtt) {
            party.round_trips(options, figures);
        }
        if options.measures(Measure::Tcp) {
            party.alone().iter().for_each(|run| streams(std::slice::from_ref(run), 1, options, figures));
        }
        if options.measures(Measure::Udp) {
            party.datagrams(figures);
        }
        party.memory(figures);
    }
    if options.measures(Measure::Tcp) {
        let runs: Vec<_> = parties.iter().flat_map(Party::compared).collect();
        streams(&runs, TURNS, options, figures);
    }
}
