//! Distinguished names (RFC 5280 §4.1.2.4) and how they are compared (§7.1).

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use der::asn1::{Any, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use super::oid;
use crate::limits;

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
    #[error("it is empty")]
    Empty,
    /// Longer than is read.
    #[error("it is longer than {} bytes", limits::DISTINGUISHED_NAME)]
    TooLong,
    /// No DER of a name.
    #[error("it is malformed")]
    Malformed,
    /// A part without `=`, or with nothing on one of its sides.
    #[error("`{0}` is no attribute such as `CN=clinic-17`")]
    NoAttribute(String),
    /// Not one of the short names that we know, and no OID.
    #[error("`{0}` is no attribute type: use C, ST, L, O, OU, CN, DC, UID, E or an OID such as 2.5.4.5")]
    UnknownType(String),
    /// A value that its attribute type cannot have, such as a country of three letters, or a broken escape.
    #[error("`{0}` cannot be the value of this attribute")]
    BadValue(String),
}

impl DistinguishedName {
    /// Reads the DER of an `RDNSequence`; the empty name is one, too.
    ///
    /// # Errors
    /// [`NameError`]; nothing may stand behind it.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        let name = Name::from_der(der).map_err(|_| NameError::Malformed)?;
        Ok(Self { canonical: canonical(name.as_ref())?.into(), der: der.into() })
    }

    /// From a name that was read as a part of something.
    pub(super) fn from_name(name: &Name) -> Result<Self, NameError> {
        let der = name.to_der().map_err(|_| NameError::Malformed)?;
        Ok(Self { canonical: canonical(name.as_ref())?.into(), der: der.into() })
    }

    /// As on the wire: DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }

    /// Whether its first attributes are those of `base`: it lies in the subtree of names under it (RFC 5280 §4.2.1.10).
    pub(super) fn is_under(&self, base: &Self) -> bool {
        // Each relative name is written with its length, so bytes in common are whole relative names in common.
        self.canonical.starts_with(&base.canonical)
    }

    /// The values of its attributes of one type, as text.
    pub(super) fn values(&self, oid: ObjectIdentifier) -> Vec<String> {
        let rdns = self.rdns();
        let attributes = rdns.iter().flat_map(RelativeDistinguishedName::iter);
        attributes.filter(|attribute| attribute.oid == oid).filter_map(|a| text(&a.value)).collect()
    }

    /// Whether a value of it is `*`, so that it stands for many names.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.rdns().iter().any(is_wildcard)
    }

    /// How many of its relative names are no wildcards.
    pub(crate) fn fixed_attributes(&self) -> usize {
        self.rdns().iter().filter(|rdn| !is_wildcard(rdn)).count()
    }

    /// Whether it is one of the names that `pattern` stands for: the same relative names in the same order, and for
    /// each wildcard one attribute of the same type.
    pub(crate) fn fits(&self, pattern: &Self) -> bool {
        let (ours, wanted) = (self.rdns(), pattern.rdns());
        let same_type = |rdn: &RelativeDistinguishedName, like: &RelativeDistinguishedName| {
            rdn.len() == 1 && rdn.iter().map(|a| a.oid).eq(like.iter().map(|a| a.oid))
        };
        let fits = |(rdn, like): (&_, &_)| {
            if is_wildcard(like) { same_type(rdn, like) } else { canonical_rdn(rdn) == canonical_rdn(like) }
        };
        ours.iter().count() == wanted.iter().count() && ours.iter().zip(wanted.iter()).all(fits)
    }

    pub(super) fn rdns(&self) -> RdnSequence {
        Name::from_der(&self.der).unwrap_or_default().into()
    }
}

/// Whether it is a lone attribute with the value `*`.
fn is_wildcard(rdn: &RelativeDistinguishedName) -> bool {
    rdn.len() == 1 && rdn.iter().all(|attribute| text(&attribute.value).as_deref() == Some("*"))
}

/// What is compared: each relative name with its length, its attributes in one order, their text folded.
fn canonical(name: &RdnSequence) -> Result<Vec<u8>, NameError> {
    let mut out = Vec::new();
    for rdn in name.iter() {
        // RFC 5280 Appendix A: SET SIZE (1..MAX).
        if rdn.is_empty() || !rdn.iter().all(|attribute| oid::is_minimal(attribute.oid)) {
            return Err(NameError::Malformed);
        }
        counted(&mut out, &canonical_rdn(rdn));
    }
    Ok(out)
}

fn canonical_rdn(rdn: &RelativeDistinguishedName) -> Vec<u8> {
    let mut attributes: Vec<Vec<u8>> = rdn
        .iter()
        .map(|attribute| {
            let mut one = Vec::new();
            counted(&mut one, attribute.oid.as_bytes());
            if let Some(text) = text(&attribute.value) {
                counted(&mut one, fold(&text).as_bytes());
            } else {
                // Tells these from text: a length never begins so.
                one.push(0xff);
                one.extend(attribute.value.to_der().unwrap_or_default());
            }
            one
        })
        .collect();
    attributes.sort();
    let mut out = Vec::new();
    attributes.iter().for_each(|attribute| counted(&mut out, attribute));
    out
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    // What is read is at most some MiB long.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX >> 8).to_be_bytes());
    out.extend(bytes);
}

/// The text of a value of one of the string types.
pub(super) fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::NumericString => {
            bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned())
        }
        // T.61 proper is never meant: everyone writes Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
        }
        _ => None,
    }
}

/// RFC 5280 §7.1: without regard to case; leading and trailing white space left out, "multiple" made one.
fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}
impl Eq for DistinguishedName {}

impl Hash for DistinguishedName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl PartialOrd for DistinguishedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for DistinguishedName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}
