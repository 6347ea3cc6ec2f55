use sekisho_esp::{DropReason, InboundSa, InnerView, Keymat, OutboundSa, SaConfig, Selector, Suite};

use super::super::{Quote, UdpPath};
use super::{Installed, NewSa, Reservation};

const RECORDS: u64 = 10;
/// Packets back that a router may speak of (`LATELY` of the SA).
const LATELY: u32 = 1 << 16;
const IMAGES: u64 = 11;

fn path(port: u16) -> UdpPath {
    UdpPath {
        local: "192.0.2.1:4500".parse().unwrap(),
        remote: format!("192.0.2.2:{port}").parse().unwrap(),
        encap: true,
    }
}

/// A Child SA between 10.0.0.0/8 and 10.`net`.0.0/16; its SPIs are 1000 and 2000 more than `id`.
fn new_sa(id: u64, tunnel: u64, policy: u64, net: u8) -> NewSa {
    let all = |first: [u8; 4], last: [u8; 4]| {
        vec![Selector::new(first.into(), last.into(), 0, (0, u16::MAX)).unwrap()]
    };
    let config = |spi| SaConfig {
        spi,
        suite: Suite::AES_128_GCM_16,
        keymat: Keymat::new(vec![7; 20]),
        esn: true,
        local: all([10, 0, 0, 0], [10, 255, 255, 255]),
        remote: all([10, net, 0, 0], [10, net, 255, 255]),
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 64,
        packet_limit: None,
    };
    let spi = u32::try_from(id).unwrap() + 1_000;
    NewSa {
        id,
        tunnel,
        policy,
        inbound: InboundSa::new(config(spi)).unwrap(),
        outbound: OutboundSa::new(config(spi + 1_000)).unwrap(),
        path: path(4500),
    }
}

fn packet_to(net: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4([10, 1, 0, 1], [10, net, 0, 1], 64).udp(1, 2);
    builder.write(&mut packet, b"").unwrap();
    packet
}

/// The SA (by its number) and the port that a packet to 10.`net`.0.1 leaves by.
fn leaves_by(installed: &mut Installed, net: u8) -> Option<(u64, u16)> {
    let snapshot = installed.snapshot();
    let sending = snapshot.outbound(&InnerView::parse(&packet_to(net)).unwrap()).ok()?;
    Some((u64::from(sending.sa().spi()) - 2_000, sending.path.remote.port()))
}

#[test]
fn what_is_installed_receives_but_is_sent_on_only_after_the_switch() {
    let mut installed = Installed::default();
    installed.install(new_sa(1, 1, RECORDS, 2));
    assert!(installed.snapshot().inbound(1_001).is_some());
    assert_eq!(leaves_by(&mut installed, 2), None);
    installed.switch_outbound(1);
    assert_eq!(leaves_by(&mut installed, 2), Some((1, 4500)));
    installed.stop_outbound(1);
    assert_eq!(leaves_by(&mut installed, 2), None);
    assert!(installed.snapshot().inbound(1_001).is_some());
    assert!(installed.remove(1).is_some());
    assert!(installed.snapshot().inbound(1_001).is_none());
}

#[test]
fn a_switch_replaces_the_same_child_of_the_same_tunnel_and_nothing_else() {
    let mut installed = Installed::default();
    for sa in [new_sa(1, 1, RECORDS, 2), new_sa(2, 1, IMAGES, 3), new_sa(3, 1, RECORDS, 2)] {
        let id = sa.id;
        installed.install(sa);
        installed.switch_outbound(id);
    }
    assert_eq!(leaves_by(&mut installed, 2), Some((3, 4500)));
    assert_eq!(leaves_by(&mut installed, 3), Some((2, 4500)), "the other child goes on");
    installed.remove(3);
    assert_eq!(leaves_by(&mut installed, 2), None, "the one that was replaced is not taken up again");
}

#[test]
fn of_two_tunnels_the_one_switched_to_last_carries_until_it_goes() {
    let mut installed = Installed::default();
    for (id, tunnel) in [(1, 1), (2, 2)] {
        installed.install(new_sa(id, tunnel, RECORDS, 2));
    }
    installed.switch_outbound(2);
    installed.switch_outbound(1);
    assert_eq!(leaves_by(&mut installed, 2), Some((1, 4500)));
    installed.remove(1);
    assert_eq!(leaves_by(&mut installed, 2), Some((2, 4500)));
}

