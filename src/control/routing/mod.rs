//! Routes and the TUN's MTU, kept in step with the configuration, the peers and the machine.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use sekisho_ike::Path;
use sekisho_ike::config::{Name, Remote};
use sekisho_ike::event::TunnelId;
use tokio::time::{Instant, sleep_until};

use super::install;
use super::path_mtu::{OnPath, PathMtus};
use crate::config::{self, Config, prefixes, protected, remote_side};
use crate::data::{self, Layout};
use crate::net::guard::{self, Ike};
use crate::net::netlink::{Change, Error, Netlink, Policy, Protection, TunnelLink, Watch};

/// What a line is taken to carry before its peer is known.
const ETHERNET: u16 = 1500;
/// No more than this is made of a line, however large its packets.
const LARGEST: u32 = 9000;
/// Below this the kernel takes IPv6 off an interface (RFC 8200 §5).
const SMALLEST_IPV6: u16 = 1280;
/// Every IPv4 host takes this (RFC 791).
const SMALLEST_IPV4: u16 = 576;
/// Between two tries to watch the kernel's routes.
const WATCH_AGAIN: Duration = Duration::from_secs(1);
/// Between two tries to put routes right that the kernel refused.
const REPAIR_AGAIN: Duration = Duration::from_secs(5);
/// Between two looks whether the guard stands.
const GUARD_AGAIN: Duration = Duration::from_secs(5);

/// Our part of the kernel's routing.
pub struct Routing {
    netlink: Netlink,
    link: TunnelLink,
    watch: Option<Watch>,
    watch_again: Instant,
    /// When what failed is tried again, though nothing is heard of the kernel.
    repair_again: Option<Instant>,
    unprotected: bool,
    /// When it is looked whether the guard stands, and what it lacks.
    guard_again: Instant,
    unguarded: Option<&'static str>,
    /// Whether a peer's own address may be in a protected network.
    peer_may_be_protected: bool,
    policy: Policy,
    /// What is protected whatever we are given, and what is behind each tunnel that gives us an address.
    configured: (Policy, BTreeMap<Name, Vec<IpNet>>),
    /// The addresses that we were given.
    given: BTreeMap<Name, Vec<IpAddr>>,
    stale: BTreeSet<IpNet>,
    problems: BTreeSet<String>,
    configured_mtu: Option<u16>,
    hosts: Vec<IpAddr>,
    /// Of the suites that a tunnel may come up with.
    layouts: Vec<Layout>,
    paths: PathMtus,
    mtu: u16,
}

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

/// What is behind each tunnel whose peer gives us an address.
fn behind_givers(config: &Config) -> BTreeMap<Name, Vec<IpNet>> {
    let givers = config.connections.iter().filter(|connection| connection.internal_address.is_asked());
    let behind = givers.map(|connection| {
        let remote = connection.children.iter().flat_map(|child| &child.remote);
        (connection.name.clone(), remote.flat_map(prefixes).collect())
    });
    behind.collect()
}

/// What is protected with the addresses that we were given as our side of it.
fn with_given(
    (configured, behind): &(Policy, BTreeMap<Name, Vec<IpNet>>),
    given: &BTreeMap<Name, Vec<IpAddr>>,
) -> Policy {
    let mut policy = configured.clone();
    for (name, addresses) in given {
        for remote in behind.get(name).into_iter().flatten() {
            policy.give(*remote, addresses);
        }
    }
    policy
}

impl Routing {
    /// Brings the TUN up and leads protected traffic into it. The blackholes must stand already.
    ///
    /// # Errors
    /// If the TUN cannot be set up or the kernel's routes cannot be watched.
    pub async fn start(netlink: Netlink, config: &Config) -> Result<Self, Error> {
        let link = TunnelLink::up(&netlink, &config.daemon.interface, u32::from(SMALLEST_IPV6)).await?;
        let mut routing = Self {
            watch: None,
            watch_again: Instant::now(),
            repair_again: None,
            unprotected: false,
            guard_again: Instant::now(),
            unguarded: None,
            peer_may_be_protected: false,
            policy: Policy::default(),
            configured: Default::default(),
            given: BTreeMap::new(),
            stale: BTreeSet::new(),
            problems: BTreeSet::new(),
            configured_mtu: None,
            hosts: Vec::new(),
            layouts: Vec::new(),
            paths: PathMtus::default(),
            mtu: 0,
            netlink,
            link,
        };
        routing.watch = Some(Watch::start(routing.link.index()).map_err(Error::Open)?);
        routing.configure(config).await?;
        Ok(routing)
    }

