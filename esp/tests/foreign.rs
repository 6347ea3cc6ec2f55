//! ESP by Scapy, whose format and cryptography are another's: what it sealed we open, and what we seal is the same byte for byte, so
//! that it opens it (`foreign/make.py` says how the packets were made, and that Scapy opened each).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{Direction, open, seal};
use etherparse::{IpNumber, LaxSlicedPacket};
use sekisho_esp::{DropReason, Suite};

const PACKETS: &str = include_str!("foreign/scapy.txt");

/// What one SA of Scapy's sent, in this order.
struct Sent {
    direction: Direction,
    /// Sequence number, inner packet, ESP.
    packets: Vec<(u64, Vec<u8>, Vec<u8>)>,
}

fn sent() -> Vec<Sent> {
    let mut all: Vec<Sent> = Vec::new();
    for line in PACKETS.lines() {
        let [suite, esn, sequence, inner, outer] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let sequence = sequence.parse().unwrap();
        if sequence == 1 {
            let suite = Suite::ALL.into_iter().find(|known| known.to_string() == suite).unwrap();
            all.push(Sent { direction: Direction::new(suite, esn == "esn"), packets: Vec::new() });
        }
        all.last_mut().unwrap().packets.push((sequence, bytes(inner), esp(&bytes(outer))));
    }
    all
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

/// What is behind the outer header, which names protocol 50.
fn esp(outer: &[u8]) -> Vec<u8> {
    let packet = LaxSlicedPacket::from_ip(outer).unwrap();
    let payload = packet.net.as_ref().unwrap().ip_payload_ref().unwrap();
    assert_eq!(payload.ip_number, IpNumber::ENCAPSULATING_SECURITY_PAYLOAD);
    payload.payload.to_vec()
}

#[test]
fn what_scapy_sealed_is_opened_once_and_only_under_the_right_kind_of_sequence_numbers() {
    let all = sent();
    assert_eq!(all.len(), 28, "seven suites, both kinds of sequence numbers, both families outside");
    for Sent { direction, packets } in all {
        let name = format!("{}, esn {}", direction.suite, direction.esn);
        let sa = direction.inbound();
        for (sequence, inner, packet) in &packets {
            assert_eq!(open(&sa, packet).as_ref(), Ok(inner), "{name}, {sequence}");
            assert_eq!(open(&sa, packet), Err(DropReason::Replayed), "{name}, {sequence}");
        }
        let other = Direction { esn: !direction.esn, ..direction }.inbound();
        assert_eq!(open(&other, &packets[0].2), Err(DropReason::Authentication), "{name}");
    }
}

#[test]
fn what_we_seal_is_what_scapy_would_have_sealed() {
    for Sent { direction, packets } in sent() {
        let sa = direction.outbound();
        for (sequence, inner, packet) in &packets[..2] {
            let sealed = seal(&sa, inner).unwrap();
            assert_eq!(sealed, *packet, "{}, esn {}, {sequence}", direction.suite, direction.esn);
        }
    }
}
