//! Routes of our table, as messages; and the question which way a packet of ours would go.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::plan::{Entry, Kind};
use super::{Error, Netlink, ROUTE_PROTOCOL};

/// Metric of routes to the TUN and of throw routes.
const METRIC: u32 = 16;
/// Metric of blackholes: whatever else stands for the prefix in our table comes first.
const BLACKHOLE_METRIC: u32 = 32_768;

/// The way that a packet of ours (with the mark) takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The source address that the kernel would choose.
    pub source: IpAddr,
    /// The largest packet that this way takes without fragments, bytes: of the route if it says so, else of the
    /// interface.
    pub mtu: u32,
}

impl Entry {
    pub(super) fn message(&self, table: u32) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.address_family = family(self.prefix.addr());
        route.header.destination_prefix_length = self.prefix.prefix_len();
        route.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
        let metric = if self.kind == Kind::Blackhole { BLACKHOLE_METRIC } else { METRIC };
        route.attributes = vec![
            RouteAttribute::Table(table),
            RouteAttribute::Destination(address(self.prefix.addr())),
            RouteAttribute::Priority(metric),
        ];
        match self.kind {
            Kind::Blackhole => route.header.kind = RouteType::BlackHole,
            Kind::Throw => route.header.kind = RouteType::Throw,
            Kind::Tunnel { interface, source } => {
                route.header.kind = RouteType::Unicast;
                route.header.scope = RouteScope::Link;
                route.attributes.push(RouteAttribute::Oif(interface));
                route.attributes.extend(source.map(|source| RouteAttribute::PrefSource(address(source))));
            }
        }
        route
    }

    /// Reads one of our routes back, with its table.
    pub(super) fn read(route: &RouteMessage) -> Option<(u32, Self)> {
        if route.header.protocol != RouteProtocol::from(ROUTE_PROTOCOL) {
            return None;
        }
        let mut table = u32::from(route.header.table);
        let (mut destination, mut interface, mut source) = (None, None, None);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Destination(to) => destination = ip(to),
                RouteAttribute::Oif(index) => interface = Some(*index),
                RouteAttribute::PrefSource(from) => source = ip(from),
                _ => {}
            }
        }
        let everything = match route.header.address_family {
            AddressFamily::Inet => IpAddr::from([0; 4]),
            AddressFamily::Inet6 => IpAddr::from([0; 16]),
            _ => return None,
        };
        let kind = match route.header.kind {
            RouteType::BlackHole => Kind::Blackhole,
            RouteType::Throw => Kind::Throw,
            _ => Kind::Tunnel { interface: interface?, source },
        };
        let prefix =
            IpNet::new(destination.unwrap_or(everything), route.header.destination_prefix_length).ok()?;
        Some((table, Self { kind, prefix }))
    }
}

impl Netlink {
    pub(super) async fn add_route(&self, entry: &Entry) -> Result<(), Error> {
        let what = match entry.kind {
            Kind::Blackhole => format!("add the blackhole route for {}", entry.prefix),
            Kind::Throw => format!("except {} from the tunnel routes", entry.prefix),
            Kind::Tunnel { .. } => format!("route {} into the tunnel", entry.prefix),
        };
        let message = RouteNetlinkMessage::NewRoute(entry.message(self.settings.table));
        self.replace(message).await.map_err(Error::refused(what))
    }

    pub(super) async fn remove_route(&self, table: u32, entry: &Entry) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRoute(entry.message(table));
        self.remove(message).await.map_err(Error::refused(format!("remove a route for {}", entry.prefix)))
    }

    /// Our routes in every table.
    pub(super) async fn our_routes(&self, family: AddressFamily) -> Result<Vec<(u32, Entry)>, Error> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        filter.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
        let answers = self.dump(RouteNetlinkMessage::GetRoute(filter)).await;
        let answers = answers.map_err(Error::refused("list the tunnel routes"))?;
        let routes = answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Entry::read(route),
            _ => None,
        });
        Ok(routes.collect())
    }

    /// Which way a packet of ours to `destination` goes; `scope` is the interface of a link-local one, else 0.
    ///
    /// # Errors
    /// If there is none.
    pub async fn route(&self, destination: IpAddr, scope: u32) -> Result<Route, Error> {
        let refused = || Error::refused(format!("find a route to {destination}"));
        let unreachable = |code| refused()(std::io::Error::from_raw_os_error(code));
        let mut question = RouteMessage::default();
        question.header.address_family = family(destination);
        question.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
        question.attributes =
            vec![RouteAttribute::Destination(address(destination)), RouteAttribute::Mark(self.settings.mark)];
        if scope != 0 {
            question.attributes.push(RouteAttribute::Oif(scope));
        }
        let answer = self.get(RouteNetlinkMessage::GetRoute(question)).await.map_err(refused())?;
        let Some(RouteNetlinkMessage::NewRoute(route)) = answer else {
            return Err(unreachable(libc::ENETUNREACH));
        };
        if !matches!(route.header.kind, RouteType::Unicast | RouteType::Local) {
            return Err(unreachable(libc::EHOSTUNREACH));
        }
        let (mut source, mut mtu, mut interface, mut learned) = (None, None, None, false);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::PrefSource(from) => source = ip(from),
                RouteAttribute::Oif(index) => interface = Some(*index),
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                        _ => None,
                    });
                }
                // What ends was learned from ICMP messages that anybody may have sent.
                RouteAttribute::CacheInfo(info) => learned = info.expires != 0,
                _ => {}
            }
        }
        let source = source.ok_or_else(|| unreachable(libc::EADDRNOTAVAIL))?;
        let mtu = match (mtu.filter(|_| !learned), interface) {
            (Some(mtu), _) => mtu,
            (None, Some(interface)) => self.link_mtu(interface).await?,
            (None, None) => return Err(unreachable(libc::ENETUNREACH)),
        };
        Ok(Route { source, mtu })
    }

    async fn link_mtu(&self, interface: u32) -> Result<u32, Error> {
        let refused = || Error::refused(format!("read the MTU of interface {interface}"));
        let mut question = LinkMessage::default();
        question.header.index = interface;
        let answer = self.get(RouteNetlinkMessage::GetLink(question)).await.map_err(refused())?;
        let Some(RouteNetlinkMessage::NewLink(link)) = answer else {
            return Err(refused()(std::io::Error::from_raw_os_error(libc::ENODEV)));
        };
        let mtu = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
        mtu.ok_or_else(|| refused()(std::io::Error::from_raw_os_error(libc::ENODATA)))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
