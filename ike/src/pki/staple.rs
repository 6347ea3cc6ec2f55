//! What a responder says of our own certificate, to be sent along with it (RFC 4806).

use super::fetch::{self, Fetch, FetchKind};
use super::{Answer, Certificate, Credential, Trust};
use crate::wire::CertEncoding;

/// Our own certificate, and the one of who issued it. It is trusted by configuration, so its responders may be asked
/// without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stapling {
    certificate: Certificate,
    issuer: Certificate,
}

impl Stapling {
    /// `None` if our certificate names no responder, or its issuer's is neither in our chain nor among the authorities
    /// that we believe: then nobody could say whether an answer is right.
    pub fn of(credential: &Credential, trust: Option<&Trust>) -> Option<Self> {
        let certificate = credential.chain.first()?;
        let anchors = trust.into_iter().flat_map(|trust| &trust.anchors);
        let issued = |issuer: &&Certificate| {
            let signed = || issuer.public_key().is_ok_and(|key| certificate.verify(key).is_ok());
            issuer.subject() == certificate.issuer() && signed()
        };
        let issuer = credential.chain.iter().skip(1).chain(anchors).find(issued)?;
        let stapling = Self { certificate: certificate.clone(), issuer: issuer.clone() };
        (!stapling.fetches().is_empty()).then_some(stapling)
    }

    /// Names it: the fingerprint of our certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.certificate.fingerprint()
    }

    /// The responders that it names, preferred first.
    pub fn fetches(&self) -> Vec<Fetch> {
        let all = fetch::all(&self.certificate, &self.issuer);
        all.into_iter().filter(|fetch| matches!(fetch.kind, FetchKind::Ocsp { .. })).collect()
    }

    /// What can be sent along of an answer, at `now`, seconds since 1970 UTC: one that a peer would take, and that says
    /// that our certificate is good. Checks signatures.
    pub fn judge(&self, answer: &Answer, now: u64) -> Option<Staple> {
        let Answer::Ocsp(_, response, _) = answer else { return None };
        let signer = response.vouches(&self.certificate, &self.issuer, now)?;
        let (der, until) = (response.der().to_vec(), response.next_update());
        let issuer = self.issuer.key_hash();
        Some(Staple { der, signer: signer.key_hash(), issuer, until })
    }
}

/// A response that says that our certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    der: Vec<u8>,
    signer: [u8; 20],
    issuer: [u8; 20],
    until: u64,
}

impl Staple {
    /// When a newer one is due, seconds since 1970 UTC.
    pub fn next_update(&self) -> u64 {
        self.until
    }

    /// The CERT payload for a peer's CERTREQ payloads, at `now`, seconds since 1970 UTC; `None` if they ask for none, or
    /// for one of other responders, or if it is old.
    ///
    /// RFC 4806 §3.1: the hashes name responders that the peer trusts besides the issuer and whom that has designated. So
    /// a response of the issuer itself is always wanted, one of a delegate if it or the issuer is named, and without any
    /// hash all are.
    pub fn payload(&self, requests: &[(CertEncoding, Vec<u8>)], now: u64) -> Option<(CertEncoding, Vec<u8>)> {
        let mut asks = requests.iter().filter(|(encoding, _)| *encoding == CertEncoding::OCSP_CONTENT);
        let wanted = |hashes: &[u8]| {
            let listed = |hash| hashes.as_chunks::<20>().0.contains(hash);
            hashes.is_empty() || self.signer == self.issuer || listed(&self.signer) || listed(&self.issuer)
        };
        let wanted = asks.any(|(_, hashes)| wanted(hashes));
        (wanted && now <= self.until).then(|| (CertEncoding::OCSP_CONTENT, self.der.clone()))
    }
}
