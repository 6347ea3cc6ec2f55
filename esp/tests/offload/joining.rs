//! What is joined, and what is not.

use sekisho_esp::{Joins, OffloadHeader};

use super::common::tcp::{ACK, PSH, Tcp};
use super::common::udp::Udp;
use super::routes::{extended, with_options};
use super::{common, datagrams, flow, join, join_with};

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
fn a_run_may_be_as_long_as_a_packet_and_no_longer() {
    // 11 * 5953 bytes and 52 of headers are 65,535.
    let flow = Tcp { flags: ACK, ..flow(12 * 5953) };
    let packets: Vec<_> = flow.segments(5953).iter().map(Tcp::bytes).collect();
    let lengths: Vec<_> = join(&packets).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [65_535, 52 + 5953]);
    let small = Tcp { options: vec![], ..flow };
    let packets: Vec<_> = small.segments(10)[..130].iter().map(Tcp::bytes).collect();
    let lengths: Vec<_> = join(&packets).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [40 + 1280, 40 + 20], "as many as can be cut again in the room that there is");
}

#[test]
fn flows_that_take_turns_are_joined_each_by_itself() {
    let one = Tcp { flags: ACK, ..flow(6 * 1348) };
    let (other, udp) = (Tcp { port: 4001, ..one.clone() }, datagrams(6 * 500));
    let (one, other, udp) = (one.segments(1348), other.segments(1348), udp.datagrams(500));
    let ack = Tcp { port: 4002, payload: vec![], ..one[0].clone() }.bytes();
    let mut packets = Vec::new();
    for number in 0..6 {
        packets.extend([one[number].bytes(), udp[number].bytes(), other[number].bytes(), ack.clone()]);
    }
    let written = join(&packets);
    let lengths: Vec<_> = written.iter().map(|(_, bytes)| bytes.len()).collect();
    // The acknowledgments are of a flow of their own; the runs leave in the order in which they began.
    assert_eq!(lengths, [&[52; 6][..], &[52 + 6 * 1348, 28 + 6 * 500, 52 + 6 * 1348]].concat());
    assert_eq!(written[7].0.gso_type, OffloadHeader::GSO_UDP_L4);
}

#[test]
fn more_flows_than_are_held_at_once_leave_in_their_order() {
    let flows: Vec<_> =
        (0..9).map(|number| Tcp { port: number, flags: ACK, ..flow(2 * 1348) }.segments(1348)).collect();
    let turns = (0..2).flat_map(|turn| flows.iter().map(move |flow| flow[turn].bytes()));
    let packets: Vec<_> = turns.collect();
    let written = join(&packets);
    for flow in &flows {
        let port = flow[0].port.to_be_bytes();
        let of_it: Vec<_> = written.iter().filter(|(_, bytes)| bytes[20..22] == port).collect();
        assert!(of_it.windows(2).all(|pair| pair[0].1[24..28] < pair[1].1[24..28] || pair[0].1[24] == 0xff));
        assert_eq!(of_it.iter().map(|(_, bytes)| bytes.len() - 52).sum::<usize>(), 2 * 1348);
    }
}

#[test]
fn what_shows_no_flow_stays_behind_all_that_came_before() {
    let flow = Tcp { flags: ACK, ..flow(4 * 1348) };
    let mut packets: Vec<_> = flow.segments(1348).iter().map(Tcp::bytes).collect();
    let mut fragment = common::udp4(b"between");
    fragment[6..8].copy_from_slice(&[0x20, 0]);
    packets.insert(2, fragment.clone());
    let written = join(&packets);
    let lengths: Vec<_> = written.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [52 + 2 * 1348, 35, 52 + 2 * 1348]);
    assert_eq!(written[1], (OffloadHeader::default(), fragment));
}

#[test]
fn small_writes_that_are_each_pushed_leave_one_by_one_and_in_order() {
    let pushed = Tcp { flags: ACK | PSH, ..flow(40 * 100) };
    let packets: Vec<_> = (pushed.segments(100).into_iter())
        .map(|segment| Tcp { flags: ACK | PSH, ..segment }.bytes())
        .collect();
    let alone: Vec<_> = packets.iter().map(|packet| (OffloadHeader::default(), packet.clone())).collect();
    assert_eq!(join(&packets), alone, "PSH of one in the midst would be lost");
}

