//! Which networks a configuration protects, and which of those that are blocked it has no more use for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use sekisho_ike::config::{Child, Connection, Name, Remote};
use sekisho_ike::negotiate::TrafficSelector;

use super::Config;

/// What the peer's side of a child may be: where it gets an address, any of its pools.
pub fn remote_side(config: &Config, connection: &Connection, child: &Child) -> Vec<TrafficSelector> {
    if connection.pools.is_empty() {
        return child.remote.clone();
    }
    let pools = config.pools.iter().filter(|pool| connection.pools.contains(&pool.name));
    pools.flat_map(|pool| &pool.ranges).map(|range| range.selector().clone()).collect()
}

/// The prefixes of a selector.
pub fn prefixes(selector: &TrafficSelector) -> Vec<IpNet> {
    let net = |(address, length)| IpNet::new(address, length).ok().map(|net| net.trunc());
    selector.prefixes().into_iter().filter_map(net).collect()
}

/// Each network that is protected, with the tunnel for it.
pub fn protected(config: &Config) -> Vec<(IpNet, Name)> {
    let mut all = Vec::new();
    for connection in &config.connections {
        for child in &connection.children {
            let remote = remote_side(config, connection, child);
            all.extend(remote.iter().flat_map(prefixes).map(|net| (net, connection.name.clone())));
        }
    }
    all
}

/// Whether a peer's own address may be in a network that is protected, whichever tunnel's: one that is said is or is not, and one that
/// is found by its name or may come from anywhere may be.
pub fn peer_may_be_protected(config: &Config) -> bool {
    let nets: BTreeSet<IpNet> = protected(config).into_iter().map(|(net, _)| net).collect();
    let within = |host: IpAddr| {
        let host = IpNet::from(host);
        std::iter::successors(Some(host), IpNet::supernet).any(|net| nets.contains(&net))
    };
    config.connections.iter().any(|connection| match &connection.remote {
        Remote::Any => true,
        Remote::Hosts(hosts) => hosts.iter().any(|host| host.parse().map_or(true, within)),
    })
}

/// Of the networks that are blocked though no tunnel covers them, those that lie whole in the local networks of these. That they
/// are local proves nothing: a hub's local networks may have been those behind another tunnel, which is gone. They stay blocked
/// until an operator says so, and a tunnel for traffic to anywhere says nothing of where they are.
pub fn local_to<'a>(children: &[Child], stale: &'a BTreeSet<IpNet>) -> impl Iterator<Item = IpNet> + use<'a> {
    let local: BTreeSet<IpNet> = children.iter().flat_map(|child| &child.local).flat_map(prefixes).collect();
    let within = move |net: &IpNet| local.iter().any(|wider| wider.prefix_len() > 0 && wider.contains(net));
    stale.iter().copied().filter(within)
}

