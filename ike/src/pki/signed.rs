//! `SIGNED` of X.509: something, an algorithm, a signature over the something's bytes as they stand there.

use std::ops::Range;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Reader, SliceReader, Tag};

use super::{PublicKey, Scheme, SchemeError};

/// Where its parts lie in the bytes. Keeps no copy of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// What is signed, its own tag and length included.
    pub(super) content: Range<usize>,
    /// DER of the `AlgorithmIdentifier`.
    pub(super) algorithm: Range<usize>,
    signature: Range<usize>,
    scheme: Result<Scheme, SchemeError>,
}

/// Why the signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadSignature {
    /// Broken or unknown.
    Scheme(SchemeError),
    /// Of another key, or over something else.
    Value,
}

impl Signed {
    /// Takes it apart; nothing may stand behind it.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        Self::read_before(der).filter(|(_, rest)| rest.is_empty()).map(|(signed, _)| signed)
    }

    /// Takes it apart; what stands behind the signature, inside, is returned.
    pub(super) fn read_before(der: &[u8]) -> Option<(Self, Range<usize>)> {
        let inside =
            AnyRef::from_der(der).ok().filter(|outer| outer.header().tag() == Tag::Sequence)?.value();
        let start = der.len().checked_sub(inside.len())?;
        let mut fields = SliceReader::new(inside).ok()?;
        let mut part = || {
            let length = fields.tlv_bytes().ok()?.len();
            let end = start.checked_add(fields.position().try_into().ok()?)?;
            Some(end.checked_sub(length)?..end)
        };
        let (content, algorithm, value) = (part()?, part()?, part()?);
        let bits = BitStringRef::from_der(der.get(value.clone())?).ok()?.as_bytes()?;
        let scheme = Scheme::from_der(der.get(algorithm.clone())?);
        let signature = value.end.checked_sub(bits.len())?..value.end;
        Some((Self { content, algorithm, signature, scheme }, value.end..der.len()))
    }

    /// Checks the signature; `der` is what [`Self::read`] took apart.
    pub(super) fn verify(&self, der: &[u8], key: &PublicKey) -> Result<(), BadSignature> {
        let scheme = self.scheme.clone().map_err(BadSignature::Scheme)?;
        let part = |range: &Range<usize>| der.get(range.clone()).unwrap_or_default();
        key.verify(scheme, part(&self.content), part(&self.signature)).map_err(|_| BadSignature::Value)
    }
}
