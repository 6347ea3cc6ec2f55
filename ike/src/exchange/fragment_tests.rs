//! Messages cut into fragments and put together again, and what must not disturb that (RFC 7383 §2.5, §2.6).

use super::tests::{direction, header, payloads};
use super::*;
use crate::keys::DirectionProtection;
use crate::limits;
use crate::suite::{Aead, Cbc, Integrity, Protection};
use crate::wire::{Body, Datagram, FragmentPlace, Header, Malformed, Payload, PayloadType, prepare_fragment};

const AEAD: Protection = Protection::Aead(Aead::Aes256Gcm16);

/// One who gathers.
struct Receiver {
    key: DirectionProtection,
    reassembly: Reassembly,
}

impl Receiver {
    fn new(protection: Protection) -> Self {
        Self { key: direction(protection), reassembly: Reassembly::default() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Payload>, OpenError> {
        let datagram = Datagram::parse(bytes).map_err(OpenError::Malformed)?;
        let Body::Fragment(fragment) = &datagram.body else { return Err(OpenError::Unprotected) };
        let received = self.reassembly.take(&datagram.header, bytes, fragment, &self.key)?;
        Ok(received.payloads.into_inner())
    }
}

fn fragments(payloads: &[Payload], key: &mut DirectionProtection, most: usize) -> Vec<Vec<u8>> {
    seal(header(), payloads, key, Some(most)).unwrap().datagrams().cloned().collect()
}

/// A fragment as the peer could make it, sensible or not.
fn piece(key: &mut DirectionProtection, header: Header, [number, total]: [u16; 2], text: &[u8]) -> Vec<u8> {
    let place = FragmentPlace { number, total };
    let (head, plaintext) = prepare_fragment(header, PayloadType::NONCE, place, text.to_vec(), key.frame());
    let sealed = key.seal(&head, plaintext).unwrap();
    [head, sealed].concat()
}

#[test]
fn every_protection_and_size_goes_through_in_any_order() {
    for protection in Protection::all() {
        let mut key = direction(protection);
        for (most, length) in
            [(100, 300), (110, 40), (200, 2_000), (548, 5_000), (1_248, 1_240), (1_248, 60_000)]
        {
            let mut datagrams = fragments(&payloads(length), &mut key, most);
            assert!(datagrams.iter().all(|d| d.len() <= most), "{protection} {most} {length}");
            let turn = length % datagrams.len();
            datagrams.rotate_left(turn);
            datagrams.reverse();
            let mut receiver = Receiver::new(protection);
            let (last, others) = datagrams.split_last().unwrap();
            for other in others {
                assert_eq!(receiver.take(other), Err(OpenError::Incomplete));
                assert_eq!(receiver.take(other), Err(OpenError::Repeated));
            }
            assert_eq!(receiver.take(last), Ok(payloads(length)), "{protection} {most} {length}");
            assert_eq!(receiver.reassembly.held(), (0, 0), "nothing is left");
        }
    }
}

#[test]
fn a_message_is_cut_only_if_it_must_and_into_no_more_than_it_must() {
    for protection in [AEAD, Protection::Cbc(Cbc::Aes256, Integrity::HmacSha512)] {
        let mut key = direction(protection);
        let whole = seal(header(), &payloads(900), &mut key, None).unwrap().first().len();
        for most in 300..whole + 20 {
            let datagrams = fragments(&payloads(900), &mut key, most);
            assert_eq!(datagrams.len() == 1, most >= whole, "{protection} {most}");
            if most < whole {
                let room = key.frame().room(most);
                assert_eq!(
                    datagrams.len(),
                    928_usize.div_ceil(room).max(2),
                    "{protection} {most}: {room} each"
                );
            }
        }
    }
}

/// The sizes of the wire: IPv6 and IPv4 packets of 1,280 and 576 bytes.
#[test]
fn fragments_fill_their_packets() {
    let mut key = direction(AEAD);
    for most in [1_280 - 40 - 8 - 4, 576 - 20 - 8 - 4] {
        let datagrams = fragments(&payloads(10_000), &mut key, most);
        assert!(datagrams[0].len() > most - 200, "{most}: {}", datagrams[0].len());
        let lengths = datagrams.iter().map(Vec::len);
        assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() < datagrams.len(), "evenly");
    }
}

#[test]
fn what_would_take_too_many_fragments_is_not_cut() {
    let mut key = direction(AEAD);
    let room = key.frame().room(100);
    let fits = room * usize::from(limits::FRAGMENTS) - 28;
    assert_eq!(fragments(&payloads(fits), &mut key, 100).len(), 64);
    assert_eq!(fragments(&payloads(fits + 1), &mut key, 100).len(), 1);
    for most in [0, 40, 60] {
        assert_eq!(fragments(&payloads(50), &mut key, most).len(), 1, "no room at all");
    }
}

/// "In the very first fragment" the type of the first payload, "in the rest … zero"; each numbered.
#[test]
fn the_wire_is_as_rfc_7383_draws_it() {
    let mut key = direction(AEAD);
    for (index, bytes) in fragments(&payloads(300), &mut key, 200).iter().enumerate() {
        let number = u8::try_from(index + 1).unwrap();
        assert_eq!(bytes[16], 53, "next payload in the header");
        assert_eq!(bytes[28..30], [if number == 1 { 41 } else { 0 }, 0]);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[30], bytes[31]])), bytes.len() - 28);
        assert_eq!(bytes[32..36], [0, number, 0, 3]);
    }
}

