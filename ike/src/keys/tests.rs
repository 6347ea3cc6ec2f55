//! The whole key schedule against Python, whose `plus` is prf+ (see `tests/known_answers/derivation.rs`):
//!
//! ```python
//! def ike(h, cipher, seed, ni, nr, spis):
//!     n = hashlib.new(h).digest_size
//!     s = plus(h, seed, ni + nr + spis, 3 * n + 2 * cipher)
//!     for length in n, cipher, cipher, n, n: print(s[:length].hex()); s = s[length:]
//! ni, nr, shared, spis = bytes(range(32)), bytes(range(100, 148)), b'\xab' * 32, bytes(range(1, 17))
//! ike('sha384', 36, hmac.digest(ni + nr, shared, 'sha384'), ni, nr, spis) # the first is sk_d
//! print(plus('sha384', sk_d, ni + nr, 72).hex())
//! ni2, nr2, shared2, spis2 = b'\x11' * 16, b'\x22' * 16, b'\xcd' * 256, b'\x33' * 8 + b'\x44' * 8
//! print(plus('sha384', sk_d, shared2 + ni2 + nr2, 40).hex())
//! ike('sha256', 20, hmac.digest(sk_d, shared2 + ni2 + nr2, 'sha384'), ni2, nr2, spis2) # the first is sk_d2
//! print(plus('sha256', sk_d2, ni + nr, 40).hex())
//! ```

use super::*;
use crate::suite::{Aead, Group, Prf, Protection};

const FIRST: IkeSuite =
    IkeSuite { protection: Protection::Aead(Aead::Aes256Gcm16), prf: Prf::HmacSha384, group: Group::X25519 };
const NEXT: IkeSuite = IkeSuite {
    protection: Protection::Aead(Aead::Aes128Gcm16),
    prf: Prf::HmacSha256,
    group: Group::Modp2048,
};

fn counting<const N: usize>(from: u8) -> [u8; N] {
    std::array::from_fn(|i| from + u8::try_from(i).unwrap())
}

fn first() -> IkeKeys {
    let nonces = Nonces { initiator: &counting::<32>(0), responder: &counting::<48>(100) };
    let spis = Spis { initiator: IkeSpi(counting(1)), responder: IkeSpi(counting(9)) };
    IkeKeys::derive(&Provider::ring(), FIRST, nonces, spis, &Secret::new(vec![0xab; 32])).unwrap()
}

