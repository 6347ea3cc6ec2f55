//! Refusals that no tunnel was told of: the newest, for the operator's eyes alone, since nobody proved anything.

use std::net::IpAddr;

use super::Endpoint;
use super::half_open::prefix;
use crate::diagnosis::Diagnosis;
use crate::event::Refusal;
use crate::limits;
use crate::time::{Instant, Now};

/// The newest of each sort, the last of all at the end.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<(Instant, Refusal)>);

impl Refusals {
    fn keep(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        let same = |(_, have): &(Instant, Refusal)| {
            (have.remote, have.diagnosis.kind, &have.diagnosis.summary)
                == (remote, diagnosis.kind, &diagnosis.summary)
        };
        let before = self.0.iter().position(same).map(|at| self.0.remove(at));
        let times = before.map_or(0, |(_, before)| before.times).saturating_add(1);
        if self.0.len() >= limits::REFUSALS_KEPT
            && let Some(at) = self.least()
        {
            self.0.remove(at);
        }
        self.0.push((now.boot, Refusal { at: now.wall, remote, times, diagnosis: diagnosis.clone() }));
    }

    /// The one to be given up: the oldest of the network that has the most, so that nobody pushes all others out.
    fn least(&self) -> Option<usize> {
        let of = |network| self.0.iter().filter(|(_, have)| prefix(have.remote) == network).count();
        let most = self.0.iter().map(|(_, have)| of(prefix(have.remote))).max()?;
        self.0.iter().position(|(_, have)| of(prefix(have.remote)) == most)
    }

    /// Whoever is there has got what it wanted.
    fn forget(&mut self, remote: IpAddr) {
        self.0.retain(|(_, have)| have.remote != remote);
    }
}

impl Endpoint {
    /// The refusals of late that named no tunnel and that none was told of, the newest last; a few.
    pub fn refusals(&self, now: Now) -> Vec<Refusal> {
        let late = |at: &Instant| now.boot.since(*at) < limits::REFUSALS_KEPT_FOR;
        self.untold.0.iter().filter(|(at, _)| late(at)).map(|(_, refusal)| refusal.clone()).collect()
    }

    pub(super) fn keep_refusal(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        self.untold.keep(now, remote, diagnosis);
    }

    pub(super) fn forget_refusals(&mut self, remote: IpAddr) {
        self.untold.forget(remote);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::diagnose::local;

    fn at(seconds: u64) -> Now {
        Now { boot: Instant::from_boot(Duration::from_secs(seconds)), wall: seconds }
    }

    fn kept(refusals: &Refusals) -> Vec<(String, u32)> {
        refusals.0.iter().map(|(_, have)| (have.remote.to_string(), have.times)).collect()
    }

    #[test]
    fn a_crowd_of_one_network_does_not_push_out_what_others_were_refused() {
        let mut refusals = Refusals::default();
        refusals.keep(at(1), IpAddr::from([192, 0, 2, 1]), &local("the first"));
        refusals.keep(at(2), IpAddr::from([192, 0, 2, 1]), &local("the first"));
        for host in 0..=255 {
            refusals.keep(at(3), IpAddr::from([198, 51, 100, host]), &local("many"));
        }
        let have = kept(&refusals);
        assert_eq!(have.len(), limits::REFUSALS_KEPT);
        assert_eq!(have.first(), Some(&("192.0.2.1".to_owned(), 2)), "the same is counted");
        assert_eq!(have.last(), Some(&("198.51.100.255".to_owned(), 1)));
        refusals.forget(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(kept(&refusals).len(), limits::REFUSALS_KEPT - 1);
    }
}
