//! Half-open SAs whose initiators did not go on: what is told of them (RFC 7296 §2.4, §2.23).

use std::net::IpAddr;

use super::Strangers;
use super::half_open::surplus;
use crate::config::Name;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::endpoint::Endpoint;
use crate::limits;
use crate::path::Path;
use crate::sa::{DropReason, Sender, Unfinished};
use crate::time::{Instant, Now};
use crate::wire::{ExchangeType, IkeSpi};

/// Where those are that no connection names and that did not go on once of late, the newest last. Once may be a bad line, or
/// somebody who looks for open ports.
#[derive(Debug, Default)]
pub(super) struct Unheard(Vec<(Instant, IpAddr)>);

impl Unheard {
    /// Whether it is not the first time.
    fn note(&mut self, now: Instant, remote: IpAddr) -> bool {
        self.0.retain(|(at, _)| now.since(*at) < limits::UNHEARD_PERIOD);
        let known = self.0.iter().any(|(_, have)| *have == remote);
        self.forget(remote);
        if self.0.len() >= limits::UNHEARD_NOTED
            && let Some(at) = surplus(self.0.iter().map(|(_, have)| *have))
        {
            self.0.remove(at);
        }
        self.0.push((now, remote));
        known
    }

    fn lately(&self, now: Instant) -> impl Iterator<Item = IpAddr> {
        let late = self.0.iter().filter(move |(at, _)| now.since(*at) < limits::UNHEARD_PERIOD);
        late.map(|(_, remote)| *remote)
    }

    pub(super) fn forget(&mut self, remote: IpAddr) {
        self.0.retain(|(_, have)| *have != remote);
    }
}

impl Strangers {
    /// Where somebody began an IKE SA, was answered and has not gone on: now, or within the hour. A few, each once.
    fn begun(&self, now: Instant) -> Vec<IpAddr> {
        let mut begun = Vec::new();
        for remote in self.unheard.lately(now).chain(self.half_open.unfinished()) {
            if begun.len() < limits::BEGUN_TOLD && !begun.contains(&remote) {
                begun.push(remote);
            }
        }
        begun
    }

    /// Somebody whom no connection names did not go on: whether that is worth the operator's time.
    fn is_worth_telling(
        &mut self,
        now: Instant,
        remote: IpAddr,
        sender: Sender,
        unfinished: Unfinished,
    ) -> bool {
        // Whoever brought our cookie, or fragments that can be opened, has received what we sent; others' addresses may be forged.
        match (unfinished, sender) {
            (Unfinished::Fragments(_), _) => true,
            (Unfinished::Silent, Sender::Claimed) if self.half_open.was_crowded(now) => false,
            (Unfinished::Silent, _) => self.unheard.note(now, remote),
        }
    }
}

impl Endpoint {
    /// Where somebody began an IKE SA, was answered and has not gone on: now, or within the hour. A few, each once; nobody there
    /// proved anything.
    pub fn begun(&self, now: Now) -> Vec<IpAddr> {
        self.strangers.begun(now.boot)
    }

    /// The time of a half-open SA is over. Who its initiator was is not known: it is told of with the one connection that is
    /// down and names its address, or with none. Nothing more is known of why.
    pub(in crate::endpoint) fn half_open_expired(&mut self, now: Now, spi: IkeSpi) {
        let Some(half_open) = self.strangers.take(spi) else { return };
        let Some(unfinished) = half_open.unfinished() else { return };
        let remote = half_open.path().remote_ip();
        let name = self.connections.down_at(remote);
        let diagnosis = self.diagnose_unfinished(half_open.path(), unfinished, name.is_some());
        match name {
            Some(name) => self.missed(now, &name, remote, unfinished, diagnosis),
            None if self.strangers.is_worth_telling(now.boot, remote, half_open.sender(), unfinished) => {
                self.unheard_of(now, remote, &diagnosis);
            }
            None => {}
        }
    }

    /// Counts it; what is told of it.
    fn diagnose_unfinished(&mut self, path: Path, unfinished: Unfinished, named: bool) -> Diagnosis {
        let seconds = limits::HALF_OPEN_LIFETIME.as_secs();
        match unfinished {
            Unfinished::Silent => {
                self.drop_datagram(DropReason::HalfOpenExpired);
                diagnose::never_came_back(path, self.core.config.nat_port, seconds, named)
            }
            Unfinished::Fragments(pieces) => {
                self.drop_datagram(DropReason::FragmentsIncomplete);
                diagnose::request_incomplete(path, ExchangeType::IKE_AUTH, pieces, seconds)
            }
        }
    }

    /// It was probably for this connection.
    fn missed(
        &mut self,
        now: Now,
        name: &Name,
        remote: IpAddr,
        unfinished: Unfinished,
        diagnosis: Diagnosis,
    ) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        managed.failures.unfinished = managed.failures.unfinished.saturating_add(1);
        // To hear nothing once may be a bad line.
        if unfinished == Unfinished::Silent && managed.failures.unfinished < 2 {
            self.strangers.unheard.note(now.boot, remote);
            return;
        }
        let known = managed.failures.last.as_ref().is_some_and(|last| last.diagnosis.kind != diagnosis.kind);
        if !known {
            self.failed(now, Some(name), Some(remote), diagnosis, None);
        }
    }

    /// No connection names the address: it is kept for the operator, without an event, as whoever was there proved nothing.
    fn unheard_of(&mut self, now: Now, remote: IpAddr, diagnosis: &Diagnosis) {
        if self.connections.listens_anywhere() {
            self.strangers.keep_refusal(now, remote, diagnosis);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_second_time_within_an_hour_counts_and_few_are_remembered() {
        let at = |minutes| Instant::from_boot(Duration::from_mins(minutes));
        let host = |n: u32| IpAddr::from((0xc000_0200 + n).to_be_bytes());
        let mut unheard = Unheard::default();
        assert_eq!([0, 30, 100].map(|minutes| unheard.note(at(minutes), host(1))), [false, true, false]);
        assert_eq!([159, 160].map(|minutes| unheard.lately(at(minutes)).count()), [1, 0]);
        unheard.forget(host(1));
        assert!(!unheard.note(at(101), host(1)), "it was in meanwhile");
        (2..500).for_each(|n| assert!(!unheard.note(at(102), host(n))));
        assert_eq!(unheard.0.len(), limits::UNHEARD_NOTED);
        assert!(!unheard.note(at(103), host(1)), "the oldest makes room");
    }
}
