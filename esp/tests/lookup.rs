//! The table finds what a search through all selectors would find, and says no where that finds nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use common::{Direction, SPI, net, service};
use etherparse::{IpFragOffset, Ipv4Header, PacketBuilder};
use proptest::prelude::*;
use sekisho_esp::{
    Absent, DropReason, Fragment, InboundSa, InnerView, OutboundSa, Ports, Selector, Suite, Table,
    TableBuilder,
};

/// A selector in plain numbers.
#[derive(Clone, Debug)]
struct Plain {
    ipv4: bool,
    addresses: (u8, u8),
    protocol: u8,
    ports: (u16, u16),
}

/// A packet in plain numbers; `None`: a later fragment.
#[derive(Clone, Debug)]
struct Packet {
    ipv4: bool,
    source: u8,
    destination: u8,
    protocol: u8,
    ports: Option<(u16, u16)>,
}

impl Plain {
    fn selector(&self) -> Selector {
        let end = |last| address(self.ipv4, last);
        Selector::new(end(self.addresses.0), end(self.addresses.1), self.protocol, self.ports).unwrap()
    }

    /// 2: yes, 1: if the ports are right, 0: no.
    fn judge(&self, ipv4: bool, at: u8, protocol: u8, port: Option<u16>) -> u8 {
        let inside = self.ipv4 == ipv4 && self.addresses.0 <= at && at <= self.addresses.1;
        if !inside || ![0, protocol].contains(&self.protocol) {
            return 0;
        }
        match port {
            _ if self.ports == (0, u16::MAX) => 2,
            None => 1,
            Some(port) => u8::from(self.ports.0 <= port && port <= self.ports.1) * 2,
        }
    }
}

/// The last address byte counts; all else is fixed.
fn address(ipv4: bool, last: u8) -> IpAddr {
    if ipv4 {
        Ipv4Addr::new(10, 0, 0, last).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into()
    }
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let builder = match (address(self.ipv4, self.source), address(self.ipv4, self.destination)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
            }
            _ => unreachable!(),
        };
        let (source, destination) = self.ports.unwrap_or_default();
        let mut packet = Vec::new();
        match self.protocol {
            6 => builder.tcp(source, destination, 1, 1).write(&mut packet, b"").unwrap(),
            _ => builder.udp(source, destination).write(&mut packet, b"").unwrap(),
        }
        if self.ports.is_none() {
            let mut header = Ipv4Header::from_slice(&packet).unwrap().0;
            header.fragment_offset = IpFragOffset::try_new(9).unwrap();
            packet[..20].copy_from_slice(&header.to_bytes());
        }
        packet
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    let addresses = prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| (a.min(b), a.max(b))),
        (0..4u8, 0..16u8).prop_map(|(bits, at)| (at << 4, (at << 4) + (1 << bits) - 1)),
        Just((0, 255)),
    ];
    let ports = prop_oneof![
        3 => Just((0, u16::MAX)),
        1 => (0..6u16, 0..3u16).prop_map(|(first, more)| (first, first + more)),
    ];
    (prop::bool::weighted(0.8), addresses, prop::sample::select(vec![0, 0, 6, 17]), ports)
        .prop_map(|(ipv4, addresses, protocol, ports)| Plain { ipv4, addresses, protocol, ports })
}

fn packet() -> impl Strategy<Value = Packet> {
    let ports = prop_oneof![4 => (0..6u16, 0..6u16).prop_map(Some), 1 => Just(None)];
    (prop::bool::weighted(0.8), any::<u8>(), any::<u8>(), prop::sample::select(vec![6u8, 17]), ports)
        .prop_map(|(ipv4, source, destination, protocol, ports)| {
            let ports = if ipv4 { ports } else { Some(ports.unwrap_or_default()) };
            Packet { ipv4, source, destination, protocol, ports }
        })
}

type Sa = (Vec<Plain>, Vec<Plain>);

/// Tries every pair of every SA and takes the most specific.
fn naive(sas: &[Sa], packet: &Packet) -> Result<usize, DropReason> {
    let mut best = None;
    for (number, (local, remote)) in sas.iter().enumerate() {
        for (local, remote) in local.iter().flat_map(|local| remote.iter().map(move |remote| (local, remote)))
        {
            let source = local.judge(packet.ipv4, packet.source, packet.protocol, packet.ports.map(|p| p.0));
            let destination =
                remote.judge(packet.ipv4, packet.destination, packet.protocol, packet.ports.map(|p| p.1));
            let verdict = source.min(destination);
            if verdict == 0 {
                continue;
            }
            let rank = (
                (remote.addresses.1 - remote.addresses.0, remote.addresses.0),
                (local.addresses.1 - local.addresses.0, local.addresses.0),
                local.protocol == 0 && remote.protocol == 0,
                (remote.ports.1 - remote.ports.0, local.ports.1 - local.ports.0),
                Reverse(number),
            );
            if best.as_ref().is_none_or(|(other, _, _)| rank < *other) {
                best = Some((rank, number, verdict));
            }
        }
    }
    match best {
        Some((_, number, 2)) => Ok(number),
        Some(_) => Err(DropReason::FragmentWithoutPorts),
        None if goes_there(sas, packet) => Err(DropReason::OutboundSelector),
        None => Err(DropReason::NoSa),
    }
}

