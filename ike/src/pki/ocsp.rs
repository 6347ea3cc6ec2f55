//! The online certificate status protocol (RFC 6960).
//!
//! Our requests carry no nonce: an answer may come from a cache, and its dates say how old it is. Nor do we look for one
//! in answers, since we never asked for any.

use super::ocsp_der::{self, SingleAnswer};
use super::ocsp_id::ResponderId;
use super::signed::Signed;
use super::standing::{NoAnswer, Standing};
use super::{Certificate, Utc, oid};
use crate::limits;

/// An OCSP response, bounded and taken apart; its signature is checked when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspResponse {
    /// As it came.
    der: Vec<u8>,
    /// The `BasicOCSPResponse` in it.
    basic: Vec<u8>,
    signed: Signed,
    responder: ResponderId,
    answers: Vec<SingleAnswer>,
    /// The responder's certificates.
    certificates: Vec<Certificate>,
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Longer than is read.
    #[error("the OCSP response has {0} bytes; at most {max} are read", max = limits::OCSP_RESPONSE)]
    TooLarge(usize),
    /// No DER of a response; what could not be read.
    #[error("the OCSP response is malformed: {0}")]
    Malformed(&'static str),
    /// The responder gave no answer, but a reason.
    #[error("the OCSP responder answered `{0}`")]
    Refused(&'static str),
    /// Of another type than the basic one, or with critical extensions that we do not know.
    #[error("the OCSP response {0}, which is not supported")]
    Unsupported(String),
}

impl OcspResponse {
    /// Reads DER.
    ///
    /// # Errors
    /// [`OcspError`]; nothing may stand behind the response.
    pub fn from_der(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > limits::OCSP_RESPONSE {
            return Err(OcspError::TooLarge(der.len()));
        }
        let basic = ocsp_der::basic_response(der)?;
        let (signed, rest) = Signed::read_before(&basic).ok_or(OcspError::Malformed("no basic response"))?;
        let content = basic.get(signed.content.clone()).unwrap_or_default();
        let (responder, answers) = ocsp_der::response_data(content)?;
        let certificates = ocsp_der::certificates(basic.get(rest).unwrap_or_default())?;
        Ok(Self { der: der.to_vec(), signed, responder, answers, certificates, basic })
    }

    /// The whole response, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When a newer one is due, seconds since 1970 UTC: the earliest of its answers; without a date, a day after it was
    /// made.
    pub fn next_update(&self) -> u64 {
        self.answers.iter().map(|answer| answer.next_update).min().unwrap_or(0)
    }

    /// What the response says of a certificate that `issuer` issued.
    pub(super) fn judge(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: u64,
    ) -> Result<Standing, NoAnswer> {
        let answer = self.about(certificate, issuer)?;
        self.signer(issuer, now)?;
        if answer.this_update > now.saturating_add(limits::REVOCATION_CLOCK_SKEW) {
            return Err(NoAnswer::NotYetValid(Utc(answer.this_update)));
        }
        if answer.next_update < now.saturating_sub(limits::REVOCATION_CLOCK_SKEW) {
            return Err(NoAnswer::Stale(Utc(answer.next_update)));
        }
        answer.standing.clone()
    }

    /// Whether it says anything of a certificate that `issuer` issued, and is signed by one who may.
    pub(super) fn is_about(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: u64,
    ) -> Result<(), NoAnswer> {
        self.about(certificate, issuer)?;
        self.signer(issuer, now).map(|_| ())
    }

    /// When what it says of the certificate was found out, seconds since 1970 UTC.
    pub(super) fn this_update(&self, certificate: &Certificate, issuer: &Certificate) -> Option<u64> {
        self.about(certificate, issuer).ok().map(|answer| answer.this_update)
    }

    /// Of several answers about one certificate the newest counts.
    fn about(&self, certificate: &Certificate, issuer: &Certificate) -> Result<&SingleAnswer, NoAnswer> {
        let about = self.answers.iter().filter(|answer| answer.id.names(certificate, issuer));
        about.max_by_key(|answer| answer.this_update).ok_or(NoAnswer::OtherCertificate)
    }

    /// Whom the issuer has designated to sign it, by what it says itself; `None` if that is the issuer.
    pub(super) fn delegate(&self, issuer: &Certificate) -> Option<&Certificate> {
        let mut delegates = self.certificates.iter().filter(|certificate| self.responder.is(certificate));
        delegates.next().filter(|_| !self.responder.is(issuer))
    }

    /// Who signed it, if it says that a certificate that `issuer` issued is good.
    pub(super) fn vouches<'a>(
        &'a self,
        certificate: &Certificate,
        issuer: &'a Certificate,
        now: u64,
    ) -> Option<&'a Certificate> {
        let good = self.judge(certificate, issuer, now) == Ok(Standing::Good);
        self.signer(issuer, now).ok().filter(|_| good)
    }

    /// RFC 6960 §4.2.2.2: signed by the issuer itself, or by one whom it has designated: by a certificate that the issuer
    /// itself signed, with id-kp-OCSPSigning in it.
    fn signer<'a>(&'a self, issuer: &'a Certificate, now: u64) -> Result<&'a Certificate, NoAnswer> {
        if self.responder.is(issuer) {
            self.verify_with(issuer)?;
            return Ok(issuer);
        }
        let delegate = self.certificates.iter().find(|certificate| self.responder.is(certificate));
        let delegate = delegate.ok_or(NoAnswer::Signer("it is neither the issuer nor sent along"))?;
        delegated(delegate, issuer, now)?;
        self.verify_with(delegate)?;
        Ok(delegate)
    }

    fn verify_with(&self, signer: &Certificate) -> Result<(), NoAnswer> {
        let key = signer.public_key().map_err(|_| NoAnswer::Signer("its key cannot be used"))?;
        Ok(self.signed.verify(&self.basic, key)?)
    }
}

fn delegated(delegate: &Certificate, issuer: &Certificate, now: u64) -> Result<(), NoAnswer> {
    let refused = |why| Err(NoAnswer::Signer(why));
    let extensions = delegate.extensions();
    if delegate.issuer() != issuer.subject() {
        return refused("its certificate is by another issuer");
    }
    if !extensions.purposes.as_ref().is_some_and(|purposes| purposes.contains(&oid::OCSP_SIGNING)) {
        return refused("its certificate is not one for OCSP signing");
    }
    if extensions.key_usage.is_some_and(|usage| !usage.digital_signature() && !usage.non_repudiation()) {
        return refused("its key usage does not allow signatures");
    }
    if extensions.unknown_critical.is_some() {
        return refused("its certificate has an unknown critical extension");
    }
    if !(delegate.not_before()..=delegate.not_after()).contains(&now) {
        return refused("its certificate is not valid now");
    }
    let key = issuer.public_key().map_err(|_| NoAnswer::Signer("its issuer's key cannot be used"))?;
    delegate.verify(key).map_err(|_| NoAnswer::Signer("its certificate is not signed by the issuer"))
}
