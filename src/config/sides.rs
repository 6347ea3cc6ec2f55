//! The protocols of both sides of a child: a packet has one, so both must select it.

use sekisho_ike::negotiate::Protocol;

use super::child::Network;
use super::document::Judge;

/// A network of a protocol that nothing on the other side selects can carry nothing.
pub(super) fn protocols_meet(judge: &mut Judge<'_>, local: &[Network], remote: &[Network]) -> Option<()> {
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
