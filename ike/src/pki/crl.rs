//! Certificate revocation lists (RFC 5280 §5).

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use der::asn1::{AnyRef, ContextSpecific};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use x509_cert::ext::Extension;
use x509_cert::time::Time;

use super::crl_scope::Scope;
use super::signed::Signed;
use super::standing::{NoAnswer, Standing, reason};
use super::{Certificate, DistinguishedName, PublicKey, Utc, oid};
use crate::crypto::sha256;
use crate::limits;

/// A revocation list, parsed once; cheap to clone, compared by its bytes. Its signature is checked when it is used.
#[derive(Clone)]
pub struct Crl(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    fingerprint: [u8; 32],
    signed: Signed,
    /// A key that the signature was found right with: a long list is hashed once, not for each peer.
    verified: OnceLock<PublicKey>,
    issuer: DistinguishedName,
    this_update: u64,
    next_update: u64,
    scope: Scope,
    /// By serial number.
    entries: Vec<Entry>,
}

/// Where a revoked certificate's entry lies in the list, and its serial number.
struct Entry {
    whole: Range<u32>,
    serial: Range<u32>,
}

/// Why bytes are no revocation list that we use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Longer than is read.
    #[error("the revocation list has {0} bytes; at most {max} are read", max = limits::CRL)]
    TooLarge(usize),
    /// No DER of a list; what could not be read.
    #[error("the revocation list is malformed: {0}")]
    Malformed(&'static str),
    /// A list that is no complete one of one issuer's certificates, or with critical extensions that we do not know.
    #[error("the revocation list {0}, which is not supported")]
    Unsupported(String),
}