/// Whether an SA carries other packets to this destination.
fn goes_there(sas: &[Sa], packet: &Packet) -> bool {
    let mut pairs = sas
        .iter()
        .flat_map(|(local, remote)| local.iter().flat_map(move |l| remote.iter().map(move |r| (l, r))));
    pairs.any(|(local, remote)| {
        let protocols = local.protocol == 0 || remote.protocol == 0 || local.protocol == remote.protocol;
        let (first, last) = remote.addresses;
        let holds = (first..=last).contains(&packet.destination);
        protocols && local.ipv4 == packet.ipv4 && remote.ipv4 == packet.ipv4 && holds
    })
}

fn outbound(spi: u32, local: Vec<Selector>, remote: Vec<Selector>) -> Arc<OutboundSa> {
    let mut config = Direction::new(Suite::AES_128_GCM_16, false).config(local, remote);
    config.spi = spi;
    Arc::new(OutboundSa::new(config).unwrap())
}

proptest! {
    #[test]
    fn it_finds_what_a_search_through_everything_finds(
        sas in prop::collection::vec(
            (prop::collection::vec(plain(), 1..4), prop::collection::vec(plain(), 1..4)), 0..12,
        ),
        packets in prop::collection::vec(packet(), 1..40),
    ) {
        let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
        for (number, (local, remote)) in (0..).zip(&sas) {
            let selectors = |plain: &[Plain]| plain.iter().map(Plain::selector).collect();
            builder.outbound(outbound(SPI + number, selectors(local), selectors(remote)));
        }
        let table = builder.build();
        for packet in packets {
            let view = InnerView::parse(&packet.bytes()).unwrap();
            let found = table.outbound(&view).map(|sa| (sa.spi() - SPI) as usize);
            prop_assert_eq!(found, naive(&sas, &packet), "{:?}", packet);
        }
    }
}

fn view(source: &str, destination: &str) -> InnerView {
    let builder = match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        }
        _ => unreachable!(),
    };
    let mut packet = Vec::new();
    builder.udp(1, 2).write(&mut packet, b"").unwrap();
    InnerView::parse(&packet).unwrap()
}

#[test]
fn the_ends_of_the_address_space_are_no_special_case() {
    let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
    builder.outbound(outbound(
        1000,
        vec![net("0.0.0.0/0"), net("::/0")],
        vec![net("0.0.0.0/0"), net("::/0")],
    ));
    builder.outbound(outbound(
        1001,
        vec![net("0.0.0.0/0"), net("::/0")],
        vec![net("255.255.255.255/32"), net("ffff::/16")],
    ));
    let table = builder.build();
    for (destination, spi) in [("0.0.0.0", 1000), ("255.255.255.254", 1000), ("255.255.255.255", 1001)] {
        assert_eq!(table.outbound(&view("10.0.0.1", destination)).unwrap().spi(), spi);
    }
    for (destination, spi) in
        [("::", 1000), ("fffe::", 1000), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1001)]
    {
        assert_eq!(table.outbound(&view("2001:db8::1", destination)).unwrap().spi(), spi);
    }
}

#[test]
fn what_is_reserved_for_one_sa_is_never_sent_on_a_less_specific_one() {
    let table = |narrow_is_up: bool| {
        let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
        builder.reserve(&[net("10.17.0.0/24")], &[net("10.0.0.0/8")], Absent::Dropped);
        builder.reserve(&[net("10.17.0.0/24")], &[net("10.5.0.0/16")], Absent::Dropped);
        builder.outbound(outbound(1000, vec![net("10.17.0.0/24")], vec![net("10.0.0.0/8")]));
        if narrow_is_up {
            builder.outbound(outbound(1001, vec![net("10.17.0.0/24")], vec![net("10.5.0.0/16")]));
        }
        builder.build()
    };
    let to = |table: &Table, destination| table.outbound(&view("10.17.0.1", destination)).map(|sa| sa.spi());
    for narrow_is_up in [true, false] {
        assert_eq!(to(&table(narrow_is_up), "10.6.0.1"), Ok(1000), "what nothing else is reserved for");
    }
    assert_eq!(to(&table(true), "10.5.0.1"), Ok(1001));
    assert_eq!(to(&table(false), "10.5.0.1"), Err(DropReason::NoSa), "it is not for this peer");
}

