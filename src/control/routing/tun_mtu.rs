//! The TUN's MTU: what fits through the widest path to any peer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use sekisho_ike::Path;
use sekisho_ike::config::Remote;
use sekisho_ike::event::TunnelId;

use crate::config::Config;
use crate::control::install;
use crate::control::path_mtu::{OnPath, PathMtus};
use crate::data::{self, Layout};
use crate::net::netlink::{Netlink, TunnelLink};

/// What a line is taken to carry before its peer is known.
const ETHERNET: u16 = 1500;
/// No more than this is made of a line, however large its packets.
const LARGEST: u32 = 9000;
/// Below this the kernel takes IPv6 off an interface (RFC 8200 §5).
pub(super) const SMALLEST_IPV6: u16 = 1280;
/// Every IPv4 host takes this (RFC 791).
const SMALLEST_IPV4: u16 = 576;

/// The MTU of the TUN, bytes, and what it depends on.
#[derive(Default)]
pub(super) struct TunMtu {
    /// Zero before it is set.
    present: u16,
    pub(super) configured: Option<u16>,
    /// The peers whose addresses are configured.
    hosts: Vec<IpAddr>,
    /// Of the suites that a tunnel may come up with.
    layouts: Vec<Layout>,
    pub(super) paths: PathMtus,
}

impl TunMtu {
    /// This configuration is in force. [`Self::update`] follows.
    pub(super) fn configure(&mut self, config: &Config) {
        self.configured = config.daemon.mtu;
        let children = config.connections.iter().flat_map(|connection| &connection.children);
        self.layouts = install::layouts(children.flat_map(|child| &child.proposals));
        self.hosts =
            config.connections.iter().flat_map(|connection| literal_hosts(&connection.remote)).collect();
    }

    pub(super) fn present(&self) -> u16 {
        self.present
    }

    /// A tunnel's peer is at this address now.
    pub(super) async fn lead(&mut self, netlink: &Netlink, tunnel: TunnelId, path: Path, on_path: OnPath) {
        let remote = path.remote_ip();
        let line = line(netlink, remote).await.unwrap_or(ETHERNET);
        self.paths.lead(tunnel, remote, line, on_path);
    }

    /// Lines may carry more or less than before. [`Self::update`] follows.
    pub(super) async fn refresh_lines(&mut self, netlink: &Netlink) {
        let mut lines = BTreeMap::new();
        let tunnels: Vec<_> = self.paths.iter().map(|(tunnel, path)| (tunnel, path.remote)).collect();
        for (tunnel, remote) in tunnels {
            if let Entry::Vacant(unknown) = lines.entry(remote) {
                unknown.insert(line(netlink, remote).await);
            }
            if let Some(Some(line)) = lines.get(&remote) {
                self.paths.set_line(tunnel, *line);
            }
        }
    }

    /// Sets it anew; `ipv6`: whether that is protected. The new MTU, if it changed.
    pub(super) async fn update(&mut self, netlink: &Netlink, link: &TunnelLink, ipv6: bool) -> Option<u16> {
        let wanted = self.wanted(netlink, ipv6).await;
        if wanted == self.present {
            return None;
        }
        if let Err(error) = link.set_mtu(wanted.into()).await {
            tracing::warn!("{error}");
            return None;
        }
        tracing::debug!(mtu = wanted, "the TUN's MTU is set");
        self.present = wanted;
        Some(wanted)
    }

    /// The widest path to any peer decides, since all tunnels share the TUN and each makes what is too big for its own smaller,
    /// or has it made; and the suite that leaves the least of it, of those that the configuration allows: so the MTU stays
    /// when a tunnel comes up with another suite than before.
    async fn wanted(&self, netlink: &Netlink, ipv6: bool) -> u16 {
        if let Some(mtu) = self.configured {
            return mtu;
        }
        let floor = if ipv6 { SMALLEST_IPV6 } else { SMALLEST_IPV4 };
        match self.widest(netlink).await {
            Some(mtu) => mtu.max(floor),
            // The last peer has gone: the next may well come the same way.
            None if self.present != 0 => self.present,
            None => inner_mtu(&self.layouts, true, ETHERNET),
        }
    }

    /// What fits through the widest path to any of the peers; before there are any, to those that are configured. In UDP, although ESP
    /// without it leaves 8 bytes more: who comes behind a NAT is not known before, and the MTU should not change with it.
    async fn widest(&self, netlink: &Netlink) -> Option<u16> {
        let inner = |remote: IpAddr, mtu| inner_mtu(&self.layouts, remote.is_ipv6(), mtu);
        let known = self.paths.iter().map(|(_, path)| inner(path.remote, path.mtu)).max();
        let mut widest = known;
        for host in self.hosts.iter().filter(|_| known.is_none()) {
            let line = line(netlink, *host).await;
            widest = widest.max(line.map(|line| inner(*host, line)));
        }
        widest
    }
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
}
