//! Which networks the peers of a connection for many have: each chooses among those that are configured (RFC 7296 §2.9), and
//! none may choose what another one's Child SA carries, or it would take that one's traffic.

use std::collections::BTreeMap;

use crate::config::{Connection, Name};
use crate::event::{ChildSaId, ChildSaParameters};
use crate::identity::Identity;
use crate::negotiate::TrafficSelector;

/// What is carried for whom, by connection.
#[derive(Debug, Default)]
pub(super) struct Claims {
    by_connection: BTreeMap<Name, BTreeMap<ChildSaId, Claim>>,
    connections: BTreeMap<ChildSaId, Name>,
}

#[derive(Debug)]
struct Claim {
    peer: Identity,
    remote: Vec<TrafficSelector>,
}

impl Claims {
    /// A Child SA of a connection for many stands.
    pub(super) fn add(&mut self, child: &ChildSaParameters) {
        let claim = Claim { peer: child.remote_id.clone(), remote: child.remote.clone() };
        self.by_connection.entry(child.connection.clone()).or_default().insert(child.id, claim);
        self.connections.insert(child.id, child.connection.clone());
    }

    /// It is gone.
    pub(super) fn remove(&mut self, id: ChildSaId) {
        let Some(name) = self.connections.remove(&id) else { return };
        if let Some(of) = self.by_connection.get_mut(&name) {
            of.remove(&id);
            if of.is_empty() {
                self.by_connection.remove(&name);
            }
        }
    }

    /// Another peer behind which some of these addresses are. For whatever service and to whichever network of ours it
    /// has them: who had the rest could pass for it there, and take what is sent to it.
    pub(super) fn holder(
        &self,
        connection: &Connection,
        peer: &Identity,
        remote: &[TrafficSelector],
    ) -> Option<&Identity> {
        let others = self.by_connection.get(&connection.name).into_iter().flat_map(BTreeMap::values);
        let mut others = others.filter(|claim| claim.peer != *peer);
        let meets =
            |claim: &&Claim| claim.remote.iter().any(|a| remote.iter().any(|b| a.shares_addresses(b)));
        others.find(meets).map(|claim| &claim.peer)
    }
}
