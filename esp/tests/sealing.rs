//! What is sealed is what another implementation would have sealed, and opens again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::ops::Range;

use common::{Direction, SPI, open, ours, seal, theirs, udp4, udp6};
use proptest::prelude::*;
use sekisho_esp::{
    ConfigError, DropReason, HEADROOM, InboundSa, Keymat, OutboundSa, SaConfig, Suite, TAILROOM,
};

fn directions() -> impl Strategy<Value = Direction> {
    (prop::sample::select(Suite::ALL.to_vec()), any::<bool>()).prop_flat_map(|(suite, esn)| {
        prop::collection::vec(any::<u8>(), suite.keymat_length())
            .prop_map(move |keymat| Direction { keymat, ..Direction::new(suite, esn) })
    })
}

fn inner_packets() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..1500);
    (any::<bool>(), payload).prop_map(|(ipv4, payload)| if ipv4 { udp4(&payload) } else { udp6(&payload) })
}

proptest! {
    #[test]
    fn both_implementations_seal_the_same(
        direction in directions(), packets in prop::collection::vec(inner_packets(), 1..5),
    ) {
        let sa = direction.outbound();
        for (sequence, inner) in (1..).zip(&packets) {
            let sealed = seal(&sa, inner).unwrap();
            prop_assert_eq!(sealed.len(), direction.suite.layout().sealed_length(inner.len()));
            prop_assert_eq!(sealed, direction.forge_packet(sequence, inner));
        }
    }

    #[test]
    fn both_implementations_open_the_same(
        direction in directions(), inner in inner_packets(), sequence in 1..=u64::from(u32::MAX), iv: [u8; 16],
        behind in prop_oneof![Just(0usize), 0..300usize], padding in prop_oneof![Just(None), (0..=255u8).prop_map(Some)],
    ) {
        // Bytes behind the inner packet are padding against traffic analysis.
        let payload = [inner.clone(), vec![0x55; behind]].concat();
        let next_header = common::next_header(&inner);
        let text = match padding {
            None => direction.with_trailer(&payload, next_header),
            // A block cipher has blocks to fill: the bytes behind the inner packet do it.
            Some(length) => {
                let rest = payload.len() + usize::from(length) + 2;
                let more = if direction.is_cbc() { rest.next_multiple_of(16) - rest } else { 0 };
                let padding: Vec<_> = (1..=length).collect();
                [&payload[..], &vec![0x55; more], &padding, &[length, next_header]].concat()
            }
        };
        let sa = direction.inbound();
        prop_assert_eq!(open(&sa, &direction.forge(sequence, iv, &text)), Ok(inner));
    }

    #[test]
    fn what_we_seal_we_open(direction in directions(), packets in prop::collection::vec(inner_packets(), 1..8)) {
        let (sender, receiver) = (direction.outbound(), direction.inbound());
        let mut bytes = 0;
        for inner in &packets {
            prop_assert_eq!(&open(&receiver, &seal(&sender, inner).unwrap()).unwrap(), inner);
            bytes += inner.len() as u64;
        }
        for usage in [sender.usage(), receiver.usage()] {
            prop_assert_eq!((usage.packets, usage.bytes), (packets.len() as u64, bytes));
        }
    }
}

/// Rule 12: no nonce is used twice.
#[test]
fn the_iv_never_repeats_and_the_sequence_number_counts() {
    for direction in Direction::all() {
        let sa = direction.outbound();
        let mut ivs = BTreeSet::new();
        for sequence in 1..=300u64 {
            let sealed = seal(&sa, &udp4(b"again")).unwrap();
            assert_eq!(sealed[..4], SPI.to_be_bytes());
            assert_eq!(u64::from(u32::from_be_bytes(sealed[4..8].try_into().unwrap())), sequence);
            let iv = &sealed[8..direction.suite.layout().header_length()];
            assert!(ivs.insert(iv.to_vec()), "{}", direction.suite);
        }
    }
}

/// "it MUST be unpredictable" (RFC 3602 §3): no more alike than random blocks are, whatever numbers they come from.
#[test]
fn the_ivs_of_cbc_look_random_and_differ_from_key_to_key() {
    for suite in Suite::ALL.into_iter().filter(|suite| matches!(suite, Suite::AesCbc(..))) {
        let direction = Direction::new(suite, true);
        let mut other = direction.clone();
        other.keymat[0] ^= 1;
        let ivs = |direction: &Direction| {
            let sa = direction.outbound();
            let iv = || u128::from_be_bytes(seal(&sa, &udp4(b"x")).unwrap()[8..24].try_into().unwrap());
            (0..200).map(|_| iv()).collect::<Vec<_>>()
        };
        let (ivs, others) = (ivs(&direction), ivs(&other));
        let neighbours = ivs.iter().zip(&ivs[1..]).chain(ivs.iter().zip(&others));
        // For random blocks, 30 bits or less of difference has a probability of one in 10^9.
        assert!(neighbours.map(|(a, b)| (a ^ b).count_ones()).all(|bits| bits > 30), "{suite}");
    }
}

