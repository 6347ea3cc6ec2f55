//! What processes use, as proc(5) tells it.

use std::fs;

/// Of some processes, all together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time since they started, user and kernel, seconds.
    pub processor_s: f64,
    /// Resident memory of the largest of them, MiB.
    pub resident_mib: f64,
}

impl Usage {
    /// Of these until now.
    pub fn of(processes: &[u32]) -> Self {
        processes.iter().fold(Self::default(), |sum, &process| Self {
            processor_s: sum.processor_s + processor_s(process),
            resident_mib: sum.resident_mib.max(resident_mib(process)),
        })
    }
}

fn processor_s(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process's times");
    // The name, in brackets, may hold anything; utime and stime are the 14th and 15th field, in ticks of 10 ms.
    let (_, fields) = stat.rsplit_once(')').expect("the end of its name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().expect("ticks"));
    f64::from(ticks.sum::<u32>()) / 100.0
}

fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
    f64::from(line.trim().trim_end_matches(" kB").parse::<u32>().expect("a number of KiB")) / 1024.0
}
