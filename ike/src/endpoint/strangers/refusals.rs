//! What strangers were refused: of each address the newest alone, for the operator's eyes alone, since nobody proved anything.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Strangers;
use super::half_open::surplus;
use crate::config::Name;
use crate::diagnosis::Diagnosis;
use crate::endpoint::Endpoint;
use crate::endpoint::connections::Connections;
use crate::endpoint::managed::{Failure, Managed};
use crate::event::{Likeness, Refusal};
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
            // All connections are looked at once, and not once for each address: there may be thousands, and strangers set the pace.
            let told: BTreeSet<IpAddr> = connections.iter().flat_map(Managed::told_of).collect();
            self.0.retain(|remote| told.contains(remote));
        }
        if self.0.len() >= limits::REFUSALS_NOTED {
            self.0.pop_first();
        }
        self.0.insert(remote);
    }
}

impl Managed {
    /// Where the refusals come from that it was told of.
    fn told_of(&self) -> impl Iterator<Item = IpAddr> {
        let from = self.failures.last.iter().filter_map(|last| last.from);
        from.chain(self.failures.near_misses.iter().map(|miss| miss.remote))
    }

    /// Forgets what is of this address, but for what is the same as the newest. `named`: whom that was for, if it is known; of
    /// another it says no more than that this one was not meant by its address: many peers may be behind one NAT.
    fn forget_refusals(&mut self, remote: IpAddr, newest: Option<&Diagnosis>, named: Option<&Name>) {
        let is_other = named.is_some_and(|name| *name != self.config.name);
        self.failures.near_misses.retain(|miss| {
            let stays = is_other && miss.likeness == Likeness::Identity;
            miss.remote != remote || stays || is_same(newest, &miss.diagnosis)
        });
        let over = |last: &mut Failure| last.from == Some(remote) && !is_same(newest, &last.diagnosis);
        if !is_other {
            self.failures.last.take_if(over);
        }
    }
}

pub(in crate::endpoint) fn is_same(newest: Option<&Diagnosis>, have: &Diagnosis) -> bool {
    newest.is_some_and(|newest| (newest.kind, &newest.summary) == (have.kind, &have.summary))
}

impl Refusals {
    fn keep(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        let before = self.0.iter().position(|(_, have)| have.remote == remote).map(|at| self.0.remove(at));
        let same = before.filter(|(_, have)| is_same(Some(diagnosis), &have.diagnosis));
        let times = same.map_or(0, |(_, before)| before.times).saturating_add(1);
        if self.0.len() >= limits::REFUSALS_KEPT
            && let Some(at) = surplus(self.0.iter().map(|(_, have)| have.remote))
        {
            self.0.remove(at);
        }
        self.0.push((now.boot, Refusal { at: now.wall, remote, times, diagnosis: diagnosis.clone() }));
    }

    fn lately(&self, now: Instant) -> impl Iterator<Item = &Refusal> {
        let late = self.0.iter().filter(move |(at, _)| now.since(*at) < limits::REFUSALS_KEPT_FOR);
        late.map(|(_, refusal)| refusal)
    }

    /// Whether this is what was refused there last.
    fn is_last(&self, remote: IpAddr, diagnosis: &Diagnosis) -> bool {
        self.0.iter().any(|(_, have)| have.remote == remote && is_same(Some(diagnosis), &have.diagnosis))
    }

    fn forget(&mut self, remote: IpAddr) {
        self.0.retain(|(_, have)| have.remote != remote);
    }
}

impl Strangers {
    /// Keeps a refusal that no tunnel is told of.
    pub(in crate::endpoint) fn keep_refusal(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        self.untold.keep(now, remote, diagnosis);
    }

    /// Some connection was told of a refusal there.
    pub(in crate::endpoint) fn note_refusal(&mut self, remote: IpAddr, connections: &Connections) {
        self.noted.note(remote, connections);
    }

    /// Whoever is there was refused anew, or has got what it wanted: what it was refused before is of no interest, here and with
    /// the connections that were told of it.
    pub(in crate::endpoint) fn supersede_refusals(
        &mut self,
        connections: &mut Connections,
        remote: IpAddr,
        newest: Option<&Diagnosis>,
        named: Option<&Name>,
    ) {
        if newest.is_none_or(|newest| !self.untold.is_last(remote, newest)) {
            self.untold.forget(remote);
        }
        self.unheard.forget(remote);
        if self.noted.0.remove(&remote) {
            connections.iter_mut().for_each(|managed| managed.forget_refusals(remote, newest, named));
        }
    }
}

impl Endpoint {
    /// The refusals of late that named no tunnel and that none was told of, the newest last; a few.
    pub fn refusals(&self, now: Now) -> Vec<Refusal> {
        self.strangers.untold.lately(now.boot).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{Connection, LocalAuth, RemoteAuth};
    use crate::diagnose::local;
    use crate::identity::RemoteId;
    use crate::secret::Secret;

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

    fn managed(number: u32) -> Managed {
        let psk = || Secret::new(b"long enough".to_vec());
        let us = ("b.example".parse().unwrap(), LocalAuth::Psk(psk()));
        let peer = (RemoteId::Exact("a.example".parse().unwrap()), RemoteAuth::Psk(psk()));
        let name = Name::from(format!("link{number}").as_str());
        Managed::new(Arc::new(Connection::new(name, us, peer, Vec::new())))
    }

    /// Of whom no connection speaks any more is forgotten first.
    #[test]
    fn addresses_that_were_refused_are_held_up_to_their_limit() {
        let host = |n: u32| IpAddr::from((0xc000_0200 + n).to_be_bytes());
        let limit = u32::try_from(limits::REFUSALS_NOTED).unwrap();
        let mut connections = Connections::default();
        for n in 0..2 * limit {
            let mut managed = managed(n);
            let from = (n % 2 == 0).then(|| host(n));
            managed.failures.last = Some(Failure { at: 0, diagnosis: local("refused"), times: 1, from });
            connections.insert(managed);
        }
        let mut noted = Noted::default();
        (0..=limit).for_each(|n| noted.note(host(n), &connections));
        assert_eq!(noted.0.len(), limits::REFUSALS_NOTED / 2 + 1);
        assert!(noted.0.contains(&host(0)) && !noted.0.contains(&host(1)) && noted.0.contains(&host(limit)));
        (0..2 * limit).step_by(2).for_each(|n| noted.note(host(n), &connections));
        assert_eq!(noted.0.len(), limits::REFUSALS_NOTED);
        assert!(noted.0.contains(&host(2 * limit - 2)), "the newest is there");
    }
}