#[test]
fn numbers_that_cannot_be_are_malformed() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    let malformed = Err(OpenError::Malformed(Malformed::Syntax("fragment number")));
    for numbers in [[0, 0], [0, 3], [4, 3], [1, 0], [u16::MAX, 1]] {
        assert_eq!(receiver.take(&piece(&mut key, header(), numbers, b"text")), malformed, "{numbers:?}");
    }
    let too_large = Err(OpenError::TooLarge);
    for numbers in [[1, 65], [65, 65], [1, u16::MAX]] {
        assert_eq!(receiver.take(&piece(&mut key, header(), numbers, b"text")), too_large, "{numbers:?}");
    }
    assert_eq!(receiver.reassembly.held(), (0, 0));
}

/// Rule 8: a fragment is authenticated before it is stored, and what is not genuine disturbs nothing.
#[test]
fn forged_fragments_change_nothing() {
    let mut key = direction(AEAD);
    let datagrams = fragments(&payloads(300), &mut key, 200);
    let mut receiver = Receiver::new(AEAD);
    for forged in &datagrams {
        for position in 0..forged.len() {
            let mut forged = forged.clone();
            forged[position] ^= 1;
            assert!(receiver.take(&forged).is_err_and(|e| e != OpenError::Incomplete), "byte {position}");
        }
    }
    assert_eq!(receiver.reassembly.held(), (0, 0));
    assert_eq!(receiver.take(&datagrams[0]), Err(OpenError::Incomplete));
    let held = receiver.reassembly.held();
    let mut other_key = Receiver::new(Protection::Aead(Aead::Aes128Gcm16)).key;
    let of_another_message = Header { message_id: 4, ..header() };
    for (header, numbers) in
        [(header(), [2, 3]), (header(), [1, 64]), (of_another_message, [1, 2]), (of_another_message, [1, 1])]
    {
        assert_eq!(receiver.take(&piece(&mut other_key, header, numbers, b"text")), Err(OpenError::Forged));
        assert_eq!(receiver.reassembly.held(), held);
    }
    assert_eq!(receiver.take(&datagrams[2]), Err(OpenError::Incomplete));
    assert_eq!(receiver.take(&datagrams[1]), Ok(payloads(300)));
}

