//! Proof by a pre-shared key (RFC 7296 §2.15).

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use crate::crypto::{PrfKey, Provider};
use crate::secret::Secret;
use crate::suite::Prf;

/// 17 ASCII characters without an end mark. What the prf makes of the key and them is of no use in another
/// protocol that has the same key (RFC 7296 §2.15).
const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// What a proof covers, by key or by signature: `message | peer_nonce | prf(SK_p, id_body)`.
///
/// `message` is the prover's first message as it was sent, from the IKE header on; `peer_nonce` the other side's
/// nonce without its payload header; `sk_p` the prover's `SK_pi` or `SK_pr`; `id_body` its ID payload without the
/// generic header (`RestOfInitIDPayload`, `RestOfRespIDPayload`): type, three reserved bytes, data.
pub fn signed_octets(sk_p: &dyn PrfKey, message: &[u8], peer_nonce: &[u8], id_body: &[u8]) -> Vec<u8> {
    let maced_id = sk_p.compute(&[id_body]);
    [message, peer_nonce, maced_id.expose()].concat()
}

/// `AUTH = prf(prf(psk, "Key Pad for IKEv2"), octets)`, where the octets are those of [`signed_octets`].
pub fn auth_value(provider: &Provider, prf: Prf, psk: &Secret, octets: &[u8]) -> Secret {
    let padded = provider.prf.key(prf, psk.expose()).compute(&[KEY_PAD]);
    provider.prf.key(prf, padded.expose()).compute(&[octets])
}

/// A pre-shared key that can be guessed. Who sees one `IKE_AUTH` as an active attacker can try keys offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPsk {
    /// Too few bytes.
    #[error("the pre-shared key has {0} bytes; at least {min} are needed", min = MIN_LENGTH)]
    Short(usize),
    /// Too few different bytes.
    #[error("the pre-shared key has only {0} different bytes; at least {min} are needed", min = MIN_DISTINCT)]
    Monotonous(usize),
}

const MIN_LENGTH: usize = 16;
const MIN_DISTINCT: usize = 8;

/// Whether a pre-shared key is long and varied enough not to be guessed at once.
///
/// # Errors
/// [`WeakPsk`]: under 16 bytes, or fewer than eight different ones.
pub fn psk_strength(psk: &[u8]) -> Result<(), WeakPsk> {
    if psk.len() < MIN_LENGTH {
        return Err(WeakPsk::Short(psk.len()));
    }
    let distinct = (0..=u8::MAX).filter(|byte| psk.contains(byte)).count();
    if distinct < MIN_DISTINCT { Err(WeakPsk::Monotonous(distinct)) } else { Ok(()) }
}

/// Why a text is no pre-shared key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PskError {
    /// Nothing there.
    #[error("the pre-shared key is empty")]
    Empty,
    /// After `0x` stands something else than pairs of hexadecimal digits.
    #[error("a pre-shared key that starts with 0x must go on with pairs of hexadecimal digits")]
    BadHex,
    /// After `0s` stands something else than base64.
    #[error("a pre-shared key that starts with 0s must go on with base64")]
    BadBase64,
}

/// A pre-shared key as it stands in a file, one newline at the end left out: `0x` and hexadecimal digits, `0s` and
/// base64, or else the bytes themselves; as in strongSwan's files.
///
/// # Errors
/// [`PskError`], without a word of the secret.
pub fn parse_psk(text: &[u8]) -> Result<Secret, PskError> {
    let text = text.strip_suffix(b"\n").map_or(text, |line| line.strip_suffix(b"\r").unwrap_or(line));
    let psk = Secret::new(match text {
        [b'0', b'x' | b'X', digits @ ..] => {
            HEXLOWER_PERMISSIVE.decode(digits).map_err(|_| PskError::BadHex)?
        }
        [b'0', b's' | b'S', digits @ ..] => {
            let padded = BASE64.decode(digits).or_else(|_| BASE64_NOPAD.decode(digits));
            padded.map_err(|_| PskError::BadBase64)?
        }
        literal => literal.to_vec(),
    });
    if psk.is_empty() { Err(PskError::Empty) } else { Ok(psk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<u8>, PskError> {
        parse_psk(text.as_bytes()).map(|psk| psk.expose().to_vec())
    }

    #[test]
    fn one_key_may_be_written_in_three_ways() {
        for text in ["Hello, world", "Hello, world\n", "Hello, world\r\n"] {
            assert_eq!(parsed(text).unwrap(), b"Hello, world");
        }
        for text in ["0x48656c6C6F2c20776f726c64\n", "0X48656c6C6F2c20776f726c64"] {
            assert_eq!(parsed(text).unwrap(), b"Hello, world");
        }
        for text in ["0sSGVsbG8sIHdvcmxk", "0SSGVsbG8sIHdvcmxk\r\n"] {
            assert_eq!(parsed(text).unwrap(), b"Hello, world");
        }
        assert_eq!(parsed("0s/+8=").unwrap(), [0xff, 0xef]);
        assert_eq!(parsed("0s/+8").unwrap(), [0xff, 0xef]);
    }

    #[test]
    fn only_one_newline_and_nothing_else_is_left_out() {
        assert_eq!(parsed(" key \n\n").unwrap(), b" key \n");
        assert_eq!(parsed("key\r").unwrap(), b"key\r");
        assert_eq!(parsed("0").unwrap(), b"0");
        assert_eq!(parse_psk(&[0xff, 0x00]).unwrap().expose(), [0xff, 0x00]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "\n", "\r\n", "0x", "0s", "0x\n"] {
            assert_eq!(parsed(text), Err(PskError::Empty), "{text:?}");
        }
        for text in ["0x1", "0xgg", "0x12 34", "0x12\n\n"] {
            assert_eq!(parsed(text), Err(PskError::BadHex), "{text:?}");
        }
        for text in ["0sA", "0s????", "0sSGVs\n\n", "0sSG=="] {
            assert_eq!(parsed(text), Err(PskError::BadBase64), "{text:?}");
        }
    }

    #[test]
    fn short_and_monotonous_keys_are_weak() {
        assert_eq!(psk_strength(b""), Err(WeakPsk::Short(0)));
        assert_eq!(psk_strength(b"123456789012345"), Err(WeakPsk::Short(15)));
        assert_eq!(psk_strength(b"1234567123456712345671234567"), Err(WeakPsk::Monotonous(7)));
        assert_eq!(psk_strength(b"1234567812345678"), Ok(()));
        assert_eq!(psk_strength(&[0, 1, 2, 3, 4, 5, 6, 255, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(()));
    }
}