    /// The connection to the kernel.
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Prefixes that are no longer configured and stay blocked.
    pub fn stale(&self) -> &BTreeSet<IpNet> {
        &self.stale
    }

    /// The present MTU of the TUN, bytes.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The next change in the kernel. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(watch) = &mut self.watch {
                let watched = tokio::select! {
                    change = watch.next() => change,
                    () = at(self.repair_again) => Ok(Change::Protection),
                };
                match watched {
                    Ok(change) => return change,
                    Err(error) => {
                        tracing::error!(%error, "the kernel's routes are not watched for the moment");
                        self.watch = None;
                        self.watch_again = Instant::now() + WATCH_AGAIN;
                    }
                }
            }
            sleep_until(self.watch_again).await;
            self.watch_again = Instant::now() + WATCH_AGAIN;
            if let Ok(watch) = Watch::start(self.link.index()) {
                self.watch = Some(watch);
                return Change::Network;
            }
        }
    }

    /// Protects what a configuration says. The new MTU, if it changed.
    ///
    /// # Errors
    /// If a prefix cannot be protected; what was protected before is still.
    pub async fn configure(&mut self, config: &Config) -> Result<Option<u16>, Error> {
        let configured = (policy(config), behind_givers(config));
        let policy = with_given(&configured, &self.given);
        let protection = self.netlink.protect(&policy, Some(self.link.index())).await?;
        (self.policy, self.configured) = (policy, configured);
        self.peer_may_be_protected = config::peer_may_be_protected(config);
        self.report(protection);
        self.configured_mtu = config.daemon.mtu;
        let children = config.connections.iter().flat_map(|connection| &connection.children);
        self.layouts = install::layouts(children.flat_map(|child| &child.proposals));
        self.hosts =
            config.connections.iter().flat_map(|connection| literal_hosts(&connection.remote)).collect();
        Ok(self.update_mtu().await)
    }

    /// Puts right what the kernel or others changed; what the kernel refuses is tried again before long. The new MTU,
    /// if it changed.
    pub async fn repair(&mut self) -> Option<u16> {
        self.put_given().await;
        match self.netlink.protect(&self.policy, Some(self.link.index())).await {
            Ok(protection) => self.report(protection),
            Err(error) => {
                if !std::mem::replace(&mut self.unprotected, true) {
                    tracing::error!(%error, "protected traffic may leave in clear");
                }
                self.repair_again = Some(Instant::now() + REPAIR_AGAIN);
            }
        }
        self.refresh_lines().await;
        self.update_mtu().await
    }

    /// Puts the guard up again if somebody took it away with the rest of the packet filter, and takes it away if it is not
    /// wanted.
    pub fn look_after_guard(&mut self, ports: &[u16], wanted: bool) {
        let now = Instant::now();
        if now < self.guard_again {
            return;
        }
        self.guard_again = now + GUARD_AGAIN;
        let ike = Ike { ports, peer_may_be_protected: self.peer_may_be_protected };
        let guarded = guard::look_after(self.link.name(), ike, wanted);
        let lacks = if guarded.is_err() { Some(guard::MISSING) } else { guard::gap().filter(|_| wanted) };
        let before = std::mem::replace(&mut self.unguarded, lacks);
        if let Err(error) = guarded
            && before != lacks
        {
            tracing::warn!(%error, "{}", guard::MISSING);
        }
    }

    /// What of clear text in the name of protected networks is let in though it should not be, and why.
    pub fn unguarded(&self) -> Option<&'static str> {
        self.unguarded
    }

    /// Frees what is blocked and no tunnel of this configuration, which is in force, covers: the networks that are named, or
    /// all. Their traffic leaves in clear then. Gives back what was freed, and the new MTU, if it changed.
    ///
    /// # Errors
    /// If a tunnel covers one of them, if it is not blocked, or if the kernel refuses.
    pub async fn free(
        &mut self,
        config: &Config,
        asked: &[IpNet],
    ) -> Result<(BTreeSet<IpNet>, Option<u16>), String> {
        let blocked = self.netlink.blocked().await.map_err(|error| error.to_string())?;
        let free = config::to_free(&blocked, &protected(config), asked)?;
        let freed = self.netlink.free(&free).await;
        let mtu = self.repair().await;
        freed.map(|()| (free, mtu)).map_err(|error| error.to_string())
    }

    /// These are the addresses that we were given, by tunnel: those that are new get onto the TUN, then routes prefer
    /// them, then those that are gone leave it. The new MTU, if it changed.
    pub async fn set_given(&mut self, given: BTreeMap<Name, Vec<IpAddr>>) -> Option<u16> {
        let before = std::mem::replace(&mut self.given, given);
        self.policy = with_given(&self.configured, &self.given);
        let mtu = self.repair().await;
        let wanted: BTreeSet<IpAddr> = self.given.values().flatten().copied().collect();
        let before: BTreeSet<IpAddr> = before.into_values().flatten().collect();
        for address in before.difference(&wanted) {
            if let Err(error) = self.link.remove_address(*address).await {
                tracing::warn!("{error}");
            }
        }
        mtu
    }

    /// A tunnel's peer is at this address now.
    pub(super) async fn lead(&mut self, tunnel: TunnelId, path: Path, on_path: OnPath) {
        let remote = path.remote_ip();
        let line = line(&self.netlink, remote).await.unwrap_or(ETHERNET);
        self.paths.lead(tunnel, remote, line, on_path);
    }

    /// What is known of the tunnels' paths.
    pub(super) fn paths(&self) -> &PathMtus {
        &self.paths
    }

    /// What is known of the tunnels' paths, to be changed. [`Self::update_mtu`] follows.
    pub(super) fn paths_mut(&mut self) -> &mut PathMtus {
        &mut self.paths
    }

    /// What was configured as the MTU of the TUN.
    pub(super) fn configured_mtu(&self) -> Option<u16> {
        self.configured_mtu
    }

    /// Lines may carry more or less than before.
    async fn refresh_lines(&mut self) {
        let mut lines = BTreeMap::new();
        let tunnels: Vec<_> = self.paths.iter().map(|(tunnel, path)| (tunnel, path.remote)).collect();
        for (tunnel, remote) in tunnels {
            if let Entry::Vacant(unknown) = lines.entry(remote) {
                unknown.insert(line(&self.netlink, remote).await);
            }
            if let Some(Some(line)) = lines.get(&remote) {
                self.paths.set_line(tunnel, *line);
            }
        }
    }

    /// Puts those of the given addresses onto the TUN that it lacks.
    async fn put_given(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let present = self.link.addresses().await.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            BTreeSet::new()
        });
        for address in self.given.values().flatten().filter(|address| !present.contains(address)) {
            if let Err(error) = self.link.add_address(*address).await {
                tracing::error!("{error}: traffic from this machine does not get through the tunnel");
            }
        }
    }

    fn report(&mut self, protection: Protection) {
        let problems: BTreeSet<String> = protection.problems.iter().map(ToString::to_string).collect();
        for problem in problems.difference(&self.problems) {
            tracing::warn!("{problem}: traffic there is dropped");
        }
        self.repair_again = (!problems.is_empty()).then(|| Instant::now() + REPAIR_AGAIN);
        self.problems = problems;
        if std::mem::take(&mut self.unprotected) {
            tracing::warn!("protected traffic is blocked or tunnelled again");
        }
        for prefix in protection.stale.difference(&self.stale) {
            tracing::warn!(
                "no tunnel protects {prefix} any more, and it stays blocked; `sekisho unprotect {prefix}` frees it"
            );
        }
        self.stale = protection.stale;
    }

    /// The widest path to any peer decides, since all tunnels share the TUN and each makes what is too big for its own smaller,
    /// or has it made; and the suite that leaves the least of it, of those that the configuration allows: so the MTU stays
    /// when a tunnel comes up with another suite than before. The new MTU, if it changed.
    pub(super) async fn update_mtu(&mut self) -> Option<u16> {
        let wanted = if let Some(mtu) = self.configured_mtu {
            mtu
        } else {
            let floor = if self.policy.has_ipv6() { SMALLEST_IPV6 } else { SMALLEST_IPV4 };
            match widest(&self.netlink, &self.layouts, &self.paths, &self.hosts).await {
                Some(mtu) => mtu.max(floor),
                // The last peer has gone: the next may well come the same way.
                None if self.mtu != 0 => return None,
                None => inner_mtu(&self.layouts, true, ETHERNET),
            }
        };
        if wanted == self.mtu {
            return None;
        }
        if let Err(error) = self.link.set_mtu(wanted.into()).await {
            tracing::warn!("{error}");
            return None;
        }
        tracing::debug!(mtu = wanted, "the TUN's MTU is set");
        self.mtu = wanted;
        Some(wanted)
    }
}