#[test]
fn a_message_cut_anew_into_more_pieces_replaces_what_was_gathered_and_one_cut_into_fewer_does_not() {
    let mut key = direction(AEAD);
    let [large, small] = [200, 150].map(|most| fragments(&payloads(300), &mut key, most));
    assert!(small.len() > large.len());
    let mut receiver = Receiver::new(AEAD);
    assert_eq!(receiver.take(&large[0]), Err(OpenError::Incomplete));
    assert_eq!(receiver.take(&large[1]), Err(OpenError::Incomplete));
    assert_eq!(receiver.take(&small[1]), Err(OpenError::Incomplete));
    assert_eq!(receiver.reassembly.held().0, 1, "only the new cut");
    assert_eq!(receiver.take(&large[2]), Err(OpenError::Repeated));
    let (last, others) = small.split_last().unwrap();
    for other in others.iter().filter(|other| **other != small[1]) {
        assert_eq!(receiver.take(other), Err(OpenError::Incomplete));
    }
    assert_eq!(receiver.take(last), Ok(payloads(300)));
}

#[test]
fn one_message_is_gathered_at_a_time() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    for message_id in 0..1_000 {
        let header = Header { message_id, ..header() };
        for number in 1..=3 {
            let fragment = piece(&mut key, header, [number, 64], &[7; 1_000]);
            assert_eq!(receiver.take(&fragment), Err(OpenError::Incomplete));
        }
        assert_eq!(receiver.reassembly.held(), (3, 3_000));
    }
}

#[test]
fn no_more_than_64_kib_are_gathered() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    let text = vec![7; 20_000];
    for number in 1..=3 {
        assert_eq!(
            receiver.take(&piece(&mut key, header(), [number, 64], &text)),
            Err(OpenError::Incomplete)
        );
    }
    for number in 4..=64 {
        assert_eq!(receiver.take(&piece(&mut key, header(), [number, 64], &text)), Err(OpenError::TooLarge));
    }
    assert_eq!(receiver.reassembly.held(), (3, 60_000));
    let rest = limits::MESSAGE - 60_000;
    assert_eq!(
        receiver.take(&piece(&mut key, header(), [4, 64], &vec![7; rest + 1])),
        Err(OpenError::TooLarge)
    );
    assert_eq!(
        receiver.take(&piece(&mut key, header(), [4, 64], &vec![7; rest])),
        Err(OpenError::Incomplete)
    );
}

/// All fragments are genuine, and together they are no chain of payloads.
#[test]
fn a_whole_that_is_malformed_is_the_peers_fault_and_is_forgotten() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    assert_eq!(
        receiver.take(&piece(&mut key, header(), [1, 2], &[0, 0, 0, 200])),
        Err(OpenError::Incomplete)
    );
    let result = receiver.take(&piece(&mut key, header(), [2, 2], &[9; 10]));
    assert!(matches!(result, Err(OpenError::Malformed(_))), "{result:?}");
    assert_eq!(receiver.reassembly.held(), (0, 0));
}

#[test]
fn a_message_may_be_one_fragment_and_a_fragment_may_be_empty() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    let nonce = [&[0, 0, 0, 20][..], &[9; 16]].concat();
    let expected = Ok(vec![Payload::Nonce(vec![9; 16])]);
    assert_eq!(receiver.take(&piece(&mut key, header(), [1, 1], &nonce)), expected);
    assert_eq!(receiver.take(&piece(&mut key, header(), [2, 2], &nonce)), Err(OpenError::Incomplete));
    assert_eq!(receiver.take(&piece(&mut key, header(), [1, 2], &[])), expected);
}

#[test]
fn pieces_print_no_payload() {
    let mut key = direction(AEAD);
    let mut receiver = Receiver::new(AEAD);
    let _ = receiver.take(&piece(&mut key, header(), [1, 2], b"secret"));
    let printed = format!("{:?}", receiver.reassembly);
    assert!(printed.contains("Piece(6 bytes)") && !printed.contains("115"), "{printed}");
}
