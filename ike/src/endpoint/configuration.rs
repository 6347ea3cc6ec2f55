//! Another configuration, or another trust in the same peers: what changed begins anew, and what did not stands.

use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;
use super::managed::Managed;
use super::schedule::Owner;
use crate::config::{Connection, Name};
use crate::event::{EndReason, TunnelId};
use crate::limits;
use crate::time::Now;

impl Endpoint {
    pub(super) fn configure(&mut self, now: Now, wanted: Vec<Arc<Connection>>) {
        let renewed = wanted.iter().filter(|connection| self.renew(now, connection));
        let renewed: Vec<Name> = renewed.map(|connection| connection.name.clone()).collect();
        let gone = self.connections.names().into_iter().filter(|name| {
            let unchanged =
                |c: &Arc<Connection>| self.connections.get(name).is_some_and(|managed| managed.config == *c);
            !wanted.iter().any(|c| c.name == *name && unchanged(c))
        });
        for name in gone.collect::<Vec<_>>() {
            self.take_down(now, &name, &EndReason::DeletedHere);
            self.connections.remove(&name);
            self.schedule.set(Owner::Connection(name), None);
        }
        let mut new = Vec::new();
        for config in wanted {
            if self.connections.get(&config.name).is_none() {
                new.push(config.name.clone());
                self.connections.insert(Managed::new(config));
            }
        }
        self.connections.index();
        self.configure_staples(now);
        renewed.iter().for_each(|name| self.pursue_anew(now, name));
        for name in new {
            if self.connections.get(&name).is_some_and(Managed::is_ours_to_keep_up) {
                self.pursue(now, &name);
            }
        }
    }

    /// What differs from the present configuration in certificates alone takes its place: the tunnels stand, those whose
    /// trust changed as long as their peers pass. Whether it did.
    fn renew(&mut self, now: Now, connection: &Arc<Connection>) -> bool {
        let Some(managed) = self.connections.get_mut(&connection.name) else { return false };
        let known = &managed.config;
        let adopted = known.is_renewed_by(connection) || known.is_retrusted_by(connection);
        if !adopted || *known == *connection {
            return false;
        }
        managed.config = Arc::clone(connection);
        for id in managed.tunnels.ids().collect::<Vec<_>>() {
            self.adopt(now, id, connection);
        }
        true
    }

    pub(super) fn adopt(&mut self, now: Now, id: TunnelId, connection: &Arc<Connection>) {
        let within = self.review_spread();
        self.with_tunnel(now, id, |tunnel, ctx| tunnel.adopt(ctx, connection, within));
    }

    pub(super) fn review_peers(&mut self, now: Now) {
        self.core.review_ordered = Some(now);
        let within = self.review_spread();
        for id in self.tunnels.keys().copied().collect::<Vec<_>>() {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.review_anew(ctx, within));
        }
        self.renew_staples(now);
    }

    /// The time over which so many tunnels are reviewed.
    fn review_spread(&self) -> Duration {
        let tunnels = u32::try_from(self.tunnels.len()).unwrap_or(u32::MAX);
        limits::REVIEW_SPREAD.saturating_mul(tunnels).min(limits::REVIEW_SPREAD_MOST)
    }
}
