//! Every configured connection, also those that are down.

use super::Endpoint;
use super::connections::{Managed, Pursuit};
use crate::event::{ConnectionState, ConnectionStatus};
use crate::sa::Tunnel;

impl Endpoint {
    /// Every configured connection, also those that are down, in the order of their names.
    pub fn status(&self) -> Vec<ConnectionStatus> {
        self.connections.iter().map(|managed| self.status_of(managed)).collect()
    }

    fn status_of(&self, managed: &Managed) -> ConnectionStatus {
        let tunnel = managed.tunnels.last().and_then(|id| self.tunnels.get(id)).map(Box::as_ref);
        let next_try = match managed.pursuit {
            Pursuit::BackOff { until } => Some(until),
            // The IKE SA stands, its Child SA was refused.
            _ => tunnel.filter(|tunnel| !tunnel.has_child()).and_then(Tunnel::next_child_try),
        };
        ConnectionStatus {
            connection: managed.config.clone(),
            state: state(managed, tunnel),
            tunnel: tunnel.and_then(Tunnel::status),
            last_failure: managed.last_failure.clone(),
            next_try,
            attempts: managed.attempts,
        }
    }
}

fn state(managed: &Managed, tunnel: Option<&Tunnel>) -> ConnectionState {
    match (tunnel, &managed.pursuit) {
        (Some(tunnel), _) if tunnel.has_child() => ConnectionState::Up,
        // An IKE SA without a Child SA carries nothing.
        (Some(_), _) if managed.last_failure.is_some() => ConnectionState::BackOff,
        (Some(_), _) | (None, Pursuit::Resolving { .. } | Pursuit::Trying { .. }) => {
            ConnectionState::Connecting
        }
        (None, _) if managed.admin_down => ConnectionState::AdminDown,
        (None, Pursuit::BackOff { .. }) => ConnectionState::BackOff,
        (None, Pursuit::Idle) => ConnectionState::Waiting,
    }
}
