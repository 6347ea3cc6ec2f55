//! `CREATE_CHILD_SA` (RFC 7296 §1.3): a new Child SA, the rekey of one, or the rekey of the IKE SA.

use super::auth::ChildOffer;
use super::configuration::{ConfigReply, ConfigRequest};
use super::init::KeyExchangeData;
use super::parts::{Parts, need};
use crate::wire::{ChildSpi, Malformed, Notify, NotifyType, Payload, Proposal, ProtocolId};

/// A request for a Child SA (§1.3.1) or its rekey (§1.3.3).
#[derive(Clone, Debug)]
pub(crate) struct ChildRequest {
    /// The sender's inbound SPI of the one to replace.
    pub(crate) rekeys: Option<ChildSpi>,
    /// §2.19: an address can be asked for "in any request to create a Child SA".
    pub(crate) configuration: Option<ConfigRequest>,
    pub(crate) offer: ChildOffer,
    pub(crate) nonce: Vec<u8>,
    pub(crate) key_exchange: Option<KeyExchangeData>,
}

/// A request to replace the IKE SA (§1.3.2), and the answer to it.
#[derive(Clone, Debug)]
pub(crate) struct IkeRequest {
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) key_exchange: KeyExchangeData,
}

/// What a `CREATE_CHILD_SA` request asks.
#[derive(Clone, Debug)]
pub(crate) enum CreateChildRequest {
    Child(ChildRequest),
    Ike(IkeRequest),
}

impl CreateChildRequest {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let mut parts = Parts::sort(payloads)?;
        let nonce = need(parts.nonce.take(), "CREATE_CHILD_SA without nonce")?;
        let key_exchange = parts.key_exchange.take();
        let rekeys = match parts.notify(NotifyType::REKEY_SA) {
            Some(notify) => Some(notify.child_spi().ok_or(Malformed::Syntax("REKEY_SA"))?),
            None => None,
        };
        let configuration = ConfigRequest::read(parts.configuration.take())?;
        if let Some(offer) = ChildOffer::from_parts(&mut parts) {
            return Ok(Self::Child(ChildRequest { rekeys, configuration, offer, nonce, key_exchange }));
        }
        let proposals = need(parts.sa, "CREATE_CHILD_SA without SA")?;
        if proposals.iter().any(|p| p.protocol != ProtocolId::IKE) {
            return Err(Malformed::Syntax("CREATE_CHILD_SA without traffic selectors"));
        }
        let key_exchange = need(key_exchange, "rekey of the IKE SA without KE")?;
        Ok(Self::Ike(IkeRequest { proposals, nonce, key_exchange }))
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        match self {
            Self::Child(request) => request.write(),
            Self::Ike(request) => request.write(),
        }
    }

    /// The sender's half of a key exchange, if there is one.
    pub(crate) fn key_exchange(&self) -> Option<&KeyExchangeData> {
        match self {
            Self::Child(request) => request.key_exchange.as_ref(),
            Self::Ike(request) => Some(&request.key_exchange),
        }
    }
}

impl ChildRequest {
    fn write(self) -> Vec<Payload> {
        let rekeys = self.rekeys.map(|spi| Payload::Notify(Notify::about(NotifyType::REKEY_SA, spi)));
        let configuration = self.configuration.map(ConfigRequest::into_payload);
        let first = rekeys.into_iter().chain(configuration);
        first.chain(write(self.offer, self.nonce, self.key_exchange)).collect()
    }
}

/// What a request for a Child SA and its answer have in common.
fn write(
    offer: ChildOffer,
    nonce: Vec<u8>,
    key_exchange: Option<KeyExchangeData>,
) -> impl Iterator<Item = Payload> {
    let notify = offer.notify();
    let [sa, ts_i, ts_r] = offer.into_payloads();
    let key_exchange = key_exchange.map(KeyExchangeData::into_payload);
    let body = [sa, Payload::Nonce(nonce)].into_iter().chain(key_exchange).chain([ts_i, ts_r]);
    notify.into_iter().chain(body)
}

impl IkeRequest {
    fn write(self) -> Vec<Payload> {
        vec![Payload::Sa(self.proposals), Payload::Nonce(self.nonce), self.key_exchange.into_payload()]
    }
}

/// The answer to a `CREATE_CHILD_SA` request.
#[derive(Clone, Debug)]
pub(crate) enum CreateChildResponse {
    Child {
        /// Not read: we ask for an address in `IKE_AUTH` alone.
        configuration: Option<ConfigReply>,
        answer: ChildOffer,
        nonce: Vec<u8>,
        key_exchange: Option<KeyExchangeData>,
    },
    Ike(IkeRequest),
    /// Send it again with a public value of this group.
    InvalidKe(u16),
    /// There is no Child SA with this SPI of the asking end to rekey. Only written: read it is an error as any other.
    NotFound(ChildSpi),
    Error(NotifyType),
}

impl CreateChildResponse {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let parts = Parts::sort(payloads)?;
        if let Some(error) = parts.error() {
            return match (error.kind, <[u8; 2]>::try_from(error.data.as_slice())) {
                (NotifyType::INVALID_KE_PAYLOAD, Ok(group)) => Ok(Self::InvalidKe(u16::from_be_bytes(group))),
                (kind, _) => Ok(Self::Error(kind)),
            };
        }
        let mut parts = parts;
        let nonce = need(parts.nonce.take(), "CREATE_CHILD_SA without nonce")?;
        let key_exchange = parts.key_exchange.take();
        if let Some(answer) = ChildOffer::from_parts(&mut parts) {
            return Ok(Self::Child { configuration: None, answer, nonce, key_exchange });
        }
        Ok(Self::Ike(IkeRequest {
            proposals: need(parts.sa, "CREATE_CHILD_SA without SA")?,
            nonce,
            key_exchange: need(key_exchange, "rekey of the IKE SA without KE")?,
        }))
    }

    /// The sender's half of a key exchange, if there is one.
    pub(crate) fn key_exchange(&self) -> Option<&KeyExchangeData> {
        match self {
            Self::Child { key_exchange, .. } => key_exchange.as_ref(),
            Self::Ike(answer) => Some(&answer.key_exchange),
            Self::InvalidKe(_) | Self::NotFound(_) | Self::Error(_) => None,
        }
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        match self {
            // RFC 7296 §2.19: "the CP payload MUST be inserted before the SA payload".
            Self::Child { configuration, answer, nonce, key_exchange } => {
                let configuration = configuration.map(ConfigReply::into_payload);
                configuration.into_iter().chain(write(answer, nonce, key_exchange)).collect()
            }
            Self::Ike(answer) => answer.write(),
            Self::InvalidKe(group) => {
                vec![Payload::Notify(Notify::new(NotifyType::INVALID_KE_PAYLOAD, group.to_be_bytes()))]
            }
            // RFC 7296 §2.25: "indicated by the SPI field in the Notify payload, which is copied from the SPI field in the
            // REKEY_SA notification".
            Self::NotFound(spi) => vec![Payload::Notify(Notify::about(NotifyType::CHILD_SA_NOT_FOUND, spi))],
            Self::Error(kind) => vec![Payload::Notify(Notify::new(kind, []))],
        }
    }
}