#[test]
fn sealing_touches_nothing_beyond_head_and_tailroom() {
    for suite in Suite::ALL {
        let layout = suite.layout();
        let sa = Direction::new(suite, false).outbound();
        for length in 0..20 {
            let inner = udp4(&vec![1; length]);
            let mut buffer = vec![0xee; 100];
            buffer.extend_from_slice(&inner);
            buffer.resize(buffer.len() + 100, 0xee);
            let sealed = sa.sealer(0).seal(&mut buffer, 100..100 + inner.len()).unwrap();
            let start = 100 - layout.header_length();
            assert_eq!(sealed, start..start + layout.sealed_length(inner.len()));
            assert!(start >= 100 - HEADROOM && sealed.end <= 100 + inner.len() + TAILROOM);
            assert!(buffer[..sealed.start].iter().chain(&buffer[sealed.end..]).all(|byte| *byte == 0xee));
        }
    }
}

#[test]
fn without_room_nothing_is_spent() {
    for suite in Suite::ALL {
        let header = suite.layout().header_length();
        let sa = Direction::new(suite, false).outbound();
        let inner = udp4(b"1234");
        let mut exact = vec![0; suite.layout().sealed_length(inner.len())];
        exact[header..header + inner.len()].copy_from_slice(&inner);
        let range = header..header + inner.len();
        exact[header - 1] = 0x45;
        let mut short = exact[..exact.len() - 1].to_vec();
        for (buffer, range) in [
            (&mut short, range.clone()),
            (&mut exact.clone(), header - 1..header),
            (&mut exact.clone(), header..usize::MAX),
            (&mut exact.clone(), Range { start: 60, end: header }),
            (&mut exact.clone(), 1000..1010),
            (&mut exact.clone(), usize::MAX - 3..usize::MAX),
        ] {
            let before = buffer.clone();
            assert_eq!(sa.sealer(0).seal(buffer, range), Err(DropReason::NoRoom));
            assert_eq!(*buffer, before);
        }
        let mut neither = vec![0; 200];
        assert_eq!(sa.sealer(0).seal(&mut neither, 50..90), Err(DropReason::NotIp));
        assert_eq!(sa.sealer(0).seal(&mut [0x45; 200], 50..50), Err(DropReason::NotIp));
        assert_eq!(sa.usage().packets, 0);
        sa.sealer(0).seal(&mut exact, range).unwrap();
        assert_eq!(exact[4..8], 1u32.to_be_bytes());
    }
}

/// Rule 12: an SA refuses to send past its limit (`GotaTun`, VPP IV reuse).
#[test]
fn nothing_is_sent_beyond_the_packet_limit() {
    for direction in Direction::all() {
        let direction = Direction { limit: Some(3), ..direction };
        let sa = direction.outbound();
        for _ in 0..3 {
            seal(&sa, &udp4(b"one of three")).unwrap();
        }
        for _ in 0..3 {
            assert_eq!(seal(&sa, &udp4(b"the fourth")), Err(DropReason::PacketLimit));
        }
        assert_eq!(sa.usage().packets, 3);
    }
}

#[test]
fn a_train_shows_in_the_usage_once_it_is_done() {
    let sa = Direction::new(Suite::AES_256_GCM_16, false).outbound();
    let inner = udp4(b"x");
    let mut sealer = sa.sealer(0);
    for _ in 0..2 {
        let mut buffer = [&[0; HEADROOM][..], &inner, &[0; TAILROOM]].concat();
        sealer.seal(&mut buffer, HEADROOM..HEADROOM + inner.len()).unwrap();
    }
    // Readable while the owner holds the lock.
    assert_eq!(sa.usage().packets, 0);
    drop(sealer);
    assert_eq!((sa.usage().packets, sa.usage().bytes), (2, 2 * inner.len() as u64));
    assert_eq!(sa.usage().last_ns, None);
}