fn rekeyed(old: &ChildKeySource) -> IkeKeys {
    let nonces = Nonces { initiator: &[0x11; 16], responder: &[0x22; 16] };
    let spis = Spis { initiator: IkeSpi([0x33; 8]), responder: IkeSpi([0x44; 8]) };
    let shared = Secret::new(vec![0xcd; 256]);
    IkeKeys::derive_rekey(&Provider::ring(), old, NEXT, nonces, spis, &shared).unwrap()
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// That this direction seals with this key and salt.
#[track_caller]
fn assert_seals_with(direction: &mut DirectionProtection, aead: Aead, keymat: &str) {
    let mut sealed = direction.seal(b"header", b"payloads".to_vec()).unwrap();
    let (iv, sealed) = sealed.split_first_chunk_mut().unwrap();
    let key = Provider::ring().aead.key(aead, &hex(keymat)).unwrap();
    assert_eq!(key.open(*iv, b"header", sealed).unwrap(), b"payloads");
}

#[track_caller]
fn assert_prf_key(key: &dyn PrfKey, prf: Prf, expected: &str) {
    let expected = Provider::ring().prf.key(prf, &hex(expected));
    assert_eq!(key.compute(&[b"input"]), expected.compute(&[b"input"]));
}

#[test]
fn the_keys_of_a_first_ike_sa_agree_with_python() {
    let mut keys = first();
    assert_seals_with(
        &mut keys.initiator,
        Aead::Aes256Gcm16,
        "16a5276c6dbd43c4c97d0f097e1ee48c298cf4e63b1a1820e6430e897aa6ef6842b8e4c9",
    );
    assert_seals_with(
        &mut keys.responder,
        Aead::Aes256Gcm16,
        "6a2d45ce1b575038b904d7e1d28a672040405fd2b1dacf1cf2b4fbf0a97c1d33dd80074f",
    );
    assert_prf_key(
        &*keys.auth_i,
        FIRST.prf,
        "3230ab361f3841c879cb1c5e29797c6c3e2eb95392cb2e556ae8d991703b5e60cb15e7bba90186dc9146a2d1f421fd6f",
    );
    assert_prf_key(
        &*keys.auth_r,
        FIRST.prf,
        "310f09f21f7e18a7cfbf0071030d1e89fb5b83e43c851c791dc757d3825efd896e7d620026b1781f8eaf211a68f32676",
    );
}

#[test]
fn the_keys_of_child_sas_agree_with_python() {
    let source = first().child;
    let nonces = Nonces { initiator: &counting::<32>(0), responder: &counting::<48>(100) };
    let (initiator, responder) = source.keymat(FIRST.protection, nonces, None).unwrap();
    assert_eq!(
        [initiator.expose(), responder.expose()].concat(),
        hex(
            "dd350d654cff485cc0d5aaddfcc481cfec92e807fbf63b8fba7171ef43a7ee46694b5a7aca33b2442c6c02be4d41c3f8\
             b89c63157d92c6cc725fdd8a84bf006eef255597617244f5"
        )
    );
    assert_eq!(initiator.len(), 36);

    let nonces = Nonces { initiator: &[0x11; 16], responder: &[0x22; 16] };
    let shared = Secret::new(vec![0xcd; 256]);
    let (initiator, responder) = source.keymat(NEXT.protection, nonces, Some(&shared)).unwrap();
    assert_eq!(initiator.expose(), hex("94683867efb6d35ab326dcc1e44f28505ddaf2fe"));
    assert_eq!(responder.expose(), hex("7fb310a619da2a4e6a81c1be4743942de3af67bf"));
}

/// The old prf makes SKEYSEED, the new one everything else (RFC 7296 §2.18).
#[test]
fn the_keys_of_a_rekeyed_ike_sa_agree_with_python() {
    let mut keys = rekeyed(&first().child);
    assert_seals_with(&mut keys.initiator, Aead::Aes128Gcm16, "6ef612b82e88e28963e54c449ef6e63021b1fa04");
    assert_seals_with(&mut keys.responder, Aead::Aes128Gcm16, "b2a80b65d379a3068e7fe73bf273c99422578513");
    let auth_i = "af2b1638fdb2810ca8cd0b20cf2361a0b0eeb3f25d01007566c42a23f81354b6";
    assert_prf_key(&*keys.auth_i, NEXT.prf, auth_i);
    let auth_r = "da3d1b4d03c073ee7817f9092e20120078c34f12d1d2c6f2b5cf77f10f8af983";
    assert_prf_key(&*keys.auth_r, NEXT.prf, auth_r);

    let nonces = Nonces { initiator: &counting::<32>(0), responder: &counting::<48>(100) };
    let (initiator, responder) = keys.child.keymat(NEXT.protection, nonces, None).unwrap();
    assert_eq!(
        [initiator.expose(), responder.expose()].concat(),
        hex("50962227c06945d549291899bd297c94e055934b32aa2633734bfb3cd212107c1d09e9fe5b842946")
    );
}

#[test]
fn a_direction_opens_what_it_sealed_and_nothing_else() {
    let mut keys = first();
    let sealed = keys.initiator.seal(b"header", b"payloads".to_vec()).unwrap();
    assert_eq!(sealed.len(), 8 + 8 + 16);
    let forged = Err(CryptoError::Forged);
    assert_eq!(keys.initiator.open(b"header", &mut sealed.clone()).unwrap(), b"payloads");
    assert_eq!(keys.responder.open(b"header", &mut sealed.clone()), forged, "the other direction");
    assert_eq!(keys.initiator.open(b"Header", &mut sealed.clone()), forged, "another header");
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        *changed.get_mut(position).unwrap() ^= 0x80;
        assert_eq!(keys.initiator.open(b"header", &mut changed), forged, "byte {position}");
    }
}

#[test]
fn no_iv_is_used_twice() {
    let mut direction = first().initiator;
    let ivs = [0_u64, 1, 2].map(|_| *direction.seal(b"", Vec::new()).unwrap().first_chunk().unwrap());
    assert_eq!(ivs, [0_u64, 1, 2].map(u64::to_be_bytes));

    direction.next_iv = u64::MAX - 1;
    assert!(direction.seal(b"", Vec::new()).is_ok());
    for _ in 0..2 {
        assert_eq!(direction.seal(b"", Vec::new()), Err(CryptoError::Exhausted));
    }
}

#[test]
fn keys_do_not_print() {
    let keys = format!("{:?}", first());
    assert_eq!(keys, "IkeKeys");
    let parts = first();
    let printed = format!("{:?} {:?} {:?}", parts.child, parts.initiator, parts.auth_i);
    assert_eq!(printed, "ChildKeySource DirectionProtection PrfKey");
}
