//! Cutting and joining undo each other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sekisho_esp::{Fragment, InnerView, OffloadHeader};

use super::common::tcp::{ACK, ECE, PSH, Tcp, plain_sum, timestamps};
use super::common::udp::Udp;
use super::{cut, join, tcp, udp};

proptest! {
    #[test]
    fn joining_what_was_cut_gives_the_super_packet_back(
        flow in tcp(prop::sample::select(vec![ACK, ACK | PSH, ACK | ECE]), 1..9000), size in 1..1500u16,
    ) {
        let written = join(&cut_all(&flow.super_packet(size)));
        // At most 128 segments a run; PSH comes with the last.
        let expected: Vec<_> = flow
            .segments(size.into())
            .chunks(128)
            .map(|run| {
                let payload = run.iter().flat_map(|segment| segment.payload.clone()).collect();
                let flags = run[run.len() - 1].flags;
                let whole = Tcp { flags, payload, ..run[0].clone() };
                if run.len() > 1 { whole.super_packet(size) } else { (OffloadHeader::default(), whole.bytes()) }
            })
            .collect();
        prop_assert_eq!(written, expected);
    }

    #[test]
    fn joining_datagrams_that_were_cut_gives_the_super_packet_back(flow in udp(1..9000), size in 1..1400u16) {
        let written = join(&cut_all(&flow.super_packet(size)));
        let expected: Vec<_> = flow
            .datagrams(size.into())
            .chunks(64)
            .map(|run| {
                let payload = run.iter().flat_map(|datagram| datagram.payload.clone()).collect();
                let whole = Udp { payload, ..run[0].clone() };
                if run.len() > 1 { whole.super_packet(size) } else { (OffloadHeader::default(), whole.bytes()) }
            })
            .collect();
        prop_assert_eq!(written, expected);
    }

    /// Whatever packets come: what is written, cut again, is the same packets, those of each flow in the same order. Only
    /// the identification of atomic datagrams may differ, which means nothing (RFC 6864).
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
                7 => one.options = timestamps(value.into(), 0),
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
        let again: Vec<_> = join(&packets).iter().flat_map(cut_all).collect();
        prop_assert_eq!(by_flow(again), by_flow(packets));
    }

    #[test]
    fn cutting_what_was_joined_gives_the_datagrams_back(
        flow in udp(1..4000), size in 1..1400usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, any::<u8>()), 0..6),
    ) {
        let mut flows = flow.datagrams(size);
        for (at, kind, value) in changes {
            let at = at.index(flows.len());
            let one = &mut flows[at];
            match kind {
                0 => one.checksum = false,
                1 => one.id ^= u16::from(value),
                2 => one.tos ^= value,
                3 => one.port ^= u16::from(value),
                4 => one.payload.truncate(value.into()),
                5 => one.payload.extend([value; 9]),
                6 => one.dont_fragment = !one.dont_fragment,
                _ => flows.swap(at, usize::from(value) % flow.datagrams(size).len()),
            }
        }
        let packets: Vec<_> = flows.iter().map(Udp::bytes).collect();
        let again: Vec<_> = join(&packets).iter().flat_map(cut_all).collect();
        prop_assert_eq!(by_flow(again), by_flow(packets));
    }

}

/// Itself, if it needs no cutting.
fn cut_all((header, packet): &(OffloadHeader, Vec<u8>)) -> Vec<Vec<u8>> {
    match header.gso() {
        OffloadHeader::GSO_NONE => vec![packet.clone()],
        _ => cut(*header, packet).unwrap().1,
    }
}

/// The packets of each flow in their order, anew behind each packet that shows no flow.
fn by_flow(packets: Vec<Vec<u8>>) -> Vec<BTreeMap<String, Vec<Vec<u8>>>> {
    let mut parts = vec![BTreeMap::<_, Vec<_>>::new()];
    for packet in packets {
        let shown =
            |view: &InnerView| view.fragment() == Fragment::Whole && matches!(view.protocol(), 6 | 17);
        let view = InnerView::parse(&packet).ok().filter(shown);
        if view.is_none() {
            parts.push(BTreeMap::new());
        }
        let name = view.map_or(String::new(), |view| {
            format!("{} {} {} {:?}", view.source(), view.destination(), view.protocol(), view.ports())
        });
        parts.last_mut().unwrap().entry(name).or_default().push(without_atomic_id(packet));
    }
    parts
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
