//! Cutting and joining undo each other, and what they make is what another implementation checks as right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::tcp::{ACK, CWR, ECE, FIN, PSH, Tcp, plain_sum};
use etherparse::{Ipv4Header, NetHeaders, PacketHeaders, TransportHeader};
use proptest::prelude::*;
use sekisho_esp::{Coalescer, DropReason, Layout, OffloadHeader, Suite, Train, complete_checksum, segment};

fn tcp(flags: impl Strategy<Value = u8>, payload: std::ops::Range<usize>) -> impl Strategy<Value = Tcp> {
    let ip = (any::<bool>(), any::<u8>(), any::<u16>(), any::<bool>());
    let tcp = (any::<u16>(), any::<u32>(), any::<u32>(), any::<u16>(), flags, any::<Option<(u32, u32)>>());
    (ip, tcp, prop::collection::vec(any::<u8>(), payload)).prop_map(|(ip, tcp, payload)| Tcp {
        ipv4: ip.0,
        tos: ip.1,
        id: ip.2,
        dont_fragment: ip.3,
        port: tcp.0,
        sequence: tcp.1,
        acknowledgment: tcp.2,
        window: tcp.3,
        flags: tcp.4,
        timestamps: tcp.5,
        payload,
    })
}

/// How it is cut does not depend on the suite, but for where the packets lie.
const LAYOUT: Layout = Suite::AES_256_GCM_16.layout();

fn cut(header: OffloadHeader, packet: &[u8]) -> Result<(Train, Vec<Vec<u8>>), DropReason> {
    // Room for 9,000 segments of one byte.
    let mut out = vec![0xcc; 1 << 20];
    let train = segment(LAYOUT, header, packet, &mut out)?;
    Ok((train, train.packets().map(|range| out[range].to_vec()).collect()))
}

fn join(packets: &[Vec<u8>]) -> Vec<(OffloadHeader, Vec<u8>)> {
    let mut written = Vec::new();
    let mut coalescer = Coalescer::new();
    for packet in packets {
        coalescer.push(packet, |header, bytes| written.push((header, bytes.to_vec())));
    }
    coalescer.flush(|header, bytes| written.push((header, bytes.to_vec())));
    written
}

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

    #[test]
    fn joining_what_was_cut_gives_the_super_packet_back(
        flow in tcp(prop::sample::select(vec![ACK, ACK | PSH, ACK | ECE]), 1..9000), size in 1..1500u16,
    ) {
        let (header, packet) = flow.super_packet(size);
        let written = join(&cut(header, &packet).unwrap().1);
        if flow.payload.len() > size.into() {
            prop_assert_eq!(written, vec![(header, packet)]);
        } else {
            prop_assert_eq!(written, vec![(OffloadHeader::default(), flow.bytes())]);
        }
    }

    /// Whatever packets come: what is written, cut again, is the same packets in the same order. Only the
    /// identification of atomic datagrams may differ, which means nothing (RFC 6864).
    #[test]
    fn cutting_what_was_joined_gives_the_packets_back(
        flow in tcp(Just(ACK), 1..4000), size in 1..1500usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, any::<u8>()), 0..6),
    ) {
        let mut flows = flow.segments(size);
        let mut spoiled = Vec::new();
        for (at, kind, value) in changes {
            let at = at.index(flows.len());
            let one = &mut flows[at];
            match kind {
                0 => one.flags ^= value,
                1 => one.window ^= u16::from(value),
                2 => one.acknowledgment ^= u32::from(value),
                3 => one.sequence = one.sequence.wrapping_add(value.into()),
                4 => one.id ^= u16::from(value),
                5 => one.tos ^= value,
                6 => one.port ^= u16::from(value),
                7 => one.timestamps = Some((value.into(), 0)),
                8 => one.payload.truncate(value.into()),
                9 => one.dont_fragment = !one.dont_fragment,
                10 => spoiled.push((at, value)),
                _ => flows.swap(at, usize::from(value) % flow.segments(size).len()),
            }
        }
        let mut packets: Vec<_> = flows.iter().map(Tcp::bytes).collect();
        for (at, value) in spoiled {
            let position = usize::from(value) * 7 % packets[at].len();
            packets[at][position] ^= value | 1;
        }
        let written = join(&packets);
        let mut again = Vec::new();
        for (header, packet) in &written {
            match header.gso() {
                OffloadHeader::GSO_NONE => again.push(packet.clone()),
                _ => again.extend(cut(*header, packet).unwrap().1),
            }
        }
        let plain = |packets: Vec<Vec<u8>>| packets.into_iter().map(without_atomic_id).collect::<Vec<_>>();
        prop_assert_eq!(plain(again), plain(packets));
    }

    #[test]
    fn udp_is_cut_into_datagrams(
        ipv4: bool, payload in prop::collection::vec(any::<u8>(), 1..5000), size in 1..1400u16,
    ) {
        let packet = if ipv4 { common::udp4(&payload) } else { common::udp6(&payload) };
        let header = OffloadHeader {
            flags: OffloadHeader::NEEDS_CSUM,
            gso_type: OffloadHeader::GSO_UDP_L4,
            gso_size: size,
            ..OffloadHeader::default()
        };
        let (_, packets) = cut(header, &packet).unwrap();
        let expected: Vec<_> = (0..)
            .zip(payload.chunks(size.into()))
            .map(|(number, part)| {
                let mut packet = if ipv4 { common::udp4(part) } else { common::udp6(part) };
                if ipv4 {
                    let mut ip = Ipv4Header::from_slice(&packet).unwrap().0;
                    ip.identification += number;
                    ip.header_checksum = ip.calc_header_checksum();
                    packet[..20].copy_from_slice(&ip.to_bytes());
                }
                packet
            })
            .collect();
        prop_assert_eq!(packets, expected);
    }

    #[test]
    fn nonsense_from_the_tun_is_refused_or_harmless(
        bytes in any::<[u8; OffloadHeader::LENGTH]>(), packet in prop::collection::vec(any::<u8>(), 0..200),
        flow in tcp(any::<u8>(), 0..300), change in any::<(prop::sample::Index, u8)>(), room in 0..2000usize,
    ) {
        let header = OffloadHeader::from_bytes(bytes);
        let mut real = flow.bytes();
        let at = change.0.index(real.len());
        real[at] ^= change.1;
        let mut plausible = flow.super_packet(u16::from_ne_bytes([bytes[4], bytes[5]])).0;
        plausible.csum_start = header.csum_start;
        for (header, packet) in [(header, &packet), (header, &real), (plausible, &real)] {
            let mut out = vec![0; room];
            if let Ok(train) = segment(LAYOUT, header, packet, &mut out) {
                prop_assert!(train.sealed_length() <= room && train.count > 0);
            }
            let _ = complete_checksum(header, &mut packet.clone());
            for (header, bytes) in join(&[packet.clone(), packet.clone()]) {
                prop_assert!(header.gso() == OffloadHeader::GSO_NONE || cut(header, &bytes).is_ok());
            }
        }
    }
}

