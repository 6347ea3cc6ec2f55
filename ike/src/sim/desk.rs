//! Where one end's jobs are done: at once, or each after a time of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::random::SeededRandom;
use crate::event::{Completion, Job, JobId, JobKind};
use crate::path::Path;
use crate::pki::{Answer, Fetch};
use crate::time::{Instant, Now};

/// Jobs on their way.
pub struct Desk {
    /// The longest that a computation takes.
    pub work_time: Duration,
    /// Computations to lose, by their number from the start.
    pub lose: BTreeSet<u64>,
    /// Computations so far.
    pub count: u64,
    /// What is behind each URL; nobody answers behind others.
    pub web: BTreeMap<String, Vec<u8>>,
    /// How long a server takes that does not answer, and the longest for one that does.
    pub fetch_time: Duration,
    /// URLs that were asked, in order.
    pub asked: Vec<String>,
    random: SeededRandom,
    done: BTreeMap<(Instant, JobId), Completion>,
}

impl Desk {
    pub(super) fn new(random: SeededRandom) -> Self {
        Self {
            work_time: Duration::ZERO,
            lose: BTreeSet::new(),
            count: 0,
            web: BTreeMap::new(),
            fetch_time: Duration::from_secs(5),
            asked: Vec::new(),
            random,
            done: BTreeMap::new(),
        }
    }

    /// Does a job of the host with this address.
    pub(super) fn put(&mut self, now: Now, address: IpAddr, job: Job) {
        let Now { boot: now, wall } = now;
        let (at, completion) = match job.kind {
            JobKind::Resolve { host, .. } => (now, resolve(address, &host)),
            JobKind::Fetch(fetch) => {
                let (time, completion) = self.fetch(fetch, wall);
                (now + time, completion)
            }
            JobKind::Compute(work) => {
                let time = self.random.between(Duration::ZERO, self.work_time);
                let lost = self.lose.contains(&self.count);
                self.count += 1;
                let completion = if lost {
                    Completion::Failed("the worker died".to_owned())
                } else {
                    Completion::Computed(work.run())
                };
                (now + time, completion)
            }
        };
        self.done.insert((at, job.id), completion);
    }

    fn fetch(&mut self, fetch: Fetch, wall: u64) -> (Duration, Completion) {
        self.asked.push(fetch.url.clone());
        let (time, answer) = match self.web.get(&fetch.url) {
            Some(body) => {
                let time = self.random.between(Duration::ZERO, self.fetch_time);
                (time, Answer::read(fetch, body, wall))
            }
            None => (self.fetch_time, Answer::Failed(fetch, "it does not answer".to_owned())),
        };
        (time, Completion::Fetched(Box::new(answer)))
    }

    /// The next that is done by now.
    pub(super) fn take(&mut self, now: Instant) -> Option<(JobId, Completion)> {
        let entry = self.done.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, id), completion) = entry.remove_entry();
        Some((id, completion))
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.done.keys().next().map(|(at, _)| *at)
    }
}

fn resolve(address: IpAddr, host: &str) -> Completion {
    let local = SocketAddr::new(address, 500);
    let paths = host.parse::<IpAddr>().map_err(|_| format!("no such host {host}"));
    Completion::Resolved(paths.map(|ip| vec![Path::udp(local, SocketAddr::new(ip, 500))]))
}
