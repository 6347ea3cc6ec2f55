//! Streams to be measured, and the figures that come of them.

use crate::Options;
use crate::figures::Figures;
use crate::measure::tcp::{Course, in_turns};
use crate::measure::{Ends, Inside};

/// Streams that are measured, of whom, and under which name.
pub struct Run<'a, N> {
    of: &'static str,
    key: &'static str,
    course: Course<'a, N>,
}

impl<'a, N> Run<'a, N> {
    pub fn new(
        of: &'static str,
        key: &'static str,
        ends: impl Into<Vec<Ends<'a, N>>>,
        streams: usize,
    ) -> Self {
        Self { of, key, course: Course { ends: ends.into(), streams, processes: Vec::new() } }
    }

    /// The processor time of these processes is told of as well.
    pub fn costing(mut self, processes: Vec<u32>) -> Self {
        self.course.processes = processes;
        self
    }
}

/// Measures streams in so many turns of each.
pub fn streams<N: Inside>(runs: &[Run<'_, N>], turns: u32, options: &Options, figures: &mut Figures) {
    let courses: Vec<_> = runs.iter().map(|run| &run.course).collect();
    for (run, carried) in runs.iter().zip(in_turns(&courses, options.tcp(turns))) {
        figures.add(run.of, run.key, carried.gbps());
        if run.key == "tcp1_gbps" && !run.course.processes.is_empty() {
            figures.add(run.of, "cpu_seconds_per_gb", carried.cpu_seconds_per_gb());
        }
    }
}
