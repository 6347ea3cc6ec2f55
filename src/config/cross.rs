//! What must hold between tunnels, and between the tunnels and the daemon.

use std::collections::BTreeMap;

use sekisho_ike::config::{Encapsulation, Remote};

use super::Daemon;
use super::child::{Network, Side};
use super::document::Judge;
use super::limits;
use super::pool::{self, Pools};
use super::tunnel::Tunnel;

/// Every check over more than one section.
pub(super) fn check(judge: &mut Judge<'_>, daemon: &Daemon, tunnels: &[Tunnel], pools: &Pools) {
    identities_differ(judge, tunnels);
    keys_differ(judge, tunnels);
    remote_networks_differ(judge, tunnels);
    nothing_turns_round(judge, tunnels);
    pools_are_apart(judge, tunnels, pools);
    let named: Vec<_> = tunnels.iter().flat_map(|tunnel| &tunnel.connection.pools).collect();
    pool::are_used(judge, pools, &named);
    mtu_carries_ipv6(judge, daemon, tunnels);
    callers_are_asked_for_udp(judge, tunnels);
}

/// A responder chooses the tunnel by the identities alone: the peer's address may be any.
fn identities_differ(judge: &mut Judge<'_>, tunnels: &[Tunnel]) {
    let mut seen = BTreeMap::new();
    for tunnel in tunnels {
        let (name, local, remote) =
            (&tunnel.connection.name, &tunnel.connection.local_id, &tunnel.connection.remote_id);
        if let Some(first) = seen.insert((local, remote), name) {
            let message = format!(
                "tunnels `{first}` and `{name}` both have local_id `{local}` and remote_id `{remote}`"
            );
            let help = "a tunnel is recognised by its two identities: change one of them, or make one tunnel with several [[tunnel.NAME.child]]";
            judge.error(&tunnel.remote_id, message, help);
        }
    }
}

/// Whoever takes one box must not be able to speak for another.
fn keys_differ(judge: &mut Judge<'_>, tunnels: &[Tunnel]) {
    let mut seen = BTreeMap::new();
    for tunnel in tunnels {
        let Some(psk) = tunnel.psk() else { continue };
        let digest = ring::digest::digest(&ring::digest::SHA256, psk.expose());
        let (name, peer) = (&tunnel.connection.name, &tunnel.connection.remote_id);
        // The same peer under two names of ours has the key in any case.
        if let Some((first, other)) = seen.insert(digest.as_ref().to_vec(), (name, peer))
            && peer != other
        {
            let message = format!("tunnels `{first}` and `{name}` have the same key");
            let help = "whoever takes the key out of one peer's box can pass for the other peer: make a key for each with `sekisho keygen psk`";
            judge.warn(&tunnel.psk_file, message, help);
        }
    }
}

/// Pairs of overlapping networks that are told of; each has its line, so more would not help.
const PAIRS: usize = 20;

/// A packet must have one tunnel that it belongs to.
fn remote_networks_differ(judge: &mut Judge<'_>, tunnels: &[Tunnel]) {
    let mut remote: Vec<(usize, &Network)> = Vec::new();
    for (index, tunnel) in tunnels.iter().enumerate() {
        remote.extend(tunnel.networks.iter().filter(|n| n.side == Side::Remote).map(|n| (index, n)));
    }
    remote.sort_by_key(|(index, n)| (n.selector.first(), n.selector.last(), *index));
    let mut told = 0;
    for (at, (index_a, a)) in remote.iter().enumerate() {
        let later = remote.iter().skip(at + 1).take_while(|(_, b)| b.selector.first() <= a.selector.last());
        for (index_b, b) in later.filter(|(_, b)| a.selector.shares_addresses(&b.selector)) {
            let same_child = index_a == index_b && a.child == b.child;
            if same_child || !meet(tunnels, (*index_a, a), (*index_b, b)) {
                continue;
            }
            tell(judge, tunnels, (*index_a, a), (*index_b, b));
            told += 1;
            if told >= PAIRS {
                return;
            }
        }
    }
}

/// Whether the protocols and ports meet, and the local networks too: else no packet belongs to both.
fn meet(tunnels: &[Tunnel], a: (usize, &Network), b: (usize, &Network)) -> bool {
    let local = |(index, network): (usize, &Network)| {
        let networks = tunnels.get(index).map_or(&[][..], |t| t.networks.as_slice());
        let child = network.child.clone();
        networks.iter().filter(move |n| n.side == Side::Local && n.child == child)
    };
    a.1.selector.intersection(&b.1.selector).is_some()
        && local(a).any(|x| local(b).any(|y| x.selector.intersection(&y.selector).is_some()))
}

/// An error where the two are the same, a warning where one is more specific and so decides.
fn tell(judge: &mut Judge<'_>, tunnels: &[Tunnel], a: (usize, &Network), b: (usize, &Network)) {
    // The later one in the file is to blame.
    let (first, second) = if a.1.span.start <= b.1.span.start { (a, b) } else { (b, a) };
    let of = |(index, network): (usize, &Network)| {
        let tunnel = tunnels.get(index).map(|t| t.connection.name.to_string()).unwrap_or_default();
        if tunnel == network.child.as_str() {
            format!("tunnel `{tunnel}`")
        } else {
            format!("child `{}` of tunnel `{tunnel}`", network.child)
        }
    };
    let line = judge.line(&first.1.span);
    let (x, y) = (&first.1.selector, &second.1.selector);
    if x == y {
        let message = format!("`{y}` is behind {} and behind {}", of(first), of(second));
        let help =
            format!("the other one stands in line {line}; a network can be reached through one of them only");
        judge.error(&second.1.span, message, help);
    } else {
        let message = format!("`{y}` of {} overlaps `{x}` of {}", of(second), of(first));
        let help = format!(
            "the other one stands in line {line}; a packet takes the tunnel with the most specific network, and is dropped while that one is down"
        );
        judge.warn(&second.1.span, message, help);
    }
}

