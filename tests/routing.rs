//! Fail-closed routing against the real kernel, each test in a network namespace of its own (root needed).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::cell::Cell;
use std::future::Future;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use ipnet::IpNet;
use nix::sched::{CloneFlags, unshare};
use sekisho::net::netlink::{Change, Netlink, Policy, Settings, TunnelLink, Watch};
use sekisho::net::tun::Tun;
use sekisho::net::udp;
use socket2::{Domain, Protocol, Socket, Type};

const SETTINGS: Settings = Settings { table: 7296, priority: 7296, mark: 0x5e51 };
/// Inside a protected prefix, one of each family.
const PROTECTED: [&str; 2] = ["10.0.5.5", "2001:db8:5::5"];
/// Reached by the default route, one of each family.
const ELSEWHERE: [&str; 2] = ["198.51.100.9", "2001:db8:ffff::9"];

#[test]
fn protected_traffic_never_leaves_in_clear_even_after_a_sigkill() {
    in_namespace(|| async {
        let line = Line::new();
        for address in PROTECTED {
            assert!(line.carries(address), "the capture sees what is sent unprotected");
        }
        let mut daemon = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "hold_the_protection_until_killed", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(daemon.stdout.take().unwrap());
        let ready = output.lines().map_while(Result::ok).any(|text| text.contains("the protection stands"));
        assert!(ready, "the process protects");
        assert!(routes().contains("10.0.0.0/16 dev sekisho0 table 7296 proto 94"), "{}", routes());
        assert_closed(&line);

        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let left = routes();
        assert!(!left.contains("sekisho0"), "the device is gone: {left}");
        for blackhole in ["blackhole 10.0.0.0/16 table", "blackhole 2001:db8:5::/48 dev lo table"] {
            assert!(left.contains(blackhole), "{left}");
        }
        assert_closed(&line);

        let removed = Netlink::connect(SETTINGS).unwrap().unprotect().await.unwrap();
        assert_eq!(removed.prefixes, ["10.0.0.0/16", "2001:db8:5::/48"].map(net).into());
        assert_eq!((removed.rules, removed.routes), (2, 2));
        for address in PROTECTED {
            assert!(line.carries(address), "only unprotect opens");
        }
    });
}

