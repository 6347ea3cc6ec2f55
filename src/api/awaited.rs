//! What a tunnel that is being set up waits for.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What the attempt under way waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Awaited {
    /// The addresses of this name.
    Addresses {
        /// As configured.
        host: String,
    },
    /// The answer to a request.
    Answer {
        /// `IKE_SA_INIT` or `IKE_AUTH`.
        exchange: String,
        /// Where it was sent.
        remote: SocketAddr,
        /// How often.
        sent: u32,
        /// Since it was sent first.
        for_s: u64,
    },
    /// Whether the peer's certificates were revoked.
    Revocation,
}
