//! How many UDP datagrams a second pass with a loss under 0.1 %.

mod flow;
mod trial;

use super::{Ends, Inside};
pub use flow::Flow;
use trial::{Trial, trial};

/// The loss up to which a rate counts as carried.
const LOSS: f64 = 0.001;
/// Nobody is tried with less, and less is reported as 0.
const LEAST: f64 = 1_000.0;
/// The search ends when the rate that passed and the one that did not are this close.
const CLOSE: f64 = 1.08;
/// And after so many trials.
const TRIALS: u32 = 9;

/// The highest rate that was carried, datagrams a second. The search begins at `guess`: a rate that passes is raised, one
/// that fails (twice: a machine has its hiccups) is lowered, until one of each is known; then halfway between.
pub fn carried<N: Inside>(ends: Ends<'_, N>, flow: Flow, guess: Option<f64>) -> f64 {
    let step = if guess.is_some() { 1.2 } else { 2.0 };
    let mut search = Search { best: 0.0, passed: None, failed: None, left: TRIALS };
    let mut rate = guess.unwrap_or(60_000.0);
    while search.left > 0 && rate >= LEAST {
        let outcome = search.attempt(|| trial(ends, flow, rate));
        if outcome.passed() {
            search.best = search.best.max(outcome.rate);
            search.passed = Some(rate);
            // Who sends no faster than this has shown what there is to see.
            if outcome.offered < 0.9 * rate {
                break;
            }
        } else {
            search.failed = Some(rate.min(outcome.offered));
        }
        rate = match (search.passed, search.failed) {
            (Some(passed), Some(failed)) if failed <= passed * CLOSE => break,
            (Some(passed), Some(failed)) => (passed * failed).sqrt(),
            (Some(passed), None) => passed * step,
            (None, Some(failed)) => failed / step,
            (None, None) => break,
        };
    }
    search.best
}

struct Search {
    /// Delivered at a rate that passed.
    best: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    left: u32,
}

impl Search {
    fn attempt(&mut self, trial: impl Fn() -> Trial) -> Trial {
        self.left = self.left.saturating_sub(1);
        let outcome = trial();
        if outcome.passed() {
            return outcome;
        }
        self.left = self.left.saturating_sub(1);
        trial()
    }
}

impl Trial {
    fn passed(self) -> bool {
        self.sent > 0 && self.received as f64 >= self.sent as f64 * (1.0 - LOSS)
    }
}
