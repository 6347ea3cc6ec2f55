//! What we want to reach.

use serde_json::{Map, Value, json};

/// A figure and its goal.
pub struct Goal {
    /// In the report.
    pub key: &'static str,
    pub value: f64,
    wanted: f64,
    /// At most that, and not at least.
    at_most: bool,
}

impl Goal {
    pub const fn at_least(key: &'static str, value: f64, wanted: f64) -> Self {
        Self { key, value, wanted, at_most: false }
    }

    pub const fn at_most(key: &'static str, value: f64, wanted: f64) -> Self {
        Self { key, value, wanted, at_most: true }
    }

    pub fn is_met(&self) -> bool {
        if self.at_most { self.value <= self.wanted } else { self.value >= self.wanted }
    }

    /// The end of a line.
    pub fn told(&self) -> String {
        let direction = if self.at_most { "at most" } else { "at least" };
        format!("goal: {direction} {}   {}", self.wanted, if self.is_met() { "met" } else { "NOT MET" })
    }
}

/// All of them by their keys.
pub fn json(goals: &[Goal]) -> Value {
    let object = goals.iter().map(|goal| {
        let bound = if goal.at_most { "at_most" } else { "at_least" };
        (goal.key.to_owned(), json!({ bound: goal.wanted, "met": goal.is_met() }))
    });
    Value::Object(object.collect::<Map<_, _>>())
}