/// Or a hub whose peers all come back at once would make a snapshot for each.
#[test]
fn changes_are_seen_together_and_what_changed_nothing_is_not_seen() {
    let mut installed = Installed::default();
    for id in 1..=100 {
        installed.install(new_sa(id, id, RECORDS, 2));
        installed.switch_outbound(id);
    }
    let snapshot = installed.news().unwrap();
    assert_eq!(snapshot.number(), 1);
    assert!((1_001..=1_100).all(|spi| snapshot.inbound(spi).is_some()));
    installed.switch_outbound(500);
    installed.stop_outbound(500);
    installed.repath(500, path(61_000));
    assert!(installed.remove(500).is_none() && installed.news().is_none());
    (1..=100).for_each(|id| drop(installed.remove(id)));
    let snapshot = installed.news().unwrap();
    assert_eq!((snapshot.number(), snapshot.inbound(1_001).is_some()), (2, false));
}

#[test]
fn an_sa_of_the_same_number_takes_the_place_of_one_that_was_sent_on() {
    let mut installed = Installed::default();
    installed.install(new_sa(1, 1, RECORDS, 2));
    installed.switch_outbound(1);
    installed.switch_outbound(1);
    assert_eq!(leaves_by(&mut installed, 2), Some((1, 4500)), "switched to twice");
    installed.install(new_sa(1, 1, RECORDS, 3));
    assert_eq!((leaves_by(&mut installed, 2), leaves_by(&mut installed, 3)), (None, None));
    installed.switch_outbound(1);
    assert_eq!(leaves_by(&mut installed, 3), Some((1, 4500)));
}

#[test]
fn a_new_path_is_for_its_tunnel_only_and_the_sequence_goes_on() {
    let mut installed = Installed::default();
    for (id, tunnel, net) in [(1, 1, 2), (2, 2, 3)] {
        installed.install(new_sa(id, tunnel, RECORDS, net));
        installed.switch_outbound(id);
    }
    let snapshot = installed.snapshot();
    let sending = snapshot.outbound(&InnerView::parse(&packet_to(2)).unwrap()).unwrap();
    sending.sa().sealer(0).seal(&mut [0x45; 100], 16..36).unwrap();
    installed.repath(1, path(61_000));
    assert_eq!(leaves_by(&mut installed, 2), Some((1, 61_000)));
    assert_eq!(leaves_by(&mut installed, 3), Some((2, 4500)));
    assert_eq!(installed.usage(1).unwrap().packets_out, 1, "it is the same SA");
}

#[test]
fn what_has_no_sa_waits_is_dropped_or_was_left_out_by_the_peer() {
    let nets = |first: u8, last: u8| {
        let last = [10, last, 255, 255];
        vec![Selector::new([10, first, 0, 0].into(), last.into(), 0, (0, u16::MAX)).unwrap()]
    };
    let reserve = |policy, on_demand, in_part, net| Reservation {
        policy,
        on_demand,
        in_part,
        local: nets(0, 255),
        remote: nets(net, net + 1),
    };
    let mut installed = Installed::default();
    installed.reserve(vec![
        reserve(RECORDS, true, false, 2),
        reserve(IMAGES, false, false, 4),
        reserve(12, false, true, 6),
    ]);
    let told = |installed: &mut Installed| {
        let snapshot = installed.snapshot();
        let ask = |net| {
            let packet = packet_to(net);
            let view = InnerView::parse(&packet).unwrap();
            (snapshot.outbound(&view).err(), snapshot.acquires(&view))
        };
        [2, 3, 4, 5, 6, 7].map(ask)
    };
    let (lost, kept) = ((Some(DropReason::NoSa), None), (Some(DropReason::NoSa), Some(RECORDS)));
    assert_eq!(told(&mut installed), [kept, kept, lost, lost, lost, lost]);
    for (id, policy, net) in [(1, RECORDS, 2), (2, IMAGES, 4), (3, 12, 6)] {
        installed.install(new_sa(id, 1, policy, net));
    }
    assert_eq!(told(&mut installed), [kept, kept, lost, lost, lost, lost], "not sent on yet");
    (1..=3).for_each(|id| installed.switch_outbound(id));
    let (sent, narrowed) = ((None, None), (Some(DropReason::Narrowed), None));
    assert_eq!(told(&mut installed), [sent, narrowed, sent, narrowed, sent, lost]);
    installed.stop_outbound(1);
    assert_eq!(told(&mut installed)[..2], [kept, kept], "its end is near");
}

