//! The network that the scenarios play in: two hosts behind two gateways, and a router between that stands for the
//! Internet.
//!
//! ```text
//! host_a ── gateway a ══ router ══ gateway b ── host_b
//! 10.17.0.2      .1      (NAT, loss)    .1      10.0.0.2        inside, IPv4
//! 2001:db8:17::2 ::1                    ::1     2001:db8:0::2   inside, IPv6
//!        198.51.100.2 .1            .1 203.0.113.2              outside, IPv4
//!    2001:db8:aa::2 ::1            ::1 2001:db8:bb::2           outside, IPv6
//! ```

use std::net::IpAddr;
use std::time::Instant;

use super::namespace::Namespace;

/// MTU of the outside links, as on Ethernet.
const MTU: u32 = 1500;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The facility.
    A,
    /// The data centre.
    B,
}

impl End {
    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A gateway and the host behind it, each in a namespace.
pub struct Gateway {
    /// Where the daemon runs.
    pub namespace: Namespace,
    /// Who has something to say.
    pub host: Namespace,
    /// Addresses outside, IPv4 and IPv6.
    pub outside: [IpAddr; 2],
    /// Its own addresses inside, IPv4 and IPv6.
    pub own: [IpAddr; 2],
    /// Addresses of the host, IPv4 and IPv6.
    pub inside: [IpAddr; 2],
    /// Networks behind the gateway, IPv4 and IPv6.
    pub networks: [&'static str; 2],
}

/// The whole network of one scenario. Dropping it removes it and prints how long the scenario took.
pub struct Site {
    /// The facility's side.
    pub a: Gateway,
    /// The data centre's side.
    pub b: Gateway,
    /// The Internet: whatever is in clear text here has leaked.
    pub router: Namespace,
    /// The scenario, whose duration is printed; `None` for a measurement.
    name: Option<&'static str>,
    start: Instant,
}

impl Site {
    /// Builds the network for the scenario `name`.
    pub fn new(name: &'static str) -> Self {
        let mut site = Self::quiet();
        site.name = Some(name);
        site
    }

    /// Builds the network without a name, and says nothing when it is removed.
    pub fn quiet() -> Self {
        let start = Instant::now();
        let router = Namespace::new("router");
        let a = gateway(&router, ["host_a", "gateway_a"], &PLAN_A);
        let b = gateway(&router, ["host_b", "gateway_b"], &PLAN_B);
        forward(&router);
        Self { a, b, router, name: None, start }
    }

    /// One side.
    pub fn side(&self, end: End) -> &Gateway {
        match end {
            End::A => &self.a,
            End::B => &self.b,
        }
    }

    /// Bytes that this scenario's traffic carries, to be looked for where they must not be.
    pub fn marker(&self) -> Vec<u8> {
        format!("CLEAR-TEXT-MARKER-OF-{}", self.name.unwrap_or_default()).into_bytes()
    }

    /// Hides gateway a behind the router's address, as a home router does.
    pub fn masquerade(&self) {
        self.router.nft(
            "add table ip nat; \
             add chain ip nat leaving { type nat hook postrouting priority srcnat; }; \
             add rule ip nat leaving oifname \"to_b\" masquerade",
        );
    }

    /// Loses this share of the packets in each direction, at random.
    pub fn lose_percent(&self, percent: u32) {
        self.drop_forwarded(&format!("numgen random mod 100 < {percent}"));
    }

    /// From now on IKE messages beside ESP do not pass the router in packets longer than this; nobody is told.
    pub fn lose_long_ike(&self, bytes: u16) {
        self.drop_forwarded(&format!("meta l4proto udp @th,64,32 0 meta length > {bytes}"));
    }

    /// From now on a firewall lets nothing to this UDP port pass; nobody is told.
    pub fn close_port(&self, port: u16) {
        self.drop_forwarded(&format!("udp dport {port}"));
    }

    /// From now on a firewall lets no ESP pass that is not in UDP; nobody is told.
    pub fn close_native_esp(&self) {
        self.drop_forwarded("meta l4proto esp");
    }

    /// From now on the router's lines carry no more than this, and it says so.
    pub fn narrow(&self, mtu: u16) {
        for plan in [&PLAN_A, &PLAN_B] {
            let [v4, v6] = plan.router;
            let network4 = v4.rsplit_once('.').expect("an IPv4 address").0;
            let network6 = v6.rsplit_once("::").expect("an IPv6 address").0;
            let (port, kernel) = (plan.port, "proto kernel");
            self.router.ip(&format!(
                "route replace {network4}.0/24 dev {port} {kernel} scope link src {v4} mtu lock {mtu}"
            ));
            self.router.ip(&format!(
                "-6 route replace {network6}::/64 dev {port} {kernel} metric 256 mtu lock {mtu}"
            ));
        }
    }

    /// From now on the router tells nobody that a packet was too big.
    pub fn silence_router(&self) {
        self.router.nft(
            "add table inet silence; \
             add chain inet silence leaving { type filter hook output priority 0; }; \
             add rule inet silence leaving icmp type destination-unreachable drop; \
             add rule inet silence leaving icmpv6 type packet-too-big drop",
        );
    }

    /// Cuts the line: nothing passes.
    pub fn cut(&self) {
        self.drop_forwarded("");
    }

