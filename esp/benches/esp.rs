//! What a packet costs: seal, open, alone and in trains, look-up, cutting and joining super-packets, and the outbound way of one of 64 KB.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sekisho_esp::{
    AesKey, Coalescer, GcmTag, Hmac, InboundSa, InnerView, Joins, Keymat, OffloadHeader, OutboundSa,
    SaConfig, Selector, Suite, TableBuilder, complete_checksum, segment,
};

const HERE: [u8; 4] = [10, 200, 0, 1];
const MTU: u16 = 1400;
/// One of each kind, and both of the fast ones.
const SUITES: [Suite; 7] = [
    Suite::AES_128_GCM_16,
    Suite::AES_256_GCM_16,
    Suite::AesGcm(AesKey::Bits256, GcmTag::Octets8),
    Suite::ChaCha20Poly1305,
    Suite::AesCbc(AesKey::Bits128, Hmac::Sha256),
    Suite::AesCbc(AesKey::Bits256, Hmac::Sha256),
    Suite::AesCbc(AesKey::Bits256, Hmac::Sha512),
];

fn config(suite: Suite, spi: u32, local: Selector, remote: Selector) -> SaConfig {
    SaConfig {
        spi,
        suite,
        keymat: Keymat::new(vec![7; suite.keymat_length()]),
        esn: true,
        local: vec![local],
        remote: vec![remote],
        marking: sekisho_esp::ecn::Marking::default(),
        replay_window: 1024,
        packet_limit: None,
    }
}

fn network(address: [u8; 4], length: u32) -> Selector {
    let first =
        Ipv4Addr::from_bits(Ipv4Addr::from(address).to_bits() & !u32::MAX.checked_shr(length).unwrap_or(0));
    let last = Ipv4Addr::from(first.to_bits() | u32::MAX.checked_shr(length).unwrap_or(0));
    Selector::new(first.into(), last.into(), 0, (0, u16::MAX)).unwrap()
}

/// The network of facility number `number`: a /25 of 10.0.0.0/8.
fn facility(number: u32) -> Selector {
    network((10 << 24 | number << 7).to_be_bytes(), 25)
}

/// UDP of this length in all, to facility number `number`.
fn packet(length: u16, number: u32) -> Vec<u8> {
    let mut packet = vec![0; length.into()];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[12..16].copy_from_slice(&HERE);
    packet[16..20].copy_from_slice(&(10 << 24 | number << 7 | 9).to_be_bytes());
    packet
}

/// A super-packet as one `write` of 64 KB leaves a TCP sender.
fn super_packet() -> (OffloadHeader, Vec<u8>) {
    let length = 65_000u16;
    let mut bytes = packet(length, 1);
    bytes[9] = 6;
    bytes[32] = 0x80;
    bytes[33] = 0x10;
    let header = OffloadHeader {
        flags: OffloadHeader::NEEDS_CSUM,
        gso_type: OffloadHeader::GSO_TCPV4,
        hdr_len: 52,
        gso_size: MTU - 52,
        csum_start: 20,
        csum_offset: 16,
    };
    (header, bytes)
}

/// 64 datagrams with this much in each, or 60,000 bytes of them.
fn datagrams(size: u16) -> (OffloadHeader, Vec<u8>) {
    let mut bytes = packet(28 + size * 64u16.min(60_000 / size), 1);
    let header = OffloadHeader {
        flags: OffloadHeader::NEEDS_CSUM,
        gso_type: OffloadHeader::GSO_UDP_L4,
        hdr_len: 28,
        gso_size: size,
        csum_start: 20,
        csum_offset: 6,
    };
    bytes[20..24].copy_from_slice(&[1, 2, 3, 4]);
    (header, bytes)
}

fn any_sa(suite: Suite) -> (OutboundSa, InboundSa) {
    let config = || config(suite, 0x1000, network([0; 4], 0), network([0; 4], 0));
    (OutboundSa::new(config()).unwrap(), InboundSa::new(config()).unwrap())
}