/// A thread looks packets up in the snapshot that it has, until it takes the next.
#[test]
fn what_a_removed_sa_has_carried_is_final_though_a_thread_still_finds_it() {
    let mut installed = Installed::default();
    installed.install(new_sa(1, 1, RECORDS, 2));
    installed.switch_outbound(1);
    let snapshot = installed.snapshot();
    let sending = snapshot.outbound(&InnerView::parse(&packet_to(2)).unwrap()).unwrap();
    let seal = || sending.sa().sealer(5).seal(&mut [0x45; 100], 16..36).map(drop);
    assert_eq!(seal(), Ok(()));
    let entry = installed.remove(1).unwrap();
    assert_eq!(seal(), Ok(()), "it is not told yet what it has carried");
    let told = entry.end();
    assert_eq!(told.packets_out, 2);
    assert_eq!(seal(), Err(DropReason::SaEnded));
    let mut packet = vec![0; 100];
    packet[..4].copy_from_slice(&1_001_u32.to_be_bytes());
    let receiving = snapshot.inbound(1_001).unwrap();
    assert_eq!(receiving.sa().opener(5).open(&mut packet, 0), Err(DropReason::SaEnded));
    assert_eq!(entry.end(), told);
}

/// A router's word for a packet from us to the peer: its ports, if it was in UDP, its SPI and its number.
fn quote(ports: Option<(u16, u16)>, spi: u32, number: u32) -> Quote {
    let mut icmp = vec![
        3, 4, 0, 0, 0, 0, 5, 120, 0x45, 0, 5, 220, 0, 0, 0x40, 0, 63, 50, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    if let Some((source, destination)) = ports {
        icmp[17] = 17;
        icmp.extend([source.to_be_bytes(), destination.to_be_bytes(), [5, 200], [0, 0]].concat());
    }
    icmp.extend([spi.to_be_bytes(), number.to_be_bytes()].concat());
    let sum: u32 = icmp.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    Quote::of_icmpv4(&icmp).unwrap()
}

/// Whoever has not seen a packet of ours must guess all of this.
#[test]
fn a_router_is_heard_if_it_shows_a_packet_that_went_this_way_lately_and_not_otherwise() {
    const IN_UDP: Option<(u16, u16)> = Some((4500, 4500));
    let mut installed = Installed::default();
    installed.install(new_sa(1, 71, RECORDS, 2));
    installed.install(new_sa(2, 72, IMAGES, 3));
    installed.repath(72, UdpPath { encap: false, ..path(4500) });
    for entry in installed.entries.values() {
        let mut sealer = entry.sending.sa.sealer(0);
        for _ in 0..LATELY + 10 {
            sealer.seal(&mut [0x45; 100], 16..36).unwrap();
        }
    }
    let last = LATELY + 10;
    let to = |address: [u8; 4], mut quote: Quote| {
        quote.destination = address.into();
        quote
    };
    let unseen = |mut quote: Quote| {
        quote.esp = None;
        quote
    };
    let cases = [
        ("right, in UDP", quote(IN_UDP, 2_001, last), Some(71)),
        ("right, without UDP", quote(None, 2_002, last), Some(72)),
        ("the oldest that counts", quote(IN_UDP, 2_001, last - LATELY + 1), Some(71)),
        ("a number too old", quote(IN_UDP, 2_001, last - LATELY), None),
        ("a number that was not sent yet", quote(IN_UDP, 2_001, last + 1), None),
        ("another destination", to([192, 0, 2, 3], quote(IN_UDP, 2_001, last)), None),
        ("another source port", quote(Some((4501, 4500)), 2_001, last), None),
        ("another destination port", quote(Some((4500, 4501)), 2_001, last), None),
        ("in UDP what went without", quote(IN_UDP, 2_002, last), None),
        ("without UDP what went in it", quote(None, 2_001, last), None),
        ("the SPI that we receive on", quote(IN_UDP, 1_001, last), None),
        ("no SPI", unseen(quote(IN_UDP, 2_001, last)), None),
    ];
    for (what, quote, tunnel) in cases {
        assert_eq!(installed.quoted(&quote), tunnel, "{what}");
    }
    // Behind a NAT a packet does not show the source that we know.
    let mut behind = quote(IN_UDP, 2_001, last);
    behind.source = [198, 51, 100, 1].into();
    assert_eq!(installed.quoted(&behind), Some(71));
    installed.stop_outbound(1);
    assert_eq!(installed.quoted(&behind), Some(71), "packets may be on their way still");
    installed.remove(1);
    assert_eq!(installed.quoted(&behind), None, "retired");
}
