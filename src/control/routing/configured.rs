//! What a configuration protects, without the addresses that we are given and with them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sekisho_ike::config::Name;

use crate::config::{Config, prefixes, remote_side};
use crate::net::netlink::Policy;

/// What the connections protect.
pub fn policy(config: &Config) -> Policy {
    let mut policy = Policy::default();
    for connection in &config.connections {
        for child in &connection.children {
            let local: Vec<IpNet> = child.local.iter().flat_map(prefixes).collect();
            for remote in remote_side(config, connection, child).iter().flat_map(prefixes) {
                policy.protect(remote, local.iter().copied());
            }
        }
    }
    policy
}

/// What is protected by a configuration.
#[derive(Default)]
pub(super) struct Configured {
    /// Whatever we are given.
    policy: Policy,
    /// What is behind each tunnel whose peer gives us an address.
    behind_givers: BTreeMap<Name, Vec<IpNet>>,
}

impl Configured {
    pub(super) fn by(config: &Config) -> Self {
        let givers = config.connections.iter().filter(|connection| connection.internal_address.is_asked());
        let behind = givers.map(|connection| {
            let remote = connection.children.iter().flat_map(|child| &child.remote);
            (connection.name.clone(), remote.flat_map(prefixes).collect())
        });
        Self { policy: policy(config), behind_givers: behind.collect() }
    }

    /// What is protected with the addresses that we were given as our side of it.
    pub(super) fn with_given(&self, given: &BTreeMap<Name, Vec<IpAddr>>) -> Policy {
        let mut policy = self.policy.clone();
        for (name, addresses) in given {
            for remote in self.behind_givers.get(name).into_iter().flatten() {
                policy.give(*remote, addresses);
            }
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use sekisho_ike::negotiate::TrafficSelector;

    use super::*;

    #[test]
    fn a_range_of_addresses_is_protected_by_its_prefixes() {
        let range: TrafficSelector = "10.0.0.5-10.0.0.9[tcp/443]".parse().expect("a selector");
        let text: Vec<String> = prefixes(&range).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.0.0.5/32", "10.0.0.6/31", "10.0.0.8/31"]);
    }
}
