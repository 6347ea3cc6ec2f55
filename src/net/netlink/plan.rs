//! Which routes our table should hold, as a pure function of the configuration and of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::addresses::Address;

/// Each remote prefix with the local networks that may talk to it.
type Protected = BTreeMap<IpNet, BTreeSet<IpNet>>;

/// What is protected. Only what is configured is kept over a restart, not the addresses that we were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Protected", into = "Protected")]
pub struct Policy {
    protected: Protected,
    given: BTreeSet<IpNet>,
}

impl From<Protected> for Policy {
    fn from(protected: Protected) -> Self {
        Self { protected, given: BTreeSet::new() }
    }
}

impl From<Policy> for Protected {
    fn from(policy: Policy) -> Self {
        policy.protected
    }
}

impl Policy {
    /// Protects traffic from `local` to `remote`. Prefixes of another family than the remote one's do no harm.
    pub fn protect(&mut self, remote: IpNet, local: impl IntoIterator<Item = IpNet>) {
        self.protected.entry(remote.trunc()).or_default().extend(local.into_iter().map(|net| net.trunc()));
    }

    /// The same from addresses that we were given and that are on the TUN. The kernel delivers to them by itself; a way back
    /// to the ordinary tables would outlive them, and let what is for them leave in clear.
    pub fn give(&mut self, remote: IpNet, addresses: &[IpAddr]) {
        let nets = || addresses.iter().copied().map(IpNet::from);
        self.protect(remote, nets());
        self.given.extend(nets());
    }

    /// The remote prefixes.
    pub fn remote(&self) -> impl Iterator<Item = IpNet> {
        self.protected.keys().copied()
    }

    /// Whether anything of IPv6 is protected.
    pub fn has_ipv6(&self) -> bool {
        self.protected.keys().any(|net| matches!(net, IpNet::V6(_)))
    }

    /// The local selectors that lie inside a remote prefix of their own Child SA, or inside one that is configured no longer.
    /// One that lies inside another tunnel's is reached through that tunnel (a hub that passes traffic on), so it stays
    /// protected.
    pub(super) fn local_inside(&self, held: &BTreeSet<IpNet>) -> impl Iterator<Item = IpNet> {
        let local = self.protected.iter();
        let local = local.flat_map(|(remote, local)| local.iter().map(move |net| (*remote, *net)));
        let inside = |(remote, net): &(IpNet, IpNet)| {
            innermost(net, held).is_some_and(|outer| outer == *remote || !self.protected.contains_key(&outer))
        };
        local.filter(inside).map(|(_, net)| net).filter(|net| !self.given.contains(net))
    }
}

/// One route of our table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) prefix: IpNet,
}

/// What a route does; in the order in which they are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Drops.
    Blackhole,
    /// Back to the ordinary tables.
    Throw,
    /// To the TUN.
    Tunnel { interface: u32, source: Option<IpAddr> },
}

/// What is never routed into a tunnel though a selector may contain it: it means the link it is sent on.
pub(super) const LINK_LOCAL: [IpNet; 4] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0), 16)),
];

/// The routes that should stand: `stale` are blackholes of an earlier configuration, `tunnel` is the TUN's index.
pub(super) fn routes(
    policy: &Policy,
    stale: &BTreeSet<IpNet>,
    addresses: &[Address],
    lans: &BTreeSet<IpNet>,
    tunnel: Option<u32>,
) -> BTreeSet<Entry> {
    let held = held(policy, stale);
    let blackholes = held.iter().map(|prefix| Entry { kind: Kind::Blackhole, prefix: *prefix });
    let always = LINK_LOCAL.iter().chain(lans).filter(|net| innermost(net, &held).is_some());
    let throws = policy.local_inside(&held).chain(always.copied());
    let throws = throws.map(|prefix| Entry { kind: Kind::Throw, prefix });
    let tunnels = tunnel.into_iter().flat_map(|interface| {
        policy.protected.iter().map(move |(remote, local)| {
            let source = preferred_source(*remote, local, addresses);
            Entry { kind: Kind::Tunnel { interface, source }, prefix: *remote }
        })
    });
    blackholes.chain(throws).chain(tunnels).collect()
}

/// The prefixes that have a blackhole: what is protected, and what was.
fn held(policy: &Policy, stale: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    policy.remote().chain(stale.iter().copied()).collect()
}

/// The networks of addresses configured for good that lie inside a prefix with a blackhole.
pub(super) fn own_networks<'a>(
    policy: &Policy,
    stale: &BTreeSet<IpNet>,
    addresses: &'a [Address],
) -> Vec<&'a Address> {
    let held = held(policy, stale);
    addresses
        .iter()
        .filter(|a| a.permanent && !a.own.is_loopback() && innermost(&a.network, &held).is_some())
        .collect()
}

/// The longest held prefix that contains it; none if it is held itself.
fn innermost(net: &IpNet, held: &BTreeSet<IpNet>) -> Option<IpNet> {
    let outer = held.iter().filter(|outer| outer.contains(net)).max_by_key(|outer| outer.prefix_len())?;
    (outer != net).then_some(*outer)
}

