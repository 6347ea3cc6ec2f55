//! What we want to reach, and the ratios by which that is judged.

use crate::figures::Figures;

/// In the place of a name: whichever of the others is the hardest to reach.
const BEST: &str = "best of others";
const OTHERS: [&str; 4] = ["strongswan", "boringtun", "gotatun", "wireguard_go"];

/// A ratio of two measures.
pub struct Goal {
    /// In the report.
    pub key: &'static str,
    of: (&'static str, &'static str),
    to: (&'static str, &'static str),
    /// At least this; or at most, if `at_most`.
    pub wanted: f64,
    pub at_most: bool,
}

impl Goal {
    pub fn reached(&self, figures: &Figures) -> Option<f64> {
        let (to, key) = self.to;
        if to != BEST {
            return figures.ratio(self.of, self.to);
        }
        let ratios = OTHERS.into_iter().filter_map(|other| figures.ratio(self.of, (other, key)));
        if self.at_most { ratios.max_by(f64::total_cmp) } else { ratios.min_by(f64::total_cmp) }
    }

    pub fn is_met(&self, value: f64) -> bool {
        if self.at_most { value <= self.wanted } else { value >= self.wanted }
    }
}

const fn at_least(
    key: &'static str,
    of: (&'static str, &'static str),
    to: (&'static str, &'static str),
    wanted: f64,
) -> Goal {
    Goal { key, of, to, wanted, at_most: false }
}

const TCP1: (&str, &str) = ("sekisho", "tcp1_gbps");
const PPS64: (&str, &str) = ("sekisho", "pps64");
const TRAINS64: (&str, &str) = ("sekisho", "pps64_trains");

/// All of them.
pub const GOALS: [Goal; 12] = [
    at_least("ratio_strongswan_tcp1", TCP1, ("strongswan", "tcp1_gbps"), 12.0),
    at_least("ratio_gotatun_tcp1", TCP1, ("gotatun", "tcp1_gbps"), 8.0),
    at_least("ratio_wireguard_go_tcp1", TCP1, ("wireguard_go", "tcp1_gbps"), 1.0),
    at_least("ratio_null_tcp1", TCP1, ("null", "tcp1_gbps"), 0.75),
    at_least("ratio_gotatun_pps64", PPS64, ("gotatun", "pps64"), 3.0),
    at_least("ratio_gotatun_pps64_trains", TRAINS64, ("gotatun", "pps64_trains"), 3.0),
    Goal {
        key: "ratio_best_rtt_idle",
        of: ("sekisho", "rtt_idle_us_p50"),
        to: (BEST, "rtt_idle_us_p50"),
        wanted: 1.0,
        at_most: true,
    },
    at_least("ratio_10k_sas", ("crowd", "many_sas_tcp1_gbps"), ("crowd", "one_sa_tcp1_gbps"), 0.9),
    at_least("ratio_ipv6_inside_tcp1", ("sekisho", "tcp1_ipv6_gbps"), TCP1, 0.9),
    at_least(
        "ratio_ipv6_outside_tcp1",
        ("lines", "ipv6_outside_tcp1_gbps"),
        ("lines", "ipv4_tcp1_gbps"),
        0.9,
    ),
    at_least("ratio_nat_tcp1", ("lines", "nat_tcp1_gbps"), ("lines", "ipv4_tcp1_gbps"), 0.9),
    // The kernel cuts and joins no ESP, so each packet crosses it by itself, as others' packets do in UDP.
    at_least("ratio_gotatun_native_tcp1", ("lines", "native_tcp1_gbps"), ("gotatun", "tcp1_gbps"), 1.0),
];
