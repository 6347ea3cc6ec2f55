//! Who is to be woken next, and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Name;
use crate::event::{Deadline, TunnelId};
use crate::time::Instant;
use crate::wire::IkeSpi;

/// What a deadline belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Attempt(IkeSpi),
    HalfOpen(IkeSpi),
    Tunnel(TunnelId),
    Connection(Name),
    /// What is said of our own certificate with this fingerprint.
    Staple([u8; 32]),
}

/// One deadline an owner, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    by_time: BTreeSet<(Deadline, Owner)>,
    by_owner: BTreeMap<Owner, Deadline>,
}

impl Schedule {
    /// Replaces the owner's deadline.
    pub(super) fn set(&mut self, owner: Owner, deadline: Option<Deadline>) {
        if self.by_owner.get(&owner) == deadline.as_ref() {
            return;
        }
        if let Some(old) = self.by_owner.remove(&owner) {
            self.by_time.remove(&(old, owner.clone()));
        }
        if let Some(new) = deadline {
            self.by_time.insert((new, owner.clone()));
            self.by_owner.insert(owner, new);
        }
    }

    pub(super) fn next(&self) -> Option<Deadline> {
        self.by_time.first().map(|(deadline, _)| *deadline)
    }

    /// Takes everyone whose deadline has passed.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Owner> {
        let mut due = Vec::new();
        while let Some((deadline, _)) = self.by_time.first()
            && deadline.at <= now
            && let Some((_, owner)) = self.by_time.pop_first()
        {
            self.by_owner.remove(&owner);
            due.push(owner);
        }
        due
    }
}
