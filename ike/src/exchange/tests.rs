//! Every protection, from payloads to a datagram and back.

use super::*;
use crate::crypto::{CryptoError, Provider};
use crate::keys::{DirectionProtection, IkeKeys, Nonces, Spis};
use crate::secret::Secret;
use crate::suite::{Cbc, Group, IkeSuite, Integrity, Prf, Protection};
use crate::wire::{
    Body, Datagram, ExchangeType, Header, IkeSpi, Malformed, Notify, NotifyType, Payload, PayloadType,
};

pub(super) fn direction(protection: Protection) -> DirectionProtection {
    let suite = IkeSuite { protection, prf: Prf::HmacSha256, group: Group::X25519 };
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    IkeKeys::derive(&Provider::ring(), suite, nonces, spis, &Secret::new(vec![3; 32])).unwrap().initiator
}

pub(super) fn header() -> Header {
    Header {
        spi_i: IkeSpi([1; 8]),
        spi_r: IkeSpi([2; 8]),
        next_payload: PayloadType::NONE,
        exchange: ExchangeType::INFORMATIONAL,
        from_initiator: true,
        response: false,
        message_id: 3,
        length: 0,
    }
}

fn open(bytes: &[u8], key: &DirectionProtection) -> Result<Vec<Payload>, OpenError> {
    let datagram = Datagram::parse(bytes).map_err(OpenError::Malformed)?;
    let Body::Encrypted(sk) = datagram.body else { return Err(OpenError::Forged) };
    Protected::open(&sk, key).map(Protected::into_inner)
}

pub(super) fn payloads(length: usize) -> Vec<Payload> {
    vec![Payload::Notify(Notify::new(NotifyType::COOKIE, vec![7; length])), Payload::Nonce(vec![9; 16])]
}

fn whole(payloads: &[Payload], key: &mut DirectionProtection) -> Vec<u8> {
    let message = seal(header(), payloads, key, None).unwrap();
    assert_eq!(message.datagrams().count(), 1);
    message.first().to_vec()
}

#[test]
fn every_protection_opens_what_it_sealed() {
    for protection in Protection::all() {
        let mut key = direction(protection);
        for length in (0..70).chain([1500, 20_000]) {
            let sealed = whole(&payloads(length), &mut key);
            assert_eq!(open(&sealed, &key), Ok(payloads(length)), "{protection} {length}");
        }
        assert_eq!(open(&whole(&[], &mut key), &key), Ok(vec![]), "{protection}");
    }
}

#[test]
fn no_bit_of_a_message_can_be_changed() {
    for protection in Protection::all() {
        let mut key = direction(protection);
        let sealed = whole(&payloads(20), &mut key);
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, &key).is_err(), "{protection} bit {bit}");
        }
    }
}

/// A good checksum over what is no CBC text or has wrong padding is the peer's fault, and can only be the peer's.
#[test]
fn what_the_peer_pads_wrongly_is_malformed() {
    let mut key = direction(Protection::Cbc(Cbc::Aes256, Integrity::HmacSha256));
    let good = whole(&payloads(0), &mut key);
    let (associated, _) = good.split_at(32);
    let of_text = |plaintext: Vec<u8>, key: &mut DirectionProtection| {
        let body = key.seal(associated, plaintext).unwrap();
        let sk = crate::wire::Encrypted {
            first: PayloadType::NOTIFY,
            associated,
            sealed: &body,
            unsupported: None,
        };
        Protected::open(&sk, key).map(Protected::into_inner)
    };
    let malformed = |what| Err(OpenError::Malformed(Malformed::Syntax(what)));
    let mut plaintext = vec![0, 0, 0, 8, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    assert!(of_text(plaintext.clone(), &mut key).is_ok());
    plaintext[15] = 200;
    assert_eq!(of_text(plaintext.clone(), &mut key), malformed("padding"));
    plaintext[15] = 6;
    assert!(matches!(of_text(plaintext, &mut key), Err(OpenError::Malformed(_))));
    assert_eq!(of_text(vec![], &mut key), malformed("empty encrypted payload"));
    assert_eq!(key.seal(associated, vec![0; 15]), Err(CryptoError::NoWholeBlocks));
}
