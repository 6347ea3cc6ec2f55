//! The MODP groups, against Python:
//!
//! ```python
//! import hashlib
//! def prime(bits, c): # RFC 3526, with pi from Machin's formula in integers
//!     g = bits - 130 + 64
//!     def arctan_inverse(x):
//!         t = s = (1 << g) // x; k = sign = 1
//!         while t: t //= x * x; k += 2; sign = -sign; s += sign * (t // k)
//!         return s
//!     pi = 4 * (4 * arctan_inverse(5) - arctan_inverse(239)) >> 64
//!     return 2**bits - 2**(bits - 64) - 1 + 2**64 * (pi + c)
//! for p, size, length in (prime(2048, 124476), 256, 32), (prime(3072, 1690314), 384, 40), (prime(4096, 240904), 512, 48):
//!     def x(seed): return int.from_bytes(bytes(seed + i & 255 for i in range(length))) | 1 << 8 * length - 1
//!     def show(n): print(hashlib.sha256(n.to_bytes(size)).hexdigest())
//!     for ours, theirs in (1, 77), (21, 1), (40, 6), (9, 0), (8, 58):
//!         show(pow(2, x(ours), p)); show(pow(2, x(theirs), p)); show(pow(2, x(ours) * x(theirs), p))
//! ```

use sekisho_ike::crypto::{CryptoError, Provider, public_length, sha256};
use sekisho_ike::suite::Group;

use crate::{Chosen, hex, to_hex};

/// An exchange whose private values count up from `seeds`: the hashes of both public values and of the secret, and
/// the first bytes of our public value and of the secret.
fn exchange(group: Group, seeds: [u8; 2]) -> ([String; 3], [u8; 2]) {
    let length = match group {
        Group::Modp2048 => 32,
        Group::Modp3072 => 40,
        _ => 48,
    };
    let source = |seed: u8| Chosen::new(&(0..length).map(|i| seed.wrapping_add(i)).collect::<Vec<_>>());
    let ours = Provider::ring().key_exchange.draw(group, &mut source(seeds[0])).unwrap().begin();
    let public = ours.public().to_vec();
    let (theirs, secret) =
        Provider::ring().key_exchange.draw(group, &mut source(seeds[1])).unwrap().respond(&public).unwrap();
    assert_eq!(ours.complete(&theirs).unwrap(), secret);
    for value in [&public[..], &theirs, secret.expose()] {
        assert_eq!(value.len(), public_length(group));
    }
    let hashes = [&public[..], &theirs, secret.expose()].map(|value| to_hex(&sha256(&[value])));
    (hashes, [public[0], secret.expose()[0]])
}

#[test]
fn modp_2048_agrees_with_python() {
    let (hashes, _) = exchange(Group::Modp2048, [1, 77]);
    assert_eq!(
        hashes,
        [
            "2979f3312e43f70a9714dcda49112b0b3dad685fff298b3ea59526fa863c5060",
            "7a320186495c97f1ea4500315786f3921602779c40339fdfd486202b59e8f2fa",
            "d80a2163f8a4cb5d3408d63f002b18a3c9623aac8c589308236f8c1e006e3fbc",
        ]
    );
}

#[test]
fn modp_3072_agrees_with_python() {
    let (hashes, _) = exchange(Group::Modp3072, [1, 77]);
    assert_eq!(
        hashes,
        [
            "cdc68447b9b21040d30f87608f387dfa751df842d28a25f1f3fe5e9025f38a5f",
            "fbe08d8cd7e1b2d945f179fb4f12b6303904f79c51650912c3dc6b8f9609b567",
            "4df662bbf2b3a67ccf16dc553b0d4ed8f53688828839037b799eb774106bd77d",
        ]
    );
}

#[test]
fn modp_4096_agrees_with_python() {
    let (hashes, _) = exchange(Group::Modp4096, [1, 77]);
    assert_eq!(
        hashes,
        [
            "89cf24bd5be568cea97d833beef090fb38b12095d950172f7a8a420689b21617",
            "2330f80f56ba0b777ac59d0b6b35e27a2c11f1bf64fbffff8a22956ccc5f3c2c",
            "9a04a72668b8ccc1fa10b3221fa724951c2733407a4e89cb994ed1e553f1e7e0",
        ]
    );
}

