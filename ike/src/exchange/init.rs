//! `IKE_SA_INIT` (RFC 7296 §1.2): suites, key exchange and nonces, in clear text.

use super::parts::{Parts, cert_requests, need};
use crate::wire::{CertEncoding, Malformed, Notify, NotifyType, Payload, Proposal};

/// A public value and the number of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyExchangeData {
    pub(crate) group: u16,
    pub(crate) data: Vec<u8>,
}

impl KeyExchangeData {
    pub(super) fn into_payload(self) -> Payload {
        Payload::KeyExchange { group: self.group, data: self.data }
    }
}

/// `HDR, [N(COOKIE)], SAi1, KEi, Ni, N…`
#[derive(Clone, Debug)]
pub(crate) struct InitRequest {
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) key_exchange: KeyExchangeData,
    pub(crate) nonce: Vec<u8>,
    pub(crate) notifies: Vec<Notify>,
}

impl InitRequest {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let parts = Parts::sort(payloads)?;
        Ok(Self {
            cookie: parts.notify(NotifyType::COOKIE).map(|n| n.data.clone()),
            proposals: need(parts.sa, "IKE_SA_INIT without SA")?,
            key_exchange: need(parts.key_exchange, "IKE_SA_INIT without KE")?,
            nonce: need(parts.nonce, "IKE_SA_INIT without nonce")?,
            notifies: parts.notifies,
        })
    }

    /// RFC 7296 §2.6: the cookie comes "as the first payload".
    pub(crate) fn write(self) -> Vec<Payload> {
        let cookie = self.cookie.map(|c| Payload::Notify(Notify::new(NotifyType::COOKIE, c)));
        let body =
            [Payload::Sa(self.proposals), self.key_exchange.into_payload(), Payload::Nonce(self.nonce)];
        let notifies = self.notifies.into_iter().map(Payload::Notify);
        cookie.into_iter().chain(body).chain(notifies).collect()
    }
}

/// `HDR, SAr1, KEr, Nr, N…, [CERTREQ…]`, or a lone notification.
#[derive(Clone, Debug)]
pub(crate) enum InitResponse {
    /// The responder goes on.
    Accept {
        proposals: Vec<Proposal>,
        key_exchange: KeyExchangeData,
        nonce: Vec<u8>,
        notifies: Vec<Notify>,
        cert_requests: Vec<(CertEncoding, Vec<u8>)>,
    },
    /// Send it again with this cookie (§2.6).
    Cookie(Vec<u8>),
    /// Send it again with a public value of this group (§1.2).
    InvalidKe(u16),
    /// No.
    Error(NotifyType),
}

impl InitResponse {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let parts = Parts::sort(payloads)?;
        if let Some(cookie) = parts.notify(NotifyType::COOKIE) {
            return Ok(Self::Cookie(cookie.data.clone()));
        }
        if let Some(error) = parts.error() {
            return match (error.kind, <[u8; 2]>::try_from(error.data.as_slice())) {
                (NotifyType::INVALID_KE_PAYLOAD, Ok(group)) => Ok(Self::InvalidKe(u16::from_be_bytes(group))),
                (NotifyType::INVALID_KE_PAYLOAD, Err(_)) => Err(Malformed::Syntax("INVALID_KE_PAYLOAD")),
                (kind, _) => Ok(Self::Error(kind)),
            };
        }
        Ok(Self::Accept {
            proposals: need(parts.sa, "IKE_SA_INIT without SA")?,
            key_exchange: need(parts.key_exchange, "IKE_SA_INIT without KE")?,
            nonce: need(parts.nonce, "IKE_SA_INIT without nonce")?,
            notifies: parts.notifies,
            cert_requests: parts.cert_requests,
        })
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        match self {
            Self::Accept { proposals, key_exchange, nonce, notifies, cert_requests: requests } => {
                let body = [Payload::Sa(proposals), key_exchange.into_payload(), Payload::Nonce(nonce)];
                let notifies = notifies.into_iter().map(Payload::Notify);
                body.into_iter().chain(notifies).chain(cert_requests(requests)).collect()
            }
            Self::Cookie(cookie) => vec![Payload::Notify(Notify::new(NotifyType::COOKIE, cookie))],
            Self::InvalidKe(group) => {
                vec![Payload::Notify(Notify::new(NotifyType::INVALID_KE_PAYLOAD, group.to_be_bytes()))]
            }
            Self::Error(kind) => vec![Payload::Notify(Notify::new(kind, []))],
        }
    }
}