/// At a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What fits through the widest path to any of the peers; before there are any, to those that are configured. In UDP, although ESP
/// without it leaves 8 bytes more: who comes behind a NAT is not known before, and the MTU should not change with it.
async fn widest(netlink: &Netlink, layouts: &[Layout], paths: &PathMtus, hosts: &[IpAddr]) -> Option<u16> {
    let inner = |remote: IpAddr, mtu| inner_mtu(layouts, remote.is_ipv6(), mtu);
    let known = paths.iter().map(|(_, path)| inner(path.remote, path.mtu)).max();
    let mut widest = known;
    for host in hosts.iter().filter(|_| known.is_none()) {
        let line = line(netlink, *host).await;
        widest = widest.max(line.map(|line| inner(*host, line)));
    }
    widest
}

/// Bytes of IP packet that the line to this address carries.
async fn line(netlink: &Netlink, remote: IpAddr) -> Option<u16> {
    let route = netlink.route(remote, 0).await.ok()?;
    u16::try_from(route.mtu.min(LARGEST)).ok()
}

/// What any of the layouts leaves of a line.
fn inner_mtu(layouts: &[Layout], ipv6: bool, line: u16) -> u16 {
    let least = layouts.iter().map(|layout| data::inner_mtu(*layout, ipv6, line.into())).min();
    least.and_then(|least| u16::try_from(least).ok()).unwrap_or(SMALLEST_IPV6)
}

