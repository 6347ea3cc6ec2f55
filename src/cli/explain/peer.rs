//! `sekisho explain --peer ADDRESS`: what became of whoever asked from there, whatever tunnel was meant.

use std::net::IpAddr;

use serde::Serialize;

use super::refusal::{failure, refused};
use super::wrapped;
use crate::api::{NearMiss, Refused, Status, Timestamp, Tunnel};

/// The answer as JSON; the field names are stable.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Asked {
    /// Where.
    address: IpAddr,
    /// Tunnels that stand with a peer there, or are configured for one there.
    tunnels: Vec<String>,
    /// All of it in words.
    pub(super) text: String,
    /// Refusals that named no tunnel.
    refused: Vec<Refused>,
    /// Refusals that are kept with a tunnel that they were perhaps meant for.
    near_misses: Vec<NearMiss>,
    /// Whether somebody there began an IKE SA lately and has not gone on.
    begun: bool,
    /// Tunnels in whose name whoever is there was refused: the last failure of each.
    refused_tunnels: Vec<String>,
}

pub(super) fn explain(address: IpAddr, status: &Status, now: Timestamp) -> Asked {
    let from = |remote: &IpAddr| *remote == address;
    let unnamed: Vec<&Refused> = status.refused.iter().filter(|refused| from(&refused.remote)).collect();
    let near =
        status.tunnels.iter().flat_map(|tunnel| tunnel.near_misses.iter().map(move |miss| (tunnel, miss)));
    let near: Vec<(&Tunnel, &NearMiss)> = near.filter(|(_, miss)| from(&miss.remote)).collect();
    let tunnels: Vec<&Tunnel> = status.tunnels.iter().filter(|tunnel| is_at(tunnel, address)).collect();
    let mut parts: Vec<String> = tunnels.iter().map(|tunnel| wrapped(&known(tunnel, address))).collect();
    parts.extend(unnamed.iter().map(|miss| refused(miss, now)));
    for (tunnel, NearMiss { remote, times, failed, .. }) in &near {
        let told = Refused { remote: *remote, times: *times, failed: failed.clone() };
        parts.push(refused(&told, now));
        parts.push(wrapped(&format!(
            "That was perhaps meant for tunnel {}: `sekisho explain {0}`.",
            tunnel.name
        )));
    }
    let refused_here = status.tunnels.iter().filter(|tunnel| tunnel.failure_from == Some(address));
    for tunnel in refused_here.clone() {
        parts.extend(tunnel.last_failure.iter().map(|failed| failure(tunnel, failed, now)));
        parts.push(wrapped(&format!(
            "That was in the name of tunnel {}: `sekisho explain {0}`.",
            tunnel.name
        )));
    }
    let begun = status.begun.contains(&address);
    if begun {
        parts.push(wrapped(&format!(
            "Somebody at {address} began an IKE SA lately, was answered, and has not gone on (yet). If it stays so for half a minute, look at the way between the ends, both directions of it, and at UDP port 4500 above all: `tcpdump host {address}` shows what gets here."
        )));
    }
    if parts.is_empty() {
        parts.push(wrapped(&format!(
            "No tunnel is with {address}, and nobody there was refused lately. If the peer asks all the same, and `sekisho status` counts no more under Dropped when it does, its packets do not get here: look at the way to this machine (UDP ports 500 and 4500) with `tcpdump host {address}`, and at the firewalls on it."
        )));
    }
    Asked {
        address,
        tunnels: tunnels.iter().map(|tunnel| tunnel.name.clone()).collect(),
        text: parts.join("\n\n"),
        refused: unnamed.into_iter().cloned().collect(),
        near_misses: near.into_iter().map(|(_, miss)| miss.clone()).collect(),
        begun,
        refused_tunnels: refused_here.map(|tunnel| tunnel.name.clone()).collect(),
    }
}

fn stands_at(tunnel: &Tunnel, address: IpAddr) -> bool {
    let remotes = tunnel.remote.iter().chain(tunnel.peers.iter().map(|peer| &peer.remote));
    remotes.into_iter().any(|remote| remote.ip() == address)
}

fn is_at(tunnel: &Tunnel, address: IpAddr) -> bool {
    stands_at(tunnel, address) || tunnel.remote_hosts.iter().any(|host| host.parse() == Ok(address))
}

fn known(tunnel: &Tunnel, address: IpAddr) -> String {
    let name = &tunnel.name;
    if stands_at(tunnel, address) {
        return format!("Tunnel {name} stands with a peer at {address}: `sekisho explain {name}`.");
    }
    format!(
        "Tunnel {name} is configured for {address} and does not stand: `sekisho explain {name}` says why."
    )
}
