//! The bodies of the fuzz targets `virtio_header`, `segment` and `coalesce`.
#![allow(clippy::expect_used, reason = "a finding panics")]

use super::coalesce::{Coalescer, Joins};
use super::header::OffloadHeader;
use super::rewrite::{complete_transport_checksum, set_ip_length, set_udp_length, transport_sum};
use super::segment::{Train, complete_checksum, plan, segment as cut};
use crate::checksum::Sum;
use crate::inner::{Fragment, InnerView, TCP, UDP};
use crate::suite::Suite;

/// Cuts any bytes by any offload header: the first ten are the header, the next says how much room there is.
///
/// # Panics
/// If what is cut does not go where the packet went, or has other lengths than are told or were planned.
pub fn virtio_header(data: &[u8]) {
    let Some((&[ref offload @ .., room], packet)) = data.split_first_chunk::<{ OffloadHeader::LENGTH + 1 }>()
    else {
        return;
    };
    let header = OffloadHeader::from_bytes(*offload);
    assert_eq!(header.to_bytes(), *offload);
    let mut out = vec![0; usize::from(room) << 8];
    let layout = Suite::AES_256_GCM_16.layout();
    if let Ok(train) = cut(layout, header, packet, &mut out) {
        check_train(packet, train, &out);
        let planned = InnerView::parse(packet).and_then(|inner| plan(layout, header, packet, &inner));
        assert_eq!(planned, Ok(train), "it was planned otherwise");
    }
    let mut completed = packet.to_vec();
    if complete_checksum(header, &mut completed).is_ok() {
        assert!(same_way(packet, &completed), "a checksum was written into the IP header");
    }
}

/// Cuts a super-packet that is one: the first byte chooses protocol (bit 0) and family (bit 1), three more are TCP's
/// flags and the size of a segment; the rest is payload. Each piece must be a whole packet with right checksums, and together
/// they must be the payload; joined they must be the super-packet again.
///
/// # Panics
/// If not.
pub fn segment(data: &[u8]) {
    let Some((&[choice, flags, s0, s1], payload)) = data.split_first_chunk::<4>() else { return };
    let protocol = if choice & 1 == 0 { TCP } else { UDP };
    let made = Made { ipv6: choice & 2 != 0, protocol, port: 7, sequence: u32::MAX - 99, id: 0xfff0, flags };
    let packet = made.packet(payload);
    let header = OffloadHeader {
        gso_type: match (protocol, made.ipv6) {
            (TCP, false) => OffloadHeader::GSO_TCPV4,
            (TCP, true) => OffloadHeader::GSO_TCPV6,
            _ => OffloadHeader::GSO_UDP_L4,
        },
        gso_size: u16::from_be_bytes([s0, s1]),
        ..OffloadHeader::default()
    };
    let mut out = vec![0; 1 << 22];
    let Ok(train) = cut(Suite::AES_256_GCM_16.layout(), header, &packet, &mut out) else {
        assert_eq!(header.gso_size, 0, "it was refused");
        return;
    };
    check_train(&packet, train, &out);
    let pieces: Vec<_> = train.packets().filter_map(|place| out.get(place)).collect();
    let transport = made.ip_length();
    let headers = packet.len() - payload.len();
    assert!(pieces.iter().all(|piece| transport_sum(piece, transport, protocol).complement() == 0));
    let data: Vec<u8> =
        pieces.iter().flat_map(|piece| piece.get(headers..).unwrap_or_default()).copied().collect();
    assert!(data == payload, "payload was lost");
    let again: Vec<_> = join(&pieces).iter().flat_map(cut_again).collect();
    assert!(again == pieces, "joined and cut again they are others");
}

/// Joins packets: each four bytes of input make one, or spoil one. Cut again they must be the same packets, those of each
/// flow in the same order.
///
/// # Panics
/// If not.
pub fn coalesce(data: &[u8]) {
    let mut sequences = [0u32; 8];
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for (number, &[flow, length, flags, odd]) in (0u16..512).zip(data.as_chunks::<4>().0) {
        let choice = usize::from(flow & 7);
        let Some(sequence) = sequences.get_mut(choice) else { continue };
        // Bit 3 of the flow: something is amiss, and `odd` says what.
        let (amiss, odd) = (flow & 8 != 0, if flow & 8 != 0 { odd } else { 0 });
        *sequence = sequence.wrapping_add(u32::from(odd & 1));
        let made = Made {
            ipv6: choice & 2 != 0,
            protocol: if choice & 1 == 0 { TCP } else { UDP },
            port: u16::from(flow & 4),
            sequence: *sequence,
            id: number,
            flags: 0x10 | if amiss { flags } else { flags & 8 },
        };
        let length = usize::from(length & 0x7f) * 8 + usize::from(length >> 7);
        let mut packet = made.packet(&vec![flags; length]);
        *sequence = sequence.wrapping_add(u32::try_from(length).unwrap_or(0));
        if let Some(byte) = packet.get_mut(usize::from(odd >> 1)).filter(|_| odd & 0x80 != 0) {
            *byte ^= flags;
        }
        packets.push(packet);
    }
    let again: Vec<_> = join(&packets).iter().flat_map(cut_again).collect();
    assert!(by_flow(&packets) == by_flow(&again), "{} packets became {} others", packets.len(), again.len());
}

