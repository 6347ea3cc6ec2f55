//! SKEYSEED and what it expands to (RFC 7296 §2.14, RFC 5282 §7).

use super::protection::DirectionKeys;
use super::{ChildKeySource, DirectionProtection, IkeKeys, Nonces, Spis};
use crate::crypto::{CryptoError, Provider, prf_plus};
use crate::secret::Secret;
use crate::suite::{IkeSuite, Prf, Protection};

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
    /// (RFC 5282 §7.1). `SK_d`, `SK_pi` and `SK_pr` are as long as the prf prefers its keys. CBC draws on for two keys
    /// more, of which our own makes our IVs: what comes behind the RFC's keys is as unpredictable as they are.
    pub(super) fn expand(
        self,
        provider: &Provider,
        suite: IkeSuite,
        nonces: Nonces<'_>,
        spis: Spis,
    ) -> Result<IkeKeys, CryptoError> {
        let lengths = Lengths::of(suite);
        let seed = [nonces.initiator, nonces.responder, &spis.initiator.0, &spis.responder.0];
        let key = provider.prf.key(suite.prf, self.0.expose());
        let stream = prf_plus(&*key, &seed, lengths.whole())?;

        let mut rest = stream.expose();
        let sk_d = take(&mut rest, lengths.prf)?;
        let sk_a = [take(&mut rest, lengths.integrity)?, take(&mut rest, lengths.integrity)?];
        let sk_e = [take(&mut rest, lengths.cipher)?, take(&mut rest, lengths.cipher)?];
        let sk_p = [take(&mut rest, lengths.prf)?, take(&mut rest, lengths.prf)?];
        let ivs = [take(&mut rest, lengths.ivs)?, take(&mut rest, lengths.ivs)?];

        let direction = |encryption: &[u8], integrity: &[u8], ivs: &[u8]| {
            let keys = match suite.protection {
                Protection::Aead(aead) => DirectionKeys::Aead(provider.aead.key(aead, encryption)?),
                Protection::Cbc(cbc, algorithm) => DirectionKeys::Cbc {
                    cipher: provider.cbc.key(cbc, encryption)?,
                    integrity: provider.integrity.key(algorithm, integrity)?,
                    ivs: provider.prf.key(suite.prf, ivs),
                },
            };
            Ok(DirectionProtection::new(keys))
        };
        Ok(IkeKeys {
            child: ChildKeySource::new(provider.prf.key(suite.prf, sk_d)),
            initiator: direction(sk_e[0], sk_a[0], ivs[0])?,
            responder: direction(sk_e[1], sk_a[1], ivs[1])?,
            auth_i: provider.prf.key(suite.prf, sk_p[0]),
            auth_r: provider.prf.key(suite.prf, sk_p[1]),
        })
    }
}

/// Bytes of each kind of key.
struct Lengths {
    prf: usize,
    integrity: usize,
    cipher: usize,
    ivs: usize,
}

impl Lengths {
    fn of(suite: IkeSuite) -> Self {
        let prf = suite.prf.output_length();
        match suite.protection {
            Protection::Aead(aead) => Self { prf, integrity: 0, cipher: aead.keymat_length(), ivs: 0 },
            Protection::Cbc(cbc, integrity) => {
                Self { prf, integrity: integrity.key_length(), cipher: cbc.key_length(), ivs: prf }
            }
        }
    }

    fn whole(&self) -> usize {
        3 * self.prf + 2 * (self.integrity + self.cipher + self.ivs)
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], CryptoError> {
    rest.split_off(..length).ok_or(CryptoError::BadKeyLength)
}
