//! What is not exactly right is dropped with its reason and leaves no trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{Direction, HERE, HERE6, SPI, THERE, THERE6, net, open, open_marked, service, udp4, udp6};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder};
use proptest::prelude::*;
use sekisho_esp::{DropReason, InboundSa, Selector, Suite, Usage};

fn directions() -> impl Strategy<Value = Direction> {
    prop::sample::select(Direction::all().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_changed_packet_is_never_accepted(
        direction in directions(), payload in prop::collection::vec(any::<u8>(), 0..200), sequence in 1..1000u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4), cut in prop_oneof![Just(0usize), 0..300usize],
        growth in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let sa = direction.inbound();
        let inner = udp4(&payload);
        let original = direction.forge_packet(sequence, &inner);
        let mut changed = original.clone();
        for (at, mask) in changes {
            changed[at.index(original.len())] ^= mask;
        }
        changed.truncate(original.len().saturating_sub(cut));
        changed.extend(growth);
        prop_assume!(changed != original);
        prop_assert!(open(&sa, &changed).is_err());
        prop_assert_eq!(sa.usage(), Usage::default(), "a forged packet left a trace");
        // In particular, the replay window has not moved.
        prop_assert_eq!(open(&sa, &original), Ok(inner));
    }

    #[test]
    fn noise_is_never_accepted(direction in directions(), tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let sa = direction.inbound();
        prop_assert!(open(&sa, &[&SPI.to_be_bytes()[..], &tail].concat()).is_err());
        prop_assert!(open(&sa, &tail).is_err());
    }
}

#[test]
fn each_packet_is_accepted_once_in_any_order() {
    for direction in Direction::all() {
        let direction = Direction { window: 32, ..direction };
        let sa = direction.inbound();
        let packet = |sequence| direction.forge_packet(sequence, &udp4(b"one"));
        for sequence in [40, 9, 39, 10] {
            assert!(open(&sa, &packet(sequence)).is_ok(), "{sequence}");
            assert_eq!(open(&sa, &packet(sequence)), Err(DropReason::Replayed));
        }
        // With ESN a low half behind the window means a number 2^32 further on, under which it is not authentic.
        let behind = Err(if direction.esn { DropReason::Authentication } else { DropReason::TooOld });
        assert_eq!(open(&sa, &packet(8)), behind);
        assert!(open(&sa, &packet(41)).is_ok());
        assert_eq!(open(&sa, &packet(9)), behind);
        assert_eq!(open(&direction.inbound(), &packet(0)), Err(DropReason::SequenceZero));
    }
}

#[test]
fn extended_sequence_numbers_pass_the_end_of_32_bits_and_come_back_for_latecomers() {
    for direction in Direction::all().filter(|direction| direction.esn) {
        let sa = direction.inbound();
        let wrap = 1u64 << 32;
        let inner = udp4(b"round the corner");
        for sequence in [
            1,
            wrap / 2,
            wrap - 2,
            wrap + 1,
            wrap - 1,
            wrap,
            wrap + 900,
            wrap - 20,
            wrap + wrap / 2,
            2 * wrap + 3,
            2 * wrap - 4,
        ] {
            let packet = direction.forge_packet(sequence, &inner);
            assert_eq!(open(&sa, &packet), Ok(inner.clone()), "{sequence}, {}", direction.suite);
            assert_eq!(open(&sa, &packet), Err(DropReason::Replayed));
        }
        // The same low half under another high half is another packet, which does not authenticate.
        let stale = direction.forge_packet(wrap + 4, &inner);
        assert_eq!(open(&sa, &stale), Err(DropReason::Authentication), "{}", direction.suite);
    }
}

#[test]
fn without_esn_the_last_number_is_the_last() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let sa = direction.inbound();
    let last = u64::from(u32::MAX);
    assert!(open(&sa, &direction.forge_packet(last, &udp4(b"last"))).is_ok());
    assert_eq!(open(&sa, &direction.forge_packet(1, &udp4(b"first"))), Err(DropReason::TooOld));
}