/// Of the networks that are blocked, those that no tunnel covers and that are asked for; all of these if none is named.
///
/// # Errors
/// If one that is asked for is a tunnel's, is not blocked, or is only part of one that is. Nothing is to be freed then.
pub fn to_free(
    blocked: &BTreeSet<IpNet>,
    protected: &[(IpNet, Name)],
    asked: &[IpNet],
) -> Result<BTreeSet<IpNet>, String> {
    let covered = |net: &IpNet| protected.iter().any(|(wider, _)| wider.contains(net));
    let stale: BTreeSet<IpNet> = blocked.iter().filter(|net| !covered(net)).copied().collect();
    if asked.is_empty() {
        return Ok(stale);
    }
    let mut free = BTreeSet::new();
    for net in asked.iter().map(IpNet::trunc) {
        if let Some((of, tunnel)) = protected.iter().find(|(of, _)| of.contains(&net) || net.contains(of)) {
            let what = if *of == net { String::new() } else { format!(" ({of})") };
            return Err(format!(
                "{net} is a network of tunnel `{tunnel}`{what} and stays blocked or tunnelled: take it out of the configuration and `sekisho reload` first"
            ));
        }
        let inside: Vec<_> = stale.iter().filter(|blocked| net.contains(*blocked)).copied().collect();
        if inside.is_empty() {
            return Err(match stale.iter().find(|wider| wider.contains(&net)) {
                Some(wider) => {
                    format!("{net} is blocked as a part of {wider}: only that can be freed, as a whole")
                }
                None => format!("{net} is not blocked"),
            });
        }
        free.extend(inside);
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_blocked_of_a_tunnels_own_side_is_told_apart_but_not_by_a_side_that_is_everything() {
        let stale: BTreeSet<IpNet> =
            nets(&["10.0.0.0/16", "10.17.3.0/24", "10.17.0.0/16", "2001:db8:9::/48"]).into_iter().collect();
        let told = |local: &[&str]| {
            let local = local.iter().map(|text| text.parse().unwrap()).collect();
            let child = Child::new("a".into(), local, vec!["10.5.0.0/16".parse().unwrap()]);
            local_to(&[child], &stale).collect::<Vec<_>>()
        };
        assert_eq!(told(&["10.17.0.0/24", "10.0.0.0/16"]), nets(&["10.0.0.0/16"]), "the other in part only");
        assert_eq!(told(&["10.16.0.0-10.17.255.255"]), nets(&["10.17.0.0/16", "10.17.3.0/24"]));
        assert_eq!(told(&["0.0.0.0/0", "::/0"]), nets(&[]), "it may be anywhere");
    }

    #[test]
    fn a_peer_may_be_in_a_network_that_is_protected_unless_its_addresses_are_said_and_are_not() {
        let may_be = |remote: &str, networks: &str| {
            let text = format!(
                "[tunnel.t]\nlocal_id = \"a.example\"\nremote_id = \"b.example\"\npsk_file = \"t.psk\"\nlocal_networks = [\"10.17.0.0/24\", \"2001:db8:17::/64\"]\nremote = {remote}\nremote_networks = {networks}\n"
            );
            peer_may_be_protected(&super::super::tests::judged(&text).unwrap())
        };
        let networks = r#"["10.0.0.0/16", "10.9.9.0-10.9.9.255", "2001:db8::/64"]"#;
        for (remote, expected) in [
            (r#""203.0.113.1""#, false),
            (r#"["203.0.113.1", "2001:db8:bb::2"]"#, false),
            (r#"["203.0.113.1", "10.0.255.255"]"#, true),
            (r#""10.9.9.7""#, true),
            (r#""2001:db8::1""#, true),
            (r#""hub.example""#, true),
            (r#""any""#, true),
        ] {
            assert_eq!(may_be(remote, networks), expected, "{remote}");
        }
        let all_of_ipv4 = r#"["0.0.0.0/0", "2001:db8::/64"]"#;
        assert!(may_be(r#""203.0.113.1""#, all_of_ipv4));
        assert!(!may_be(r#""2001:db8:bb::2""#, all_of_ipv4), "of the other family");
    }

    fn free(asked: &[&str]) -> Result<Vec<IpNet>, String> {
        let blocked = ["10.0.0.0/16", "10.98.0.0/16", "10.99.0.0/16", "2001:db8:9::/48"];
        let protected = [("10.0.0.0/16".parse().unwrap(), Name::from("centre"))];
        let free = to_free(&nets(&blocked).into_iter().collect(), &protected, &nets(asked))?;
        Ok(free.into_iter().collect())
    }

    #[test]
    fn what_no_tunnel_covers_is_freed_as_a_whole_or_by_name() {
        assert_eq!(free(&[]), Ok(nets(&["10.98.0.0/16", "10.99.0.0/16", "2001:db8:9::/48"])));
        assert_eq!(free(&["10.99.0.0/16"]), Ok(nets(&["10.99.0.0/16"])));
        assert_eq!(free(&["10.99.7.7/16", "2001:db8::/32"]), Ok(nets(&["10.99.0.0/16", "2001:db8:9::/48"])));
        assert_eq!(free(&["10.98.0.0/15"]), Ok(nets(&["10.98.0.0/16", "10.99.0.0/16"])));
    }

    #[test]
    fn what_a_tunnel_covers_stays_and_the_tunnel_is_named() {
        for (asked, why) in [
            ("10.0.0.0/16", "10.0.0.0/16 is a network of tunnel `centre` and stays"),
            ("10.0.5.0/24", "10.0.5.0/24 is a network of tunnel `centre` (10.0.0.0/16)"),
            ("10.0.0.0/8", "10.0.0.0/8 is a network of tunnel `centre` (10.0.0.0/16)"),
            ("0.0.0.0/0", "tunnel `centre`"),
            ("10.99.1.0/24", "blocked as a part of 10.99.0.0/16"),
            ("172.16.0.0/12", "172.16.0.0/12 is not blocked"),
        ] {
            let refused = free(&["10.99.0.0/16", asked]).unwrap_err();
            assert!(refused.contains(why), "{asked}: {refused}");
        }
    }
}
