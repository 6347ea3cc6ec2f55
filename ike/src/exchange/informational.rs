//! `INFORMATIONAL` (RFC 7296 §1.4): deletes, notifications, configuration, or nothing at all (a probe of liveness).

use super::configuration::{ConfigReply, ConfigRequest};
use super::parts::Parts;
use crate::wire::{Configuration, ConfigurationType, Delete, EspSpi, Malformed, Notify, NotifyType, Payload};

/// A request or its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Informational {
    /// The IKE SA that carries it is deleted.
    pub(crate) delete_ike: bool,
    /// Child SAs deleted, by the sender's inbound SPIs.
    pub(crate) delete_esp: Vec<EspSpi>,
    /// It is there for its size (`PATH_MTU_PROBE`); only in a request.
    pub(crate) probes_path: bool,
    /// The first error reported.
    pub(crate) error: Option<NotifyType>,
    /// An address is asked for; only in a request.
    pub(crate) asks: Option<ConfigRequest>,
    /// The answer to that.
    pub(crate) gives: Option<ConfigReply>,
}

impl Informational {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let parts = Parts::sort(payloads)?;
        let asks = |c: &Configuration| c.kind == ConfigurationType::CFG_REQUEST;
        let asks = ConfigRequest::read(parts.configuration.clone().filter(asks))?;
        let probes_path = parts.notify(NotifyType::PATH_MTU_PROBE).is_some();
        let error = parts.error().map(|n| n.kind);
        let mut message = Self { probes_path, error, asks, ..Self::default() };
        for delete in parts.deletes {
            match delete {
                Delete::Ike => message.delete_ike = true,
                Delete::Esp(spis) => message.delete_esp.extend(spis),
                Delete::Other(_) => {}
            }
        }
        Ok(message)
    }

    pub(crate) fn write(self) -> Vec<Payload> {
        let ike = self.delete_ike.then_some(Payload::Delete(Delete::Ike));
        let esp = (!self.delete_esp.is_empty()).then_some(Payload::Delete(Delete::Esp(self.delete_esp)));
        let error = self.error.map(|kind| Payload::Notify(Notify::new(kind, [])));
        let asks = self.asks.map(ConfigRequest::into_payload);
        let gives = self.gives.map(ConfigReply::into_payload);
        ike.into_iter().chain(esp).chain(error).chain(asks).chain(gives).collect()
    }
}
