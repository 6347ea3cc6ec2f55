//! A site: a namespace with a TUN, the sockets, and a data path; and the keys of Child SAs made by hand.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sekisho::data::{self, DataPath, FromDataReceiver, NewSa, SaUsage, UdpPath};
use sekisho::net::offload::Asked;
use sekisho::net::tun::Tun;
use sekisho::net::udp::{self, Sockets};
use sekisho_esp::{InboundSa, Keymat, OutboundSa, SaConfig, Selector, Suite};

use crate::namespace::Namespace;

/// Of every Child SA.
pub(crate) const POLICY: u64 = 7;
pub(crate) const MTU: u16 = 1_400;
pub(crate) const SETTINGS: udp::Settings =
    udp::Settings { ike_port: 500, nat_port: 4500, mark: 0x5e51, workers: 1, offloads: Asked::Auto };

/// Where a site is, outside and inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) outer: IpAddr,
    pub(crate) inner4: IpAddr,
    pub(crate) inner6: IpAddr,
}

/// Inner networks: `10.x.0.0/16` and `fd00:x::/32`.
pub(crate) fn place(number: u8, outer_ipv6: bool) -> Place {
    let outer = if outer_ipv6 { format!("fd99::{number}") } else { format!("192.0.2.{number}") };
    Place {
        outer: address(&outer),
        inner4: address(&format!("10.{number}.0.1")),
        inner6: address(&format!("fd00:{number}::1")),
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A path between the encapsulation ports of two places.
pub(crate) fn path(local: Place, remote: Place) -> UdpPath {
    UdpPath {
        local: SocketAddr::new(local.outer, SETTINGS.nat_port),
        remote: SocketAddr::new(remote.outer, SETTINGS.nat_port),
        encap: true,
    }
}

pub(crate) struct Site {
    pub(crate) namespace: Namespace,
    pub(crate) place: Place,
    pub(crate) data: DataPath,
    pub(crate) from_data: FromDataReceiver,
}

impl Site {
    /// A site whose interface `wire` has its outer address, and whose TUN leads to the inner networks of `remote`.
    pub(crate) fn new(namespace: Namespace, place: Place, remote: Place) -> Self {
        Self::with_workers(namespace, place, remote, 1)
    }

    /// The same with several workers.
    pub(crate) fn with_workers(namespace: Namespace, place: Place, remote: Place, workers: u8) -> Self {
        let prefix = if place.outer.is_ipv6() { 64 } else { 24 };
        let nodad = if place.outer.is_ipv6() { " nodad" } else { "" };
        namespace.ip(&format!("address add {}/{prefix} dev wire{nodad}", place.outer));
        let (queues, sockets) = namespace.run(|| {
            let queues = Tun::open_queues("sekisho0", workers, Asked::Auto).expect("a TUN device");
            (queues, Sockets::bind(udp::Settings { workers, ..SETTINGS }).expect("the sockets"))
        });
        namespace.ip(&format!("link set sekisho0 mtu {MTU} addrgenmode none up"));
        namespace.ip(&format!("address add {}/32 dev sekisho0", place.inner4));
        namespace.ip(&format!("address add {}/128 dev sekisho0 nodad", place.inner6));
        namespace.ip(&format!("route add {}/16 dev sekisho0 src {}", network(remote.inner4), place.inner4));
        namespace.ip(&format!("route add {}/32 dev sekisho0 src {}", network(remote.inner6), place.inner6));
        [place.outer, place.inner6].into_iter().for_each(|address| namespace.settle(address));
        let (to_control, from_data) = data::channel();
        let data = DataPath::start(
            queues,
            Arc::new(sockets),
            data::Settings { mtu: MTU, clamp_mss: true },
            to_control,
        )
        .expect("the data path");
        Self { namespace, place, data, from_data }
    }

    /// Two sites with a cable between them, and no SAs.
    pub(crate) fn pair(outer_ipv6: bool) -> (Self, Self) {
        let (left, right) = (Namespace::new(), Namespace::new());
        left.cable("wire", &right);
        let (a, b) = (place(1, outer_ipv6), place(2, outer_ipv6));
        (Self::new(left, a, b), Self::new(right, b, a))
    }

    /// Install a Child SA; `id` also makes its SPIs (both with its last byte), keys and suite (1: AES-256-GCM-16). The site
    /// of lower number has the lower SPI.
    pub(crate) fn install(&self, id: u64, remote: Place) {
        let (inbound, outbound) = sas(id, self.place, remote);
        let sa = NewSa { id, tunnel: 1, policy: POLICY, inbound, outbound, path: path(self.place, remote) };
        self.install_sa(sa);
    }

    /// Install it, with effect at once.
    pub(crate) fn install_sa(&self, sa: NewSa) {
        self.data.install(sa);
        self.data.publish();
    }

    /// Send on it from now on.
    pub(crate) fn switch_outbound(&self, id: u64) {
        self.data.switch_outbound(id);
        self.data.publish();
    }

    /// Forget it from now on; what it has carried.
    pub(crate) fn remove(&self, id: u64) -> Option<SaUsage> {
        let usage = self.data.remove(id);
        self.data.publish();
        usage
    }

    /// Send this way from now on.
    pub(crate) fn repath(&self, path: UdpPath) {
        self.data.repath(1, path);
        self.data.publish();
    }

    pub(crate) fn drops(&self, reason: &str) -> u64 {
        let drops = self.data.drops();
        drops.iter().find(|(word, _)| *word == reason).unwrap_or_else(|| panic!("no reason {reason}")).1
    }
}

/// Install a Child SA at both ends and send on it.
pub(crate) fn connect(id: u64, a: &Site, b: &Site) {
    a.install(id, b.place);
    b.install(id, a.place);
    a.switch_outbound(id);
    b.switch_outbound(id);
}

/// The two halves of a Child SA as `local` holds them.
pub(crate) fn sas(id: u64, local: Place, remote: Place) -> (InboundSa, OutboundSa) {
    sas_between(id, &[selectors(local), selectors(remote)], local.outer < remote.outer)
}

/// The same between these networks, ours first; `lower`: we receive on the lower SPI.
pub(crate) fn sas_between(id: u64, sides: &[Vec<Selector>; 2], lower: bool) -> (InboundSa, OutboundSa) {
    let [low, high] = [0x1_0000, 0x2_0000].map(|base| base + u32::try_from(id).expect("a small number"));
    let (spi_in, spi_out) = if lower { (low, high) } else { (high, low) };
    let number = usize::try_from(id).expect("a small number");
    let suite = Suite::ALL[number % Suite::ALL.len()];
    let config = |spi| config(suite, spi, sides.clone());
    (
        InboundSa::new(config(spi_in)).expect("an inbound SA"),
        OutboundSa::new(config(spi_out)).expect("an outbound SA"),
    )
}

fn config(suite: Suite, spi: u32, [local, remote]: [Vec<Selector>; 2]) -> SaConfig {
    let key: Vec<u8> = spi.to_be_bytes().into_iter().cycle().take(suite.keymat_length()).collect();
    SaConfig {
        spi,
        suite,
        keymat: Keymat::new(key),
        esn: true,
        local,
        remote,
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 1_024,
        packet_limit: None,
    }
}

/// The inner networks of a place.
pub(crate) fn selectors(place: Place) -> Vec<Selector> {
    let last4 = match place.inner4 {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | 0xffff).into()),
        IpAddr::V6(_) => unreachable!("inner4 is IPv4"),
    };
    let last6 = match place.inner6 {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | u128::MAX >> 32).into()),
        IpAddr::V4(_) => unreachable!("inner6 is IPv6"),
    };
    let selector = |first, last| Selector::new(first, last, 0, (0, u16::MAX)).expect("a selector");
    vec![selector(network(place.inner4), last4), selector(network(place.inner6), last6)]
}

/// The network of an inner address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xffff).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !(u128::MAX >> 32)).into()),
    }
}