fn preferred_source(remote: IpNet, local: &BTreeSet<IpNet>, addresses: &[Address]) -> Option<IpAddr> {
    let ours = addresses.iter().filter(|a| a.usable && local.iter().any(|net| net.contains(&a.own)));
    ours.map(|a| a.own).filter(|own| own.is_ipv4() == remote.addr().is_ipv4()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().expect(text)
    }

    fn policy(remote: &str, local: &str) -> Policy {
        let mut policy = Policy::default();
        policy.protect(net(remote), [net(local)]);
        policy
    }

    fn address(own: &str, permanent: bool) -> Address {
        let network: IpNet = net(own);
        Address { interface: 2, own: network.addr(), network: network.trunc(), permanent, usable: true }
    }

    fn text(routes: BTreeSet<Entry>) -> Vec<String> {
        let words = |entry: Entry| match entry.kind {
            Kind::Blackhole => format!("blackhole {}", entry.prefix),
            Kind::Throw => format!("throw {}", entry.prefix),
            Kind::Tunnel { source: Some(source), .. } => format!("tunnel {} src {source}", entry.prefix),
            Kind::Tunnel { source: None, .. } => format!("tunnel {}", entry.prefix),
        };
        routes.into_iter().map(words).collect()
    }

    #[test]
    fn each_protected_prefix_has_its_blackhole_first_and_the_source_that_its_selectors_allow() {
        let addresses = [address("192.0.2.7/24", true), address("10.17.0.1/24", true)];
        let policy = policy("10.0.0.0/16", "10.17.0.0/24");
        let routes = routes(&policy, &BTreeSet::new(), &addresses, &BTreeSet::new(), Some(9));
        assert_eq!(text(routes), ["blackhole 10.0.0.0/16", "tunnel 10.0.0.0/16 src 10.17.0.1"]);
    }

    #[test]
    fn what_left_the_configuration_stays_blackholed_and_loses_its_tunnel() {
        let stale = BTreeSet::from([net("10.99.0.0/16")]);
        let policy = policy("10.0.0.0/16", "10.17.0.0/24");
        let routes = routes(&policy, &stale, &[], &BTreeSet::new(), Some(9));
        assert_eq!(text(routes), ["blackhole 10.0.0.0/16", "blackhole 10.99.0.0/16", "tunnel 10.0.0.0/16"]);
    }

    #[test]
    fn a_selector_of_everything_leaves_the_local_networks_alone() {
        let everything = policy("0.0.0.0/0", "10.17.0.0/24");
        let lans = BTreeSet::from([net("192.168.1.0/24")]);
        let routes = routes(&everything, &BTreeSet::new(), &[], &lans, None);
        assert_eq!(
            text(routes),
            [
                "blackhole 0.0.0.0/0",
                "throw 10.17.0.0/24",
                "throw 169.254.0.0/16",
                "throw 192.168.1.0/24",
                "throw 224.0.0.0/24"
            ]
        );
    }

    /// Or a reload that narrows a network would cut the site off its own.
    #[test]
    fn what_is_behind_us_stays_reachable_under_a_blackhole_that_is_left_over() {
        let policy = policy("10.0.0.0/16", "10.17.0.0/24");
        let stale = BTreeSet::from([net("10.0.0.0/8")]);
        let addresses = [address("10.17.0.1/24", true), address("10.44.0.1/24", true)];
        let own: Vec<_> = own_networks(&policy, &stale, &addresses).into_iter().map(|a| a.network).collect();
        assert_eq!(own, [net("10.17.0.0/24"), net("10.44.0.0/24")]);
        let routes = routes(&policy, &stale, &[], &BTreeSet::from([net("10.44.0.0/24")]), None);
        assert_eq!(
            text(routes),
            ["blackhole 10.0.0.0/8", "blackhole 10.0.0.0/16", "throw 10.17.0.0/24", "throw 10.44.0.0/24"]
        );
    }

    #[test]
    fn an_address_that_we_were_given_opens_no_way_around_the_tunnel() {
        let mut policy = policy("10.0.0.0/8", "10.17.0.0/24");
        policy.give(net("10.0.0.0/8"), &["10.9.0.7".parse().expect("an address")]);
        let addresses = [address("10.9.0.7/32", true)];
        let routes = routes(&policy, &BTreeSet::new(), &addresses, &BTreeSet::new(), Some(9));
        assert_eq!(
            text(routes),
            ["blackhole 10.0.0.0/8", "throw 10.17.0.0/24", "tunnel 10.0.0.0/8 src 10.9.0.7"]
        );
    }

    #[test]
    fn a_prefix_that_is_both_local_and_remote_is_protected() {
        let both = policy("0.0.0.0/0", "0.0.0.0/0");
        let routes = routes(&both, &BTreeSet::new(), &[], &BTreeSet::from([net("0.0.0.0/0")]), None);
        assert!(text(routes).iter().all(|route| !route.contains("throw 0.0.0.0/0")));
    }

    #[test]
    fn a_local_selector_inside_another_tunnels_prefix_goes_through_that_tunnel() {
        let mut hub = policy("10.17.0.0/24", "10.18.0.0/24");
        hub.protect(net("10.18.0.0/24"), [net("10.17.0.0/25")]);
        let routes = routes(&hub, &BTreeSet::new(), &[], &BTreeSet::new(), None);
        assert_eq!(text(routes), ["blackhole 10.17.0.0/24", "blackhole 10.18.0.0/24"]);
    }

    #[test]
    fn an_address_handed_out_by_the_line_never_makes_a_network_local() {
        let everything = policy("0.0.0.0/0", "10.17.0.0/24");
        let addresses = [address("198.51.100.9/24", false), address("192.168.1.1/24", true)];
        let own: Vec<_> =
            own_networks(&everything, &BTreeSet::new(), &addresses).into_iter().map(|a| a.network).collect();
        assert_eq!(own, [net("192.168.1.0/24")]);
    }
}