#[test]
fn datagrams_keep_their_boundaries() {
    let packets = |flow: &Udp| flow.datagrams(500).iter().map(Udp::bytes).collect::<Vec<_>>();
    let sizes = |written: &[(OffloadHeader, Vec<u8>)]| {
        written.iter().map(|(header, bytes)| (bytes.len() - 28, header.gso_size)).collect::<Vec<_>>()
    };
    let flow = datagrams(1700);
    assert_eq!(sizes(&join(&packets(&flow))), [(1700, 500)]);
    assert_eq!(sizes(&join(&packets(&datagrams(100 * 500)))), [(32_000, 500), (18_000, 500)]);

    let mut greater = packets(&flow);
    greater.swap(0, 3);
    assert_eq!(sizes(&join(&greater)), [(200, 0), (1000, 500), (500, 0)], "IDs tell a gap");
    let whole = Udp { dont_fragment: true, ..flow.clone() };
    let mut greater = packets(&whole);
    greater.swap(0, 3);
    assert_eq!(sizes(&join(&greater)), [(200, 0), (1500, 500)], "a smaller one is the last of a run");

    let empty = Udp { payload: vec![], ..whole.clone() }.bytes();
    let around = [packets(&whole)[0].clone(), empty, packets(&whole)[1].clone()];
    assert_eq!(sizes(&join(&around)), [(500, 0), (0, 0), (500, 0)]);
}

#[test]
fn datagrams_without_a_checksum_or_with_a_wrong_one_stay_alone() {
    let flow = datagrams(1500);
    let mut wrong: Vec<_> = flow.datagrams(500).iter().map(Udp::bytes).collect();
    wrong[1][40] ^= 1;
    let without: Vec<_> = Udp { checksum: false, ..flow }.datagrams(500).iter().map(Udp::bytes).collect();
    for packets in [wrong, without] {
        let alone: Vec<_> = packets.iter().map(|packet| (OffloadHeader::default(), packet.clone())).collect();
        assert_eq!(join(&packets), alone);
    }
}

#[test]
fn only_what_the_device_takes_is_joined() {
    let tcp: Vec<_> = Tcp { flags: ACK, ..flow(2000) }.segments(1000).iter().map(Tcp::bytes).collect();
    let udp: Vec<_> = datagrams(2000).datagrams(1000).iter().map(Udp::bytes).collect();
    let packets = [tcp, udp].concat();
    for (joins, writes) in [
        (Joins::ALL, 2),
        (Joins { udp: false, ..Joins::ALL }, 3),
        (Joins { tcp: false, ..Joins::ALL }, 3),
        (Joins::NONE, 4),
    ] {
        assert_eq!(join_with(joins, &packets).len(), writes, "{joins:?}");
    }
}

/// Joined, those that go by others first would get the checksum of another destination.
#[test]
fn packets_with_options_or_extension_headers_stay_alone() {
    let (tcp, udp) = (Tcp { flags: ACK, ..flow(2_000) }, datagrams(2_000));
    let packets = |ipv4| {
        let tcp = Tcp { ipv4, ..tcp.clone() }.segments(1_000);
        let udp = Udp { ipv4, ..udp.clone() }.datagrams(1_000);
        tcp.iter().map(Tcp::bytes).chain(udp.iter().map(Udp::bytes)).collect::<Vec<_>>()
    };
    assert_eq!([true, false].map(|ipv4| join(&packets(ipv4)).len()), [2, 2], "as they are they are joined");
    for first in [false, true] {
        let longer = packets(true).into_iter().map(|packet| with_options(&packet, 2, first).0);
        let extended = packets(false).into_iter().map(|packet| extended(&packet, &[(43, 2)], first).0);
        for packets in [longer.collect::<Vec<_>>(), extended.collect()] {
            let alone: Vec<_> =
                packets.iter().map(|packet| (OffloadHeader::default(), packet.clone())).collect();
            assert_eq!(join(&packets), alone, "first elsewhere: {first}");
        }
    }
}
