//! SKEYSEED and what it expands to (RFC 7296 §2.14, RFC 5282 §7).

use super::{ChildKeySource, DirectionProtection, IkeKeys, Nonces, Spis};
use crate::crypto::{CryptoError, Provider, prf_plus};
use crate::secret::Secret;
use crate::suite::{IkeSuite, Prf};

/// SKEYSEED: lives only until it is expanded.
pub(super) struct KeySeed(Secret);

impl KeySeed {
    /// `SKEYSEED = prf(Ni | Nr, g^ir)` (RFC 7296 §2.14).
    pub(super) fn first(provider: &Provider, prf: Prf, nonces: Nonces<'_>, shared: &Secret) -> Self {
        let key = [nonces.initiator, nonces.responder].concat();
        Self(provider.prf.key(prf, &key).compute(&[shared.expose()]))
    }

    /// `SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr)`, with the prf of the old SA (RFC 7296 §2.18).
    pub(super) fn rekeyed(old: &ChildKeySource, nonces: Nonces<'_>, shared: &Secret) -> Self {
        Self(old.prf(&[shared.expose(), nonces.initiator, nonces.responder]))
    }

    /// `{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)`.
    ///
    /// With an authenticated cipher `SK_ai` and `SK_ar` have no length, and `SK_ei` and `SK_er` are key and salt
    /// (RFC 5282 §7.1). `SK_d`, `SK_pi` and `SK_pr` are as long as the prf prefers its keys.
    pub(super) fn expand(
        self,
        provider: &Provider,
        suite: IkeSuite,
        nonces: Nonces<'_>,
        spis: Spis,
    ) -> Result<IkeKeys, CryptoError> {
        let prf_length = suite.prf.output_length();
        let cipher_length = suite.cipher.keymat_length();
        let seed = [nonces.initiator, nonces.responder, &spis.initiator.0, &spis.responder.0];
        let key = provider.prf.key(suite.prf, self.0.expose());
        let stream = prf_plus(&*key, &seed, 3 * prf_length + 2 * cipher_length)?;

        let mut rest = stream.expose();
        let sk_d = take(&mut rest, prf_length)?;
        let sk_ei = take(&mut rest, cipher_length)?;
        let sk_er = take(&mut rest, cipher_length)?;
        let sk_pi = take(&mut rest, prf_length)?;
        let sk_pr = take(&mut rest, prf_length)?;
        Ok(IkeKeys {
            child: ChildKeySource::new(provider.prf.key(suite.prf, sk_d)),
            initiator: DirectionProtection::new(provider.aead.key(suite.cipher, sk_ei)?),
            responder: DirectionProtection::new(provider.aead.key(suite.cipher, sk_er)?),
            auth_i: provider.prf.key(suite.prf, sk_pi),
            auth_r: provider.prf.key(suite.prf, sk_pr),
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], CryptoError> {
    rest.split_off(..length).ok_or(CryptoError::BadKeyLength)
}
