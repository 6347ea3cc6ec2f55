//! Whether the certificates of a trusted path were revoked (RFC 5280 §6.3, RFC 6960).

use super::fetch::{self, Answer, Fetch};
use super::standing::{NoAnswer, Standing};
use super::{Certificate, Crl, OcspError, OcspResponse, RevocationPolicy, Trust, TrustedPath, Utc, check};
use crate::limits;

/// Everything that was learned about revocation beside the lists in [`Trust`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Evidence {
    /// OCSP responses that the peer sent along (RFC 4806), DER.
    pub stapled: Vec<Vec<u8>>,
    /// From the cache, and fetched for this peer.
    pub answers: Vec<Answer>,
}

impl Evidence {
    /// The same without what the peer sent along and was made before a time, seconds since 1970 UTC, as far as it is about this
    /// path.
    #[must_use]
    pub fn stapled_since(&self, path: &TrustedPath, since: u64) -> Self {
        let certificates = path.certificates();
        let old = |response: &OcspResponse| {
            let issued = certificates.iter().zip(certificates.iter().skip(1));
            let mut made =
                issued.filter_map(|(certificate, issuer)| response.this_update(certificate, issuer));
            made.any(|made| made < since)
        };
        let stapled = self.stapled.iter().take(limits::STAPLED_RESPONSES);
        let stapled = stapled.filter(|der| !OcspResponse::from_der(der).is_ok_and(|response| old(&response)));
        Self { stapled: stapled.cloned().collect(), answers: self.answers.clone() }
    }
}

/// Of a path that is good: how long that is known for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// When the first certificate is to be asked about again, seconds since 1970 UTC.
    pub until: u64,
    /// When the oldest of the answers that count was fetched, seconds since 1970 UTC; one that the peer sent along counts from
    /// when it was made. `None` if lists from files say all.
    pub asked: Option<u64>,
}

impl Known {
    /// About one certificate, of two that say that it is good.
    fn or(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), asked: self.asked.max(other.asked) }
    }

    /// About two certificates.
    fn and(self, other: Self) -> Self {
        let asked = self.asked.into_iter().chain(other.asked).min();
        Self { until: self.until.min(other.until), asked }
    }
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// No certificate of the path is revoked, or nothing is to be asked.
    Good,
    /// One is.
    Revoked(Revoked),
    /// Not known yet.
    Unknown {
        /// What to fetch, preferred first; empty if all was tried. Give the answers as [`Evidence`] and assess again.
        missing: Vec<Fetch>,
        /// For each certificate what was tried, and why it says nothing.
        reasons: Vec<String>,
    },
}

/// A revoked certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Whose.
    pub subject: String,
    /// Since when.
    pub since: Utc,
    /// RFC 5280 §5.3.1's word, such as `keyCompromise`; `unspecified` if none was given.
    pub reason: &'static str,
    /// Who says so.
    pub source: String,
}

/// Why a peer is refused for revocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// It is revoked.
    #[error("certificate `{}` was revoked on {} (reason: {}), says {}", .0.subject, .0.since, .0.reason, .0.source)]
    Revoked(Revoked),
    /// The policy is strict and nobody could be asked.
    #[error("revocation could not be checked, and the policy is `strict`: {0}")]
    Unknown(String),
}

impl Assessment {
    /// What the policy makes of it once all was tried: `Ok` with a note if the peer passes in spite of ignorance.
    ///
    /// # Errors
    /// [`RevocationError`].
    pub fn decide(self, policy: RevocationPolicy) -> Result<Option<String>, RevocationError> {
        match (self, policy) {
            (Self::Good, _) | (_, RevocationPolicy::Off) => Ok(None),
            (Self::Revoked(revoked), _) => Err(RevocationError::Revoked(revoked)),
            (Self::Unknown { reasons, .. }, RevocationPolicy::Strict) => {
                Err(RevocationError::Unknown(reasons.join("; ")))
            }
            (Self::Unknown { reasons, .. }, RevocationPolicy::Soft) => Ok(Some(reasons.join("; "))),
        }
    }
}

/// Judges a path by what is known at `now`, seconds since 1970 UTC. Pure: fetching is the caller's.
///
/// Every certificate but the anchor is judged, each by any one source that knows; "revoked" from one source outweighs
/// "good" from another. What is pinned is not judged: its word is the configuration's. An answer that lies counts for
/// nothing.
pub fn assess(path: &TrustedPath, trust: &Trust, evidence: &Evidence, now: u64) -> Assessment {
    assess_until(path, trust, evidence, now).0
}

/// The same; and, of a path that is good, how long that is known for and since when.
pub fn assess_until(
    path: &TrustedPath,
    trust: &Trust,
    evidence: &Evidence,
    now: u64,
) -> (Assessment, Option<Known>) {
    if trust.revocation == RevocationPolicy::Off {
        return (Assessment::Good, None);
    }
    let stapled = evidence.stapled.iter().take(limits::STAPLED_RESPONSES);
    let stapled: Vec<Stapled> = stapled.map(|der| OcspResponse::from_der(der)).collect();
    let (mut missing, mut reasons, mut known) = (Vec::new(), Vec::new(), None);
    let issuers = path.certificates().iter().skip(1);
    for (certificate, issuer) in path.certificates().iter().zip(issuers) {
        let mut inquiry =
            Inquiry { certificate, issuer, now, good: None, revoked: None, reasons: Vec::new() };
        inquiry.ask_everyone(&stapled, trust, evidence);
        if let Some(revoked) = inquiry.revoked {
            return (Assessment::Revoked(revoked), None);
        }
        if let Some(good) = inquiry.good {
            known = Some(known.map_or(good, |known: Known| known.and(good)));
        } else {
            missing.extend(fetch::missing(certificate, issuer, &evidence.answers));
            reasons.push(inquiry.told());
        }
    }
    if reasons.is_empty() {
        return (Assessment::Good, known);
    }
    (Assessment::Unknown { missing, reasons }, None)
}