/// Each packet is one by itself, goes where the whole went, and lies where the train says.
fn check_train(packet: &[u8], train: Train, out: &[u8]) {
    assert!(train.count > 0 && train.sealed_length() <= out.len());
    for place in train.packets() {
        let piece = out.get(place).expect("within the room");
        let view = InnerView::parse(piece).expect("a packet");
        assert_eq!(view.total_length(), piece.len());
        assert!(same_way(packet, piece), "it would go another way");
    }
}

fn same_way(one: &[u8], other: &[u8]) -> bool {
    let way = |packet| {
        InnerView::parse(packet)
            .map(|view| (view.source(), view.destination(), view.protocol(), view.ports(), view.tos()))
    };
    way(one) == way(other)
}

fn join<P: AsRef<[u8]>>(packets: &[P]) -> Vec<(OffloadHeader, Vec<u8>)> {
    let mut written = Vec::new();
    let mut coalescer = Coalescer::new(Joins::ALL);
    for packet in packets {
        coalescer.push(packet.as_ref(), |header, bytes| written.push((header, bytes.to_vec())));
    }
    coalescer.flush(|header, bytes| written.push((header, bytes.to_vec())));
    written
}

fn cut_again((header, packet): &(OffloadHeader, Vec<u8>)) -> Vec<Vec<u8>> {
    if header.gso() == OffloadHeader::GSO_NONE {
        return vec![packet.clone()];
    }
    let mut out = vec![0; 1 << 17];
    let train = cut(Suite::AES_256_GCM_16.layout(), *header, packet, &mut out).expect("what we joined");
    train.packets().filter_map(|place| out.get(place).map(<[u8]>::to_vec)).collect()
}

/// Sorted by flow, in the order in which they came; anew behind each that shows no flow.
fn by_flow(packets: &[Vec<u8>]) -> Vec<(usize, String, Vec<u8>)> {
    let mut barriers = 0;
    let mut sorted: Vec<_> = packets
        .iter()
        .map(|packet| {
            let shown =
                |view: &InnerView| view.fragment() == Fragment::Whole && matches!(view.protocol(), TCP | UDP);
            let view = InnerView::parse(packet).ok().filter(shown);
            barriers += 2 * usize::from(view.is_none());
            let flow = view.map_or(String::new(), |view| {
                format!("{} {} {} {:?}", view.source(), view.destination(), view.protocol(), view.ports())
            });
            (barriers - usize::from(view.is_none()), flow, without_atomic_id(packet))
        })
        .collect();
    sorted.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    sorted
}

/// Where nothing may be fragmented, the identification means nothing (RFC 6864 §4.1), and need not survive.
fn without_atomic_id(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let atomic = InnerView::parse(&packet).is_ok_and(|view| view.dont_fragment() && view.source().is_ipv4());
    if let Some(header) = packet.first_chunk_mut::<20>().filter(|header| atomic && header[0] == 0x45) {
        let right = Sum::default().add(&header[..]).complement() == 0;
        header[4..6].fill(0);
        if right {
            header[10..12].fill(0);
        }
    }
    packet
}

/// A packet with complete checksums.
struct Made {
    ipv6: bool,
    protocol: u8,
    port: u16,
    sequence: u32,
    id: u16,
    flags: u8,
}

impl Made {
    fn ip_length(&self) -> usize {
        if self.ipv6 { 40 } else { 20 }
    }

    fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let payload = payload.get(..65_000).unwrap_or(payload);
        let mut packet = if self.ipv6 {
            [&[0x60, 0, 0, 0, 0, 0, self.protocol, 64][..], &[0x20; 16], &[0x21; 16]].concat()
        } else {
            let [i0, i1] = self.id.to_be_bytes();
            let flags = if self.port == 0 { 0x40 } else { 0 };
            vec![0x45, 0, 0, 0, i0, i1, flags, 0, 64, self.protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
        };
        let ports = [self.port.to_be_bytes(), [1, 187]].concat();
        packet.extend(ports);
        if self.protocol == TCP {
            packet.extend([self.sequence.to_be_bytes(), [0, 0, 0, 9]].concat());
            packet.extend([0x50, self.flags, 1, 0, 0, 0, 0, 0]);
        } else {
            packet.extend([0; 4]);
        }
        packet.extend(payload);
        set_ip_length(&mut packet, self.ip_length(), 0);
        if self.protocol == UDP {
            set_udp_length(&mut packet, self.ip_length());
        }
        complete_transport_checksum(&mut packet, self.ip_length(), self.protocol);
        packet
    }
}
