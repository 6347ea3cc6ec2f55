//! Whether there is anything behind this machine of what `local_networks` names: an address of its own, or a route; and whether it is
//! itself in what `remote_networks` names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sekisho_ike::negotiate::TrafficSelector;

use super::machine::{Finding, Machine, Severity};
use crate::config::Config;
use crate::daemon::{Warning, judge_cut_off};

/// The networks of ours that nothing here leads to, in a line for each tunnel. Nothing is said where no route can be read.
pub(super) fn absent(machine: &Machine, config: &Config) -> Vec<Finding> {
    let known = [ipv4(&machine.text("proc/net/fib_trie")), ipv6(machine, config)].concat();
    let readable = |ipv4: bool| known.iter().any(|(first, _)| first.is_ipv4() == ipv4);
    let is_here = |network: &TrafficSelector| known.iter().any(|range| meets(network, range));
    let mut findings = Vec::new();
    for connection in &config.connections {
        let local = connection.children.iter().flat_map(|child| &child.local);
        let absent = local.filter(|network| readable(network.is_ipv4()) && !is_here(network));
        let mut absent: Vec<String> = absent.map(ToString::to_string).collect();
        absent.dedup();
        if !absent.is_empty() {
            findings.push(finding(&connection.name.to_string(), &absent.join(", ")));
        }
    }
    findings
}

fn finding(tunnel: &str, networks: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "local_network_absent",
        what: format!(
            "this machine has neither an address in {networks} nor a route there, which are `local_networks` of tunnel `{tunnel}`: nobody behind it can use the tunnel"
        ),
        remedy: "give an interface an address in it (`ip address add`), add a route to it, or correct `local_networks`".to_owned(),
    }
}

/// The networks of this machine's interfaces that a tunnel takes away. Those of no other can be looked at.
pub(super) fn cut_off(config: &Config) -> impl Iterator<Item = Finding> {
    judge_cut_off(config).into_iter().map(|Warning { what, remedy }| Finding {
        severity: Severity::Warning,
        code: "connected_network_tunnelled",
        what,
        remedy: remedy.to_owned(),
    })
}

/// First and last address.
type Range = (IpAddr, IpAddr);

fn meets(network: &TrafficSelector, (first, last): &Range) -> bool {
    network.is_ipv4() == first.is_ipv4() && network.first() <= *last && *first <= network.last()
}

/// Addresses and routes of `/proc/net/fib_trie`: a line with an address, and below it one for each length and kind. Tables of
/// others (`Id 220:`), as those of VPN daemons are, do not count, nor does the loopback network or the default route.
fn ipv4(trie: &str) -> Vec<Range> {
    let (mut ours, mut address, mut found) = (false, None, Vec::new());
    for line in trie.lines() {
        let line = line.trim();
        if let Some(table) = line.strip_suffix(':') {
            ours = table == "Main" || table == "Local";
        } else if let Some(text) = line.strip_prefix("|-- ") {
            address = text.parse::<Ipv4Addr>().ok();
        } else if let (true, Some(first), Some(rest)) = (ours, address, line.strip_prefix('/')) {
            let mut words = rest.split_whitespace();
            let length = words.next().and_then(|length| length.parse::<u32>().ok()).unwrap_or(0);
            let kind = words.next_back().unwrap_or_default();
            if (1..=32).contains(&length) && !first.is_loopback() && ["UNICAST", "LOCAL"].contains(&kind) {
                let host = u32::MAX.checked_shr(length).unwrap_or(0);
                found.push((first.into(), Ipv4Addr::from_bits(first.to_bits() | host).into()));
            }
        }
    }
    found
}

/// The same of `/proc/net/ipv6_route`, which has the local addresses too: destination, length, and at the end the device.
fn ipv6(machine: &Machine, config: &Config) -> Vec<Range> {
    let table = machine.text("proc/net/ipv6_route");
    let routes = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let first = Ipv6Addr::from_bits(u128::from_str_radix(words.next()?, 16).ok()?);
        let length = u32::from_str_radix(words.next()?, 16).ok()?;
        let noise = first.is_loopback() || first.is_multicast() || first.is_unicast_link_local();
        if words.next_back()? == config.daemon.interface || noise || length == 0 {
            return None;
        }
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        Some((first.into(), Ipv6Addr::from_bits(first.to_bits() | host).into()))
    });
    routes.collect()
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::{config, machine};
    use super::*;

    const TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.17.0.0/24 2 0 2
        |-- 10.17.0.0
           /24 link UNICAST
        |-- 10.18.0.0
           /16 universe UNICAST
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.19.0.1
        /32 host LOCAL
     |-- 127.0.0.0
        /8 host LOCAL
Id 220:
     |-- 10.20.0.0
        /16 link UNICAST
";
    const ROUTES: &str = "\
20010db8001700000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0
20010db8001800000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 sekisho0
";

    fn found(networks: &str) -> bool {
        let root = machine(&[("proc/net/fib_trie", TRIE), ("proc/net/ipv6_route", ROUTES)]);
        let remote = if networks.contains(':') { "2001:db8:ff::/48" } else { "10.0.0.0/16" };
        let config = config(&format!("local_networks = [\"{networks}\"]\nremote_networks = [\"{remote}\"]"));
        !absent(&Machine::at(root.path()), &config).is_empty()
    }

    #[test]
    fn a_network_that_nothing_here_leads_to_is_pointed_out() {
        for (networks, expected) in [
            ("10.17.0.0/24", false),
            ("10.17.0.128/25", false),
            ("10.18.4.0/24", false),
            ("10.19.0.0/24", false),
            ("10.19.1.0/24", true),
            ("10.20.0.0/24", true),
            ("2001:db8:17::/64", false),
            ("2001:db8:18::/64", true),
        ] {
            assert_eq!(found(networks), expected, "{networks}");
        }
        let bare = machine(&[]);
        let config = config("local_networks = [\"10.19.1.0/24\"]\nremote_networks = [\"10.0.0.0/16\"]");
        assert!(absent(&Machine::at(bare.path()), &config).is_empty(), "nothing is known");
    }
}