type Stapled = Result<OcspResponse, OcspError>;

/// About one certificate.
struct Inquiry<'a> {
    certificate: &'a Certificate,
    issuer: &'a Certificate,
    now: u64,
    /// Of those who say that it is good.
    good: Option<Known>,
    revoked: Option<Revoked>,
    reasons: Vec<String>,
}

impl Inquiry<'_> {
    fn ask_everyone(&mut self, stapled: &[Stapled], trust: &Trust, evidence: &Evidence) {
        for response in stapled {
            match response {
                Ok(response) => {
                    let said = self.said_by(response, trust, evidence);
                    let made = response.this_update(self.certificate, self.issuer);
                    let known = Known { until: response.next_update(), asked: made };
                    self.hear(said, known, "the OCSP response that the peer sent along");
                }
                Err(error) => self.reasons.push(format!("the peer sent one along, but {error}")),
            }
        }
        let fetches = fetch::all(self.certificate, self.issuer);
        for answer in &evidence.answers {
            match answer {
                Answer::Ocsp(fetch, response, at) => {
                    let said = self.said_by(response, trust, evidence);
                    let known = Known { until: response.next_update(), asked: Some(*at) };
                    self.hear(said, known, &format!("the OCSP responder {}", fetch.url));
                }
                Answer::Failed(fetch, why) if fetches.contains(fetch) => {
                    self.reasons.push(format!("{}: {}", fetch.url, check::quote(why)));
                }
                Answer::Failed(..) | Answer::Crl(..) => {}
            }
        }
        self.ask_lists(trust, evidence);
    }

    /// What a responder says, unless its own certificate is known to be revoked. (None is asked for that: RFC 6960 §4.2.2.2.1
    /// leaves it to us, and such certificates live for days.)
    fn said_by(
        &self,
        response: &OcspResponse,
        trust: &Trust,
        evidence: &Evidence,
    ) -> Result<Standing, NoAnswer> {
        let fetched = evidence.answers.iter().filter_map(|answer| match answer {
            Answer::Crl(_, crl, _) => Some(crl),
            Answer::Ocsp(..) | Answer::Failed(..) => None,
        });
        let mut lists = trust.crls.iter().chain(fetched);
        let revoked = |delegate| {
            let mut said = lists.by_ref().map(|crl| crl.judge(delegate, self.issuer, self.now));
            said.any(|said| matches!(said, Ok(Standing::Revoked { .. })))
        };
        if response.delegate(self.issuer).is_some_and(revoked) {
            return Err(NoAnswer::Signer("its certificate was revoked"));
        }
        response.judge(self.certificate, self.issuer, self.now)
    }

    /// Of several lists that say something the newest counts: a certificate that was on hold may be released.
    fn ask_lists(&mut self, trust: &Trust, evidence: &Evidence) {
        let named = "the configured revocation list";
        let configured = trust.crls.iter().map(|crl| (crl, None, named.to_owned()));
        let fetched = evidence.answers.iter().filter_map(|answer| match answer {
            Answer::Crl(fetch, crl, at) => {
                Some((crl, Some(*at), format!("the revocation list {}", fetch.url)))
            }
            Answer::Ocsp(..) | Answer::Failed(..) => None,
        });
        let mut lists: Vec<(&Crl, Option<u64>, String)> = configured.chain(fetched).collect();
        lists.sort_by_key(|(crl, ..)| std::cmp::Reverse(crl.this_update()));
        for (crl, asked, source) in lists {
            let said = crl.judge(self.certificate, self.issuer, self.now);
            let decided = said.is_ok();
            self.hear(said, Known { until: crl.next_update(), asked }, &source);
            if decided {
                break;
            }
        }
    }

    fn hear(&mut self, said: Result<Standing, NoAnswer>, known: Known, source: &str) {
        match said {
            Ok(Standing::Good) => self.good = Some(self.good.map_or(known, |good| good.or(known))),
            Ok(Standing::Revoked { since, reason }) => {
                let subject = check::subject(self.certificate);
                self.revoked =
                    Some(Revoked { subject, since: Utc(since), reason, source: source.to_owned() });
            }
            // Answers about others are no failures.
            Err(NoAnswer::OtherIssuer | NoAnswer::OtherCertificate) => {}
            Err(why) => self.reasons.push(format!("{source}: {why}")),
        }
    }

    fn told(self) -> String {
        let subject = check::subject(self.certificate);
        if self.reasons.is_empty() {
            return format!("nobody says whether certificate `{subject}` is revoked");
        }
        format!("certificate `{subject}`: {}", self.reasons.join(", "))
    }
}