    /// Ends loss and cut.
    pub fn mend(&self) {
        self.router.nft("delete table inet loss");
    }

    /// A third gateway with a host behind it, which also reaches the others through the router:
    /// `192.0.2.2` and `2001:db8:cc::2` outside, `10.18.0.0/24` and `2001:db8:18::/64` inside.
    pub fn third(&self) -> Gateway {
        gateway(&self.router, ["host_c", "gateway_c"], &PLAN_C)
    }

    /// Where kernels dropped packets on the way: full socket buffers and device queues, by namespace.
    pub fn kernel_drops(&self) -> Vec<String> {
        let namespaces = [&self.a.host, &self.a.namespace, &self.router, &self.b.namespace, &self.b.host];
        namespaces.into_iter().flat_map(Namespace::kernel_drops).collect()
    }

    fn drop_forwarded(&self, condition: &str) {
        self.router.nft(&format!(
            "add table inet loss; \
             add chain inet loss passing {{ type filter hook forward priority 0; }}; \
             add rule inet loss passing {condition} counter drop"
        ));
    }

    /// Lets the router carry the inner networks, so that clear text would really arrive (a control experiment).
    pub fn route_inner_networks_in_clear(&self) {
        for (gateway, [v4, v6]) in [(&self.a, self.a.outside), (&self.b, self.b.outside)] {
            let [net4, net6] = gateway.networks;
            self.router.ip(&format!("route add {net4} via {v4}"));
            self.router.ip(&format!("-6 route add {net6} via {v6}"));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let verdict = if std::thread::panicking() { "FAILED" } else { "held" };
        if let Some(name) = self.name {
            println!("scenario {name}: {verdict} after {:.1} s", self.start.elapsed().as_secs_f64());
        }
    }
}

/// The addresses of one side; the router's end of the outside link has the host part 1.
struct Plan {
    port: &'static str,
    outside: [&'static str; 2],
    router: [&'static str; 2],
    gateway: [&'static str; 2],
    host: [&'static str; 2],
    networks: [&'static str; 2],
}

const PLAN_A: Plan = Plan {
    port: "to_a",
    outside: ["198.51.100.2", "2001:db8:aa::2"],
    router: ["198.51.100.1", "2001:db8:aa::1"],
    gateway: ["10.17.0.1", "2001:db8:17::1"],
    host: ["10.17.0.2", "2001:db8:17::2"],
    networks: ["10.17.0.0/24", "2001:db8:17::/64"],
};

const PLAN_B: Plan = Plan {
    port: "to_b",
    outside: ["203.0.113.2", "2001:db8:bb::2"],
    router: ["203.0.113.1", "2001:db8:bb::1"],
    gateway: ["10.0.0.1", "2001:db8::1"],
    host: ["10.0.0.2", "2001:db8::2"],
    networks: ["10.0.0.0/24", "2001:db8::/64"],
};

const PLAN_C: Plan = Plan {
    port: "to_c",
    outside: ["192.0.2.2", "2001:db8:cc::2"],
    router: ["192.0.2.1", "2001:db8:cc::1"],
    gateway: ["10.18.0.1", "2001:db8:18::1"],
    host: ["10.18.0.2", "2001:db8:18::2"],
    networks: ["10.18.0.0/24", "2001:db8:18::/64"],
};

fn gateway(router: &Namespace, [host, gateway]: [&'static str; 2], plan: &Plan) -> Gateway {
    let (host, namespace) = (Namespace::new(host), Namespace::new(gateway));
    forward(&namespace);
    cable((&host, "lan"), plan.host, (&namespace, "lan"), plan.gateway);
    cable((&namespace, "wan"), plan.outside, (router, plan.port), plan.router);
    default_route(&host, plan.gateway);
    default_route(&namespace, plan.router);
    Gateway {
        namespace,
        host,
        outside: plan.outside.map(|text| text.parse().expect("an address")),
        own: plan.gateway.map(|text| text.parse().expect("an address")),
        inside: plan.host.map(|text| text.parse().expect("an address")),
        networks: plan.networks,
    }
}

/// A veth pair between two namespaces, with addresses at both ends.
fn cable(near: (&Namespace, &str), near_at: [&str; 2], far: (&Namespace, &str), far_at: [&str; 2]) {
    let far_path = far.0.path();
    near.0.ip(&format!(
        "link add {} mtu {MTU} type veth peer name {} mtu {MTU} netns {}",
        near.1,
        far.1,
        far_path.display()
    ));
    for ((namespace, port), [v4, v6]) in [(near, near_at), (far, far_at)] {
        namespace.ip(&format!("link set dev {port} up"));
        namespace.ip(&format!("addr add {v4}/24 dev {port}"));
        namespace.ip(&format!("addr add {v6}/64 dev {port} nodad"));
    }
}

fn default_route(namespace: &Namespace, [v4, v6]: [&str; 2]) {
    namespace.ip(&format!("route add default via {v4}"));
    namespace.ip(&format!("-6 route add default via {v6}"));
}

fn forward(namespace: &Namespace) {
    namespace.sysctl("ipv4/ip_forward", "1");
    namespace.sysctl("ipv6/conf/all/forwarding", "1");
}
