//! From a peer's certificate to a trust anchor (RFC 5280 §6, RFC 4945 §5), or to a pinned key (RFC 7670).
//!
//! Why not `rustls-webpki`: it is made for TLS. It refuses every path with name constraints on e-mail addresses or
//! directory names, does not look at an end entity's key usage nor at an anchor's dates, and names no certificate in its
//! errors, of which the operator's diagnosis is made. Tests hold the two against each other where they agree.

use super::path_error::PathError;
use super::signed::BadSignature;
use super::{Certificate, Pin, PublicKey, SchemeError, Trust, check};
use crate::limits;

/// A key that may be believed to be whose its certificate says. Made by [`trust()`] and [`trust_key`] alone.
#[derive(Clone, Debug)]
pub struct TrustedPath {
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
    if offered.len() >= limits::CERTIFICATES {
        return Err(PathError::TooManyCertificates { found: offered.len().saturating_add(1) });
    }
    check::key(end_entity)?;
    if let Some(pinned) = pinned(end_entity, trust, now) {
        return pinned;
    }
    if trust.anchors.is_empty() {
        let subject = check::subject(end_entity);
        let pins = !trust.pinned.is_empty();
        return Err(if pins { PathError::NotPinned { subject } } else { PathError::NoAnchors { subject } });
    }
    check::end_entity(end_entity, now)?;
    let mut search = Search { trust, offered, now, signatures: 0, failure: None };
    match search.climb(&mut vec![end_entity.clone()]) {
        Some(certificates) => made(certificates, false),
        None => Err(search.failure(end_entity)),
    }
}

/// A raw public key (RFC 7670) is trusted if it is pinned.
///
/// # Errors
/// [`PathError::UnknownKey`].
pub fn trust_key(key: &PublicKey, trust: &Trust) -> Result<TrustedPath, PathError> {
    let pinned = trust.pinned.iter().any(|pin| match pin {
        Pin::Key(pinned) => pinned == key,
        Pin::Certificate(_) => false,
    });
    if !pinned {
        return Err(PathError::UnknownKey { kind: key.kind().to_string() });
    }
    Ok(TrustedPath { certificates: Vec::new(), key: key.clone(), pinned: true })
}

fn made(certificates: Vec<Certificate>, pinned: bool) -> Result<TrustedPath, PathError> {
    let end_entity = certificates.first().ok_or(PathError::TooManyCertificates { found: 0 })?;
    check::key(end_entity)?;
    let key = end_entity.public_key();
    let key = key.cloned().map_err(|_| PathError::UnknownKey { kind: String::new() })?;
    Ok(TrustedPath { certificates, key, pinned })
}

/// The explicit path: no authority's word is needed for what is configured itself, be it self-signed or an authority's own
/// certificate. A pinned key may come in any certificate, which is then only its wrapping: it could come raw as well.
fn pinned(end_entity: &Certificate, trust: &Trust, now: u64) -> Option<Result<TrustedPath, PathError>> {
    let by = |pin: &&Pin| match pin {
        Pin::Key(key) => end_entity.public_key().as_ref() == Ok(&key),
        Pin::Certificate(certificate) => certificate == end_entity,
    };
    // A pinned key says more than a pinned certificate, whose dates count.
    let pins = || trust.pinned.iter().filter(by);
    let pin = pins().find(|pin| matches!(pin, Pin::Key(_))).or_else(|| pins().next())?;
    let dates = match pin {
        Pin::Key(_) => Ok(()),
        Pin::Certificate(certificate) => check::dates(certificate, now),
    };
    Some(dates.and_then(|()| made(vec![end_entity.clone()], true)))
}

/// Depth first from the end entity upwards, anchors before other certificates.
struct Search<'a> {
    trust: &'a Trust,
    offered: &'a [Certificate],
    now: u64,
    signatures: usize,
    /// The reason of the path that came farthest, with how far that was.
    failure: Option<((usize, u8), PathError)>,
}

