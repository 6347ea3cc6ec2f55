//! Whether both ends take IKE messages in fragments (RFC 7383 §2.3).

use crate::wire::{Notify, NotifyType};

/// Says that we do.
pub fn notify() -> Notify {
    Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, [])
}

/// Whether the peer said so.
pub fn is_supported(notifies: &[Notify]) -> bool {
    notifies.iter().any(|notify| notify.kind == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED)
}