#[test]
fn an_impossible_sa_is_refused() {
    let direction = Direction::new(Suite::AES_128_GCM_16, false);
    let refused = |change: &dyn Fn(&mut SaConfig)| {
        let config = || {
            let mut config = direction.config(ours(), theirs());
            change(&mut config);
            config
        };
        let errors = (OutboundSa::new(config()).err(), InboundSa::new(config()).err());
        assert_eq!(errors.0, errors.1);
        errors.0
    };
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(refused(&|c| c.replay_window = 32), None);
    assert_eq!(refused(&|c| c.replay_window = 65_536), None);
    for window in [0, 1, 31, 65_537, u32::MAX] {
        assert_eq!(refused(&|c| c.replay_window = window), Some(ConfigError::ReplayWindow(window)));
    }
    for spi in [0, 1, 255] {
        assert_eq!(refused(&|c| c.spi = spi), Some(ConfigError::ReservedSpi(spi)));
    }
    assert_eq!(refused(&|c| c.local.clear()), Some(ConfigError::NoSelectors));
    assert_eq!(refused(&|c| c.remote.clear()), Some(ConfigError::NoSelectors));
    let short = ConfigError::KeymatLength { expected: 20, given: 19 };
    assert_eq!(refused(&|c| c.keymat = Keymat::new(vec![0; 19])), Some(short));
    let long = ConfigError::KeymatLength { expected: 36, given: 20 };
    assert_eq!(refused(&|c| c.suite = Suite::AES_256_GCM_16), Some(long));
}

/// RFC 4303 §2.7: the receiver takes this padding off by the inner packet's own length.
#[test]
fn padded_packets_are_all_of_one_length_and_open_to_what_they_were() {
    for direction in Direction::all() {
        let plain = direction.outbound();
        let (padding, receiver) = (direction.outbound().with_tfc_padding(true), direction.inbound());
        assert_eq!(plain.layout_for(1400), plain.layout());
        let layout = padding.layout_for(1400);
        assert_eq!(
            layout.sealed_length(1400),
            plain.layout().sealed_length(1400),
            "no longer than the longest"
        );
        let start = layout.header_length();
        for payload in [0, 1, 700, 1371, 1372, 1500] {
            let inner = udp4(&vec![7; payload]);
            let mut buffer = vec![0xa5; 2000];
            buffer[start..start + inner.len()].copy_from_slice(&inner);
            let sealed = padding.sealer(0).seal_as(layout, &mut buffer, start..start + inner.len()).unwrap();
            assert_eq!(sealed.len(), layout.sealed_length(inner.len().max(1400)), "{}", direction.suite);
            assert!(buffer[sealed.end..].iter().all(|byte| *byte == 0xa5), "nothing behind it is touched");
            assert_eq!(open(&receiver, &buffer[sealed]), Ok(inner));
        }
    }
}

#[test]
fn a_padded_packet_without_room_or_by_another_layout_is_refused_and_costs_no_number() {
    let direction = Direction::new(Suite::AES_256_GCM_16, true);
    let sa = direction.outbound().with_tfc_padding(true);
    let layout = sa.layout_for(1400);
    let inner = udp4(b"short");
    let start = layout.header_length();
    let mut buffer = [&vec![0; start][..], &inner, &[0; 300]].concat();
    let range = start..start + inner.len();
    let refused = Err(DropReason::NoRoom);
    assert_eq!(sa.sealer(0).seal_as(layout, &mut buffer, range.clone()), refused);
    let other = Suite::ALL.map(Suite::layout).into_iter().find(|l| *l != sa.layout());
    assert_eq!(sa.sealer(0).seal_as(other.unwrap(), &mut buffer, range.clone()), refused);
    let sealed = sa.sealer(0).seal(&mut buffer, range).unwrap();
    assert_eq!(buffer[sealed][4..8], [0, 0, 0, 1]);
}

/// Whoever still holds it: what it has carried is final.
#[test]
fn after_its_end_an_sa_neither_seals_nor_opens_nor_counts() {
    for direction in Direction::all() {
        let (sender, receiver) = (direction.outbound(), direction.inbound());
        let [inner, late] = [udp4(b"in time"), udp4(b"late")];
        let seal_at = |now_ns| {
            let mut buffer = [&[0; HEADROOM][..], &inner, &[0; TAILROOM]].concat();
            let sealed = sender.sealer(now_ns).seal(&mut buffer, HEADROOM..HEADROOM + inner.len());
            sealed.map(|sealed| buffer[sealed].to_vec())
        };
        let open_at = |now_ns, mut packet: Vec<u8>| receiver.opener(now_ns).open(&mut packet, 0).map(drop);
        sender.end_at(1_000);
        receiver.end_at(1_000);
        let first = seal_at(999).unwrap();
        assert_eq!(open_at(999, first), Ok(()));
        let second = direction.forge_packet(2, &late);
        for now_ns in [1_000, 1_001, u64::MAX] {
            assert_eq!(seal_at(now_ns), Err(DropReason::SaEnded));
            assert_eq!(open_at(now_ns, second.clone()), Err(DropReason::SaEnded));
        }
        assert_eq!((sender.usage().packets, receiver.usage().packets), (1, 1));
        assert_eq!(receiver.usage().last_ns, Some(999));
        // At once, whatever was said before.
        sender.end_at(0);
        receiver.end_at(0);
        assert_eq!(seal_at(0), Err(DropReason::SaEnded));
        assert_eq!(open_at(0, second), Err(DropReason::SaEnded));
    }
}
