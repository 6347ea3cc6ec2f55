//! Routes and the TUN's MTU, kept in step with the configuration, the peers and the machine.

mod configured;
mod guarded;
mod tun_mtu;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use sekisho_ike::Path;
use sekisho_ike::config::Name;
use sekisho_ike::event::TunnelId;
use tokio::time::{Instant, sleep_until};

use configured::Configured;
use guarded::Guarded;
use tun_mtu::{SMALLEST_IPV6, TunMtu};

use super::path_mtu::{OnPath, PathMtus};
use crate::config::{self, Config, protected};
use crate::net::netlink::{Change, Error, Netlink, Policy, Protection, TunnelLink, Watch};

pub use configured::policy;

/// Between two tries to watch the kernel's routes.
const WATCH_AGAIN: Duration = Duration::from_secs(1);
/// Between two tries to put routes right that the kernel refused.
const REPAIR_AGAIN: Duration = Duration::from_secs(5);

/// Our part of the kernel's routing.
pub struct Routing {
    netlink: Netlink,
    link: TunnelLink,
    watch: Option<Watch>,
    watch_again: Instant,
    /// When what failed is tried again, though nothing is heard of the kernel.
    repair_again: Option<Instant>,
    unprotected: bool,
    policy: Policy,
    configured: Configured,
    /// The addresses that we were given.
    given: BTreeMap<Name, Vec<IpAddr>>,
    stale: BTreeSet<IpNet>,
    problems: BTreeSet<String>,
    guarded: Guarded,
    tun_mtu: TunMtu,
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
            policy: Policy::default(),
            configured: Configured::default(),
            given: BTreeMap::new(),
            stale: BTreeSet::new(),
            problems: BTreeSet::new(),
            guarded: Guarded::new(),
            tun_mtu: TunMtu::default(),
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
        self.tun_mtu.present()
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
        let configured = Configured::by(config);
        let policy = configured.with_given(&self.given);
        let protection = self.netlink.protect(&policy, Some(self.link.index())).await?;
        (self.policy, self.configured) = (policy, configured);
        self.guarded.configure(config);
        self.report(protection);
        self.tun_mtu.configure(config);
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
        self.tun_mtu.refresh_lines(&self.netlink).await;
        self.update_mtu().await
    }

    /// Puts the guard up again if somebody took it away with the rest of the packet filter, and takes it away if it is not
    /// wanted.
    pub fn look_after_guard(&mut self, ports: &[u16], wanted: bool) {
        self.guarded.look_after(self.link.name(), ports, wanted);
    }

    /// What of clear text in the name of protected networks is let in though it should not be, and why.
    pub fn unguarded(&self) -> Option<&'static str> {
        self.guarded.lacks()
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
        self.policy = self.configured.with_given(&self.given);
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
        self.tun_mtu.lead(&self.netlink, tunnel, path, on_path).await;
    }

    /// What is known of the tunnels' paths.
    pub(super) fn paths(&self) -> &PathMtus {
        &self.tun_mtu.paths
    }

    /// What is known of the tunnels' paths, to be changed. [`Self::update_mtu`] follows.
    pub(super) fn paths_mut(&mut self) -> &mut PathMtus {
        &mut self.tun_mtu.paths
    }

    /// What was configured as the MTU of the TUN.
    pub(super) fn configured_mtu(&self) -> Option<u16> {
        self.tun_mtu.configured
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

    /// Sets the TUN's MTU anew, if the paths leave another one now. The new MTU, if it changed.
    pub(super) async fn update_mtu(&mut self) -> Option<u16> {
        self.tun_mtu.update(&self.netlink, &self.link, self.policy.has_ipv6()).await
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
}

/// At a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
