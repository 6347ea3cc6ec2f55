//! SAs that are replaced again and again, from both ends.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Sekisho, Tunnel, wait_until};

/// Between two rekeys.
const PERIOD: Duration = Duration::from_millis(1_500);
const CHILD: &str = "--child";
const IKE: &str = "--ike";

/// By one end or by both at once, of the Child SA or of the IKE SA, until then. How many were asked for.
pub fn keep_rekeying(a: &Sekisho, b: &Sekisho, until: Instant) -> u32 {
    let turns: [(&[&Sekisho], &str); 6] =
        [(&[a], CHILD), (&[b], CHILD), (&[a], IKE), (&[a, b], CHILD), (&[b], IKE), (&[a, b], IKE)];
    let mut asked = 0;
    for (number, (ends, what)) in (1..).zip(turns.into_iter().cycle()) {
        let next = Instant::now() + PERIOD;
        thread::scope(|scope| {
            for end in ends {
                // Whoever loses a collision may be told so, and on a bad line one may fail: what counts is what is lost.
                scope.spawn(|| end.try_command(&["rekey", Tunnel::NAME, what]));
            }
        });
        asked = number;
        if next >= until {
            thread::sleep(until.saturating_duration_since(Instant::now()));
            break;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    asked
}

/// Waits until both hold one IKE SA and send on one Child SA, the same ones.
pub fn await_single_sas(a: &Sekisho, b: &Sekisho) {
    wait_until(Duration::from_secs(30), "both ends to hold the same single SAs", || {
        let [a, b] = [a, b].map(Sekisho::tunnel);
        let sent = |tunnel: &Value, key: &str| {
            let children = tunnel["children"].as_array().cloned().unwrap_or_default();
            let sending: Vec<_> = children.iter().filter(|child| child["sending"] == true).collect();
            (sending.len() == 1).then(|| sending[0][key].clone())
        };
        a["ike"]["spi_i"].is_string()
            && a["ike"]["spi_i"] == b["ike"]["spi_i"]
            && sent(&a, "spi_out").is_some()
            && sent(&a, "spi_out") == sent(&b, "spi_in")
            && sent(&a, "spi_in") == sent(&b, "spi_out")
    });
}

/// Child SAs and IKE SAs that came after the first, by the SA log.
pub fn replaced(end: &Sekisho) -> [u32; 2] {
    let log = end.sa_log();
    let count = |event: &str| log.iter().filter(|record| record["event"] == event).count();
    [count("child_sa_up") - 1, count("ike_sa_rekeyed")].map(|count| u32::try_from(count).expect("a number"))
}
