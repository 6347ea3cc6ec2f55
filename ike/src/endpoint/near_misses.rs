//! Refusals that named no tunnel and look as if they were meant for one: for the operator's eyes alone, since nobody proved
//! anything.

use std::net::IpAddr;
use std::sync::Arc;

use super::Endpoint;
use super::connections::Connections;
use super::managed::{Failures, Managed};
use crate::config::{Connection, Name};
use crate::diagnose::Form;
use crate::diagnosis::Diagnosis;
use crate::event::{Likeness, NearMiss};
use crate::identity::Identity;
use crate::limits;
use crate::sa::Directory;
use crate::time::Now;
use crate::wire::IdData;

/// How the connections' peers are called, to find the one that a stranger may mean.
#[derive(Debug, Default)]
pub(super) struct Callings(Vec<(Form, Name)>);

impl Callings {
    pub(super) fn of<'a>(connections: impl Iterator<Item = &'a Arc<Connection>>) -> Self {
        Self(connections.map(|c| (Form::of(&c.remote_id.to_string()), c.name.clone())).collect())
    }

    /// The one nearest to an identity in words.
    fn nearest(&self, theirs: &str) -> Option<&Name> {
        let theirs = Form::of(theirs);
        let near = self.0.iter().filter_map(|(ours, name)| Some((theirs.edits_to(ours)?, name)));
        near.min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
    }
}

impl Connections {
    /// The connection that a peer with this identity perhaps means.
    pub(super) fn meant_by(&self, theirs: &IdData) -> Option<Arc<Connection>> {
        // Whatever is found exactly, so that the answer takes the same time.
        let called = self.callings().nearest(&Identity::describe(theirs)).and_then(|name| self.get(name));
        let exactly = Identity::from_wire(theirs).and_then(|theirs| self.find(&theirs, None));
        exactly.or_else(|| called.map(|managed| Arc::clone(&managed.config)))
    }
}

impl Managed {
    /// Whether it has its end at this address, or had the last time, and is down.
    fn misses_one_at(&self, remote: IpAddr) -> bool {
        let named = || self.hosts().iter().any(|host| host.parse() == Ok(remote));
        self.tunnels.is_empty() && (self.last_time.address == Some(remote) || named())
    }

    /// Whether it waits for a peer that is called so.
    fn misses_one(&self) -> bool {
        self.tunnels.is_empty() || self.is_for_many()
    }
}

impl Failures {
    /// Keeps the newest of each sort; what came from the tunnel's own address stays longest.
    fn keep_near_miss(&mut self, miss: NearMiss) {
        let same = |have: &NearMiss| {
            (have.remote, have.diagnosis.kind, &have.diagnosis.summary)
                == (miss.remote, miss.diagnosis.kind, &miss.diagnosis.summary)
        };
        let before = self.near_misses.iter().position(same).map(|at| self.near_misses.remove(at));
        let times = before.map_or(0, |before| before.times);
        if self.near_misses.len() >= limits::NEAR_MISSES {
            let by_name = self.near_misses.iter().position(|have| have.likeness == Likeness::Identity);
            self.near_misses.remove(by_name.unwrap_or(0));
        }
        self.near_misses.push(NearMiss { times: times.saturating_add(1), ..miss });
    }
}

impl Endpoint {
    /// Keeps a refusal with the tunnels that it was perhaps meant for: whether there is any. `told` has it as its failure already.
    pub(super) fn note_near_misses(
        &mut self,
        now: Now,
        remote: IpAddr,
        told: Option<&Name>,
        meant: Option<&Name>,
        diagnosis: &Diagnosis,
    ) -> bool {
        let at_address = self.connections.iter().filter(|m| m.misses_one_at(remote)).map(|m| &m.config.name);
        let at_address: Vec<Name> = at_address.take(limits::NEAR_MISS_TUNNELS).cloned().collect();
        let called_so = meant.filter(|name| !at_address.contains(name)).cloned();
        let called_so = called_so.filter(|name| self.connections.get(name).is_some_and(Managed::misses_one));
        let mut kept = told.is_some();
        let by_address = at_address.into_iter().map(|name| (name, Likeness::Address));
        for (name, likeness) in by_address.chain(called_so.map(|name| (name, Likeness::Identity))) {
            let Some(managed) = self.connections.get_mut(&name).filter(|_| Some(&name) != told) else {
                continue;
            };
            kept = true;
            managed.failures.keep_near_miss(NearMiss {
                at: now.wall,
                remote,
                likeness,
                times: 0,
                diagnosis: diagnosis.clone(),
            });
        }
        kept
    }
}
