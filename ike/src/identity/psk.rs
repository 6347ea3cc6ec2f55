//! Proof by a pre-shared key (RFC 7296 §2.15).

use crate::crypto::{PrfKey, Provider};
use crate::secret::Secret;
use crate::suite::Prf;

/// "The shared secret is padded with" this text, so that the two protocols that use a secret cannot be turned
/// against each other (RFC 7296 §2.15).
const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// `AUTH = prf(prf(psk, "Key Pad for IKEv2"), message | peer_nonce | prf(SK_p, id_body))`.
///
/// `message` is the prover's first message as it was sent, from the IKE header on; `peer_nonce` the other side's
/// nonce without its payload header; `sk_p` the prover's `SK_pi` or `SK_pr`; `id_body` (RestOfInitIDPayload,
/// RestOfRespIDPayload) its ID payload without the generic header: type, three reserved bytes, data.
pub fn auth_value(
    provider: &Provider,
    prf: Prf,
    psk: &Secret,
    sk_p: &dyn PrfKey,
    message: &[u8],
    peer_nonce: &[u8],
    id_body: &[u8],
) -> Secret {
    let padded = provider.prf.key(prf, psk.expose()).compute(&[KEY_PAD]);
    let maced_id = sk_p.compute(&[id_body]);
    provider.prf.key(prf, padded.expose()).compute(&[message, peer_nonce, maced_id.expose()])
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
    todo!()
}
