//! Distinguished names (RFC 5280 §4.1.2.4, §7.1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A distinguished name. Two are equal if their attributes are, one by one: text without regard to case, to repeated
/// spaces and to the string type it is encoded in (RFC 5280 §7.1). Cheap to clone.
///
/// As text: `C=JP, O=Clinic, CN=clinic-17`, the most significant attribute first, with the escapes of RFC 4514.
#[derive(Clone)]
pub struct DistinguishedName {
    der: Arc<[u8]>,
    canonical: Arc<[u8]>,
}

/// Why a text or DER is no distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No attributes.
    #[error("the distinguished name is empty")]
    Empty,
    /// Longer than is read.
    #[error("the distinguished name is longer than {} bytes", crate::limits::DISTINGUISHED_NAME)]
    TooLong,
    /// No DER of a name.
    #[error("malformed distinguished name")]
    Malformed,
    /// A part without `=`, or with nothing on one of its sides.
    #[error("`{0}` is no attribute such as `CN=clinic-17`")]
    NoAttribute(String),
    /// Not one of the short names that we know, and no OID.
    #[error("`{0}` is no attribute type: use C, ST, L, O, OU, CN, DC, UID, E, … or an OID such as 2.5.4.5")]
    UnknownType(String),
    /// A value that its attribute type cannot have, such as a country of three letters.
    #[error("`{0}` cannot be the value of this attribute")]
    BadValue(String),
}

impl DistinguishedName {
    /// Reads the DER of an RDNSequence; the empty name is one, too.
    ///
    /// # Errors
    /// [`NameError`]; nothing may stand behind it.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        let _ = der;
        Err(NameError::Malformed)
    }

    /// As on the wire: DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }
}

impl FromStr for DistinguishedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Err(NameError::NoAttribute(text.to_owned()))
    }
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}
impl Eq for DistinguishedName {}

impl std::hash::Hash for DistinguishedName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialOrd for DistinguishedName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for DistinguishedName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name of {} bytes", self.der.len())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