/// One exchange in 256 is short by a byte, and fails between implementations that forget to pad.
#[test]
fn short_values_are_padded_on_the_left() {
    let (hashes, [public, _]) = exchange(Group::Modp2048, [21, 1]);
    assert_eq!(public, 0);
    assert_eq!(hashes[0], "f8639f991a5c89468786f5098ecd8e9b1277be2fa2248c4a0b3fc1f756b80603");

    for (group, seeds, expected) in [
        (Group::Modp2048, [40, 6], "114276cd05062ac474d2d46b06bc019b4b22ae77af7701a35059fe696239be91"),
        (Group::Modp3072, [9, 0], "3d1efe82e477a356293df81c04b9309a9653055c0254a06c31228c863b88c123"),
        (Group::Modp4096, [8, 58], "36f4503d88ec3ba4695dd6fba18edd48340c7c7600e1af7456ec751915f5290f"),
    ] {
        let (hashes, [_, secret]) = exchange(group, seeds);
        assert_eq!((secret, &hashes[2][..]), (0, expected), "{group}");
    }
}

/// RFC 6989 §2.1: only 1 < y < p - 1.
///
/// Rule 7: likewise.
#[test]
fn values_out_of_range_are_refused() {
    for group in [Group::Modp2048, Group::Modp3072, Group::Modp4096] {
        let prime = prime(group);
        let minus = |n: u8| {
            let mut value = prime.clone();
            *value.last_mut().unwrap() -= n;
            value
        };
        let small = |n: u8| {
            let mut value = vec![0; prime.len()];
            *value.last_mut().unwrap() = n;
            value
        };
        let agree = |peer: &[u8]| {
            let ours = Provider::ring().key_exchange.draw(group, &mut Chosen::new(&[5])).unwrap().begin();
            ours.complete(peer).map(|_| ())
        };
        for bad in [small(0), small(1), minus(1), minus(0), vec![0xff; prime.len()]] {
            assert_eq!(agree(&bad), Err(CryptoError::BadPublicValue), "{group} {}", to_hex(&bad));
        }
        for good in [small(2), minus(2)] {
            assert_eq!(agree(&good), Ok(()), "{group}");
        }
    }
}

#[test]
fn a_source_of_zeros_is_refused() {
    let result = Provider::ring().key_exchange.draw(Group::Modp2048, &mut Chosen::new(&[0]));
    assert_eq!(result.map(|_| ()).unwrap_err(), CryptoError::BadRandom);
}

/// As the script above prints them.
fn prime(group: Group) -> Vec<u8> {
    let parts = match group {
        Group::Modp2048 => [COMMON, END_2048, ""],
        Group::Modp3072 => [COMMON, MORE, END_3072],
        _ => [COMMON, MORE, END_4096],
    };
    hex(&parts.concat())
}

/// Where the primes agree: ones, and then digits of pi.
const COMMON: &str = concat!(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd",
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed",
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f",
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b",
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510",
    "15728e5a8a",
);

/// 2^2048 - 2^1984 - 1 + 2^64 * {[2^1918 pi] + 124476}.
const END_2048: &str = "acaa68ffffffffffffffff";

/// Where the two longer ones agree further.
const MORE: &str = concat!(
    "aac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7abf5ae8cdb",
    "0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200cbbe117577a",
    "615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a9",
);

/// 2^3072 - 2^3008 - 1 + 2^64 * {[2^2942 pi] + 1690314}.
const END_3072: &str = "3ad2caffffffffffffffff";

/// 2^4096 - 2^4032 - 1 + 2^64 * {[2^3966 pi] + 240904}.
const END_4096: &str = concat!(
    "2108011a723c12a787e6d788719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04",
    "de8ef92e8efc141fbecaa6287c59474e6bc05d99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd7621",
    "70481cd0069127d5b05aa993b4ea988d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff",
);
