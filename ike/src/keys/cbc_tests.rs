//! Key schedule and whole messages with CBC, against Python and `openssl enc`; `plus` is prf+ (see
//! `tests/known_answers/derivation.rs`):
//!
//! ```python
//! def message(h, bits, integ, seed, ni, nr, spis):
//!     n, a, e = hashlib.new(h).digest_size, hashlib.new(integ).digest_size, bits // 8
//!     s = plus(h, seed, ni + nr + spis, 5 * n + 2 * a + 2 * e)
//!     lengths = 'd', n, 'ai', a, 'ar', a, 'ei', e, 'er', e, 'pi', n, 'pr', n, 'vi', n, 'vr', n
//!     k = {}
//!     for name, length in zip(lengths[::2], lengths[1::2]): k[name] = s[:length]; s = s[length:]
//!     plain = bytes.fromhex('0000000800004000') + bytes(7) + b'\7'  # N(INITIAL_CONTACT), padding, its length
//!     for side, flags in ('i', 8), ('r', 0x20):
//!         iv = hmac.digest(k['v' + side], bytes(8), h)[:16]
//!         sk_length = 4 + 16 + len(plain) + a // 2
//!         head = spis + bytes([46, 0x20, 37, flags]) + (7).to_bytes(4) + (28 + sk_length).to_bytes(4) + b'\x29\0' + sk_length.to_bytes(2)
//!         text = subprocess.run(['openssl', 'enc', f'-aes-{bits}-cbc', '-nopad', '-K', k['e' + side].hex(), '-iv', iv.hex()], input=plain, capture_output=True).stdout
//!         print((head + iv + text + hmac.digest(k['a' + side], head + iv + text, integ)[:a // 2]).hex())
//!     return k
//! ni, nr, shared, spis = bytes(range(32)), bytes(range(100, 148)), b'\xab' * 32, bytes(range(1, 17))
//! for h, bits, integ in ('sha256', 128, 'sha256'), ('sha384', 256, 'sha512'), ('sha512', 256, 'sha384'):
//!     k = message(h, bits, integ, hmac.digest(ni + nr, shared, h), ni, nr, spis)
//!     print(k['pi'].hex())
//!     print(plus(h, k['d'], ni + nr, 2 * (bits // 8 + hashlib.new(integ).digest_size)).hex())
//! ```

use super::tests::hex;
use super::*;
use crate::suite::{Cbc, Group, Integrity, Prf, Protection};

