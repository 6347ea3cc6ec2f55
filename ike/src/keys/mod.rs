//! The keys of an IKE SA and of its Child SAs (RFC 7296 §2.14, §2.17, §2.18): one type a phase.
//!
//! ```text
//! nonces, shared secret ──► KeySeed (SKEYSEED) ──► IkeKeys ─┬─► DirectionProtection  SK_ai, SK_ar, SK_ei, SK_er
//!                             ▲                             ├─► PrfKey               SK_pi, SK_pr (for AUTH)
//!                             └──── rekey of the IKE SA ────┴─► ChildKeySource       SK_d ──► KEYMAT
//! ```

mod child;
mod protection;
mod seed;

use std::fmt;

use crate::crypto::{CryptoError, PrfKey, Provider};
use crate::secret::Secret;
use crate::suite::IkeSuite;
use crate::wire::IkeSpi;

pub(crate) use child::ChildKeySource;
pub(crate) use protection::DirectionProtection;
use seed::KeySeed;

/// The nonces of the exchange that made the keys, by who initiated **that exchange**.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

/// The SPIs of the IKE SA that the keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spis {
    /// `SPIi`.
    pub initiator: IkeSpi,
    /// `SPIr`.
    pub responder: IkeSpi,
}

/// Every key of one IKE SA. Its initiator is who initiated the exchange that made it, which after a rekey may be
/// the responder of the first SA (RFC 7296 §2.18).
pub(crate) struct IkeKeys {
    /// `SK_d`.
    pub child: ChildKeySource,
    /// What the initiator seals: `SK_ei`, `SK_ai`.
    pub initiator: DirectionProtection,
    /// What the responder seals: `SK_er`, `SK_ar`.
    pub responder: DirectionProtection,
    /// `SK_pi`.
    pub auth_i: Box<dyn PrfKey>,
    /// `SK_pr`.
    pub auth_r: Box<dyn PrfKey>,
}

impl IkeKeys {
    /// The keys of a first IKE SA, after `IKE_SA_INIT` (RFC 7296 §2.14).
    pub(crate) fn derive(
        provider: &Provider,
        suite: IkeSuite,
        nonces: Nonces<'_>,
        spis: Spis,
        shared: &Secret,
    ) -> Result<Self, CryptoError> {
        KeySeed::first(provider, suite.prf, nonces, shared).expand(provider, suite, nonces, spis)
    }

    /// The keys of the IKE SA that replaces the one of `old` (RFC 7296 §2.18). The SPIs are the new ones.
    pub(crate) fn derive_rekey(
        provider: &Provider,
        old: &ChildKeySource,
        suite: IkeSuite,
        nonces: Nonces<'_>,
        spis: Spis,
        shared: &Secret,
    ) -> Result<Self, CryptoError> {
        KeySeed::rekeyed(old, nonces, shared).expand(provider, suite, nonces, spis)
    }
}

impl fmt::Debug for IkeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IkeKeys")
    }
}

#[cfg(test)]
mod cbc_tests;
#[cfg(test)]
mod tests;
