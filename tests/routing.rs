//! Fail-closed routing against the real kernel, each test in a network namespace of its own (root needed).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod namespace;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ipnet::IpNet;
use namespace::{ELSEWHERE, Line, MARK, PROTECTED, assert_closed, in_namespace, routes, run, settle};
use sekisho::net::netlink::{Change, CutOff, Netlink, Policy, Settings, TunnelLink, Watch};
use sekisho::net::offload::Asked;
use sekisho::net::tun::Tun;
use sekisho::net::udp;

const SETTINGS: Settings = Settings { table: 7296, priority: 7296, mark: MARK };

#[test]
fn only_unprotect_opens_what_was_closed() {
    in_namespace(|| async {
        let line = Line::new();
        for address in PROTECTED {
            assert!(line.carries(address), "the capture sees what is sent unprotected");
        }
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&facility(), None).await.unwrap();
        assert_closed(&line);

        let removed = netlink.unprotect().await.unwrap();
        assert_eq!(removed.prefixes, ["10.0.0.0/16", "2001:db8:5::/48"].map(net).into());
        assert_eq!((removed.rules, removed.routes), (2, 2));
        for address in PROTECTED {
            assert!(line.carries(address), "open again");
        }
    });
}

#[test]
fn a_restart_adopts_what_stands_and_keeps_what_left_the_configuration_closed() {
    in_namespace(|| async {
        let line = Line::new();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&facility(), None).await.unwrap();

        let mut other = Policy::default();
        other.protect(net("10.99.0.0/16"), [net("10.17.0.0/24")]);
        let elsewhere = Settings { table: 100, priority: 90, mark: 7 };
        let restarted = Netlink::connect(elsewhere).unwrap();
        let protection = restarted.protect(&other, None).await.unwrap();
        assert_eq!(protection.stale, ["10.0.0.0/16", "2001:db8:5::/48"].map(net).into());
        assert_closed(&line);
        assert!(!line.carries("10.99.1.1"));
        assert_eq!(rules(), ["90:\tnot from all fwmark 0x7 lookup 100 proto 94"], "the old rule is gone");
        assert_eq!(run("ip route show table 7296"), "", "its table is empty");

        let again = restarted.protect(&facility(), None).await.unwrap();
        assert_eq!(again.stale, ["10.99.0.0/16"].map(net).into());
    });
}

#[test]
fn what_left_the_configuration_is_freed_by_itself() {
    in_namespace(|| async {
        let line = Line::new();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        let mut both = facility();
        both.protect(net("10.99.0.0/16"), [net("10.17.0.0/24")]);
        netlink.protect(&both, None).await.unwrap();
        netlink.protect(&facility(), None).await.unwrap();
        let blocked = ["10.0.0.0/16", "10.99.0.0/16", "2001:db8:5::/48"].map(net).into();
        assert_eq!(netlink.blocked().await.unwrap(), blocked);
        assert!(!line.carries("10.99.1.1"));

        netlink.free(&[net("10.99.0.0/16")].into()).await.unwrap();
        assert!(line.carries("10.99.1.1"), "free again");
        assert_closed(&line);
        assert_eq!(netlink.protect(&facility(), None).await.unwrap().stale, BTreeSet::new());
        assert!(line.carries("10.99.1.1"), "and stays so");
    });
}

#[test]
fn a_wider_network_takes_the_place_of_the_one_inside_it() {
    in_namespace(|| async {
        let _line = Line::new();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&facility(), None).await.unwrap();
        let mut wider = Policy::default();
        wider.protect(net("10.0.0.0/8"), [net("10.17.0.0/24")]);
        wider.protect(net("2001:db8:5::/48"), [net("2001:db8:17::/64")]);
        let protection = netlink.protect(&wider, None).await.unwrap();
        assert_eq!(protection.stale, BTreeSet::new(), "nothing is blocked that is not configured");
        assert!(routes().contains("blackhole 10.0.0.0/8"), "{}", routes());
        assert!(!routes().contains("10.0.0.0/16"), "it would swallow what the wider one leads: {}", routes());
    });
}

