//! What was measured, round by round.

use std::collections::BTreeMap;

/// Of each implementation and measure, one value a round.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<&'static str, BTreeMap<String, Vec<f64>>>);

impl Figures {
    pub fn add(&mut self, of: &'static str, key: impl Into<String>, value: f64) {
        self.0.entry(of).or_default().entry(key.into()).or_default().push(value);
    }

    /// The values of all rounds; none, if it was not measured.
    pub fn rounds(&self, of: &str, key: &str) -> &[f64] {
        self.0.get(of).and_then(|measures| measures.get(key)).map_or(&[], Vec::as_slice)
    }

    pub fn last(&self, of: &str, key: &str) -> Option<f64> {
        self.rounds(of, key).last().copied()
    }

    pub fn median(&self, of: &str, key: &str) -> Option<f64> {
        median(self.rounds(of, key).to_vec())
    }

    /// The median of each round's ratio: what slows a whole round down does not count.
    pub fn ratio(&self, of: (&str, &str), to: (&str, &str)) -> Option<f64> {
        let (of, to) = (self.rounds(of.0, of.1), self.rounds(to.0, to.1));
        median(of.iter().zip(to).map(|(of, to)| of / to).collect())
    }

    /// Who was measured.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// What was measured of one.
    pub fn keys(&self, of: &str) -> impl Iterator<Item = &str> {
        self.0.get(of).into_iter().flat_map(|measures| measures.keys().map(String::as_str))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}
