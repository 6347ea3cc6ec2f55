//! Bringing the kernel's routes to what they should be, without ever opening a window.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::plan::{self, Entry, Kind, Policy};
use super::request::FAMILIES;
use super::{Error, Netlink};

/// What stands after [`Netlink::protect`].
#[derive(Debug, Default)]
pub struct Protection {
    /// Blackholed, but no longer in the configuration: `sekisho unprotect` removes them.
    pub stale: BTreeSet<IpNet>,
    /// Routes into the tunnel that could not be set: traffic to these is dropped.
    pub problems: Vec<Error>,
}

/// What [`Netlink::unprotect`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Prefixes that were protected.
    pub prefixes: BTreeSet<IpNet>,
    /// Rules.
    pub rules: usize,
    /// Routes of all kinds.
    pub routes: usize,
}

impl Netlink {
    /// Protects what `policy` says: blackholes and the rule at once, routes to the TUN once `tunnel` (its index)
    /// is given. Adopts what an earlier run left. Doing it again changes nothing, and repairs what others removed.
    ///
    /// # Errors
    /// If a blackhole or the rule cannot be set: then the prefix is not protected.
    pub async fn protect(&self, policy: &Policy, tunnel: Option<u32>) -> Result<Protection, Error> {
        let present = self.all_routes().await?;
        let addresses = self.addresses().await?;
        let blackholes = present.iter().filter(|(_, entry)| entry.kind == Kind::Blackhole);
        let configured: BTreeSet<IpNet> = policy.remote().collect();
        // One inside a configured network is not stale but in the way: what covers it takes its place.
        let covered = |net: &IpNet| configured.iter().any(|wider| wider.contains(net));
        let stale = blackholes.map(|(_, entry)| entry.prefix).filter(|net| !covered(net)).collect();
        let lans = self.lans(policy, &stale, &addresses).await?;
        let desired = plan::routes(policy, &stale, &addresses, &lans, tunnel);
        let problems = self.add_missing(&desired, &present).await?;
        self.switch_rules(&desired).await?;
        for (table, entry) in &present {
            if *table != self.settings.table || is_superfluous(entry, &desired) {
                self.remove_route(*table, entry).await?;
            }
        }
        Ok(Protection { stale, problems })
    }

    /// Removes rules, routes and blackholes: from now on what was protected takes the ordinary routes, in clear.
    ///
    /// # Errors
    /// If the kernel refuses; what was not removed still blocks.
    pub async fn unprotect(&self) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        for family in FAMILIES {
            match self.our_rules(family).await {
                Err(error) if error.is_missing_family() => {}
                rules => {
                    for rule in rules? {
                        self.remove_rule(rule).await?;
                        removed.rules += 1;
                    }
                }
            }
        }
        for (table, entry) in self.all_routes().await? {
            self.remove_route(table, &entry).await?;
            removed.routes += 1;
            if entry.kind == Kind::Blackhole {
                removed.prefixes.insert(entry.prefix);
            }
        }
        Ok(removed)
    }

    /// What has a blackhole, in any table.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub async fn blocked(&self) -> Result<BTreeSet<IpNet>, Error> {
        let all = self.all_routes().await?.into_iter();
        Ok(all.filter(|(_, entry)| entry.kind == Kind::Blackhole).map(|(_, entry)| entry.prefix).collect())
    }

    /// Removes these blackholes: from now on what they held takes the ordinary routes, in clear. It is for the caller to know
    /// that nothing needs them.
    ///
    /// # Errors
    /// If the kernel refuses; what was not removed still blocks.
    pub async fn free(&self, prefixes: &BTreeSet<IpNet>) -> Result<(), Error> {
        for (table, entry) in self.all_routes().await? {
            if entry.kind == Kind::Blackhole && prefixes.contains(&entry.prefix) {
                self.remove_route(table, &entry).await?;
            }
        }
        Ok(())
    }

    async fn all_routes(&self) -> Result<Vec<(u32, Entry)>, Error> {
        let mut all = Vec::new();
        for family in FAMILIES {
            match self.our_routes(family).await {
                Err(error) if error.is_missing_family() => {}
                routes => all.extend(routes?),
            }
        }
        Ok(all)
    }

    /// The networks that the machine itself is on, as far as that may be trusted (see the module's description).
    pub(super) async fn lans(
        &self,
        policy: &Policy,
        stale: &BTreeSet<IpNet>,
        addresses: &[super::addresses::Address],
    ) -> Result<BTreeSet<IpNet>, Error> {
        let own = plan::own_networks(policy, stale, addresses);
        if own.is_empty() {
            return Ok(BTreeSet::new());
        }
        let uplinks = self.uplinks().await?;
        Ok(own.into_iter().filter(|a| !uplinks.contains(&a.interface)).map(|a| a.network).collect())
    }

    /// In the order of [`Kind`]: blackholes first. Without one of these there is no protection, so its failure
    /// ends it all; the failure of another route only keeps traffic from flowing.
    async fn add_missing(
        &self,
        desired: &BTreeSet<Entry>,
        present: &[(u32, Entry)],
    ) -> Result<Vec<Error>, Error> {
        let mut problems = Vec::new();
        for entry in desired.iter().filter(|entry| !present.contains(&(self.settings.table, **entry))) {
            match self.add_route(entry).await {
                Err(error) if entry.kind == Kind::Blackhole && !error.is_missing_family() => {
                    return Err(error);
                }
                Err(error) => problems.push(error),
                Ok(()) => {}
            }
        }
        Ok(problems)
    }

    /// Adds the present rule before it removes those of another table, mark or priority.
    async fn switch_rules(&self, desired: &BTreeSet<Entry>) -> Result<(), Error> {
        for family in FAMILIES {
            let switched = match self.ensure_rule(family).await {
                Ok(()) => self.remove_other_rules(family).await,
                error => error,
            };
            match switched {
                Err(error) if error.is_missing_family() => {
                    let needed = desired.iter().any(|entry| entry.prefix.addr().is_ipv6());
                    tracing::debug!(%error, needed, "the kernel lacks an address family");
                }
                other => other?,
            }
        }
        Ok(())
    }
}

/// Not wanted, and not put in the place of by a wanted one with the same key (prefix and metric).
fn is_superfluous(entry: &Entry, desired: &BTreeSet<Entry>) -> bool {
    let same_key = |other: &&Entry| {
        other.prefix == entry.prefix && (other.kind == Kind::Blackhole) == (entry.kind == Kind::Blackhole)
    };
    !desired.iter().any(|other| same_key(&other))
}