fn seal_and_open(criterion: &mut Criterion) {
    for suite in SUITES {
        for length in [64u16, 1400] {
            let (outbound, inbound) = any_sa(suite);
            let name = format!("{suite}/{length}");
            let start = suite.layout().header_length();
            let range = start..start + usize::from(length);
            let mut buffer = vec![0; 2000];
            buffer[range.clone()].copy_from_slice(&packet(length, 1));

            let mut group = criterion.benchmark_group("seal");
            group.throughput(Throughput::Bytes(length.into()));
            let mut sealer = outbound.sealer(0);
            group.bench_function(&name, |bencher| {
                bencher.iter(|| {
                    // The first byte says IPv4 still; the rest may be anything.
                    buffer[start] = 0x45;
                    sealer.seal(black_box(&mut buffer), range.clone()).unwrap()
                });
            });
            group.finish();

            let mut group = criterion.benchmark_group("open");
            group.throughput(Throughput::Bytes(length.into()));
            let inner = packet(length, 1);
            let mut opener = inbound.opener(0);
            group.bench_function(&name, |bencher| {
                bencher.iter_batched_ref(
                    || {
                        let mut buffer = vec![0; suite.layout().sealed_length(length.into())];
                        buffer[range.clone()].copy_from_slice(&inner);
                        sealer.seal(&mut buffer, range.clone()).unwrap();
                        buffer
                    },
                    |packet| opener.open(black_box(packet), 0).unwrap(),
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

fn look_up(criterion: &mut Criterion) {
    for count in [1u32, 100, 10_000, 100_000] {
        let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
        for number in 0..count {
            let spi = 0x9e37_79b9u32.wrapping_mul(number + 1) | 0x1000;
            let config = || config(Suite::AES_128_GCM_16, spi, network(HERE, 16), facility(number));
            builder.outbound(Arc::new(OutboundSa::new(config()).unwrap()));
            builder.inbound(Arc::new(InboundSa::new(config()).unwrap()));
        }
        let table = builder.build();
        // Other facilities each time, so that the caches are as they would be.
        let order = || (0u32..).map(move |step| step.wrapping_mul(7919) % count);
        let views: Vec<_> =
            order().take(4096).map(|number| InnerView::parse(&packet(64, number)).unwrap()).collect();
        let mut next = views.iter().cycle();
        criterion.bench_with_input(BenchmarkId::new("look-up/outbound", count), &table, |bencher, table| {
            bencher.iter(|| table.outbound(black_box(next.next().unwrap())).unwrap());
        });
        let spis: Vec<_> = views.iter().map(|view| table.outbound(view).unwrap().spi()).collect();
        let mut next = spis.iter().cycle();
        criterion.bench_with_input(BenchmarkId::new("look-up/inbound", count), &table, |bencher, table| {
            bencher.iter(|| table.inbound(*black_box(next.next().unwrap())).unwrap());
        });
    }
}

fn build_table(criterion: &mut Criterion) {
    let sas: Vec<_> = (0..10_000u32)
        .map(|number| {
            let config = config(Suite::AES_128_GCM_16, 0x1000 + number, network(HERE, 16), facility(number));
            Arc::new(OutboundSa::new(config).unwrap())
        })
        .collect();
    criterion.bench_function("build a table of 10000", |bencher| {
        bencher.iter(|| {
            let mut builder = TableBuilder::<InboundSa, OutboundSa>::new();
            for sa in &sas {
                builder.outbound(Arc::clone(sa));
            }
            builder.build()
        });
    });
}

fn super_packets(criterion: &mut Criterion) {
    let (header, packet) = super_packet();
    let mut buffer = vec![0; 1 << 17];
    let layout = Suite::AES_256_GCM_16.layout();
    let mut group = criterion.benchmark_group("super-packet");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("segment", |bencher| {
        bencher.iter(|| segment(layout, header, black_box(&packet), &mut buffer).unwrap());
    });
    let (udp_header, udp) = datagrams(1200);
    group.bench_function("segment UDP", |bencher| {
        bencher.iter(|| segment(layout, udp_header, black_box(&udp), &mut buffer).unwrap());
    });
    for suite in SUITES {
        let (outbound, _) = any_sa(suite);
        group.bench_function(format!("segment and seal/{suite}"), |bencher| {
            bencher.iter(|| {
                let train = segment(suite.layout(), header, black_box(&packet), &mut buffer).unwrap();
                let mut sealer = outbound.sealer(0);
                for range in train.packets() {
                    sealer.seal(&mut buffer, range).unwrap();
                }
                train
            });
        });
    }
    group.finish();
    open_trains(criterion, header, &packet);
}

/// The packets that were cut from it, as one train brings them: one lock for all.
fn open_trains(criterion: &mut Criterion, header: OffloadHeader, packet: &[u8]) {
    let mut group = criterion.benchmark_group("open a train");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    for suite in SUITES {
        let (outbound, inbound) = any_sa(suite);
        let mut buffer = vec![0; 1 << 17];
        let mut sealed = || {
            let train = segment(suite.layout(), header, packet, &mut buffer).unwrap();
            let mut sealer = outbound.sealer(0);
            for range in train.packets() {
                sealer.seal(&mut buffer, range).unwrap();
            }
            (buffer[..train.sealed_length()].to_vec(), train.stride)
        };
        group.bench_function(suite.to_string(), |bencher| {
            bencher.iter_batched_ref(
                &mut sealed,
                |(bytes, stride)| {
                    let mut opener = inbound.opener(0);
                    for packet in bytes.chunks_mut(*stride) {
                        black_box(opener.open(packet, 0).unwrap());
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Of what lies in the cache, through [`complete_checksum`].
fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for length in [64u16, 1400, 65_000] {
        let (header, mut bytes) = super_packet();
        bytes.truncate(length.into());
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let header = OffloadHeader { gso_type: OffloadHeader::GSO_NONE, ..header };
        group.throughput(Throughput::Bytes(length.into()));
        group.bench_function(length.to_string(), |bencher| {
            bencher.iter(|| complete_checksum(header, black_box(&mut bytes)).unwrap());
        });
    }
    group.finish();
}

/// The packets of one super-packet, of two that take turns, and of datagrams.
fn coalesce(criterion: &mut Criterion) {
    let packets_of = |(header, packet): &(OffloadHeader, Vec<u8>)| {
        let mut buffer = vec![0; 1 << 17];
        let train = segment(Suite::AES_256_GCM_16.layout(), *header, packet, &mut buffer).unwrap();
        train.packets().map(|range| buffer[range].to_vec()).collect::<Vec<_>>()
    };
    let one = packets_of(&super_packet());
    let (header, mut other) = super_packet();
    other[20] = 1;
    let other = packets_of(&(header, other));
    let take_turns = one.iter().zip(&other).flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    let mut group = criterion.benchmark_group("coalesce");
    for (name, writes, packets) in [
        ("one flow", 1, one),
        ("two flows that take turns", 2, take_turns),
        ("64 datagrams of 64 bytes", 1, packets_of(&datagrams(64))),
        ("50 datagrams of 1200 bytes", 1, packets_of(&datagrams(1200))),
    ] {
        let mut coalescer = Coalescer::new(Joins::ALL);
        group.throughput(Throughput::Bytes(packets.iter().map(|packet| packet.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut written = 0;
                for packet in &packets {
                    coalescer.push(black_box(packet), |_, _| written += 1);
                }
                coalescer.flush(|_, _| written += 1);
                assert_eq!(written, writes);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, seal_and_open, look_up, build_table, super_packets, checksum, coalesce);
criterion_main!(benches);
