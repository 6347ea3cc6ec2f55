//! Super-packets become the packets that their sender's own stack would have sent.

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use proptest::prelude::*;
use sekisho_esp::{DropReason, OffloadHeader, Suite, complete_checksum, segment};

use super::common::tcp::{ACK, Tcp};
use super::common::udp::Udp;
use super::routes::{extended, with_options};
use super::{LAYOUT, common, cut, datagrams, flow, tcp, udp};

proptest! {
    #[test]
    fn a_super_packet_is_cut_as_its_sender_would_have_sent_it(
        flow in tcp(any::<u8>(), 0..4000), size in 1..1500u16,
    ) {
        let (header, packet) = flow.super_packet(size);
        let (train, packets) = cut(header, &packet).unwrap();
        let expected: Vec<_> = flow.segments(size.into()).iter().map(Tcp::bytes).collect();
        prop_assert_eq!(train.count, expected.len());
        prop_assert_eq!(packets, expected);
    }

    /// By way of others first: then the IP header does not name the last destination, over which the checksum goes.
    #[test]
    fn extension_headers_are_kept_before_each_segment(
        flow in tcp(any::<u8>(), 0..4000), datagrams in udp(1..4000), size in 1..1400u16, first: bool,
        extensions in prop::collection::vec((prop::sample::select(vec![0, 43, 60]), 0..3usize), 1..4),
    ) {
        let (flow, datagrams) = (Tcp { ipv4: false, ..flow }, Udp { ipv4: false, ..datagrams });
        for ((header, packet), packets) in both(&flow, &datagrams, size) {
            let (packet, more) = extended(&packet, &extensions, first);
            let header = OffloadHeader { csum_start: header.csum_start + more, ..header };
            let expected: Vec<_> =
                packets.iter().map(|packet| extended(packet, &extensions, first).0).collect();
            prop_assert_eq!(cut(header, &packet).unwrap().1, expected);
        }
    }

    #[test]
    fn options_of_ipv4_are_kept_before_each_segment(
        flow in tcp(any::<u8>(), 0..4000), datagrams in udp(1..4000), size in 1..1400u16, first: bool,
        words in 2..=10usize,
    ) {
        let (flow, datagrams) = (Tcp { ipv4: true, ..flow }, Udp { ipv4: true, ..datagrams });
        for ((header, packet), packets) in both(&flow, &datagrams, size) {
            let (packet, more) = with_options(&packet, words, first);
            let header = OffloadHeader { csum_start: header.csum_start + more, ..header };
            let expected: Vec<_> = packets.iter().map(|packet| with_options(packet, words, first).0).collect();
            prop_assert_eq!(cut(header, &packet).unwrap().1, expected);
        }
    }

    #[test]
    fn a_super_packet_of_udp_is_cut_into_datagrams(flow in udp(1..5000), size in 1..1400u16) {
        let (header, packet) = flow.super_packet(size);
        let (train, packets) = cut(header, &packet).unwrap();
        let expected: Vec<_> = flow.datagrams(size.into()).iter().map(Udp::bytes).collect();
        prop_assert_eq!(train.count, expected.len());
        prop_assert_eq!(packets, expected);
    }
}

/// A super-packet, and what becomes of it.
type Whole = ((OffloadHeader, Vec<u8>), Vec<Vec<u8>>);

fn both(flow: &Tcp, datagrams: &Udp, size: u16) -> [Whole; 2] {
    let segments = flow.segments(size.into()).iter().map(Tcp::bytes).collect();
    let parts = datagrams.datagrams(size.into()).iter().map(Udp::bytes).collect();
    [(flow.super_packet(size), segments), (datagrams.super_packet(size), parts)]
}

#[test]
fn sizes_at_the_limits_are_cut_as_any_other() {
    // The longest packet of IPv4 there is, and segments that hold all of it, one byte less, one more, or next to nothing.
    let longest = Tcp { flags: ACK, ..flow(65_535 - 52) };
    for size in [65_483, 65_482, 65_535, 32_742, 8_185, 70] {
        let (header, packet) = longest.super_packet(size);
        let expected: Vec<_> = longest.segments(size.into()).iter().map(Tcp::bytes).collect();
        assert_eq!(cut(header, &packet).unwrap().1, expected, "{size}");
    }
    // Datagrams and segments of a byte, and one of none.
    for payload in [0, 1, 2, 300] {
        let tcp = Tcp { flags: ACK, ..flow(payload) };
        let (header, packet) = tcp.super_packet(1);
        let expected: Vec<_> = tcp.segments(1).iter().map(Tcp::bytes).collect();
        assert_eq!(cut(header, &packet).unwrap().1, expected);
    }
}

#[test]
fn flags_stay_where_they_belong_and_another_parser_finds_the_checksums_right() {
    let (header, packet) = flow(3000).super_packet(1348);
    let (train, packets) = cut(header, &packet).unwrap();
    assert_eq!((train.count, train.length, train.last_length), (3, 1400, 52 + 304));
    let mut seen = Vec::new();
    for packet in &packets {
        let parsed = PacketHeaders::from_ip_slice(packet).unwrap();
        let Some(NetHeaders::Ipv4(ip, _)) = parsed.net else { panic!("no IPv4") };
        let Some(TransportHeader::Tcp(tcp)) = parsed.transport else { panic!("no TCP") };
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let payload = &packet[52..];
        assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap());
        seen.push((ip.identification, tcp.sequence_number, tcp.cwr, tcp.psh, tcp.fin));
    }
    let start = u32::MAX - 1000;
    assert_eq!(seen[0], (0xfffe, start, true, false, false));
    assert_eq!(seen[1], (0xffff, start.wrapping_add(1348), false, false, false));
    assert_eq!(seen[2], (0, start.wrapping_add(2696), false, true, true));
}

