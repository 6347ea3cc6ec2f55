//! prf+ and the proof by pre-shared key, against Python:
//!
//! ```python
//! import hmac, hashlib
//! def plus(h, k, s, n):
//!     t = out = b''
//!     for i in range(1, 256):
//!         t = hmac.digest(k, t + s + bytes([i]), h); out += t
//!         if len(out) >= n: return out[:n]
//! for h, n in ('sha256', 80), ('sha384', 100), ('sha512', 130): print(plus(h, b'key', b'seed', n).hex())
//! print(hashlib.sha256(plus('sha256', b'key', b'seed', 255 * 32)).hexdigest())
//! id_body = b'\x02\0\0\0clinic-17.example'
//! for h in 'sha256', 'sha384', 'sha512':
//!     sk_p = b'\x55' * hashlib.new(h).digest_size
//!     pad = hmac.digest(b'correct horse battery staple', b'Key Pad for IKEv2', h)
//!     octets = b'first message' + bytes(range(100, 148)) + hmac.digest(sk_p, id_body, h)
//!     print(hmac.digest(pad, octets, h).hex())
//! ```

use sekisho_ike::Secret;
use sekisho_ike::crypto::{CryptoError, Provider, prf_plus, sha256};
use sekisho_ike::identity::{auth_value, signed_octets};
use sekisho_ike::suite::Prf;

use crate::to_hex;

fn stream(prf: Prf, length: usize) -> Result<Secret, CryptoError> {
    let key = Provider::ring().prf.key(prf, b"key");
    prf_plus(&*key, &[b"se", b"", b"ed"], length)
}

#[test]
fn prf_plus_agrees_with_python() {
    for (prf, length, expected) in [
        (
            Prf::HmacSha256,
            80,
            "a2392e429a99b173341b368bb5ce320bfd483d89567c14ec187c2d77e3c0a208ba45d21d42611712996c0cd4b329ac86\
             81e093a8a5bbbbf0fb8c9d1cf674f7423fe3d2fbd6641ff544749daa37804f04",
        ),
        (
            Prf::HmacSha384,
            100,
            "245b57f46db11477bf9cd2e6adbc6244448af40400d70a9203399a48756b7dbf53087f405e438cf9bbb7d38b34915f6b\
             7dab328fb2580112db91d3da5c383d3c2a4de7974aa900251aced8106d3c00211e0cfff95994a7bb4bd1649b19443e95\
             7964c1e1",
        ),
        (
            Prf::HmacSha512,
            130,
            "173a6224816997fa5b2129f1c4d26d629028846663e6e27dd28d35d0de3757056e7da6c4214436a07fa827ba4329baf9\
             097b2eddf4c1ea2b89caf65189987801bbb7a7125bce5d65d77bfd4a0705ef9bcb45f76a33f0ed70f5f7ff0f53eaa8c0\
             089d68f852c6a4ef3ab3684a7ee7ec7b3ec15d8f335ce4360f9a3e8bc95a1112ed5c",
        ),
    ] {
        assert_eq!(to_hex(stream(prf, length).unwrap().expose()), expected, "{prf}");
    }
}

#[test]
fn prf_plus_ends_after_255_blocks() {
    for prf in Prf::ALL {
        let longest = 255 * prf.output_length();
        assert_eq!(stream(prf, longest).unwrap().len(), longest);
        assert_eq!(stream(prf, longest + 1), Err(CryptoError::TooLong));
        assert!(stream(prf, 0).unwrap().is_empty());
    }
    assert_eq!(
        to_hex(&sha256(&[stream(Prf::HmacSha256, 255 * 32).unwrap().expose()])),
        "45391ddaa546d923aa71a6772953bc3c8421b2c69eea3c14fe9873a9bc24b53c"
    );
}

#[test]
fn the_proof_by_pre_shared_key_agrees_with_python() {
    let provider = Provider::ring();
    let psk = Secret::new(b"correct horse battery staple".to_vec());
    let nonce: Vec<u8> = (100..148).collect();
    for (prf, expected) in [
        (Prf::HmacSha256, "2dca9578d71b897c6633b072bee2f9b484c12d286e0bcba53ad0b59db11968ca"),
        (
            Prf::HmacSha384,
            "56f024fc18c8baa4d3d0be157c6ec9065615773387ce91d950523e4068427a41e799cc94bf1e4cc457833fd64ee5960a",
        ),
        (
            Prf::HmacSha512,
            "e6fb0d4f3004506580e081cd39ddd0860c42729cee319ba0eba5397569e33f3d6312b5feae4d1165a9ba5828b5a94ec5\
             c99baa681b78a6b54bcb12e77af54c64",
        ),
    ] {
        let sk_p = provider.prf.key(prf, &vec![0x55; prf.output_length()]);
        let id_body = b"\x02\0\0\0clinic-17.example";
        let octets = signed_octets(&*sk_p, b"first message", &nonce, id_body);
        let proof = auth_value(&provider, prf, &psk, &octets);
        assert_eq!(to_hex(proof.expose()), expected, "{prf}");
    }
}
