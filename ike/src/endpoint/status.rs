//! Every configured connection, also those that are down.

use super::Endpoint;
use super::managed::{Managed, Pursuit};
use super::proven::refine;
use crate::config::{Name, Start};
use crate::event::{Awaited, ConnectionState, ConnectionStatus, TunnelStatus};
use crate::sa::Tunnel;

impl Endpoint {
    /// Every configured connection, also those that are down, in the order of their names.
    pub fn status(&self) -> Vec<ConnectionStatus> {
        self.connections.iter().map(|managed| self.status_of(managed)).collect()
    }

    /// One of them.
    pub fn status_for(&self, connection: &Name) -> Option<ConnectionStatus> {
        self.connections.get(connection).map(|managed| self.status_of(managed))
    }

    /// Whether a child is being set up now: an attempt or our request is on its way, and no back-off waited for.
    pub fn is_setting_up(&self, connection: &Name, child: &Name) -> bool {
        let Some(managed) = self.connections.get(connection) else { return false };
        let trying = matches!(managed.pursuit, Pursuit::Resolving { .. } | Pursuit::Trying { .. });
        let Some(index) = managed.config.children.iter().position(|c| c.name == *child) else { return false };
        let mut tunnels = managed.tunnels.ids().filter_map(|id| self.tunnels.get(&id));
        trying && managed.to_start().contains(&index) || tunnels.any(|tunnel| tunnel.is_setting_up(index))
    }

    fn status_of(&self, managed: &Managed) -> ConnectionStatus {
        let tunnels = || managed.tunnels.ids().filter_map(|id| self.tunnels.get(&id)).map(Box::as_ref);
        let tunnel = tunnels().next_back();
        let next_try = match managed.pursuit {
            // Without a packet nothing is tried on demand.
            Pursuit::BackOff { .. } if managed.to_start().is_empty() => None,
            Pursuit::BackOff { until } => Some(until),
            // The IKE SA stands, a Child SA was refused.
            _ => tunnel.filter(|tunnel| !tunnel.is_whole()).and_then(Tunnel::next_child_try),
        };
        let refined = |mut tunnel: TunnelStatus| {
            let id = tunnel.ike_sa.tunnel;
            tunnel.children.iter_mut().for_each(|child| refine(managed, id, child));
            tunnel
        };
        let stands = |id, index| self.tunnels.get(&id).is_some_and(|tunnel| tunnel.passes(index));
        let failure = managed.failures.last.as_ref();
        ConnectionStatus {
            connection: managed.config.clone(),
            // One of many peers is enough.
            state: state(managed, tunnels().rfind(|tunnel| tunnel.is_whole()).or(tunnel)),
            awaited: if tunnel.is_none() { self.awaited(&managed.pursuit) } else { None },
            tunnels: tunnels().filter_map(Tunnel::status).map(refined).collect(),
            warnings: managed.proven.warnings(stands),
            last_failure: failure.map(|failure| (failure.at, failure.diagnosis.clone())),
            failure_times: failure.map_or(0, |failure| failure.times),
            failure_from: failure.and_then(|failure| failure.from),
            near_misses: managed.failures.near_misses.clone(),
            next_try,
            attempts: managed.attempts,
        }
    }

    fn awaited(&self, pursuit: &Pursuit) -> Option<Awaited> {
        match pursuit {
            Pursuit::Resolving { host, .. } => Some(Awaited::Addresses(host.clone())),
            Pursuit::Trying { attempt, .. } => self.attempts.get(attempt)?.awaited(),
            Pursuit::Idle | Pursuit::BackOff { .. } => None,
        }
    }
}

fn state(managed: &Managed, tunnel: Option<&Tunnel>) -> ConnectionState {
    match (tunnel, &managed.pursuit) {
        (Some(tunnel), _) if tunnel.is_whole() => ConnectionState::Up,
        (Some(tunnel), _) => without_child(managed, tunnel),
        (None, Pursuit::Resolving { .. } | Pursuit::Trying { .. }) => ConnectionState::Connecting,
        (None, _) if managed.admin_down => ConnectionState::AdminDown,
        (None, Pursuit::BackOff { .. }) => ConnectionState::BackOff,
        (None, Pursuit::Idle) if managed.is_on_demand() => ConnectionState::Idle,
        (None, Pursuit::Idle) => ConnectionState::Waiting,
    }
}

/// An IKE SA without a Child SA carries nothing.
fn without_child(managed: &Managed, tunnel: &Tunnel) -> ConnectionState {
    let at_rest = !tunnel.lacks_child() && !tunnel.is_starting_child();
    let starts = managed.config.initiate && managed.config.children.iter().any(|c| c.start != Start::Listen);
    match managed.failures.last {
        None if at_rest && starts => ConnectionState::Idle,
        None if at_rest => ConnectionState::Waiting,
        None => ConnectionState::Connecting,
        // Nothing is scheduled: the peer is to ask again.
        Some(_) if !starts => ConnectionState::Waiting,
        Some(_) => ConnectionState::BackOff,
    }
}