#[test]
fn a_marked_socket_reaches_its_peer_inside_a_selector_of_everything() {
    in_namespace(|| async {
        let line = Line::new();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&everything(), None).await.unwrap();
        for (peer, ours) in ELSEWHERE.into_iter().zip(["192.0.2.2", "2001:db8::2"]) {
            assert!(!line.carries(peer), "unmarked packets stay");
            let peer: IpAddr = peer.parse().unwrap();
            let route = netlink.route(peer, 0).await.unwrap();
            assert_eq!((route.source, route.mtu), (ours.parse().unwrap(), 1454));

            let settings = udp::Settings {
                ike_port: 500,
                nat_port: 4500,
                mark: SETTINGS.mark,
                workers: 1,
                offloads: Asked::Auto,
            };
            let sockets = udp::Sockets::bind(settings).unwrap();
            let local = SocketAddr::new(route.source, 500);
            sockets.send(local, SocketAddr::new(peer, 500), true, b"our own IKE").unwrap();
            line.wait_for(b"our own IKE");
        }
    });
}

#[test]
fn a_selector_of_everything_leaves_loopback_and_local_networks_working() {
    in_namespace(|| async {
        let line = Line::new();
        let link = TunnelLink::up(&Netlink::connect(SETTINGS).unwrap(), "line", 1500).await;
        assert!(link.is_ok(), "any interface can be set up");
        // Two networks behind the box: one in the local selectors, one only configured on an interface.
        run("ip link add dmz type veth peer name server");
        run("ip addr add 10.17.0.1/24 dev dmz");
        run("ip link add trust type veth peer name terminal");
        run("ip addr add 192.168.1.1/24 dev trust");
        for interface in ["dmz", "server", "trust", "terminal"] {
            run(&format!("ip link set {interface} up"));
        }
        ["dmz", "trust"].into_iter().for_each(settle);
        for (address, interface) in [("10.17.0.9", "dmz"), ("192.168.1.9", "trust")] {
            run(&format!("ip neigh add {address} dev {interface} lladdr 02:00:00:00:00:99 nud permanent"));
        }
        // An address that the line handed out: its network is not to be trusted.
        run("ip addr add 203.0.113.2/24 dev trust valid_lft 3600 preferred_lft 3600");
        run("ip neigh add 203.0.113.9 dev trust lladdr 02:00:00:00:00:99 nud permanent");

        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&everything(), None).await.unwrap();
        for local in ["10.17.0.9", "192.168.1.9", "169.254.7.7"] {
            assert!(line.carries(local), "{local}\n{}", routes());
        }
        for protected in ["203.0.113.9", "192.0.2.77", "198.51.100.9", "2001:db8:77::1"] {
            assert!(!line.carries(protected), "{protected}\n{}", routes());
        }
        for loopback in ["127.0.0.1:0", "[::1]:0", "10.17.0.1:0"] {
            let server = UdpSocket::bind(loopback).unwrap();
            server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            UdpSocket::bind(loopback).unwrap().send_to(b"here", server.local_addr().unwrap()).unwrap();
            assert_eq!(server.recv(&mut [0; 8]).unwrap(), 4, "{loopback}");
        }
    });
}

#[test]
fn a_network_of_this_machine_that_the_tunnel_takes_away_is_told_with_its_interface() {
    in_namespace(|| async {
        let _line = Line::new();
        run("ip link add lan type veth peer name host");
        run("ip link set lan up");
        run("ip address add 10.1.0.5/24 dev lan");
        run("ip address add 10.2.0.5/24 dev lan valid_lft 600 preferred_lft 600");
        let netlink = Netlink::connect(SETTINGS).unwrap();
        let mut policy = Policy::default();
        policy.protect(net("10.0.0.0/8"), [net("10.17.0.0/24")]);
        let cut_off = |found: Vec<CutOff>| {
            let found =
                found.iter().map(|one| format!("{} of {} by {}", one.own, one.interface, one.protected));
            found.collect::<Vec<_>>()
        };
        let found = cut_off(netlink.cut_off(&policy).await.unwrap());
        assert_eq!(found, ["10.2.0.5/24 of lan by 10.0.0.0/8"], "what is configured for good stays local");
        policy.protect(net("10.1.0.0/24"), [net("10.17.0.0/24")]);
        let found = cut_off(netlink.cut_off(&policy).await.unwrap());
        assert_eq!(found, ["10.1.0.5/24 of lan by 10.1.0.0/24", "10.2.0.5/24 of lan by 10.0.0.0/8"]);
        assert!(netlink.cut_off(&everything()).await.unwrap().is_empty(), "everything is meant");
    });
}

