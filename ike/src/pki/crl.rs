//! Certificate revocation lists (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

/// A revocation list, parsed once; cheap to clone, compared by its bytes. Its signature is checked when it is used.
#[derive(Clone)]
pub struct Crl(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    next_update: u64,
}

/// Why bytes are no revocation list that we use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Longer than is read.
    #[error("the revocation list has {0} bytes; at most {max} are read", max = crate::limits::CRL)]
    TooLarge(usize),
    /// No DER of a list; what could not be read.
    #[error("the revocation list is malformed: {0}")]
    Malformed(&'static str),
    /// A list that is no complete one of one issuer's certificates.
    #[error("the revocation list is {0}, which is not supported")]
    Unsupported(String),
}

impl Crl {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CrlError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        Err(CrlError::TooLarge(der.len()))
    }

    /// The whole list, DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// When a newer one is due, seconds since 1970 UTC.
    pub fn next_update(&self) -> u64 {
        self.0.next_update
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}
impl Eq for Crl {}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({} bytes)", self.0.der.len())
    }
}