#[test]
fn headers_that_do_not_fit_have_their_reasons() {
    for direction in Direction::all() {
        let sa = direction.inbound();
        let packet = direction.forge_packet(1, &udp4(b"x"));
        let shortest = direction.suite.layout().header_length() + 2 + direction.icv();
        for length in 0..shortest {
            assert_eq!(open(&sa, &packet[..length]), Err(DropReason::Truncated), "{length}");
        }
        let mut other = packet.clone();
        other[3] ^= 1;
        assert_eq!(open(&sa, &other), Err(DropReason::UnknownSpi));
        // ESN is part of what is authenticated.
        let extended = Direction { esn: !direction.esn, ..direction };
        assert_eq!(open(&extended.inbound(), &packet), Err(DropReason::Authentication));
    }
}

/// Whatever is wrong with it, a packet that is not authentic is dropped for one reason, before its padding is looked at.
#[test]
fn a_forger_learns_nothing_of_the_padding() {
    for direction in Direction::all() {
        let sa = direction.inbound();
        let (start, icv) = (direction.suite.layout().header_length(), direction.icv());
        for text in [direction.with_trailer(&udp4(b"right"), 4), vec![0xff; 64]] {
            let packet = direction.forge(1, [9; 16], &text);
            for at in (8..start).chain(packet.len() - icv - 16..packet.len()) {
                let mut forged = packet.clone();
                forged[at] ^= 0x10;
                assert_eq!(open(&sa, &forged), Err(DropReason::Authentication), "{}", direction.suite);
            }
        }
        // What is no whole number of blocks is never looked at, authentic or not.
        if direction.is_cbc() {
            let packet = direction.forge(1, [9; 16], &[0xff; 64]);
            let cut = [&packet[..start + 40], &packet[packet.len() - icv..]].concat();
            assert!(matches!(open(&sa, &cut), Err(DropReason::Authentication | DropReason::Padding)));
        }
        assert_eq!(sa.usage(), Usage::default());
    }
}

/// Rule 11: ESP pad length, next header and inner length are checked after authentication too (VPP 2026).
#[test]
fn what_lies_inside_is_checked_after_authentication_too() {
    for direction in Direction::all() {
        let inner = udp4(b"inner");
        // A block cipher has blocks to fill: bytes behind the inner packet do it.
        let text = |payload: &[u8], trailer: &[u8]| {
            let rest = payload.len() + trailer.len();
            let more = if direction.is_cbc() { rest.next_multiple_of(16) - rest } else { 0 };
            [payload, &vec![0; more], trailer].concat()
        };
        let ordinary = |payload: &[u8], next_header| direction.with_trailer(payload, next_header);
        let mut too_long = inner.clone();
        too_long[2] += 1;
        let mut short_header = inner.clone();
        short_header[0] = 0x44;
        let mut shorter_than_header = inner.clone();
        shorter_than_header[2..4].copy_from_slice(&[0, 19]);
        let cases = [
            (text(&inner, &[9, 4]), DropReason::Padding),
            (text(&inner, &[1, 2, 4, 3, 4]), DropReason::Padding),
            (text(&inner, &[0, 0, 2, 4]), DropReason::Padding),
            (text(&[], &[200, 4]), DropReason::Padding),
            (text(&[], &[1, 4]), DropReason::Padding),
            (ordinary(&inner, 6), DropReason::NextHeader),
            (ordinary(&inner, 0), DropReason::NextHeader),
            (ordinary(&inner, 50), DropReason::NextHeader),
            (ordinary(&inner, 41), DropReason::NextHeader),
            (ordinary(&udp6(b"inner"), 4), DropReason::NextHeader),
            (ordinary(&[0; 60], 59), DropReason::Dummy),
            (ordinary(&[], 59), DropReason::Dummy),
            (ordinary(&[], 4), DropReason::NotIp),
            (ordinary(&inner[..19], 4), DropReason::InnerMalformed),
            (ordinary(&short_header, 4), DropReason::InnerMalformed),
            (ordinary(&shorter_than_header, 4), DropReason::InnerMalformed),
            (ordinary(&too_long, 4), DropReason::InnerLength),
            (ordinary(&udp6(b"inner")[..39], 41), DropReason::InnerMalformed),
            (ordinary(&udp6(b"inner")[..45], 41), DropReason::InnerLength),
        ];
        let sa = direction.inbound();
        for (sequence, (text, reason)) in (1..).zip(cases) {
            let packet = direction.forge(sequence, [9; 16], &text);
            assert_eq!(open(&sa, &packet), Err(reason), "{} {text:02x?}", direction.suite);
            // It was authentic: the peer is alive, its number is used up, and nothing was delivered.
            assert_eq!(open(&sa, &packet), Err(DropReason::Replayed));
            assert_eq!((sa.usage().packets, sa.usage().last_ns), (0, Some(1)));
        }
        // One byte more than was claimed is padding, not an error.
        let padded = [&inner[..], &[0]].concat();
        assert_eq!(open(&sa, &direction.forge(99, [9; 16], &ordinary(&padded, 4))), Ok(inner.clone()));
    }
}