struct Answer {
    suite: IkeSuite,
    /// What the initiator and what the responder sends first.
    messages: [&'static str; 2],
    sk_pi: &'static str,
    keymat: &'static str,
}

const fn suite(cbc: Cbc, integrity: Integrity, prf: Prf) -> IkeSuite {
    IkeSuite { protection: Protection::Cbc(cbc, integrity), prf, group: Group::X25519 }
}

const ANSWERS: [Answer; 3] = [
    Answer {
        suite: suite(Cbc::Aes128, Integrity::HmacSha256, Prf::HmacSha256),
        messages: [
            "0102030405060708090a0b0c0d0e0f102e20250800000007000000502900003462cba9908f1ac0ba2fe66691240ff329\
             47c278512a4e654eb2239f48cd4033fa4ac37e6d0abed41ab18d11394c4aae70",
            "0102030405060708090a0b0c0d0e0f102e2025200000000700000050290000345fe8f4fdf73e7dba8fce12fea4360c9d\
             3a8ead94daa4cd4042ff132556e05fcfc538856e3d3732c5edda6537217d2621",
        ],
        sk_pi: "a677e8919d3825f5f816485fd9b339533ec9feca64b3030cb8f87cbc82e6ef64",
        keymat: "65e28b4e680fe694b37d42371141f8acf6065c2d918a0ea40dc3fe53e23afd30e047c749cd1579d794758f4d7a18204f\
                 7607f2a01d4baa2b5517f82bde2e2e696d58a4b8ea9bfac48bf48e4c99f1c5b878f54f93cea947950dbeca0f77d67e11",
    },
    Answer {
        suite: suite(Cbc::Aes256, Integrity::HmacSha512, Prf::HmacSha384),
        messages: [
            "0102030405060708090a0b0c0d0e0f102e202508000000070000006029000044e2a4968b7d61ed0458651cfc78174535\
             8c6b053c6eb7ab372f278876632699fc819c90d6f05218d8c0718f598667cf5f1cb3c578532472965bdd81cc94b2e1c7",
            "0102030405060708090a0b0c0d0e0f102e202520000000070000006029000044e536e217a0f331eac15686fb5324b20b\
             e028af14782e1b81050ddca19dabee17165f543e93b398090f2a959c7ba0f70a3cba1d135c7ef2f4abcb74b9b4f919a0",
        ],
        sk_pi: "ea81cd104ce86798699ee063c2b113b586b91df08bee6d9ef6e0f765272d1fda52178aa3f3212e14fc7ad6719b3737a1",
        keymat: "dd350d654cff485cc0d5aaddfcc481cfec92e807fbf63b8fba7171ef43a7ee46694b5a7aca33b2442c6c02be4d41c3f8\
                 b89c63157d92c6cc725fdd8a84bf006eef255597617244f5c2c291276ab9231bba471416638700b1a6e7586ed0c145f2\
                 aa78b943fb151f6feac1d8a9acfcb122bea1fe9aa11a581e34ed0bb16c0ca78e2f12dc9f0ed5ec63ebc7980023a25d3c\
                 e14c407b5e9dc6f792664329e0a405df64cc4fb8752d722f5c52c0ce08af2b56017768198d9eccb2822b7747ac6e73fa",
    },
    Answer {
        suite: suite(Cbc::Aes256, Integrity::HmacSha384, Prf::HmacSha512),
        messages: [
            "0102030405060708090a0b0c0d0e0f102e20250800000007000000582900003c98f67f1612c6021cf7324353eb126d5a\
             1206db053536be95ee2eb25729e1800ff863133eaa5060e15c421224309736c8b128a02a768ececd",
            "0102030405060708090a0b0c0d0e0f102e20252000000007000000582900003c2acd4c79f16ce90a7bde6b657b05636f\
             dd595ea52e4a3c59158c2a2a2f49311efd893af71da3c04eefe2685bf09cb48d09ebeb403b891611",
        ],
        sk_pi: "0874ba1bc43fda365ac3f0fdd192a0317109e9b7d5428e68ff732bf868fa3a0c302e7e65d8ea77001a57250af0c4314b\
                579ba559d8a7898d16c3526156934432",
        keymat: "7fff48407a6b3b197b296325ff6659319c643b248a059d7375cf2b74ce01280db72c131c62d2cd5667228faff795d5bd\
                 e04e0fea75dbf2eaae5cb8b36600870e2a6bae3b8a13302c86e9b5f6aa8420ed1f70c76da5019504761bf15dac69c5e8\
                 3cedb171829f790cb7e3f68c2c55ba46d78da9f9933fb71546ff600c711f61ce049f8614a6f6cc4668678c7f683e745e\
                 b6106e3b3a893dc934e30fa8dbbdc190",
    },
];

const NONCES: Nonces<'static> = Nonces { initiator: &counting::<32>(0), responder: &counting::<48>(100) };

const fn counting<const N: usize>(from: u8) -> [u8; N] {
    let mut bytes = [from; N];
    let mut at = 1;
    while at < N {
        bytes[at] = bytes[at - 1] + 1;
        at += 1;
    }
    bytes
}

fn keys(suite: IkeSuite) -> IkeKeys {
    let spis = Spis { initiator: IkeSpi(counting(1)), responder: IkeSpi(counting(9)) };
    IkeKeys::derive(&Provider::ring(), suite, NONCES, spis, &Secret::new(vec![0xab; 32])).unwrap()
}

const PLAINTEXT: [u8; 16] = [0, 0, 0, 8, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 7];

#[test]
fn messages_agree_with_python_and_openssl() {
    for answer in ANSWERS {
        let keys = keys(answer.suite);
        for (mut direction, message) in [keys.initiator, keys.responder].into_iter().zip(answer.messages) {
            let message = hex(message);
            let (associated, body) = message.split_at(32);
            assert_eq!(
                direction.open(associated, &mut body.to_vec()).unwrap(),
                PLAINTEXT,
                "{}",
                answer.suite
            );
            assert_eq!(direction.seal(associated, PLAINTEXT.to_vec()).unwrap(), body, "{}", answer.suite);
            assert_eq!(body.len(), PLAINTEXT.len() + direction.frame().overhead);
        }
    }
}

#[test]
fn the_other_keys_agree_with_python() {
    for answer in ANSWERS {
        let keys = keys(answer.suite);
        let sk_pi = Provider::ring().prf.key(answer.suite.prf, &hex(answer.sk_pi));
        assert_eq!(keys.auth_i.compute(&[b"input"]), sk_pi.compute(&[b"input"]), "{}", answer.suite);
        let (initiator, responder) = keys.child.keymat(answer.suite.protection, NONCES, None).unwrap();
        assert_eq!([initiator.expose(), responder.expose()].concat(), hex(answer.keymat), "{}", answer.suite);
        assert_eq!(initiator.len(), answer.suite.protection.keymat_length());
    }
}

/// RFC 7296 §3.14: "Senders MUST select a new unpredictable IV for every message".
#[test]
fn no_iv_returns_and_none_is_a_counter() {
    let mut keys = keys(ANSWERS[0].suite);
    let mut ivs = std::collections::BTreeSet::new();
    for _ in 0..500 {
        for direction in [&mut keys.initiator, &mut keys.responder] {
            let sealed = direction.seal(b"header", PLAINTEXT.to_vec()).unwrap();
            assert!(ivs.insert(*sealed.first_chunk::<16>().unwrap()));
        }
    }
    // Whoever knows one would know the first bytes of the next, if it were a counter.
    let starts: std::collections::BTreeSet<_> =
        ivs.iter().map(|iv| *iv.first_chunk::<4>().unwrap()).collect();
    assert!(starts.len() > 990, "{}", starts.len());
}

/// Nothing of a forged message is decrypted: the ciphertext stays what it was.
#[test]
fn the_checksum_is_looked_at_first() {
    for answer in ANSWERS {
        let mut keys = keys(answer.suite);
        let sealed = keys.initiator.seal(b"header", PLAINTEXT.to_vec()).unwrap();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            let before = changed.clone();
            assert_eq!(keys.initiator.open(b"header", &mut changed), Err(CryptoError::Forged), "{position}");
            assert_eq!(changed, before);
        }
        for length in 0..sealed.len() {
            let mut short = sealed[..length].to_vec();
            assert_eq!(keys.initiator.open(b"header", &mut short), Err(CryptoError::Forged), "{length}");
        }
    }
}