#[test]
fn the_source_of_our_own_packets_is_an_address_inside_the_local_selectors() {
    in_namespace(|| async {
        let _line = Line::new();
        run("ip addr add 10.17.0.1/24 dev lo");
        let tun = Tun::open("sekisho0", Asked::Auto).unwrap();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        let link = TunnelLink::up(&netlink, tun.name(), 1400).await.unwrap();
        netlink.protect(&facility(), Some(link.index())).await.unwrap();
        let ours = |remote: &str| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect((remote, 9)).unwrap();
            socket.local_addr().unwrap().ip().to_string()
        };
        assert_eq!(ours("10.0.5.5"), "10.17.0.1");
        assert_eq!(ours("198.51.100.9"), "192.0.2.2");
        assert!(run("ip -6 addr show dev sekisho0").is_empty(), "no link-local address");
    });
}

#[test]
fn what_others_remove_is_noticed_and_repaired() {
    in_namespace(|| async {
        let line = Line::new();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&facility(), None).await.unwrap();
        for damage in
            ["ip route flush table 7296", "ip rule del priority 7296", "ip -6 rule del priority 7296"]
        {
            let mut watch = Watch::start(0).unwrap();
            run(damage);
            assert_eq!(watch.next().await.unwrap(), Change::Protection, "{damage}");
            netlink.protect(&facility(), None).await.unwrap();
            assert_closed(&line);
        }
    });
}

#[test]
fn lines_addresses_and_default_routes_are_watched_and_bursts_are_one_event() {
    in_namespace(|| async {
        let _line = Line::new();
        // Or the kernel tells in its own time that these can be used.
        ["wan", "line"].iter().for_each(|line| drop(run(&format!("ip -6 addr flush dev {line} scope link"))));
        let mut watch = Watch::start(0).unwrap();
        run("ip addr add 192.0.2.3/24 dev wan");
        run("ip addr add 192.0.2.4/24 dev wan");
        run("ip route replace default via 192.0.2.9 dev wan onlink");
        assert_eq!(watch.next().await.unwrap(), Change::Network);
        let quiet = tokio::time::timeout(Duration::from_millis(900), watch.next()).await;
        assert!(quiet.is_err(), "one event for the burst");
        run("ip addr add 192.0.2.3/26 dev wan");
        let longer = tokio::time::timeout(Duration::from_secs(5), watch.next()).await;
        assert_eq!(
            longer.expect("a known address may get a network of another length").unwrap(),
            Change::Network
        );
        run("ip link set line down");
        assert_eq!(watch.next().await.unwrap(), Change::Network);
    });
}

/// A facility's policy, in both families.
fn facility() -> Policy {
    let mut policy = Policy::default();
    policy.protect(net("10.0.0.0/16"), [net("10.17.0.0/24")]);
    policy.protect(net("2001:db8:5::/48"), [net("2001:db8:17::/64")]);
    policy
}

/// Everything goes through the tunnel.
fn everything() -> Policy {
    let mut policy = Policy::default();
    policy.protect(net("0.0.0.0/0"), [net("10.17.0.0/24")]);
    policy.protect(net("::/0"), [net("2001:db8:17::/64")]);
    policy
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn rules() -> Vec<String> {
    let all = run("ip rule show");
    all.lines().filter(|rule| rule.contains("proto 94")).map(|rule| rule.trim().to_owned()).collect()
}