/// RFC 4303 §2.4: up to 255 bytes of padding.
#[test]
fn more_padding_than_is_needed_is_taken_off() {
    for direction in Direction::all() {
        let sa = direction.inbound();
        let inner = udp4(b"inner");
        let fits =
            |length: &u8| (inner.len() + usize::from(*length) + 2).is_multiple_of(direction.alignment());
        for (sequence, length) in (1..).zip((0..=u8::MAX).filter(fits)) {
            let padding: Vec<_> = (1..=length).collect();
            let text = [&inner[..], &padding, &[length, 4]].concat();
            assert_eq!(open(&sa, &direction.forge(sequence, [7; 16], &text)), Ok(inner.clone()), "{length}");
        }
    }
}

/// A train as the kernel joins it: neighbours of other suites, one of them forged, one cut.
///
/// Rule 17: coalesced datagrams are input like any other: no panic, no drop of their neighbours (`GotaTun` 0.7.2).
#[test]
fn in_a_train_of_several_suites_each_packet_is_judged_by_itself() {
    for esn in [false, true] {
        let sas: Vec<_> = Suite::ALL
            .into_iter()
            .map(|suite| Direction::new(suite, esn))
            .map(|direction| (direction.inbound(), direction))
            .collect();
        let packets =
            |sequence| sas.iter().map(move |(_, direction)| direction.forge_packet(sequence, &udp4(b"x")));
        let mut train: Vec<Vec<u8>> = packets(1).chain(packets(2)).collect();
        let spoiled = [2, 8, 9, 15];
        for number in spoiled {
            let last = train[number].len() - 1;
            train[number][last] ^= 1;
        }
        let lengths: Vec<_> = train.iter().map(Vec::len).collect();
        let mut bytes = train.concat();
        let mut rest = &mut bytes[..];
        for (number, length) in lengths.into_iter().enumerate() {
            let (packet, behind) = rest.split_at_mut(length);
            let sa = &sas[number % sas.len()].0;
            let opened = sa.opener(1).open(packet, 0).map(|range| packet[range].to_vec());
            let expected =
                if spoiled.contains(&number) { Err(DropReason::Authentication) } else { Ok(udp4(b"x")) };
            assert_eq!(opened, expected, "packet {number}");
            assert_eq!(behind, &train[number + 1..].concat()[..], "its neighbours are as they were");
            rest = behind;
        }
    }
}

fn receiver(direction: &Direction, local: Vec<Selector>, remote: Vec<Selector>) -> InboundSa {
    InboundSa::new(direction.config(local, remote)).unwrap()
}

/// Rule 13: an inner source address is matched against the SA that carried the packet, not against any SA.
#[test]
fn inner_addresses_are_those_of_this_sa_or_the_packet_is_dropped() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let sa =
        receiver(&direction, vec![net("10.1.2.3/32")], vec![net("10.17.0.4-10.17.0.6"), net("10.99.0.0/16")]);
    let udp = |source: [u8; 4], destination: [u8; 4]| {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(source, destination, 64).udp(1, 2).write(&mut packet, b"x").unwrap();
        packet
    };
    let inside = |source, destination, sequence| {
        open(&sa, &direction.forge_packet(sequence, &udp(source, destination)))
    };
    for (sequence, source) in (1..).zip([[10, 17, 0, 4], [10, 17, 0, 6], [10, 99, 255, 255]]) {
        assert!(inside(source, THERE, sequence).is_ok());
    }
    for (sequence, source) in
        (11..).zip([[10, 17, 0, 3], [10, 17, 0, 7], [10, 100, 0, 0], THERE, [0; 4], [127, 0, 0, 1]])
    {
        assert_eq!(inside(source, THERE, sequence), Err(DropReason::InboundSelector), "{source:?}");
    }
    for (sequence, destination) in (21..).zip([[10, 1, 2, 2], [10, 1, 2, 4], HERE, [255; 4]]) {
        assert_eq!(inside([10, 17, 0, 5], destination, sequence), Err(DropReason::InboundSelector));
    }
    // An IPv4 selector holds no IPv6 address, even where the bits are the same.
    let mapped = |address: [u8; 4]| std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets();
    let mut packet = Vec::new();
    PacketBuilder::ipv6(mapped(HERE), mapped(THERE), 64).udp(1, 2).write(&mut packet, b"x").unwrap();
    assert_eq!(open(&sa, &direction.forge_packet(31, &packet)), Err(DropReason::InboundSelector));
}