impl Crl {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CrlError`]; nothing may stand behind the list.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > limits::CRL {
            return Err(CrlError::TooLarge(der.len()));
        }
        let signed = Signed::read(der).ok_or(CrlError::Malformed("no revocation list as DER"))?;
        Parsed::read(der, signed).map(|parsed| Self(Arc::new(parsed)))
    }

    /// The whole list, DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Whose certificates it is about.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// When it was made, seconds since 1970 UTC.
    pub fn this_update(&self) -> u64 {
        self.0.this_update
    }

    /// When a newer one is due, seconds since 1970 UTC.
    pub fn next_update(&self) -> u64 {
        self.0.next_update
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether it revokes none.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// What the list says of a certificate that `issuer` issued.
    pub(super) fn judge(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: u64,
    ) -> Result<Standing, NoAnswer> {
        let list = &self.0;
        if list.issuer != *issuer.subject() {
            return Err(NoAnswer::OtherIssuer);
        }
        if list.this_update > now.saturating_add(limits::REVOCATION_CLOCK_SKEW) {
            return Err(NoAnswer::NotYetValid(Utc(list.this_update)));
        }
        if list.next_update < now.saturating_sub(limits::REVOCATION_CLOCK_SKEW) {
            return Err(NoAnswer::Stale(Utc(list.next_update)));
        }
        self.is_about(certificate, issuer)?;
        Ok(list
            .find(certificate.serial())
            .map_or(Standing::Good, |(since, reason)| Standing::Revoked { since, reason }))
    }

    /// Whether it is this issuer's list, rightly signed, and the one of its lists that would hold this certificate.
    pub(super) fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> Result<(), NoAnswer> {
        if self.0.issuer != *issuer.subject() {
            return Err(NoAnswer::OtherIssuer);
        }
        self.verify(issuer)?;
        if self.0.scope.covers(certificate) { Ok(()) } else { Err(NoAnswer::Scope) }
    }

    /// RFC 5280 §6.3.3 (f): "If a key usage extension is present in the CRL issuer's certificate, verify that the cRLSign bit
    /// is set."
    fn verify(&self, issuer: &Certificate) -> Result<(), NoAnswer> {
        if issuer.extensions().key_usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(NoAnswer::Signer("its key usage does not allow revocation lists"));
        }
        let key = issuer.public_key().map_err(|_| NoAnswer::Signer("its key cannot be used"))?;
        if self.0.verified.get() != Some(key) {
            self.0.signed.verify(&self.0.der, key)?;
            // Another key may stand there already; then this one is checked each time.
            let _ = self.0.verified.set(key.clone());
        }
        Ok(())
    }
}

impl Parsed {
    fn read(der: &[u8], signed: Signed) -> Result<Self, CrlError> {
        let content = der.get(signed.content.clone()).unwrap_or_default();
        let algorithm = der.get(signed.algorithm.clone()).unwrap_or_default();
        let fields = Fields::read(content, algorithm)?;
        let scope = Scope::read(&fields.extensions)?;
        let issuer =
            DistinguishedName::from_der(fields.issuer).map_err(|_| CrlError::Malformed("its issuer"))?;
        // RFC 5280 §5.1.2.5: "Conforming CRL issuers MUST include the nextUpdate field in all CRLs."
        let next_update =
            fields.next_update.ok_or(CrlError::Malformed("it does not say how long it is valid"))?;
        Ok(Self {
            fingerprint: sha256(&[der]),
            entries: entries(der, fields.revoked)?,
            der: der.to_vec(),
            signed,
            verified: OnceLock::new(),
            issuer,
            this_update: fields.this_update,
            next_update,
            scope,
        })
    }

    fn bytes(&self, range: &Range<u32>) -> &[u8] {
        bytes(&self.der, range)
    }

    /// When a certificate was revoked and why.
    fn find(&self, serial: &[u8]) -> Option<(u64, &'static str)> {
        let at = self.entries.binary_search_by(|entry| self.bytes(&entry.serial).cmp(serial)).ok()?;
        let entry = RevokedCertificate::read(self.bytes(&self.entries.get(at)?.whole)).ok()?;
        Some((entry.since, reason(entry.reason)))
    }
}

/// `TBSCertList`, taken apart but for the entries.
struct Fields<'a> {
    issuer: &'a [u8],
    this_update: u64,
    next_update: Option<u64>,
    /// What stands in the sequence of entries.
    revoked: &'a [u8],
    extensions: Vec<Extension>,
}

impl<'a> Fields<'a> {
    fn read(content: &'a [u8], algorithm: &[u8]) -> Result<Self, CrlError> {
        let malformed = |what| move |_| CrlError::Malformed(what);
        let inside = AnyRef::from_der(content).map_err(malformed("its content"))?.value();
        let mut reader = SliceReader::new(inside).map_err(malformed("its content"))?;
        let next = |reader: &SliceReader<'_>| Tag::peek(reader).ok();
        if next(&reader) == Some(Tag::Integer)
            && reader.decode::<u8>().map_err(malformed("its version"))? != 1
        {
            return Err(CrlError::Malformed("its version"));
        }
        // RFC 5280 §5.1.1.2: "MUST contain the same algorithm identifier as the signature field".
        if reader.tlv_bytes().map_err(malformed("its algorithm"))? != algorithm {
            return Err(CrlError::Malformed("it names two signature algorithms"));
        }
        let issuer = reader.tlv_bytes().map_err(malformed("its issuer"))?;
        let this_update = time(&mut reader).map_err(malformed("its date"))?;
        let dated = matches!(next(&reader), Some(Tag::UtcTime | Tag::GeneralizedTime));
        let next_update = dated.then(|| time(&mut reader)).transpose().map_err(malformed("its date"))?;
        let listed = next(&reader) == Some(Tag::Sequence);
        let revoked =
            listed.then(|| reader.decode::<AnyRef<'_>>()).transpose().map_err(malformed("its entries"))?;
        let extensions = ContextSpecific::decode_explicit(&mut reader, TagNumber(0));
        let extensions = extensions.map_err(malformed("its extensions"))?.map_or(Vec::new(), |e| e.value);
        reader.finish().map_err(malformed("bytes behind its extensions"))?;
        Ok(Self { issuer, this_update, next_update, revoked: revoked.map_or(&[], AnyRef::value), extensions })
    }
}

fn time(reader: &mut SliceReader<'_>) -> der::Result<u64> {
    Ok(reader.decode::<Time>()?.to_unix_duration().as_secs())
}

/// Finds and checks all entries of `revoked`, which is a part of `der`.
fn entries(der: &[u8], revoked: &[u8]) -> Result<Vec<Entry>, CrlError> {
    let mut entries = Vec::new();
    let mut reader = SliceReader::new(revoked).map_err(|_| CrlError::Malformed("its entries"))?;
    while !reader.is_finished() {
        let whole = reader.tlv_bytes().map_err(|_| CrlError::Malformed("an entry"))?;
        let entry = RevokedCertificate::read(whole)?;
        let range = |part: &[u8]| range_in(der, part).ok_or(CrlError::Malformed("an entry"));
        entries.push(Entry { whole: range(whole)?, serial: range(entry.serial)? });
    }
    entries.sort_by(|a, b| bytes(der, &a.serial).cmp(bytes(der, &b.serial)));
    Ok(entries)
}

/// Where a part of a slice lies in it.
fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<u32>> {
    let start = whole.element_offset(part.first()?)?;
    let end = start.checked_add(part.len())?;
    Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
}

fn bytes<'a>(der: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    der.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// One entry.
struct RevokedCertificate<'a> {
    serial: &'a [u8],
    since: u64,
    reason: u32,
}

impl<'a> RevokedCertificate<'a> {
    fn read(entry: &'a [u8]) -> Result<Self, CrlError> {
        let malformed = |_| CrlError::Malformed("an entry");
        let inside = AnyRef::from_der(entry).map_err(malformed)?;
        let mut reader = SliceReader::new(inside.value()).map_err(malformed)?;
        let serial: AnyRef<'_> = reader.decode().map_err(malformed)?;
        let since = time(&mut reader).map_err(malformed)?;
        if inside.header().tag() != Tag::Sequence || serial.header().tag() != Tag::Integer {
            return Err(CrlError::Malformed("an entry"));
        }
        let extensions: Option<Vec<Extension>> = reader.decode().map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        let mut reason = 0;
        for extension in extensions.unwrap_or_default() {
            match extension.extn_id {
                oid::CRL_REASON => {
                    reason = reason_code(extension.extn_value.as_bytes()).map_err(malformed)?;
                }
                oid::CERTIFICATE_ISSUER => {
                    return Err(CrlError::Unsupported(
                        "holds certificates of other issuers (an indirect one)".into(),
                    ));
                }
                other if extension.critical => {
                    let name = oid::name(other);
                    return Err(CrlError::Unsupported(format!(
                        "has the critical extension {name} in an entry"
                    )));
                }
                _ => {}
            }
        }
        Ok(Self { serial: serial.value(), since, reason })
    }
}

/// An ENUMERATED, of which unknown values are none to us.
fn reason_code(value: &[u8]) -> der::Result<u32> {
    let any = AnyRef::from_der(value)?;
    any.header().tag().assert_eq(Tag::Enumerated)?;
    Ok(match any.value() {
        [code] => u32::from(*code),
        _ => 0,
    })
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}
impl Eq for Crl {}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {} entries)", self.0.issuer, self.0.entries.len())
    }
}
