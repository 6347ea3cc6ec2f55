//! The pools that peers get their addresses from, and what becomes of tunnels when they change.

use super::Endpoint;
use crate::config::{Connection, ConnectionError, Pool};
use crate::event::{EndReason, PoolStatus, TunnelId};
use crate::time::Now;

impl Endpoint {
    /// Every pool and how full it is, in the order of their names.
    pub fn pools(&self) -> Vec<PoolStatus> {
        self.core.pools.status()
    }

    pub(super) fn check_pools(&self, connection: &Connection) -> Result<(), ConnectionError> {
        let unknown = connection.pools.iter().find(|pool| !self.core.pools.has(pool));
        match unknown {
            Some(pool) => Err(ConnectionError::UnknownPool(connection.name.clone(), pool.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn configure_pools(&mut self, now: Now, pools: Vec<Pool>) {
        self.core.pools.configure(pools);
        let pools = &self.core.pools;
        let lost = self.tunnels.iter().filter(|(_, tunnel)| tunnel.has_lost_address(pools));
        let lost: Vec<TunnelId> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.delete(ctx, EndReason::DeletedHere));
        }
    }
}