#[test]
fn a_checksum_of_udp_that_comes_out_as_zero_is_sent_as_all_ones() {
    // "If the computed checksum is zero, it is transmitted as all ones" (RFC 768).
    for (ipv4, at) in [(true, 26), (false, 46)] {
        let zeros = Udp { ipv4, payload: vec![0; 4], ..datagrams(0) };
        let first = |flow: &Udp| {
            let (header, packet) = flow.super_packet(2);
            cut(header, &packet).unwrap().1.remove(0)
        };
        // With what is missing to all ones as its data, the sum is all ones.
        let missing = first(&zeros)[at..at + 2].to_vec();
        let ones = Udp { payload: [missing, vec![0; 2]].concat(), ..zeros };
        assert_eq!(first(&ones)[at..at + 2], [0xff, 0xff]);
    }
}

#[test]
fn sealed_in_place_a_train_has_no_gaps() {
    for direction in common::Direction::all() {
        let (sa, receiver) = (direction.outbound(), direction.inbound());
        // All but the last have one sealed length, as UDP_SEGMENT wants it, whatever is left for the last.
        for (payload, size) in [(40_000, 100u16), (40_000, 101), (40_000, 1361), (40_000, 1398), (1351, 1350)]
        {
            let (header, packet) = flow(payload).super_packet(size);
            let mut buffer = vec![0xcc; 1 << 17];
            let train = segment(sa.layout(), header, &packet, &mut buffer).unwrap();
            let inner: Vec<_> = train.packets().map(|range| buffer[range].to_vec()).collect();
            let mut end = 0;
            let mut sealer = sa.sealer(0);
            for range in train.packets() {
                let sealed = sealer.seal(&mut buffer, range).unwrap();
                assert_eq!(sealed.start, end);
                end = sealed.end;
                assert!(end == train.sealed_length() || end.is_multiple_of(train.stride));
            }
            drop(sealer);
            assert_eq!(end, train.sealed_length());
            assert!(train.last_sealed_length() <= train.stride);
            assert!(buffer[end..].iter().all(|byte| *byte == 0xcc));
            for (sealed, inner) in buffer[..end].chunks(train.stride).zip(inner) {
                assert_eq!(common::open(&receiver, sealed), Ok(inner), "{}", direction.suite);
            }
        }
    }
}

#[test]
fn segments_that_are_padded_have_one_length_the_last_too() {
    for direction in common::Direction::all() {
        let (sa, receiver) = (direction.outbound().with_tfc_padding(true), direction.inbound());
        let layout = sa.layout_for(1400);
        let (header, packet) = flow(3_000).super_packet(1_300);
        let mut buffer = vec![0xcc; 1 << 16];
        let train = segment(layout, header, &packet, &mut buffer).unwrap();
        let inner: Vec<_> = train.packets().map(|range| buffer[range].to_vec()).collect();
        assert_eq!((inner.len(), train.last_sealed_length()), (3, train.stride));
        let mut sealer = sa.sealer(0);
        for range in train.packets() {
            sealer.seal_as(layout, &mut buffer, range).unwrap();
        }
        drop(sealer);
        for (sealed, inner) in buffer[..train.sealed_length()].chunks(train.stride).zip(inner) {
            assert_eq!(common::open(&receiver, sealed), Ok(inner));
        }
    }
}

#[test]
fn a_checksum_left_to_the_device_is_completed() {
    let flow = Tcp { flags: ACK, ..flow(100) };
    let (header, packet) = flow.super_packet(0);
    let header = OffloadHeader { gso_type: OffloadHeader::GSO_NONE, ..header };
    let (train, packets) = cut(header, &packet).unwrap();
    assert_eq!(
        (train.count, train.stride, train.last_length),
        (1, LAYOUT.sealed_length(packet.len()), packet.len())
    );
    assert_eq!(packets, [flow.bytes()]);
    let mut in_place = packet.clone();
    complete_checksum(header, &mut in_place).unwrap();
    assert_eq!(in_place, flow.bytes());
    // Nothing to do, and nothing done.
    let mut complete = flow.bytes();
    complete_checksum(OffloadHeader::default(), &mut complete).unwrap();
    assert_eq!(complete, flow.bytes());
    // A field beyond the packet, or over addresses and ports, by which it was judged.
    for (csum_start, csum_offset) in
        [(20, 200), (u16::MAX, 16), (151, 0), (20, u16::MAX), (0, 16), (20, 2), (24, 12)]
    {
        let header = OffloadHeader { csum_start, csum_offset, ..header };
        assert_eq!(complete_checksum(header, &mut packet.clone()), Err(DropReason::SuperPacket));
    }
}

#[test]
fn a_train_starts_behind_room_for_the_header_of_its_suite() {
    let (header, packet) = flow(10).super_packet(1000);
    for layout in Suite::ALL.map(Suite::layout) {
        let train = segment(layout, header, &packet, &mut [0; 500]).unwrap();
        let start = layout.header_length();
        assert_eq!((train.count, train.packets().next()), (1, Some(start..start + packet.len())));
    }
}