fn literal_hosts(remote: &Remote) -> Vec<IpAddr> {
    match remote {
        Remote::Any => Vec::new(),
        Remote::Hosts(hosts) => hosts.iter().filter_map(|host| host.parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sekisho_ike::negotiate::TrafficSelector;

    use super::*;

    #[test]
    fn the_mtu_is_what_the_line_leaves_after_ip_udp_and_esp() {
        let gcm = layouts(&["aes256gcm16-x25519", "chacha20poly1305"]);
        assert_eq!(inner_mtu(&gcm, false, 1500), 1438);
        assert_eq!(inner_mtu(&gcm, true, 1500), 1418);
        assert_eq!(inner_mtu(&gcm, false, 1454), 1390, "PPPoE");
    }

    #[test]
    fn of_the_suites_that_are_allowed_the_one_that_leaves_least_decides() {
        for (proposals, ethernet) in [
            (&["aes256gcm8"][..], 1446),
            (&["aes256gcm8-aes128gcm16"], 1438),
            (&["aes256gcm16", "aes128-sha256"], 1422),
            (&["aes256gcm16", "aes256-sha256-sha512"], 1406),
        ] {
            assert_eq!(inner_mtu(&layouts(proposals), false, 1500), ethernet, "{proposals:?}");
        }
        assert_eq!(inner_mtu(&[], false, 1500), SMALLEST_IPV6, "nothing can come up");
    }

    /// Those of a child with these proposals.
    fn layouts(proposals: &[&str]) -> Vec<Layout> {
        let proposals: Vec<_> = proposals.iter().map(|text| text.parse().expect("a proposal")).collect();
        install::layouts(&proposals)
    }

    #[test]
    fn a_range_of_addresses_is_protected_by_its_prefixes() {
        let range: TrafficSelector = "10.0.0.5-10.0.0.9[tcp/443]".parse().expect("a selector");
        let text: Vec<String> = prefixes(&range).iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.0.0.5/32", "10.0.0.6/31", "10.0.0.8/31"]);
    }
}