impl Search<'_> {
    /// `path`: every certificate is issued by the next and checked by itself.
    fn climb(&mut self, path: &mut Vec<Certificate>) -> Option<Vec<Certificate>> {
        let current = path.last()?.clone();
        let anchors = issuers(&self.trust.anchors, &current);
        let mut others = issuers(&self.trust.intermediates, &current);
        others.extend(issuers(self.offered, &current));
        // A loop would come back to a name with a key that stands in the path already.
        let known = others.len();
        others.retain(|issuer| !path.iter().any(|below| same_authority(below, issuer)));
        if anchors.is_empty() && others.is_empty() {
            self.fail(path.len(), dead_end(&current, path.len(), known > 0));
        }
        let at_anchor = anchors.into_iter().find_map(|anchor| self.arrive(path, &current, anchor));
        at_anchor.or_else(|| others.into_iter().find_map(|issuer| self.go_on(path, &current, issuer)))
    }

    fn arrive(
        &mut self,
        path: &[Certificate],
        current: &Certificate,
        anchor: Certificate,
    ) -> Option<Vec<Certificate>> {
        let fits = self.issued(current, &anchor, path.len())
            && self.passes(path.len() + 1, check::anchor(&anchor, self.now));
        let whole: Vec<Certificate> = path.iter().cloned().chain([anchor]).collect();
        (fits && self.passes(path.len() + 1, whole_path(&whole))).then_some(whole)
    }

    fn go_on(
        &mut self,
        path: &mut Vec<Certificate>,
        current: &Certificate,
        issuer: Certificate,
    ) -> Option<Vec<Certificate>> {
        // With the anchor to come.
        if path.len() + 2 > limits::PATH_DEPTH {
            self.fail(
                path.len(),
                PathError::TooDeep { subject: path.first().map(check::subject).unwrap_or_default() },
            );
            return None;
        }
        let fits = self.issued(current, &issuer, path.len())
            && self.passes(path.len() + 1, check::intermediate(&issuer, self.now));
        if !fits {
            return None;
        }
        path.push(issuer);
        let found = self.climb(path);
        path.pop();
        found
    }

    /// Whether the certificate was signed by the issuer.
    fn issued(&mut self, certificate: &Certificate, issuer: &Certificate, depth: usize) -> bool {
        let Ok(key) = issuer.public_key() else { return self.passes(depth, check::key(issuer)) };
        self.signatures += 1;
        if self.signatures > limits::PATH_SIGNATURES {
            return false;
        }
        let checked = certificate.verify(key).map_err(|bad| signature_error(certificate, issuer, bad));
        self.passes(depth, checked)
    }

    fn passes(&mut self, depth: usize, checked: Result<(), PathError>) -> bool {
        match checked {
            Ok(()) => true,
            Err(error) => {
                self.fail(depth, error);
                false
            }
        }
    }

    /// Keeps the reason that tells most: of the longest path, and of several ones there rather what is wrong with a
    /// certificate than that a key did not fit or was missing.
    fn fail(&mut self, depth: usize, error: PathError) {
        let telling = match error {
            PathError::UnknownIssuer { .. }
            | PathError::UnknownRoot { .. }
            | PathError::SelfSigned { .. }
            | PathError::Loop { .. } => 0,
            PathError::BadSignature { .. } => 1,
            _ => 2,
        };
        if self.failure.as_ref().is_none_or(|(known, _)| *known < (depth, telling)) {
            self.failure = Some(((depth, telling), error));
        }
    }

    fn failure(self, end_entity: &Certificate) -> PathError {
        let subject = check::subject(end_entity);
        if self.signatures > limits::PATH_SIGNATURES {
            return PathError::TooManySignatures { subject };
        }
        let issuer = check::quote(&end_entity.issuer().to_string());
        self.failure.map_or(PathError::UnknownIssuer { subject, issuer }, |(_, error)| error)
    }
}

fn signature_error(certificate: &Certificate, issuer: &Certificate, bad: BadSignature) -> PathError {
    let subject = check::subject(certificate);
    match bad {
        BadSignature::Value => PathError::BadSignature { subject, issuer: check::subject(issuer) },
        BadSignature::Scheme(SchemeError::Weak(algorithm)) => PathError::WeakSignature { subject, algorithm },
        BadSignature::Scheme(SchemeError::Unsupported(algorithm)) => {
            PathError::UnsupportedSignature { subject, algorithm }
        }
        BadSignature::Scheme(SchemeError::Malformed) => {
            PathError::UnsupportedSignature { subject, algorithm: "a malformed algorithm".into() }
        }
    }
}

/// Those that the certificate may have been issued by, with the key that it names first.
fn issuers(among: &[Certificate], certificate: &Certificate) -> Vec<Certificate> {
    let mut issuers: Vec<Certificate> =
        among.iter().filter(|c| c.subject() == certificate.issuer()).cloned().collect();
    let key_id = certificate.extensions().authority_key_id.as_deref();
    issuers.sort_by_key(|issuer| issuer.subject_key_id() != key_id);
    issuers
}

/// `circle`: the issuer is known, but stands in the path already.
fn dead_end(current: &Certificate, length: usize, circle: bool) -> PathError {
    let subject = check::subject(current);
    match (current.is_self_issued(), length) {
        (true, 1) => PathError::SelfSigned { subject },
        (true, _) => PathError::UnknownRoot { subject },
        (false, _) if circle => PathError::Loop { subject },
        (false, _) => {
            PathError::UnknownIssuer { subject, issuer: check::quote(&current.issuer().to_string()) }
        }
    }
}

fn same_authority(one: &Certificate, other: &Certificate) -> bool {
    one.subject() == other.subject() && one.spki_der() == other.spki_der()
}

/// What only the path as a whole shows: each authority's limits on what lies below it.
fn whole_path(path: &[Certificate]) -> Result<(), PathError> {
    for (at, authority) in path.iter().enumerate().skip(1) {
        let below = path.get(..at).unwrap_or_default();
        path_length(authority, below)?;
        name_constraints(authority, below)?;
    }
    Ok(())
}

/// "The maximum number of non-self-issued intermediate certificates that may follow this certificate in a valid
/// certification path" (RFC 5280 §4.2.1.9).
fn path_length(authority: &Certificate, below: &[Certificate]) -> Result<(), PathError> {
    let found = below.iter().skip(1).filter(|c| !c.is_self_issued()).count();
    match authority.extensions().path_length {
        Some(allowed) if found > usize::from(allowed) => {
            Err(PathError::PathTooLong { subject: check::subject(authority), allowed, found })
        }
        _ => Ok(()),
    }
}

/// RFC 5280 §4.2.1.10: "Name constraints are not applied to self-issued certificates (unless the certificate is the final
/// certificate in the path)."
fn name_constraints(authority: &Certificate, below: &[Certificate]) -> Result<(), PathError> {
    let Some(constraints) = &authority.extensions().name_constraints else { return Ok(()) };
    for (at, certificate) in below.iter().enumerate() {
        if at > 0 && certificate.is_self_issued() {
            continue;
        }
        if let Some(name) = constraints.violated_by(certificate) {
            return Err(PathError::NameConstraint {
                subject: check::subject(certificate),
                authority: check::subject(authority),
                name: check::quote(&name),
            });
        }
    }
    Ok(())
}
