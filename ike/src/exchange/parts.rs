//! A chain of payloads sorted by type; each type at most once, but Notify and Delete.

use super::init::KeyExchangeData;
use crate::wire::{
    AuthData, CertEncoding, Configuration, Delete, IdData, Malformed, Notify, NotifyType, Payload, Proposal,
    WireSelector,
};

#[derive(Default)]
pub(super) struct Parts {
    pub(super) sa: Option<Vec<Proposal>>,
    pub(super) key_exchange: Option<KeyExchangeData>,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) id_i: Option<IdData>,
    pub(super) id_r: Option<IdData>,
    /// In the order sent: encoding and data.
    pub(super) certificates: Vec<(CertEncoding, Vec<u8>)>,
    pub(super) cert_requests: Vec<(CertEncoding, Vec<u8>)>,
    pub(super) auth: Option<AuthData>,
    pub(super) ts_i: Option<Vec<WireSelector>>,
    pub(super) ts_r: Option<Vec<WireSelector>>,
    pub(super) notifies: Vec<Notify>,
    pub(super) deletes: Vec<Delete>,
    pub(super) configuration: Option<Configuration>,
}

impl Parts {
    pub(super) fn sort(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let mut parts = Self::default();
        for payload in payloads {
            match payload {
                Payload::Sa(proposals) => once(&mut parts.sa, proposals)?,
                Payload::KeyExchange { group, data } => {
                    once(&mut parts.key_exchange, KeyExchangeData { group, data })?;
                }
                Payload::Nonce(nonce) => once(&mut parts.nonce, nonce)?,
                Payload::IdInitiator(id) => once(&mut parts.id_i, id)?,
                Payload::IdResponder(id) => once(&mut parts.id_r, id)?,
                Payload::Certificate { encoding, data } => parts.certificates.push((encoding, data)),
                Payload::CertificateRequest { encoding, data } => parts.cert_requests.push((encoding, data)),
                Payload::Auth(auth) => once(&mut parts.auth, auth)?,
                Payload::TsInitiator(selectors) => once(&mut parts.ts_i, selectors)?,
                Payload::TsResponder(selectors) => once(&mut parts.ts_r, selectors)?,
                Payload::Notify(notify) => parts.notifies.push(notify),
                Payload::Delete(delete) => parts.deletes.push(delete),
                Payload::Configuration(configuration) => once(&mut parts.configuration, configuration)?,
                Payload::Other(_) => {}
            }
        }
        Ok(parts)
    }

    /// The first notification of this kind.
    pub(super) fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies.iter().find(|n| n.kind == kind)
    }

    /// The first notification that reports an error.
    pub(super) fn error(&self) -> Option<&Notify> {
        self.notifies.iter().find(|n| n.kind.is_error())
    }
}

/// CERT payloads in this order.
pub(super) fn certificates(of: Vec<(CertEncoding, Vec<u8>)>) -> impl Iterator<Item = Payload> {
    of.into_iter().map(|(encoding, data)| Payload::Certificate { encoding, data })
}

/// CERTREQ payloads in this order.
pub(super) fn cert_requests(of: Vec<(CertEncoding, Vec<u8>)>) -> impl Iterator<Item = Payload> {
    of.into_iter().map(|(encoding, data)| Payload::CertificateRequest { encoding, data })
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::Syntax("the same payload twice")),
    }
}

/// A payload that must be there.
pub(super) fn need<T>(part: Option<T>, what: &'static str) -> Result<T, Malformed> {
    part.ok_or(Malformed::Syntax(what))
}
