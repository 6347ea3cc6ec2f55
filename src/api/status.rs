//! What `status` and `sas` tell of the daemon as a whole. The field names are stable; times are whole seconds.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Refused, Timestamp, Tunnel};

/// The daemon and every configured tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Since the daemon's start.
    pub uptime_s: u64,
    /// The TUN device.
    pub interface: String,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// How many workers the data path has, each with its own queue and sockets.
    #[serde(default)]
    pub workers: usize,
    /// Settings that changed and take effect at the next start of the daemon.
    #[serde(default)]
    pub restart_needed: Vec<String>,
    /// Settings that changed and that standing Child SAs still go without: each counts from the next SA on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_next_sa: Vec<String>,
    /// The last reload, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<ReloadRefused>,
    /// What is exchanged with it in one read or write.
    #[serde(default)]
    pub offloads: Offloads,
    /// What of clear text in the name of protected networks is let in for want of what the kernel lacks; nothing, as it should be.
    #[serde(default)]
    pub unguarded: Option<String>,
    /// By name, also those that are down.
    pub tunnels: Vec<Tunnel>,
    /// Packets and messages dropped, by reason (stable words).
    pub drops: BTreeMap<String, u64>,
    /// The pools that peers get their addresses from, by name.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Refusals of late that named no tunnel and were kept with none, the newest last. Nobody proved anything.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// Where somebody began an IKE SA, was answered and has not gone on, now or within the hour; 64 at most. Nobody proved anything.
    #[serde(default)]
    pub begun: Vec<IpAddr>,
    /// Networks that no tunnel protects any more and that stay blocked until `sekisho unprotect --stale`.
    #[serde(default)]
    pub stale: Vec<String>,
}

/// A configuration that was refused; that before it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadRefused {
    /// When.
    pub at: Timestamp,
    /// Why, in a line.
    pub reason: String,
}

/// Packets of one flow that are exchanged with the TUN device many at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offloads {
    /// `auto` or `off`, as configured.
    pub configured: String,
    /// Whether TCP segments are.
    pub tcp: bool,
    /// Whether UDP datagrams are.
    pub udp: bool,
    /// Why not more: each step that the kernel refused, and its answer.
    pub refused: Vec<String>,
}

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// As configured.
    pub name: String,
    /// IPv4 addresses that peers hold.
    pub ipv4_used: u64,
    /// IPv4 addresses that there are.
    pub ipv4_size: u64,
    /// IPv6 addresses that peers hold.
    pub ipv6_used: u64,
    /// IPv6 addresses that there are; the largest number that fits, if there are more.
    pub ipv6_size: u64,
    /// How often a peer was told that there is none left, since the daemon's start.
    pub refused: u64,
}

impl From<sekisho_ike::event::PoolStatus> for Pool {
    fn from(pool: sekisho_ike::event::PoolStatus) -> Self {
        let [ipv4_used, ipv6_used] = pool.used.map(|used| u64::try_from(used).unwrap_or(u64::MAX));
        let [ipv4_size, ipv6_size] = pool.size.map(|size| u64::try_from(size).unwrap_or(u64::MAX));
        Self {
            name: pool.pool.to_string(),
            ipv4_used,
            ipv4_size,
            ipv6_used,
            ipv6_size,
            refused: pool.refused,
        }
    }
}

/// The SAs that stand: the tunnels of [`Status`] that have any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sas {
    /// By name.
    pub tunnels: Vec<Tunnel>,
}

impl From<Status> for Sas {
    fn from(status: Status) -> Self {
        let stands = |tunnel: &Tunnel| tunnel.ike.is_some() || !tunnel.children.is_empty();
        Self { tunnels: status.tunnels.into_iter().filter(stands).collect() }
    }
}