#[test]
fn what_is_reserved_says_what_becomes_of_it_until_an_sa_carries_it() {
    let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
    let here = [net("10.17.0.0/24")];
    builder.reserve(&here, &[net("10.1.0.0/16")], Absent::Dropped);
    builder.reserve(&here, &[net("10.2.0.0/16")], Absent::Acquired(7));
    builder.reserve(&here, &[net("10.3.0.0/16")], Absent::Narrowed);
    builder.reserve(&here, &[net("10.2.3.0/24")], Absent::Acquired(8));
    builder.reserve(&here, &[net("10.2.4.0/24")], Absent::Dropped);
    builder.outbound(outbound(1000, here.to_vec(), vec![net("10.3.0.0/24")]));
    builder.outbound(outbound(1001, here.to_vec(), vec![net("10.2.3.0/24")]));
    let table = builder.build();
    for (destination, sent, waits) in [
        ("10.1.0.1", Err(DropReason::NoSa), None),
        ("10.2.0.1", Err(DropReason::NoSa), Some(7)),
        ("10.2.3.1", Ok(1001), None),
        ("10.2.4.1", Err(DropReason::NoSa), None),
        ("10.3.0.1", Ok(1000), None),
        ("10.3.1.1", Err(DropReason::Narrowed), None),
        ("10.4.0.1", Err(DropReason::NoSa), None),
    ] {
        let view = view("10.17.0.1", destination);
        assert_eq!(table.outbound(&view).map(|sa| sa.spi()), sent, "{destination}");
        assert_eq!(table.acquires(&view), waits, "{destination}");
    }
    let reason =
        |source, destination| table.outbound(&view(source, destination)).map(|sa| sa.spi()).unwrap_err();
    assert_eq!(reason("10.18.0.1", "10.1.0.1"), DropReason::NoSa, "no SA goes there");
    for destination in ["10.3.0.1", "10.3.1.1", "10.2.3.1"] {
        assert_eq!(
            reason("10.18.0.1", destination),
            DropReason::OutboundSelector,
            "one goes there, from elsewhere"
        );
    }
    let elsewhere = view("10.18.0.1", "10.2.0.1");
    assert_eq!(table.acquires(&elsewhere), None, "a source that it is not reserved for");
}

#[test]
fn a_peer_that_asks_for_little_does_not_take_what_is_reserved_for_another() {
    let here = [net("10.17.0.0/24")];
    let (wide, narrow) = ([net("10.0.0.0/8")], [net("10.5.0.0/16")]);
    // The peer of the wide one was given just what is reserved for the other, and less than that.
    for taken in ["10.5.0.0/16", "10.5.6.0/24"] {
        for (order, other_is_up) in [(0, false), (0, true), (1, true)] {
            let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
            builder.reserve(&here, &wide, Absent::Dropped);
            builder.reserve(&here, &narrow, Absent::Dropped);
            let greedy = outbound(1000, here.to_vec(), vec![net(taken)]);
            let other = outbound(1001, here.to_vec(), narrow.to_vec());
            if order == 1 {
                builder.outbound_reserved(greedy.clone(), &here, &wide);
            }
            if other_is_up {
                builder.outbound_reserved(other, &here, &narrow);
            }
            if order == 0 {
                builder.outbound_reserved(greedy, &here, &wide);
            }
            let table = builder.build();
            let to = |destination| table.outbound(&view("10.17.0.1", destination)).map(|sa| sa.spi());
            let expected = if other_is_up { Ok(1001) } else { Err(DropReason::NoSa) };
            assert_eq!(to("10.5.6.7"), expected, "{taken}, {order}, {other_is_up}");
        }
    }
    // What is reserved for nobody else it has.
    let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
    builder.reserve(&here, &wide, Absent::Narrowed);
    builder.outbound_reserved(outbound(1000, here.to_vec(), vec![net("10.6.0.0/16")]), &here, &wide);
    let table = builder.build();
    let to = |destination| table.outbound(&view("10.17.0.1", destination)).map(|sa| sa.spi());
    assert_eq!((to("10.6.0.1"), to("10.7.0.1")), (Ok(1000), Err(DropReason::Narrowed)));
}

#[test]
fn an_empty_table_protects_nothing_and_passes_nothing() {
    let table = Table::<InboundSa, OutboundSa>::default();
    assert_eq!(table.outbound(&view("10.0.0.1", "10.0.0.2")).unwrap_err(), DropReason::NoSa);
    assert!(table.inbound(SPI).is_none());
}

