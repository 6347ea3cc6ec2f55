//! What may be fetched to learn about revocation. [`all`] is called for the certificates of a trusted path alone, and for our
//! own: nothing is fetched from a URL in a certificate before its path is trusted.

use super::ocsp_id;
use super::{Certificate, Crl, OcspResponse};
use crate::limits;

/// What may be fetched to find out. Only [`assess`](super::assess) makes these, which takes a
/// [`TrustedPath`](super::TrustedPath), and [`Stapling`](super::Stapling), which is about our own certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fetch {
    /// Begins with `http://`; at most 2,048 visible ASCII characters.
    pub url: String,
    /// What is fetched.
    pub kind: FetchKind,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FetchKind {
    /// GET; the answer is a CRL as DER.
    Crl,
    /// POST of this body as `application/ocsp-request`; the answer is an OCSP response as DER.
    Ocsp {
        /// DER.
        request: Vec<u8>,
    },
}

/// What came of a [`Fetch`], now or earlier (a cache).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A revocation list.
    Crl(Fetch, Crl),
    /// An OCSP response.
    Ocsp(Fetch, OcspResponse),
    /// Nothing, and why: for the diagnosis.
    Failed(Fetch, String),
}

impl Answer {
    /// What was fetched.
    pub fn fetch(&self) -> &Fetch {
        match self {
            Self::Crl(fetch, _) | Self::Ocsp(fetch, _) | Self::Failed(fetch, _) => fetch,
        }
    }

    /// What an HTTP server sent for a [`Fetch`]; bytes that cannot be read are a failure with its reason.
    pub fn read(fetch: Fetch, body: &[u8]) -> Self {
        let failed = |fetch, error: String| Self::Failed(fetch, error);
        match fetch.kind {
            FetchKind::Crl => match Crl::from_der(body) {
                Ok(crl) => Self::Crl(fetch, crl),
                Err(error) => failed(fetch, error.to_string()),
            },
            FetchKind::Ocsp { .. } => match OcspResponse::from_der(body) {
                Ok(response) => Self::Ocsp(fetch, response),
                Err(error) => failed(fetch, error.to_string()),
            },
        }
    }

    /// When it is worth nothing any more, seconds since 1970 UTC; a failure has no such time.
    pub fn next_update(&self) -> Option<u64> {
        match self {
            Self::Crl(_, crl) => Some(crl.next_update()),
            Self::Ocsp(_, response) => Some(response.next_update()),
            Self::Failed(..) => None,
        }
    }
}

/// What could be asked about a certificate: responders first, since their answers are short and fresh.
pub(super) fn all(certificate: &Certificate, issuer: &Certificate) -> Vec<Fetch> {
    let extensions = certificate.extensions();
    let request = || ocsp_id::request(certificate, issuer);
    let responders = extensions.ocsp_urls.iter().filter(|url| is_fetched(url));
    let responders = responders
        .filter_map(|url| Some(Fetch { url: url.clone(), kind: FetchKind::Ocsp { request: request()? } }));
    let lists = extensions.crl_urls.iter().filter(|url| is_fetched(url));
    let lists = lists.map(|url| Fetch { url: url.clone(), kind: FetchKind::Crl });
    responders.chain(lists).collect()
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
