//! Whether the two sides of a child fit each other: one family, one protocol, and no address on both.

use sekisho_ike::negotiate::{Protocol, TrafficSelector};

use super::child::Network;
use super::document::Judge;
use super::pool::Given;

/// The first check that fails ends it: what follows would be said of the same networks.
pub(super) fn fit(judge: &mut Judge<'_>, local: &[Network], remote: &[Network], given: &Given) -> Option<()> {
    families_meet(judge, local, remote, given)?;
    sides_differ(judge, local, remote)?;
    protocols_meet(judge, local, remote)
}

/// A network of a family that the other side lacks can carry nothing.
fn families_meet(judge: &mut Judge<'_>, local: &[Network], remote: &[Network], given: &Given) -> Option<()> {
    let mut good = Some(());
    let there = (remote, given.remote(), ["remote_networks", "pool"]);
    let here = (local, given.local(), ["local_networks", "internal_address"]);
    for (these, (those, addresses, [networks, addressed])) in [(local, there), (remote, here)] {
        for network in these {
            let ipv4 = network.selector.is_ipv4();
            let has_network = those.iter().any(|n| n.selector.is_ipv4() == ipv4);
            if !has_network && !addresses.is_some_and(|families| families.asks(ipv4)) {
                let family = if ipv4 { "IPv4" } else { "IPv6" };
                let other = if addresses.is_some() {
                    format!("`{addressed}` has no {family} address")
                } else {
                    format!("`{networks}` has no {family} network")
                };
                let message = format!("`{}` is {family}, but {other}", network.selector);
                judge.error(
                    &network.span,
                    message,
                    "each address family needs networks on both sides, or on none",
                );
                good = None;
            }
        }
    }
    good
}

/// An address is on one side.
fn sides_differ(judge: &mut Judge<'_>, local: &[Network], remote: &[Network]) -> Option<()> {
    let mut good = Some(());
    for there in remote {
        for here in local {
            let (a, b) = (&here.selector, &there.selector);
            if a.first() == b.first() && a.last() == b.last() {
                let message = format!("`{b}` is both local and remote");
                judge.error(&there.span, message, "a network is on one side of the tunnel");
                good = None;
            } else if a.shares_addresses(b) && !within(a, b) && !within(b, a) {
                let message = format!("remote `{b}` and local `{a}` overlap");
                let help = "an address is on one side of the tunnel: let the two end where the other begins, or one hold the other";
                judge.warn(&there.span, message, help);
            }
        }
    }
    good
}

/// A network of a protocol that nothing on the other side selects can carry nothing.
fn protocols_meet(judge: &mut Judge<'_>, local: &[Network], remote: &[Network]) -> Option<()> {
    let mut good = Some(());
    for (these, those, key) in [(local, remote, "remote_networks"), (remote, local, "local_networks")] {
        for network in these {
            let protocol = network.selector.protocol();
            let ipv4 = network.selector.is_ipv4();
            let mut there = those.iter().map(|n| &n.selector).filter(|n| n.is_ipv4() == ipv4).peekable();
            let meets = |other: Protocol| [other, protocol].contains(&Protocol::ANY) || other == protocol;
            if there.peek().is_some() && !there.any(|other| meets(other.protocol())) {
                let message = format!("`{}` has none of its protocol in `{key}`", network.selector);
                let help =
                    "a packet has one protocol: write the same one on both sides, or none on one of them";
                judge.error(&network.span, message, help);
                good = None;
            }
        }
    }
    good
}

/// Whether all addresses of `a` are among those of `b`: then the smaller one decides, and nothing is in doubt.
fn within(a: &TrafficSelector, b: &TrafficSelector) -> bool {
    b.contains_address(a.first()) && b.contains_address(a.last())
}
