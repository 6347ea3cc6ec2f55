//! What may be fetched to learn about revocation. [`all`] is called for the certificates of a trusted path alone, and for our
//! own: nothing is fetched from a URL in a certificate before its path is trusted.

use super::ocsp_id;
use super::standing::NoAnswer;
use super::{Certificate, Crl, OcspResponse};
use crate::limits;

/// What may be fetched to find out. Only [`assess`](super::assess) makes these, which takes a
/// [`TrustedPath`](super::TrustedPath), and [`Stapling`](super::Stapling), which is about our own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Begins with `http://`; at most 2,048 visible ASCII characters.
    pub url: String,
    /// What is fetched.
    pub kind: FetchKind,
    /// The authority whose word it is to be, its own or that of whom it has designated.
    pub issuer: Certificate,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchKind {
    /// GET; the answer is a CRL as DER.
    Crl {
        /// What is asked about.
        certificate: Certificate,
    },
    /// POST of this body as `application/ocsp-request`; the answer is an OCSP response as DER.
    Ocsp {
        /// DER.
        request: Vec<u8>,
        /// What is asked about.
        certificate: Certificate,
    },
}

/// What came of a [`Fetch`], now or earlier (a cache); and when it was fetched, seconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A revocation list.
    Crl(Fetch, Crl, u64),
    /// An OCSP response.
    Ocsp(Fetch, OcspResponse, u64),
    /// Nothing, and why: for the diagnosis.
    Failed(Fetch, String),
}

impl Answer {
    /// What was fetched.
    pub fn fetch(&self) -> &Fetch {
        match self {
            Self::Crl(fetch, ..) | Self::Ocsp(fetch, ..) | Self::Failed(fetch, _) => fetch,
        }
    }

    /// What an HTTP server sent for a [`Fetch`] at `fetched`, seconds since 1970 UTC; bytes that cannot be read are a failure
    /// with its reason.
    pub fn read(fetch: Fetch, body: &[u8], fetched: u64) -> Self {
        let failed = |fetch, error: String| Self::Failed(fetch, error);
        match fetch.kind {
            FetchKind::Crl { .. } => match Crl::from_der(body) {
                Ok(crl) => Self::Crl(fetch, crl, fetched),
                Err(error) => failed(fetch, error.to_string()),
            },
            FetchKind::Ocsp { .. } => match OcspResponse::from_der(body) {
                Ok(response) => Self::Ocsp(fetch, response, fetched),
                Err(error) => failed(fetch, error.to_string()),
            },
        }
    }

    /// The same if it is the word of whoever was meant, at `now`, seconds since 1970 UTC: signed by the issuer or by whom it
    /// has designated, and about what was asked. What it says, and how old it is, does not matter here. Another is a failure
    /// with its reason. Checks signatures.
    #[must_use]
    pub fn vouched(self, now: u64) -> Self {
        let said = match (&self, &self.fetch().kind) {
            (Self::Crl(fetch, crl, _), FetchKind::Crl { certificate }) => {
                crl.is_about(certificate, &fetch.issuer)
            }
            (Self::Ocsp(fetch, response, _), FetchKind::Ocsp { certificate, .. }) => {
                response.is_about(certificate, &fetch.issuer, now)
            }
            _ => return self,
        };
        match said {
            Ok(()) => self,
            Err(why) => Self::Failed(self.fetch().clone(), why.to_string()),
        }
    }

    /// Whether it is a list of the issuer's, rightly signed, on which the certificate in question would not be: it says nothing
    /// about that one, and may be just what others need. Checks the signature.
    pub fn is_about_others(&self) -> bool {
        match (self, &self.fetch().kind) {
            (Self::Crl(fetch, crl, _), FetchKind::Crl { certificate }) => {
                crl.is_about(certificate, &fetch.issuer) == Err(NoAnswer::Scope)
            }
            _ => false,
        }
    }

    /// The same for another question that is put in the same words: a list is about many certificates. Whether it is about
    /// that one, [`Self::vouched`] says.
    #[must_use]
    pub fn to(self, fetch: Fetch) -> Self {
        match self {
            Self::Crl(_, crl, fetched) => Self::Crl(fetch, crl, fetched),
            Self::Ocsp(_, response, fetched) => Self::Ocsp(fetch, response, fetched),
            Self::Failed(_, why) => Self::Failed(fetch, why),
        }
    }

    /// Whether it says anything at `now`, seconds since 1970 UTC. What comes from the future was made by a clock that was wrong,
    /// or ahead of its time.
    pub fn is_current(&self, now: u64) -> bool {
        let latest = now.saturating_add(limits::REVOCATION_CLOCK_SKEW);
        let made = self.this_update().is_some_and(|made| made <= latest);
        made && self.next_update().is_some_and(|until| until >= now)
    }

    /// Whether it counts in the place of another that came later, at `now`, seconds since 1970 UTC: it is current, and the other
    /// is older or is not.
    pub fn outdates(&self, other: &Self, now: u64) -> bool {
        self.is_current(now) && (self.this_update() > other.this_update() || !other.is_current(now))
    }

    /// When what it says of the certificate in question was found out, seconds since 1970 UTC; a failure has no such time.
    fn this_update(&self) -> Option<u64> {
        match (self, &self.fetch().kind) {
            (Self::Crl(_, crl, _), FetchKind::Crl { .. }) => Some(crl.this_update()),
            (Self::Ocsp(fetch, response, _), FetchKind::Ocsp { certificate, .. }) => {
                response.this_update(certificate, &fetch.issuer)
            }
            _ => None,
        }
    }

    /// When it is worth nothing any more, seconds since 1970 UTC; a failure has no such time.
    pub fn next_update(&self) -> Option<u64> {
        match self {
            Self::Crl(_, crl, _) => Some(crl.next_update()),
            Self::Ocsp(_, response, _) => Some(response.next_update()),
            Self::Failed(..) => None,
        }
    }
}

/// What could be asked about a certificate: responders first, since their answers are short and fresh.
pub(super) fn all(certificate: &Certificate, issuer: &Certificate) -> Vec<Fetch> {
    let extensions = certificate.extensions();
    let question = || {
        let request = ocsp_id::request(certificate, issuer)?;
        Some(FetchKind::Ocsp { request, certificate: certificate.clone() })
    };
    let fetch = |url: &String, kind| Fetch { url: url.clone(), kind, issuer: issuer.clone() };
    let responders = extensions.ocsp_urls.iter().filter(|url| is_fetched(url));
    let responders = responders.filter_map(|url| Some(fetch(url, question()?)));
    let lists = extensions.crl_urls.iter().filter(|url| is_fetched(url));
    let list = || FetchKind::Crl { certificate: certificate.clone() };
    responders.chain(lists.map(|url| fetch(url, list()))).collect()
}

/// What was not asked yet.
pub(super) fn missing(certificate: &Certificate, issuer: &Certificate, answers: &[Answer]) -> Vec<Fetch> {
    let tried = |fetch: &Fetch| answers.iter().any(|answer| answer.fetch() == fetch);
    all(certificate, issuer).into_iter().filter(|fetch| !tried(fetch)).collect()
}

/// Plain HTTP: what is fetched is signed, and TLS would need a path of its own. Directories and files are not asked.
fn is_fetched(url: &str) -> bool {
    let scheme = url.split_at_checked(7).is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http://"));
    scheme && url.len() <= limits::URL && url.bytes().all(|byte| byte.is_ascii_graphic())
}
