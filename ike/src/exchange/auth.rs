//! `IKE_AUTH` (RFC 7296 §1.2): identities, their proofs, and the first Child SA.

use super::configuration::{ConfigReply, ConfigRequest};
use super::parts::{Parts, cert_requests, certificates, need};
use crate::wire::{
    AuthData, CertEncoding, IdData, Malformed, Notify, NotifyType, Payload, Proposal, WireSelector,
};

/// `SAi2, TSi, TSr`: a Child SA as its initiator would have it.
#[derive(Clone, Debug)]
pub(crate) struct ChildOffer {
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) ts_i: Vec<WireSelector>,
    pub(crate) ts_r: Vec<WireSelector>,
    /// Its sender does not accept padding against traffic analysis (`ESP_TFC_PADDING_NOT_SUPPORTED`, RFC 7296 §1.3.1).
    /// We accept it and so never say this.
    pub(crate) refuses_padding: bool,
    /// Its sender would send and take later fragments where the selectors name ports (`NON_FIRST_FRAGMENTS_ALSO`, RFC 7296
    /// §1.3.1, RFC 4301 §7.3).
    pub(crate) later_fragments: bool,
}

impl ChildOffer {
    /// All three payloads, or none of them is taken.
    pub(super) fn from_parts(parts: &mut Parts) -> Option<Self> {
        let refuses_padding = parts.notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED).is_some();
        let later_fragments = parts.notify(NotifyType::NON_FIRST_FRAGMENTS_ALSO).is_some();
        let whole = parts.sa.is_some() && parts.ts_i.is_some() && parts.ts_r.is_some();
        whole.then(|| {
            let (proposals, ts_i, ts_r) = (parts.sa.take()?, parts.ts_i.take()?, parts.ts_r.take()?);
            Some(Self { proposals, ts_i, ts_r, refuses_padding, later_fragments })
        })?
    }

    /// What stands before the SA payload.
    pub(super) fn notify(&self) -> Option<Payload> {
        let also = || Payload::Notify(Notify::new(NotifyType::NON_FIRST_FRAGMENTS_ALSO, []));
        self.later_fragments.then(also)
    }

    pub(super) fn into_payloads(self) -> [Payload; 3] {
        [Payload::Sa(self.proposals), Payload::TsInitiator(self.ts_i), Payload::TsResponder(self.ts_r)]
    }
}

/// `SAr2, TSi, TSr`: what the responder made of it, or why it refused.
#[derive(Clone, Debug)]
pub(crate) enum ChildAnswer {
    Accept(ChildOffer),
    Refused(NotifyType),
    /// Nobody asked for one (RFC 6023).
    None,
}

impl ChildAnswer {
    /// Whether it answers a request that asked for a Child SA, or for none.
    pub(crate) fn fits(&self, asked: bool) -> bool {
        match self {
            Self::Accept(_) => asked,
            Self::Refused(_) => true,
            Self::None => !asked,
        }
    }
}

/// `HDR, SK { IDi, [CERT…,] N…, [CERTREQ…,] [IDr,] AUTH, [CP(CFG_REQUEST),] SAi2, TSi, TSr }`
#[derive(Clone, Debug)]
pub(crate) struct AuthRequest {
    pub(crate) id_i: IdData,
    pub(crate) id_r: Option<IdData>,
    pub(crate) certificates: Vec<(CertEncoding, Vec<u8>)>,
    pub(crate) cert_requests: Vec<(CertEncoding, Vec<u8>)>,
    /// Absent where the initiator wants EAP, which we do not have.
    pub(crate) auth: Option<AuthData>,
    pub(crate) configuration: Option<ConfigRequest>,
    /// Absent where the initiator wants an IKE SA alone.
    pub(crate) child: Option<ChildOffer>,
    pub(crate) initial_contact: bool,
}

impl AuthRequest {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let mut parts = Parts::sort(payloads)?;
        let child = ChildOffer::from_parts(&mut parts);
        // RFC 6023 §3: without a Child SA all of these are left out.
        if parts.sa.is_some() || parts.ts_i.is_some() || parts.ts_r.is_some() {
            return Err(Malformed::Syntax("IKE_AUTH with a part of a Child SA"));
        }
        Ok(Self {
            child,
            initial_contact: parts.notify(NotifyType::INITIAL_CONTACT).is_some(),
            id_i: need(parts.id_i, "IKE_AUTH without IDi")?,
            id_r: parts.id_r,
            certificates: parts.certificates,
            cert_requests: parts.cert_requests,
            auth: parts.auth,
            configuration: ConfigRequest::read(parts.configuration)?,
        })
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        let contact = self.initial_contact.then(|| Notify::new(NotifyType::INITIAL_CONTACT, []));
        let mut payloads = vec![Payload::IdInitiator(self.id_i)];
        payloads.extend(certificates(self.certificates));
        payloads.extend(contact.map(Payload::Notify));
        payloads.extend(cert_requests(self.cert_requests));
        payloads.extend(self.id_r.map(Payload::IdResponder));
        payloads.extend(self.auth.map(Payload::Auth));
        // RFC 7296 §2.19: "the CP payload MUST be inserted before the SA payload".
        payloads.extend(self.configuration.map(ConfigRequest::into_payload));
        payloads.extend(self.child.as_ref().and_then(ChildOffer::notify));
        payloads.extend(self.child.into_iter().flat_map(ChildOffer::into_payloads));
        payloads
    }
}

/// `HDR, SK { IDr, [CERT…,] AUTH, [CP(CFG_REPLY),] SAr2, TSi, TSr }`, or with a notification in place of the Child SA, or a lone error.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "read, and taken apart at once")]
pub(crate) enum AuthResponse {
    Accept {
        id_r: IdData,
        certificates: Vec<(CertEncoding, Vec<u8>)>,
        auth: AuthData,
        configuration: Option<ConfigReply>,
        child: ChildAnswer,
    },
    Error(NotifyType),
}

impl AuthResponse {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let mut parts = Parts::sort(payloads)?;
        let error = parts.error().map(|n| n.kind);
        let Some(auth) = parts.auth.take() else {
            return error.map(Self::Error).ok_or(Malformed::Syntax("IKE_AUTH without AUTH"));
        };
        let child = match (ChildOffer::from_parts(&mut parts), error) {
            (Some(child), None) => ChildAnswer::Accept(child),
            (_, Some(kind)) => ChildAnswer::Refused(kind),
            (None, None) => ChildAnswer::None,
        };
        let id_r = need(parts.id_r, "IKE_AUTH without IDr")?;
        let configuration = ConfigReply::read(parts.configuration)?;
        Ok(Self::Accept { id_r, certificates: parts.certificates, auth, configuration, child })
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        match self {
            Self::Accept { id_r, certificates: chain, auth, configuration, child } => {
                let mut payloads = vec![Payload::IdResponder(id_r)];
                payloads.extend(certificates(chain));
                payloads.push(Payload::Auth(auth));
                payloads.extend(configuration.map(ConfigReply::into_payload));
                match child {
                    ChildAnswer::Accept(child) => {
                        payloads.extend(child.notify());
                        payloads.extend(child.into_payloads());
                    }
                    ChildAnswer::Refused(kind) => payloads.push(Payload::Notify(Notify::new(kind, []))),
                    ChildAnswer::None => {}
                }
                payloads
            }
            Self::Error(kind) => vec![Payload::Notify(Notify::new(kind, []))],
        }
    }
}