/// The process that the test above kills; not a test by itself.
#[test]
#[ignore = "started by another test, in its namespace"]
fn hold_the_protection_until_killed() {
    runtime().block_on(async {
        let tun = Tun::open("sekisho0").unwrap();
        let netlink = Netlink::connect(SETTINGS).unwrap();
        netlink.protect(&facility(), None).await.unwrap();
        let link = TunnelLink::up(&netlink, tun.name(), 1400).await.unwrap();
        let protection = netlink.protect(&facility(), Some(link.index())).await.unwrap();
        assert!(protection.problems.is_empty(), "{:?}", protection.problems);
        println!("the protection stands");
        std::future::pending::<()>().await;
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

            let settings = udp::Settings { ike_port: 500, nat_port: 4500, mark: SETTINGS.mark };
            let sockets = udp::Sockets::bind(settings).unwrap();
            let local = SocketAddr::new(route.source, 500);
            sockets.send(local, SocketAddr::new(peer, 500), b"our own IKE").unwrap();
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
fn the_source_of_our_own_packets_is_an_address_inside_the_local_selectors() {
    in_namespace(|| async {
        let _line = Line::new();
        run("ip addr add 10.17.0.1/24 dev lo");
        let tun = Tun::open("sekisho0").unwrap();
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
        let mut watch = Watch::start(0).unwrap();
        run("ip addr add 192.0.2.3/24 dev wan");
        run("ip addr add 192.0.2.4/24 dev wan");
        run("ip route replace default via 192.0.2.9 dev wan onlink");
        assert_eq!(watch.next().await.unwrap(), Change::Network);
        let quiet = tokio::time::timeout(Duration::from_millis(900), watch.next()).await;
        assert!(quiet.is_err(), "one event for the burst");
        run("ip link set line down");
        assert_eq!(watch.next().await.unwrap(), Change::Network);
    });
}

/// How the hardware address of every neighbour on every line begins.
const NEIGHBOUR: [u8; 5] = [2, 0, 0, 0, 0];

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

/// A way out: `wan` has addresses and default routes of MTU 1454, and all interfaces are listened on.
struct Line {
    capture: Socket,
    observations: Cell<u32>,
}

impl Line {
    fn new() -> Self {
        for command in [
            "ip link set lo up",
            "ip link add wan type veth peer name line",
            "ip link set wan up",
            "ip link set line up",
            "ip addr add 192.0.2.2/24 dev wan",
            "ip addr add 2001:db8::2/64 dev wan nodad",
            "ip neigh add 192.0.2.1 dev wan lladdr 02:00:00:00:00:01 nud permanent",
            "ip neigh add 2001:db8::1 dev wan lladdr 02:00:00:00:00:01 nud permanent",
            "ip neigh add 192.0.2.77 dev wan lladdr 02:00:00:00:00:77 nud permanent",
            "ip route add default via 192.0.2.1 dev wan mtu 1454",
            "ip -6 route add default via 2001:db8::1 dev wan mtu 1454",
        ] {
            run(command);
        }
        let every_protocol = i32::from(u16::to_be(0x0003));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(every_protocol))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { capture: socket, observations: Cell::new(0) }
    }

    /// Whether an ordinary datagram to the address appears on any interface but the TUN and loopback.
    fn carries(&self, address: &str) -> bool {
        let number = self.observations.replace(self.observations.get() + 1);
        let (marker, end) = (format!("clear-text marker {number};"), format!("end of observation {number};"));
        let sent = send(address, marker.as_bytes());
        // What is seen next was sent later, through another, marked socket: no need to wait.
        let fence = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        fence.set_mark(SETTINGS.mark).unwrap();
        let to: SocketAddr = "192.0.2.1:9".parse().unwrap();
        fence.send_to(end.as_bytes(), &to.into()).unwrap();
        let seen = self.watch_until(end.as_bytes(), marker.as_bytes());
        assert!(!seen || sent, "a datagram that was refused appeared all the same");
        seen
    }

    fn wait_for(&self, end: &[u8]) {
        self.watch_until(end, b"nothing that is sent");
    }

    fn watch_until(&self, end: &[u8], marker: &[u8]) -> bool {
        let mut seen = false;
        loop {
            let mut frame = vec![0u8; 2048];
            let length =
                std::io::Read::read(&mut &self.capture, &mut frame).expect("a frame within five seconds");
            let holds = |text: &[u8]| frame[..length].windows(text.len()).any(|window| window == text);
            // The TUN's packets have no Ethernet header.
            seen |= holds(marker) && frame.starts_with(&NEIGHBOUR);
            if holds(end) {
                return seen;
            }
        }
    }
}

/// Whether the kernel took it.
fn send(address: &str, payload: &[u8]) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    match socket.send_to(payload, (address, 9)) {
        Ok(_) => true,
        Err(error) => {
            let refusals =
                [ErrorKind::InvalidInput, ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
            assert!(refusals.contains(&error.kind()), "{error}");
            false
        }
    }
}

fn assert_closed(line: &Line) {
    for address in PROTECTED {
        assert!(!line.carries(address), "{address} left in clear\n{}", routes());
    }
    for address in ELSEWHERE {
        assert!(line.carries(address), "{address} is none of ours\n{}", routes());
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn routes() -> String {
    run("ip route show table all")
}

fn rules() -> Vec<String> {
    let all = run("ip rule show");
    all.lines().filter(|rule| rule.contains("proto 94")).map(|rule| rule.trim().to_owned()).collect()
}

fn run(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a test in a network namespace that ends with it: a thread of its own has one of its own.
fn in_namespace<T, F>(test: T)
where
    T: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root is needed to make a network namespace");
        runtime().block_on(async {
            tokio::time::timeout(Duration::from_mins(1), test()).await.expect("done within a minute");
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