#[test]
fn a_peer_that_may_send_from_anywhere_still_does_not_stand_on_our_link() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let everything = || vec![net("0.0.0.0/0"), net("::/0")];
    let sa = receiver(&direction, everything(), everything());
    let v6 = |source: &str, destination: &str| {
        let bits = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let mut packet = Vec::new();
        PacketBuilder::ipv6(bits(source), bits(destination), 255).udp(1, 2).write(&mut packet, b"").unwrap();
        packet
    };
    let v4 = |destination: [u8; 4]| {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(HERE, destination, 1).udp(1, 2).write(&mut packet, b"").unwrap();
        packet
    };
    let refused = [
        v6("fe80::1", "ff02::1"),
        v6("fe80::1", "2001:db8::1"),
        v6("2001:db8::1", "ff02::1"),
        v4([224, 0, 0, 251]),
        v4([255; 4]),
    ];
    for (sequence, packet) in (1..).zip(&refused) {
        let opened = open(&sa, &direction.forge_packet(sequence, packet));
        assert_eq!(opened, Err(DropReason::LinkLocal), "{packet:?}");
    }
    assert!(open(&sa, &direction.forge_packet(9, &v6("2001:db8::1", "2001:db8::2"))).is_ok());
}

#[test]
fn protocols_and_ports_are_checked_at_both_ends() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let sa = receiver(
        &direction,
        vec![service("10.1.0.0/16", 17, (53, 60))],
        vec![service("10.17.0.0/24", 0, (5000, 5000))],
    );
    let ports = |source, destination| {
        let mut packet = Vec::new();
        PacketBuilder::ipv4(HERE, THERE, 64).udp(source, destination).write(&mut packet, b"x").unwrap();
        packet
    };
    for (sequence, (packet, accepted)) in (1..).zip([
        (ports(5000, 53), true),
        (ports(5000, 60), true),
        (ports(5000, 52), false),
        (ports(5000, 61), false),
        (ports(4999, 53), false),
    ]) {
        let expected = if accepted { Ok(packet.clone()) } else { Err(DropReason::InboundSelector) };
        assert_eq!(open(&sa, &direction.forge_packet(sequence, &packet)), expected);
    }
    let mut tcp = Vec::new();
    PacketBuilder::ipv4(HERE, THERE, 64).tcp(5000, 53, 1, 1).write(&mut tcp, b"").unwrap();
    assert_eq!(open(&sa, &direction.forge_packet(9, &tcp)), Err(DropReason::InboundSelector));
}

#[test]
fn icmp_type_and_code_stand_for_ports() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let echo = (8 << 8, (8 << 8) | 255);
    let sa = receiver(&direction, vec![net("10.1.0.0/16")], vec![service("10.17.0.0/24", 1, echo)]);
    let mut request = Vec::new();
    PacketBuilder::ipv4(HERE, THERE, 64).icmpv4_echo_request(1, 1).write(&mut request, b"x").unwrap();
    let mut reply = Vec::new();
    PacketBuilder::ipv4(HERE, THERE, 64).icmpv4_echo_reply(1, 1).write(&mut reply, b"x").unwrap();
    assert_eq!(open(&sa, &direction.forge_packet(1, &request)), Ok(request));
    assert_eq!(open(&sa, &direction.forge_packet(2, &reply)), Err(DropReason::InboundSelector));
}

fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let mut header = Ipv4Header::new(24, 64, IpNumber::UDP, HERE, THERE).unwrap();
    header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    header.more_fragments = more;
    header.header_checksum = header.calc_header_checksum();
    // What lies where the ports would be looks like those that are allowed.
    [&header.to_bytes()[..], &[0x13, 0x88, 0, 53], &[0; 20]].concat()
}

#[test]
fn a_later_fragment_passes_only_where_ports_do_not_matter() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let any = direction.inbound();
    let by_port = receiver(&direction, vec![service("10.1.0.0/16", 17, (53, 53))], vec![net("10.17.0.0/24")]);
    let elsewhere =
        receiver(&direction, vec![service("10.2.0.0/16", 17, (53, 53))], vec![net("10.17.0.0/24")]);
    let (first, later) = (fragment(0, true), fragment(3, false));
    let sealed = |packet: &[u8], sequence| direction.forge_packet(sequence, packet);
    assert_eq!(open(&any, &sealed(&first, 1)), Ok(first.clone()));
    assert_eq!(open(&any, &sealed(&later, 2)), Ok(later.clone()));
    assert_eq!(open(&by_port, &sealed(&later, 1)), Err(DropReason::FragmentWithoutPorts));
    assert_eq!(open(&by_port, &sealed(&first, 2)), Ok(first));
    assert_eq!(open(&by_port, &sealed(&later, 3)), Ok(later.clone()));
    assert_eq!(open(&elsewhere, &sealed(&later, 2)), Err(DropReason::InboundSelector));
}

#[test]
fn congestion_marks_come_in_and_leave_the_headers_right() {
    let direction = Direction::new(Suite::AES_256_GCM_16, false);
    let sa = direction.inbound();
    let marked = |tos: u8| {
        let mut header = Ipv4Header::new(8, 64, IpNumber::UDP, HERE, THERE).unwrap();
        header.dscp = etherparse::IpDscp::try_new(tos >> 2).unwrap();
        header.ecn = etherparse::IpEcn::try_new(tos & 3).unwrap();
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], &[0, 1, 0, 2, 0, 8, 0, 0]].concat()
    };
    let mut sequence = 0;
    for tos in 0..=u8::MAX {
        for outer in 0..4u8 {
            sequence += 1;
            let packet = direction.forge_packet(sequence, &marked(tos));
            let expected = sekisho_esp::ecn::decapsulate(outer, tos).map(marked);
            assert_eq!(open_marked(&sa, &packet, outer), expected, "inner {tos:02x}, outer {outer:02b}");
        }
    }
    // IPv6: the traffic class lies across two bytes, and there is no checksum to mend.
    let mut inner = udp6(b"six");
    inner[0] = 0x6a;
    inner[1] = 0xa5;
    inner[3] = 0x77;
    let opened = open_marked(&sa, &direction.forge_packet(sequence + 1, &inner), 3).unwrap();
    assert_eq!(opened[..4], [0x6a, 0xb5, 0, 0x77]);
    assert_eq!(opened[4..], inner[4..]);
    assert_eq!((&inner[8..24], &inner[24..40]), (&HERE6[..], &THERE6[..]));
}

#[test]
fn the_first_packet_is_told_once() {
    for direction in Direction::all() {
        let sa = direction.inbound();
        let mut forged = direction.forge_packet(1, &udp4(b"x"));
        forged[20] ^= 1;
        let mut opener = sa.opener(5);
        assert!(opener.open(&mut forged, 0).is_err());
        assert!(!opener.first_packet());
        // A dummy packet proves as well as any other that the peer uses the SA.
        let dummy = direction.with_trailer(&[], 59);
        assert!(opener.open(&mut direction.forge(1, [0; 16], &dummy), 0).is_err());
        assert!(opener.first_packet() && !opener.first_packet());
        drop(opener);
        let mut opener = sa.opener(6);
        assert!(opener.open(&mut direction.forge_packet(2, &udp4(b"x")), 0).is_ok());
        assert!(!opener.first_packet());
        assert_eq!(sa.usage().last_ns, Some(5), "readable while the owner holds the lock");
        drop(opener);
        assert_eq!(sa.usage().last_ns, Some(6));
    }
}