#[test]
fn ten_thousand_sas_are_found_each_by_its_own_network_and_spi() {
    let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let network = |number: u32| format!("10.{}.{}.0/24", number >> 8, number & 255);
    for number in 0..10_000 {
        builder.outbound(outbound(1000 + number, vec![net("10.200.0.0/16")], vec![net(&network(number))]));
        let mut config = direction.config(vec![net("10.200.0.0/16")], vec![net(&network(number))]);
        config.spi = 0x1000_0000 + number * 0x1_0001;
        builder.inbound(Arc::new(InboundSa::new(config).unwrap()));
    }
    let table = builder.build();
    for number in 0..10_000 {
        let destination = format!("10.{}.{}.9", number >> 8, number & 255);
        assert_eq!(table.outbound(&view("10.200.1.1", &destination)).unwrap().spi(), 1000 + number);
        let spi = 0x1000_0000 + number * 0x1_0001;
        assert_eq!(table.inbound(spi).unwrap().spi(), spi);
        assert!(table.inbound(spi + 1).is_none());
    }
    assert_eq!(table.outbound(&view("10.200.1.1", "10.40.0.1")).unwrap_err(), DropReason::NoSa);
    assert_eq!(table.outbound(&view("10.201.1.1", "10.1.1.1")).unwrap_err(), DropReason::OutboundSelector);
}

#[test]
fn selectors_with_an_empty_range_are_refused() {
    let parse = |text: &str| text.parse::<IpAddr>().unwrap();
    let make = |first, last, ports| Selector::new(parse(first), parse(last), 6, ports).map(|_| ());
    assert!(make("10.0.0.1", "10.0.0.1", (5, 5)).is_ok());
    assert_eq!(make("10.0.0.2", "10.0.0.1", (5, 5)), Err(sekisho_esp::ConfigError::Addresses));
    assert_eq!(make("10.0.0.1", "::1", (5, 5)), Err(sekisho_esp::ConfigError::Addresses));
    assert_eq!(make("10.0.0.1", "10.0.0.2", (6, 5)), Err(sekisho_esp::ConfigError::Ports));
    let _ = service("10.0.0.0/8", 6, (0, 0));
}

#[test]
fn the_view_says_what_another_parser_says() {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
        .tcp(1234, 443, 5, 6)
        .write(&mut packet, b"data")
        .unwrap();
    packet[1] = 0xb9;
    packet.extend(b"behind the end");
    let view = InnerView::parse(&packet).unwrap();
    assert_eq!((view.source(), view.destination()), (address(true, 1), address(true, 2)));
    assert_eq!((view.protocol(), view.tos(), view.total_length(), view.header_length()), (6, 0xb9, 44, 20));
    assert_eq!(view.ports(), Ports::Known { source: 1234, destination: 443 });
    assert_eq!((view.fragment(), view.dont_fragment()), (Fragment::Whole, true));

    // IPv6 with a hop-by-hop header, a fragment header and destination options before UDP.
    let udp = [0x13, 0x88, 0, 53, 0, 8, 0, 0];
    let extensions = |offset: [u8; 2]| {
        let chain =
            [[44, 0, 1, 4, 0, 0, 0, 0], [60, 0, offset[0], offset[1], 0, 0, 0, 7], [17, 0, 1, 4, 0, 0, 0, 0]];
        let mut packet = vec![0x6b, 0x90, 0, 0, 0, 32, 0, 64];
        packet.extend([address(false, 1), address(false, 2)].iter().flat_map(|a| match a {
            IpAddr::V6(a) => a.octets(),
            IpAddr::V4(_) => unreachable!(),
        }));
        packet.extend(chain.as_flattened());
        packet.extend(udp);
        packet
    };
    let first = InnerView::parse(&extensions([0, 1])).unwrap();
    assert_eq!((first.protocol(), first.header_length(), first.tos()), (17, 64, 0xb9));
    assert_eq!(first.ports(), Ports::Known { source: 5000, destination: 53 });
    assert_eq!(first.fragment(), Fragment::First);
    let later = InnerView::parse(&extensions([0, 9])).unwrap();
    assert_eq!((later.fragment(), later.ports(), later.protocol()), (Fragment::Later, Ports::Hidden, 60));
    let whole = InnerView::parse(&extensions([0, 0])).unwrap();
    assert_eq!(whole.fragment(), Fragment::Whole);

    // A chain that is cut, and one that is too long.
    let mut cut = extensions([0, 0]);
    cut.truncate(60);
    cut[5] = 20;
    assert_eq!(InnerView::parse(&cut), Err(DropReason::InnerMalformed));
    let mut long = extensions([0, 0])[..40].to_vec();
    (long[5], long[6]) = (80, 60);
    long.extend([60, 0, 1, 4, 0, 0, 0, 0].repeat(9));
    long.extend([59, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(InnerView::parse(&long), Err(DropReason::ExtensionHeaders));
}
