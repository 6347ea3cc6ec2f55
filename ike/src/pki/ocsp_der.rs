//! OCSP responses as DER (RFC 6960 §4.2.1).

use der::asn1::{AnyRef, ContextSpecific, GeneralizedTime, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::ext::Extension;

use super::ocsp_id::{CertificateId, CertificateIdDer, ResponderId};
use super::standing::{self, NoAnswer, Standing};
use super::{Certificate, OcspError, oid};
use crate::limits;

/// The `BasicOCSPResponse` in a response.
pub(super) fn basic_response(der: &[u8]) -> Result<Vec<u8>, OcspError> {
    let response = Response::from_der(der).map_err(|_| OcspError::Malformed("no OCSP response as DER"))?;
    match (response.status.tag(), response.status.value()) {
        (Tag::Enumerated, [0]) => {}
        (Tag::Enumerated, [1]) => return Err(OcspError::Refused("malformedRequest")),
        (Tag::Enumerated, [2]) => return Err(OcspError::Refused("internalError")),
        (Tag::Enumerated, [3]) => return Err(OcspError::Refused("tryLater")),
        (Tag::Enumerated, [5]) => return Err(OcspError::Refused("sigRequired")),
        (Tag::Enumerated, [6]) => return Err(OcspError::Refused("unauthorized")),
        _ => return Err(OcspError::Malformed("its status")),
    }
    let bytes = response.bytes.ok_or(OcspError::Malformed("no answer in it"))?;
    if bytes.kind != oid::OCSP_BASIC {
        return Err(OcspError::Unsupported(format!("is of type {}", oid::name(bytes.kind))));
    }
    Ok(bytes.response.as_bytes().to_vec())
}

#[derive(Sequence)]
struct Response<'a> {
    status: AnyRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    bytes: Option<ResponseBytes<'a>>,
}

#[derive(Sequence)]
struct ResponseBytes<'a> {
    kind: ObjectIdentifier,
    response: &'a OctetStringRef,
}

/// Who answers, and what.
pub(super) fn response_data(content: &[u8]) -> Result<(ResponderId, Vec<SingleAnswer>), OcspError> {
    let data = ResponseData::from_der(content).map_err(|_| OcspError::Malformed("its data"))?;
    if data.version != 0 || data.responses.len() > limits::OCSP_ANSWERS {
        return Err(OcspError::Malformed("its version or length"));
    }
    no_critical(data.extensions)?;
    let responder = ResponderId::read(data.responder).ok_or(OcspError::Malformed("its responder"))?;
    let answers = data.responses.into_iter().map(SingleAnswer::read).collect::<Result<_, _>>()?;
    Ok((responder, answers))
}

#[derive(Sequence)]
struct ResponseData<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", default = "Default::default")]
    version: u8,
    responder: AnyRef<'a>,
    produced_at: GeneralizedTime,
    responses: Vec<SingleResponse<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct SingleResponse<'a> {
    id: CertificateIdDer<'a>,
    status: AnyRef<'a>,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

fn no_critical(extensions: Option<Vec<Extension>>) -> Result<(), OcspError> {
    match extensions.unwrap_or_default().into_iter().find(|extension| extension.critical) {
        Some(extension) => {
            let name = oid::name(extension.extn_id);
            Err(OcspError::Unsupported(format!("has the critical extension {name}")))
        }
        None => Ok(()),
    }
}

/// About one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SingleAnswer {
    pub(super) id: CertificateId,
    /// [`NoAnswer::Unknown`] if the responder does not know.
    pub(super) standing: Result<Standing, NoAnswer>,
    /// Seconds since 1970 UTC.
    pub(super) this_update: u64,
    /// Likewise; a time of our own if the answer has no end.
    pub(super) next_update: u64,
}

impl SingleAnswer {
    fn read(single: SingleResponse<'_>) -> Result<Self, OcspError> {
        no_critical(single.extensions)?;
        let this_update = seconds(&single.this_update);
        let end = this_update.saturating_add(limits::OCSP_LIFETIME);
        Ok(Self {
            id: CertificateId::read(&single.id).ok_or(OcspError::Malformed("a certificate's id"))?,
            standing: status(single.status).ok_or(OcspError::Malformed("a certificate's status"))?,
            this_update,
            next_update: single.next_update.as_ref().map_or(end, seconds),
        })
    }
}

fn seconds(time: &GeneralizedTime) -> u64 {
    time.to_unix_duration().as_secs()
}

/// `CHOICE { good [0] IMPLICIT NULL, revoked [1] IMPLICIT RevokedInfo, unknown [2] IMPLICIT NULL }`.
fn status(status: AnyRef<'_>) -> Option<Result<Standing, NoAnswer>> {
    let Tag::ContextSpecific { constructed, number } = status.tag() else { return None };
    match (number.value(), constructed, status.value()) {
        (0, false, []) => Some(Ok(Standing::Good)),
        (1, true, info) => revoked(info).map(Ok),
        (2, false, []) => Some(Err(NoAnswer::Unknown)),
        _ => None,
    }
}

/// What stands in `RevokedInfo`: when, and `[0] EXPLICIT CRLReason`.
fn revoked(info: &[u8]) -> Option<Standing> {
    let mut fields = SliceReader::new(info).ok()?;
    let since: GeneralizedTime = fields.decode().ok()?;
    let reason: Option<ContextSpecific<AnyRef<'_>>> =
        ContextSpecific::decode_explicit(&mut fields, TagNumber(0)).ok()?;
    fields.finish().ok()?;
    let code = match reason.map(|reason| (reason.value.tag(), reason.value.value())) {
        None => 0,
        Some((Tag::Enumerated, [code])) => u32::from(*code),
        Some(_) => return None,
    };
    Some(Standing::Revoked { since: seconds(&since), reason: standing::reason(code) })
}

/// What stands behind the signature: `[0] EXPLICIT SEQUENCE OF Certificate`. Those that cannot be read sign nothing.
pub(super) fn certificates(der: &[u8]) -> Result<Vec<Certificate>, OcspError> {
    let malformed = |_| OcspError::Malformed("its certificates");
    let mut outer = SliceReader::new(der).map_err(malformed)?;
    let sequence: Option<ContextSpecific<AnyRef<'_>>> =
        ContextSpecific::decode_explicit(&mut outer, TagNumber(0)).map_err(malformed)?;
    outer.finish().map_err(malformed)?;
    let Some(sequence) = sequence else { return Ok(Vec::new()) };
    let mut reader = SliceReader::new(sequence.value.value()).map_err(malformed)?;
    let mut certificates = Vec::new();
    while !reader.is_finished() && certificates.len() < limits::OCSP_CERTIFICATES {
        certificates.extend(Certificate::from_der(reader.tlv_bytes().map_err(malformed)?).ok());
    }
    Ok(certificates)
}
