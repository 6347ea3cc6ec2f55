//! What strangers were refused: of each address the newest alone, for the operator's eyes alone, since nobody proved anything.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Endpoint;
use super::connections::{Connections, Managed};
use super::half_open::prefix;
use crate::config::Name;
use crate::diagnosis::Diagnosis;
use crate::event::Refusal;
use crate::limits;
use crate::time::{Instant, Now};

/// Those that no tunnel was told of, one of each address, the last of all at the end.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<(Instant, Refusal)>);

/// Where those come from that some connection was told of; perhaps of some more.
#[derive(Debug, Default)]
pub(super) struct Noted(BTreeSet<IpAddr>);

impl Noted {
    fn note(&mut self, remote: IpAddr, connections: &Connections) {
        if self.0.len() >= limits::REFUSALS_NOTED {
            let is_told = |remote: &IpAddr| connections.iter().any(|managed| managed.was_told_of(*remote));
            self.0.retain(is_told);
        }
        if self.0.len() >= limits::REFUSALS_NOTED {
            self.0.pop_first();
        }
        self.0.insert(remote);
    }
}

impl Managed {
    fn was_told_of(&self, remote: IpAddr) -> bool {
        self.failure_from == Some(remote) || self.near_misses.iter().any(|miss| miss.remote == remote)
    }

    /// Forgets what is of this address, but for what is the same as the newest.
    fn forget_refusals(&mut self, remote: IpAddr, newest: Option<&Diagnosis>) {
        self.near_misses.retain(|miss| miss.remote != remote || is_same(newest, &miss.diagnosis));
        if self.failure_from == Some(remote) {
            (self.failure_from, self.last_failure) = (None, None);
        }
    }
}

fn is_same(newest: Option<&Diagnosis>, have: &Diagnosis) -> bool {
    newest.is_some_and(|newest| (newest.kind, &newest.summary) == (have.kind, &have.summary))
}

impl Refusals {
    fn keep(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        let before = self.0.iter().position(|(_, have)| have.remote == remote).map(|at| self.0.remove(at));
        let same = before.filter(|(_, have)| is_same(Some(diagnosis), &have.diagnosis));
        let times = same.map_or(0, |(_, before)| before.times).saturating_add(1);
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

    /// Whether this is what was refused there last.
    fn is_last(&self, remote: IpAddr, diagnosis: &Diagnosis) -> bool {
        self.0.iter().any(|(_, have)| have.remote == remote && is_same(Some(diagnosis), &have.diagnosis))
    }

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

    /// Whoever is there was refused anew, or has got what it wanted: what it was refused before is of no interest.
    pub(super) fn supersede_refusals(&mut self, remote: IpAddr, newest: Option<&Diagnosis>) {
        if newest.is_none_or(|newest| !self.untold.is_last(remote, newest)) {
            self.untold.forget(remote);
        }
        if self.noted.0.remove(&remote) {
            self.connections.iter_mut().for_each(|managed| managed.forget_refusals(remote, newest));
        }
    }

    /// A connection was told of a refusal: as its failure, if it is named.
    pub(super) fn note_refusal(&mut self, remote: IpAddr, told: Option<&Name>) {
        if let Some(managed) = told.and_then(|name| self.connections.get_mut(name)) {
            managed.failure_from = Some(remote);
        }
        self.noted.note(remote, &self.connections);
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
        refusals.keep(at(2), IpAddr::from([192, 0, 2, 1]), &local("the second"));
        assert_eq!(kept(&refusals), [("192.0.2.1".to_owned(), 1)], "what was refused before may be mended");
        refusals.keep(at(2), IpAddr::from([192, 0, 2, 1]), &local("the second"));
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
