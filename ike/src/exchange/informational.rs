//! `INFORMATIONAL` (RFC 7296 §1.4): deletes, notifications, or nothing at all (a probe of liveness).

use super::parts::Parts;
use crate::wire::{Delete, EspSpi, Malformed, Notify, NotifyType, Payload};

/// A request or its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Informational {
    /// The IKE SA that carries it is deleted.
    pub(crate) delete_ike: bool,
    /// Child SAs deleted, by the sender's inbound SPIs.
    pub(crate) delete_esp: Vec<EspSpi>,
    /// The first error reported.
    pub(crate) error: Option<NotifyType>,
}

impl Informational {
    pub(crate) fn read(payloads: Vec<Payload>) -> Result<Self, Malformed> {
        let parts = Parts::sort(payloads)?;
        let mut message = Self { error: parts.error().map(|n| n.kind), ..Self::default() };
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
        ike.into_iter().chain(esp).chain(error).collect()
    }
}