fn without_atomic_id(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.len() >= 20 && packet[0] == 0x45 && packet[6] & 0x40 != 0 {
        // A wrong header checksum stays wrong.
        let right = plain_sum(&packet[..20]) == 0xffff;
        packet[4..6].fill(0);
        if right {
            packet[10..12].fill(0);
        }
    }
    packet
}

fn flow(payload: usize) -> Tcp {
    Tcp {
        ipv4: true,
        tos: 0,
        id: 0xfffe,
        dont_fragment: true,
        port: 4000,
        sequence: u32::MAX - 1000,
        acknowledgment: 7,
        window: 500,
        flags: ACK | PSH | FIN | CWR,
        timestamps: Some((1, 2)),
        payload: (0..payload).map(|at| u8::try_from(at % 251).unwrap()).collect(),
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
            let mut sealer = sa.sealer();
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
    // A field beyond the packet.
    for (csum_start, csum_offset) in [(20, 200), (u16::MAX, 16), (151, 0), (20, u16::MAX)] {
        let header = OffloadHeader { csum_start, csum_offset, ..header };
        assert_eq!(complete_checksum(header, &mut packet.clone()), Err(DropReason::SuperPacket));
    }
}

#[test]
fn a_header_that_contradicts_the_packet_is_refused() {
    let (header, packet) = flow(3000).super_packet(1000);
    let udp = common::udp4(&[0; 300]);
    let refused = |header, packet: &[u8]| cut(header, packet).map(|_| ()).unwrap_err();
    for gso_type in [OffloadHeader::GSO_TCPV6, OffloadHeader::GSO_UDP_L4, 2, 3, 6, 0x7f] {
        assert_eq!(refused(OffloadHeader { gso_type, ..header }, &packet), DropReason::SuperPacket);
    }
    assert_eq!(refused(OffloadHeader { gso_size: 0, ..header }, &packet), DropReason::SuperPacket);
    assert_eq!(refused(header, &udp), DropReason::SuperPacket);
    let mut short_tcp = packet.clone();
    short_tcp[32] = 0x40;
    assert_eq!(refused(header, &short_tcp), DropReason::SuperPacket);
    let mut fragment = packet.clone();
    fragment[6] = 0x20;
    assert_eq!(refused(header, &fragment), DropReason::SuperPacket);
    let needed = cut(header, &packet).unwrap().0.sealed_length();
    assert_eq!(segment(LAYOUT, header, &packet, &mut vec![0; needed - 1]), Err(DropReason::NoRoom));
    assert!(segment(LAYOUT, header, &packet, &mut vec![0; needed]).is_ok());
}

#[test]
fn a_run_ends_at_push_at_a_smaller_segment_and_at_64_kilobytes() {
    let flow = Tcp { flags: ACK, ..flow(200_000) };
    let segments = flow.segments(1348);
    let sizes = |written: &[(OffloadHeader, Vec<u8>)]| {
        written.iter().map(|(_, bytes)| (bytes.len() - 52).div_ceil(1348)).collect::<Vec<_>>()
    };
    let bytes: Vec<_> = segments.iter().map(Tcp::bytes).collect();
    let written = join(&bytes);
    assert!(written.iter().all(|(_, bytes)| bytes.len() <= 65_535));
    assert_eq!(sizes(&written), [48, 48, 48, 5]);

    let mut pushed = segments[..6].to_vec();
    pushed[2].flags |= PSH;
    let bytes: Vec<_> = pushed.iter().map(Tcp::bytes).collect();
    let written = join(&bytes);
    assert_eq!(sizes(&written), [3, 3]);
    assert_eq!(written[0].1[33] & PSH, PSH);
    assert_eq!(written[1].1[33] & PSH, 0);

    let mut smaller = segments[..3].to_vec();
    smaller[1].payload.truncate(1000);
    let bytes: Vec<_> = smaller.iter().map(Tcp::bytes).collect();
    assert_eq!(sizes(&join(&bytes)), [2, 1]);
}

#[test]
fn other_packets_between_segments_keep_their_place() {
    let flow = Tcp { flags: ACK, ..flow(4 * 1348) };
    let mut packets: Vec<_> = flow.segments(1348).iter().map(Tcp::bytes).collect();
    packets.insert(2, common::udp4(b"between"));
    let written = join(&packets);
    let lengths: Vec<_> = written.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [52 + 2 * 1348, 35, 52 + 2 * 1348]);
    assert_eq!(written[1], (OffloadHeader::default(), common::udp4(b"between")));
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
