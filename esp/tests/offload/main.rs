//! Cutting and joining undo each other, and what they make is what another implementation checks as right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod cutting;
mod hostile;
mod joining;
mod routes;
mod together;

use common::tcp::{ACK, CWR, FIN, PSH, Tcp, timestamps};
use common::udp::Udp;
use proptest::prelude::*;
use sekisho_esp::{Coalescer, DropReason, Joins, Layout, OffloadHeader, Suite, Train, segment};

fn options() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(any::<[u8; 4]>(), 0..=10).prop_map(|words| words.concat());
    prop_oneof![Just(vec![]), any::<[u32; 2]>().prop_map(|[value, echo]| timestamps(value, echo)), words]
}

fn tcp(flags: impl Strategy<Value = u8>, payload: std::ops::Range<usize>) -> impl Strategy<Value = Tcp> {
    let ip = (any::<bool>(), any::<u8>(), any::<u16>(), any::<bool>());
    let tcp = (any::<u16>(), any::<u32>(), any::<u32>(), any::<u16>(), flags, options());
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
        options: tcp.5,
        payload,
    })
}

fn udp(payload: std::ops::Range<usize>) -> impl Strategy<Value = Udp> {
    let ip = (any::<bool>(), any::<u8>(), any::<u16>(), any::<bool>(), any::<u16>());
    (ip, prop::collection::vec(any::<u8>(), payload)).prop_map(|(ip, payload)| Udp {
        ipv4: ip.0,
        tos: ip.1,
        id: ip.2,
        dont_fragment: ip.3,
        port: ip.4,
        checksum: true,
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
    join_with(Joins::ALL, packets)
}

fn join_with(joins: Joins, packets: &[Vec<u8>]) -> Vec<(OffloadHeader, Vec<u8>)> {
    let mut written = Vec::new();
    let mut coalescer = Coalescer::new(joins);
    for packet in packets {
        coalescer.push(packet, |header, bytes| written.push((header, bytes.to_vec())));
    }
    coalescer.flush(|header, bytes| written.push((header, bytes.to_vec())));
    written
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
        options: timestamps(1, 2),
        payload: (0..payload).map(|at| u8::try_from(at % 251).unwrap()).collect(),
    }
}

fn datagrams(payload: usize) -> Udp {
    Udp {
        ipv4: true,
        tos: 0,
        id: 0xfffe,
        dont_fragment: false,
        port: 4000,
        checksum: true,
        payload: (0..payload).map(|at| u8::try_from(at % 251).unwrap()).collect(),
    }
}
