//! The chains of a guard and their rules, as far as the kernel knows what they need.

use super::expressions::{
    BROADCAST, EQUAL, ESP, ICMP, ICMPV6, IPV4, LOCAL, Rule, UDP, UNEQUAL, accept, came_the_way_back,
    drop_clear, family, for_marked_socket, from, from_no_vrf, further_fragment, icmp, multicast, protocol,
    to, udp_to, whole,
};
use super::message::{Batch, Chain};
use super::{Extent, Ike};

/// What has another destination than this machine; what has not; and parts of either, before the kernel puts them together
/// (`NF_IP_PRI_CONNTRACK_DEFRAG`, -400). The first two come before what others filter.
const FORWARD: Chain = Chain { name: "forward", hook: 2, priority: -10 };
const INPUT: Chain = Chain { name: "input", hook: 1, priority: -10 };
pub(super) const FRAGMENTS: Chain = Chain { name: "fragments", hook: 0, priority: -450 };

/// DHCP's clients, for IPv4 and IPv6.
const DHCP_CLIENTS: [u16; 2] = [68, 546];
/// What tells of an error: its receiver compares what it quotes.
const ICMP_ERRORS: [(u8, u8); 2] = [(3, 3), (11, 12)];
/// The same, and neighbours and routers, whose messages no router can have passed on (RFC 4861 §6.1, §7.1: hop limit 255).
const ICMPV6_ERRORS_AND_NEIGHBOURS: [(u8, u8); 2] = [(1, 4), (133, 137)];

/// All chains and rules.
pub(super) fn add(batch: &mut Batch, table: &str, interface: &str, ike: Ike<'_>, extent: Extent) {
    for (chain, rules) in chains(interface, ike, extent) {
        batch.add_chain(table, &chain);
        rules.iter().for_each(|rule| batch.add_rule(table, &chain, rule));
    }
}

/// How many rules that makes.
pub(super) fn count(interface: &str, ike: Ike<'_>, extent: Extent) -> usize {
    chains(interface, ike, extent).iter().map(|(_, rules)| rules.len()).sum()
}

fn chains(interface: &str, ike: Ike<'_>, extent: Extent) -> Vec<(Chain, Vec<Rule>)> {
    let mut chains = vec![(FORWARD, forwarded(interface))];
    if extent != Extent::ForwardedAlone {
        chains.push((FRAGMENTS, fragments(interface, ike, extent)));
    }
    if extent == Extent::Whole {
        chains.push((INPUT, own(interface, ike.ports)));
    }
    chains
}

/// What did not come from this interface, and whose answer would go there, or nowhere. A VRF has routes of its own, of which
/// older kernels would not think.
fn forwarded(interface: &str) -> Vec<Rule> {
    let elsewhere = [from_no_vrf(EQUAL), from(UNEQUAL, interface)].concat();
    drop_clear(interface).into_iter().map(|rule| [elsewhere.clone(), rule].concat()).collect()
}

/// The same of what is for this machine itself, but for what makes a line one, and what our own and other marked sockets have asked
/// for: those go past the tunnel, and so do the answers.
fn own(interface: &str, ports: &[u16]) -> Vec<Rule> {
    let mut let_in = vec![from(EQUAL, interface), from(EQUAL, "lo"), from_no_vrf(UNEQUAL), protocol(ESP)];
    // What is for many: by its IP destination, as whoever is on the same line may send any packet in a frame for all.
    let_in.extend(multicast());
    let_in.push([family(IPV4), to(BROADCAST)].concat());
    let_in.extend(ports.iter().chain(&DHCP_CLIENTS).map(|port| udp_to(*port)));
    // Of UDP in IPv6, which is put together later: they name no port, IKE's among them, and without the first are worth nothing.
    let [_, further] = further_fragment();
    let_in.push([protocol(UDP), further].concat());
    let_in.extend(ICMP_ERRORS.map(|types| icmp(ICMP, types)));
    let_in.extend(ICMPV6_ERRORS_AND_NEIGHBOURS.map(|types| icmp(ICMPV6, types)));
    let_in.push(for_marked_socket());
    but(let_in, interface)
}

/// The same of fragments, whoever they are for: the kernel would put them together with those that came out of the tunnel. In a VRF
/// its routes decide, where they lead back the same way.
fn fragments(interface: &str, ike: Ike<'_>, extent: Extent) -> Vec<Rule> {
    let mut let_in = whole().to_vec();
    let_in.extend([from(EQUAL, interface), from(EQUAL, "lo")]);
    let_in.extend(multicast());
    let_in.push(came_the_way_back());
    if ike.peer_may_be_protected {
        let_in.extend(outside(ike.ports, extent).into_iter().map(|outside| [to(LOCAL), outside].concat()));
    }
    but(let_in, interface)
}

/// What a peer sends to this machine in fragments: of ESP, and of UDP those that begin an IKE message or ESP, or an answer to a socket
/// that goes past the tunnel, and all further ones.
fn outside(ports: &[u16], extent: Extent) -> Vec<Rule> {
    let mut outside = vec![protocol(ESP)];
    outside.extend(ports.iter().map(|port| udp_to(*port)));
    if extent == Extent::Whole {
        outside.push([protocol(UDP), for_marked_socket()].concat());
    }
    outside.extend(further_fragment().map(|further| [protocol(UDP), further].concat()));
    outside
}

/// All but this is dropped, if it comes in clear.
fn but(let_in: Vec<Rule>, interface: &str) -> Vec<Rule> {
    let let_in = let_in.into_iter().map(|condition| [condition, accept()].concat());
    let_in.chain(drop_clear(interface)).collect()
}
