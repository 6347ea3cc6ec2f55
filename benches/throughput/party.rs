//! One implementation's tunnel, and what is measured of it.

use std::time::Duration;

use crate::Options;
use crate::contender::Pair;
use crate::figures::Figures;
use crate::lab::Namespace;
use crate::measure::{Ends, echo, tcp, udp, usage::Usage};
use crate::run::Run;

/// Payloads of UDP: small, middle, and a packet of 1,400 bytes, which fits every MTU here.
const PAYLOADS: [(usize, &str); 3] = [(64, "pps64"), (512, "pps512"), (1_372, "pps1400")];
const LOAD_TRIPS: usize = 300;

/// A tunnel, and between what it is measured, over IPv4 and IPv6 inside.
pub struct Party<'a> {
    pub name: &'static str,
    pub ends: [Ends<'a, Namespace>; 2],
    pub pair: Pair<'a>,
}

impl<'a> Party<'a> {
    /// Sends a few packets: what sets a tunnel up with the first does it now.
    pub fn wake(&self) {
        echo::round_trips(self.ends[0], 50, Duration::ZERO);
    }

    pub fn round_trips(&self, options: &Options, figures: &mut Figures) {
        let Self { name, ends: [ends, _], .. } = *self;
        let idle = echo::round_trips(ends, options.trips, Duration::ZERO);
        figures.add(name, "rtt_idle_us_p50", idle.p50);
        figures.add(name, "rtt_idle_us_p99", idle.p99);
        let stream = tcp::Load::start(&[ends], 1, &options.congestion);
        echo::round_trips(ends, LOAD_TRIPS / 3, Duration::from_millis(1));
        let load = echo::round_trips(ends, LOAD_TRIPS, Duration::from_millis(2));
        drop(stream);
        figures.add(name, "rtt_load_us_p50", load.p50);
        figures.add(name, "rtt_load_us_p99", load.p99);
    }

    /// Streams that are compared with others.
    pub fn compared(&self) -> [Run<'a, Namespace>; 2] {
        let [v4, v6] = self.ends;
        let run = |key, ends| Run::new(self.name, key, [ends], 1).costing(self.pair.pids());
        [run("tcp1_gbps", v4), run("tcp1_ipv6_gbps", v6)]
    }

    /// Streams that are told of by themselves.
    pub fn alone(&self) -> [Run<'a, Namespace>; 3] {
        let v4 = self.ends[0];
        [("tcp1_back_gbps", v4.turned(), 1), ("tcp4_gbps", v4, 4), ("tcp4_back_gbps", v4.turned(), 4)]
            .map(|(key, ends, streams)| Run::new(self.name, key, [ends], streams))
    }

    pub fn datagrams(&self, figures: &mut Figures) {
        let single = PAYLOADS.map(|(length, key)| (udp::Flow { length, trains: false }, key));
        let trains = (udp::Flow { trains: true, ..single[0].0 }, "pps64_trains");
        for (flow, key) in single.into_iter().chain([trains]) {
            let guess = figures.last(self.name, key).filter(|&rate| rate > 0.0);
            figures.add(self.name, key, udp::carried(self.ends[0], flow, guess));
        }
    }

    pub fn memory(&self, figures: &mut Figures) {
        let pids = self.pair.pids();
        if !pids.is_empty() {
            figures.add(self.name, "rss_mib", Usage::of(&pids).resident_mib);
        }
    }
}