/// What a pool gives out must not lie behind a tunnel that gives out nothing of it.
fn pools_are_apart(judge: &mut Judge<'_>, tunnels: &[Tunnel], pools: &Pools) {
    let ranges = pools.iter().flat_map(|(name, read)| {
        read.pool.ranges.iter().zip(&read.spans).map(move |(range, span)| (name, range, span))
    });
    let behind = ranges.flat_map(|(name, range, span)| {
        let others = tunnels.iter().filter(move |tunnel| !tunnel.connection.pools.contains(name));
        let networks = others.flat_map(|tunnel| tunnel.on(Side::Remote).map(move |net| (tunnel, net)));
        let overlapping = networks.filter(|(_, net)| net.selector.shares_addresses(range.selector()));
        overlapping.map(move |(tunnel, network)| (name, range, span, tunnel, network))
    });
    for (name, range, span, tunnel, network) in behind.take(PAIRS) {
        let (line, tunnel) = (judge.line(&network.span), &tunnel.connection.name);
        let (x, y) = (&network.selector, range);
        if x == range.selector() {
            let message = format!("`{y}` is in pool `{name}` and behind tunnel `{tunnel}`");
            let help =
                format!("the other one stands in line {line}; an address is reached through one tunnel only");
            judge.error(span, message, help);
        } else {
            let message = format!("`{y}` of pool `{name}` overlaps `{x}` of tunnel `{tunnel}`");
            let help = format!(
                "the other one stands in line {line}; a packet takes the tunnel with the most specific network, and is dropped while that one is down"
            );
            judge.warn(span, message, help);
        }
    }
}

/// What one peer may reach must not lie behind another, or the two talk through us: allowed, but seldom meant.
fn nothing_turns_round(judge: &mut Judge<'_>, tunnels: &[Tunnel]) {
    let local = tunnels.iter().flat_map(|from| from.on(Side::Local).map(move |network| (from, network)));
    let round = local.filter_map(|(from, network)| {
        tunnels.iter().find(|to| turns_round(from, network, to)).map(|to| (from, network, to))
    });
    for (from, network, to) in round.take(PAIRS) {
        let message = format!(
            "the peer of tunnel `{}` reaches the peer of tunnel `{}` through us: `{}` lies on both sides",
            from.connection.name, to.connection.name, network.selector
        );
        let help = "name only the networks on our own side, unless the two are meant to talk to each other";
        judge.warn(&network.span, message, help);
    }
}

/// Whether a packet that `from` may send to `network` goes on to the peer of `to`, which takes its source too.
fn turns_round(from: &Tunnel, network: &Network, to: &Tunnel) -> bool {
    let meet = |a: &Network, b: &Network| a.selector.intersection(&b.selector).is_some();
    from.connection.name != to.connection.name
        && to.on(Side::Remote).any(|behind| meet(behind, network))
        && from.on(Side::Remote).any(|source| to.on(Side::Local).any(|taken| meet(taken, source)))
}

fn mtu_carries_ipv6(judge: &mut Judge<'_>, daemon: &Daemon, tunnels: &[Tunnel]) {
    let Some(mtu) = daemon.mtu.filter(|mtu| *mtu < limits::MTU_MIN_IPV6) else { return };
    let ipv6 = tunnels.iter().flat_map(|t| &t.networks).find(|n| !n.selector.is_ipv4());
    if let Some(network) = ipv6 {
        let message = format!("`{}` is IPv6, but `mtu` in [daemon] is {mtu}", network.selector);
        let help = format!("IPv6 needs an MTU of at least {}", limits::MTU_MIN_IPV6);
        judge.error(&network.span, message, help);
    }
}

/// Whether ESP is in UDP is settled before a caller says who it is: one from no address that we know is asked for it if any tunnel
/// wants it, as that one's peer may have another address than usual.
fn callers_are_asked_for_udp(judge: &mut Judge<'_>, tunnels: &[Tunnel]) {
    let wants = |tunnel: &&Tunnel| tunnel.connection.encapsulation == Encapsulation::Forced;
    let Some(first) = tunnels.iter().find(wants).map(|tunnel| &tunnel.connection.name) else { return };
    let anywhere = tunnels.iter().filter(|tunnel| tunnel.connection.remote == Remote::Any);
    let auto = anywhere.filter_map(|tunnel| Some((tunnel, tunnel.auto.as_ref()?)));
    for (tunnel, span) in auto.take(PAIRS) {
        let message = format!(
            "`encapsulation = \"auto\"` has no effect in [tunnel.{}]: its peer may be anywhere, and tunnel `{first}` has \"always\"",
            tunnel.connection.name
        );
        let help = "which tunnel a caller means shows only after this is settled, and ESP is in UDP if any wants it so: write `encapsulation = \"auto\"` in every tunnel, or the peer's address as `remote` in this one";
        judge.warn(span, message, help);
    }
}
