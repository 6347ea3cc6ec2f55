//! ESP by other implementations: crate `aes-gcm` where ours is ring's GCM, ring's with its tag cut where ours is that of
//! `aes-gcm`, another `ChaCha20`, another AES and HMAC for CBC.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::Mac;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sekisho_esp::{AesKey, GcmTag, Hmac, Suite};

use super::{Direction, SPI};

/// Seals any plaintext, trailer included, under any sequence number and IV.
pub fn seal(direction: &Direction, sequence: u64, iv: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let [high, low] = [sequence >> 32, sequence & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
    let header = [SPI.to_be_bytes(), low.to_be_bytes()].concat();
    let high = if direction.esn { high.to_be_bytes().to_vec() } else { vec![] };
    let (key, rest) = direction.keymat.split_at(direction.suite.key_length());
    let aead = Sealed {
        key,
        nonce: [rest, iv].concat(),
        aad: [&header[..4], &high, &header[4..]].concat(),
        plaintext,
    };
    let sealed = match direction.suite {
        Suite::AesGcm(AesKey::Bits128, GcmTag::Octets16) => aead.by_crate::<Aes128Gcm>(),
        Suite::AesGcm(AesKey::Bits256, GcmTag::Octets16) => aead.by_crate::<Aes256Gcm>(),
        Suite::ChaCha20Poly1305 => aead.by_crate::<ChaCha20Poly1305>(),
        Suite::AesGcm(_, tag) => {
            let mut sealed = aead.by_ring();
            sealed.truncate(plaintext.len() + tag.length());
            sealed
        }
        Suite::AesCbc(_, hmac) => {
            let text = aes(key, |aes| aes.cbc_encrypt(iv, plaintext));
            let covered = [&header[..], iv, &text, &high].concat();
            [text, icv(hmac, rest, &covered)].concat()
        }
    };
    [&header[..], iv, &sealed].concat()
}

/// The IV that our sender uses for a packet.
pub fn iv(direction: &Direction, sequence: u64) -> Vec<u8> {
    let key = &direction.keymat[..direction.suite.key_length()];
    match direction.suite {
        // CBC with an IV of zeros enciphers one block as it is.
        Suite::AesCbc(..) => aes(key, |aes| aes.cbc_encrypt(&[0; 16], &u128::from(sequence).to_be_bytes())),
        _ => sequence.to_be_bytes().to_vec(),
    }
}

struct Sealed<'a> {
    key: &'a [u8],
    nonce: Vec<u8>,
    aad: Vec<u8>,
    plaintext: &'a [u8],
}

impl Sealed<'_> {
    fn by_crate<C: Aead + KeyInit>(&self) -> Vec<u8> {
        let payload = Payload { msg: self.plaintext, aad: &self.aad };
        let nonce = self.nonce.as_slice().try_into().unwrap();
        C::new_from_slice(self.key).unwrap().encrypt(nonce, payload).unwrap()
    }

    fn by_ring(&self) -> Vec<u8> {
        let algorithm = if self.key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, self.key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&self.nonce).unwrap();
        let mut sealed = self.plaintext.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(&self.aad), &mut sealed).unwrap();
        sealed
    }
}

/// What it enciphers, whole blocks without padding of its own.
fn aes(key: &[u8], encipher: impl FnOnce(&libaes::Cipher) -> Vec<u8>) -> Vec<u8> {
    let mut aes = match key.len() {
        16 => libaes::Cipher::new_128(key.try_into().unwrap()),
        _ => libaes::Cipher::new_256(key.try_into().unwrap()),
    };
    aes.set_auto_padding(false);
    encipher(&aes)
}

fn icv(hmac: Hmac, key: &[u8], covered: &[u8]) -> Vec<u8> {
    fn whole<M: Mac + KeyInit>(key: &[u8], covered: &[u8]) -> Vec<u8> {
        <M as KeyInit>::new_from_slice(key).unwrap().chain_update(covered).finalize().into_bytes().to_vec()
    }
    let mut icv = match hmac {
        Hmac::Sha256 => whole::<hmac::Hmac<sha2::Sha256>>(key, covered),
        Hmac::Sha384 => whole::<hmac::Hmac<sha2::Sha384>>(key, covered),
        Hmac::Sha512 => whole::<hmac::Hmac<sha2::Sha512>>(key, covered),
    };
    icv.truncate(hmac.key_length() / 2);
    icv
}
