//! The figures as a table, or as one JSON object.

use serde_json::{Map, Value, json};

use crate::contender::Contender;
use crate::figures::Figures;
use crate::goals::GOALS;
use crate::rounds::Missing;
use crate::{CROWD, LINES, PEERS};

/// Rows of the table: key, unit, divisor, decimals.
const ROWS: [(&str, &str, f64, usize); 15] = [
    ("tcp1_gbps", "Gb/s", 1.0, 2),
    ("tcp1_ipv6_gbps", "Gb/s", 1.0, 2),
    ("tcp1_back_gbps", "Gb/s", 1.0, 2),
    ("tcp4_gbps", "Gb/s", 1.0, 2),
    ("tcp4_back_gbps", "Gb/s", 1.0, 2),
    ("pps64", "thousand/s", 1e3, 0),
    ("pps512", "thousand/s", 1e3, 0),
    ("pps1400", "thousand/s", 1e3, 0),
    ("pps64_trains", "thousand/s", 1e3, 0),
    ("rtt_idle_us_p50", "µs", 1.0, 0),
    ("rtt_idle_us_p99", "µs", 1.0, 0),
    ("rtt_load_us_p50", "µs", 1.0, 0),
    ("rtt_load_us_p99", "µs", 1.0, 0),
    ("cpu_seconds_per_gb", "s/GB", 1.0, 2),
    ("rss_mib", "MiB", 1.0, 1),
];

/// Measures of sekisho stand at the top, each contender's own below its name, every round's values below `rounds`.
pub fn json(figures: &Figures, missing: &Missing, congestion: &str) -> Value {
    let mut object = medians(figures, "sekisho");
    for goal in &GOALS {
        object.insert(goal.key.to_owned(), json!(goal.reached(figures).map(rounded)));
    }
    let (mut contenders, mut rounds) = (Map::new(), Map::new());
    for name in figures.names() {
        contenders.insert(name.to_owned(), Value::Object(medians(figures, name)));
        let all = figures.keys(name).map(|key| {
            let values: Vec<_> = figures.rounds(name, key).iter().copied().map(rounded).collect();
            (key.to_owned(), json!(values))
        });
        rounds.insert(name.to_owned(), Value::Object(all.collect()));
    }
    object.insert("contenders".to_owned(), Value::Object(contenders));
    object.insert("missing".to_owned(), json!(missing));
    object.insert("tcp_congestion_control".to_owned(), json!(congestion));
    object.insert("rounds".to_owned(), Value::Object(rounds));
    Value::Object(object)
}

/// The same for people.
pub fn table(figures: &Figures, missing: &Missing, congestion: &str) {
    let names = Contender::ALL.map(Contender::name);
    let present: Vec<_> = names.into_iter().filter(|name| figures.names().any(|of| of == *name)).collect();
    print!("{:22} {:10}", "medians", "");
    present.iter().for_each(|name| print!(" {name:>12}"));
    println!();
    for (key, unit, divisor, decimals) in ROWS {
        if present.iter().all(|name| figures.median(name, key).is_none()) {
            continue;
        }
        print!("{key:22} {unit:10}");
        for name in &present {
            let value = figures.median(name, key);
            let text = value.map_or("-".to_owned(), |value| format!("{:.decimals$}", value / divisor));
            print!(" {text:>12}");
        }
        println!();
    }
    others(figures);
    println!("TCP streams by {congestion}\n");
    goals(figures);
    for (name, why) in missing {
        println!("MISSING: {name}: {why}");
    }
}

fn others(figures: &Figures) {
    for name in [LINES, CROWD, PEERS] {
        for key in figures.keys(name) {
            println!("{key:33} {:12.2}", figures.median(name, key).unwrap_or_default());
        }
    }
}

fn goals(figures: &Figures) {
    for goal in &GOALS {
        let Some(value) = goal.reached(figures) else {
            println!("{:33} {:>12}", goal.key, "not measured");
            continue;
        };
        let (direction, verdict) = (
            if goal.at_most { "at most" } else { "at least" },
            if goal.is_met(value) { "met" } else { "NOT MET" },
        );
        println!("{:33} {value:12.2}   goal: {direction} {}   {verdict}", goal.key, goal.wanted);
    }
}

fn medians(figures: &Figures, name: &str) -> Map<String, Value> {
    let median = |key: &str| json!(figures.median(name, key).map(rounded));
    figures.keys(name).map(|key| (key.to_owned(), median(key))).collect()
}

/// Four digits behind the point are more than is known.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
