//! What is told of an IKE SA, of a Child SA, and of the packets that these carry.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// An IKE SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeSa {
    /// Cipher, pseudo-random function, key exchange.
    pub suite: String,
    /// The initiator's SPI, 16 hex digits.
    pub spi_i: String,
    /// The responder's SPI, 16 hex digits.
    pub spi_r: String,
    /// Whether we are the initiator of this IKE SA.
    pub initiator: bool,
    /// How the peer proved its identity: `pre-shared key`, or the kind of its signature.
    #[serde(default)]
    pub peer_auth: String,
    /// What could not be found out about the peer's certificate and was let pass.
    #[serde(default)]
    pub peer_auth_note: Option<String>,
    /// The subject of the peer's certificate.
    #[serde(default)]
    pub peer_certificate: Option<String>,
    /// When it or one above it expires.
    #[serde(default)]
    pub peer_certificate_expires: Option<Timestamp>,
    /// `good` or `unknown`; absent if revocation is not asked about.
    #[serde(default)]
    pub peer_revocation: Option<String>,
    /// When the answer was fetched from its server, the oldest of several, whenever it was looked at; one that the peer sent along
    /// counts from when it was made. For `unknown`, when it was asked for. Absent if lists from files say all.
    #[serde(default)]
    pub peer_revocation_checked: Option<Timestamp>,
    /// When the tunnel is ended for it, if it stays `unknown` and the policy is strict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_revocation_ends: Option<Timestamp>,
    /// Since it was set up.
    pub age_s: u64,
    /// Until it is replaced; absent once it is being replaced.
    pub rekey_in_s: Option<u64>,
    /// Our address is changed on the way to the peer.
    pub nat_here: bool,
    /// The peer's address is changed on the way to us. Absent where that is not known: a peer that asks for UDP says the same.
    pub nat_there: Option<bool>,
    /// Whether ESP is in UDP; otherwise it is IP protocol 50.
    #[serde(default = "yes")]
    pub esp_in_udp: bool,
    /// Whether that is what we ask for (`encapsulation = "always"`), whatever lies on the way.
    #[serde(default)]
    pub esp_in_udp_configured: bool,
    /// Since the peer last answered a request of ours, or the tunnel came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_answer_s: Option<u64>,
    /// How long a request of ours has been waiting for its answer, if it had to be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_for_s: Option<u64>,
}

/// Of a daemon that knew nothing else.
fn yes() -> bool {
    true
}

/// A Child SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Names it among all that the daemon ever had.
    pub id: u64,
    /// As configured.
    pub name: String,
    /// The SPI that we receive on, 8 hex digits.
    pub spi_in: String,
    /// The SPI that we send with, 8 hex digits.
    pub spi_out: String,
    /// Cipher, key exchange if it had one of its own, width of the sequence numbers.
    pub suite: String,
    /// Perfect forward secrecy: `own`, `off`, or, while it shares the IKE SA's key exchange, `first` (its rekeys are as
    /// both ends want them), `unproven` (not known yet) or `refused` (one end refuses the key exchange of its rekeys).
    pub pfs: String,
    /// Whether packets are padded to the MTU, so that their length tells nothing: `off`, `on`, or `refused` by the peer.
    #[serde(default = "off")]
    pub tfc_padding: String,
    /// What our side may send from.
    pub local: Vec<String>,
    /// What the peer's side may send from.
    pub remote: Vec<String>,
    /// Since it was set up.
    pub age_s: u64,
    /// Until it is replaced; absent once it is being replaced.
    pub rekey_in_s: Option<u64>,
    /// Until it ends whatever happens.
    pub expires_in_s: u64,
    /// Whether packets are sent on it.
    pub sending: bool,
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes of inner packets received.
    pub bytes_in: u64,
    /// Bytes of inner packets sent.
    pub bytes_out: u64,
    /// Since the last packet was accepted; absent if none was.
    #[serde(default)]
    pub last_in_s: Option<u64>,
    /// What was sent and brought nothing back, if that is worth a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Unanswered>,
}

/// Packets that were sent since the last one was accepted. Traffic of one direction looks like this too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// How many.
    pub packets: u64,
    /// Since the first of them.
    pub for_s: u64,
}

fn off() -> String {
    "off".to_owned()
}

/// How large packets may be on the way to a peer, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSize {
    /// Bytes of the largest packet that the tunnel carries whole.
    pub mtu: u16,
    /// Bytes of the largest packet that the path carries, with all that the tunnel adds.
    pub path_mtu: u16,
    /// `interface`: that of our own line, nothing says that the path carries less, and `proven` that it does not; `router`: a router said so; `probed`: a packet
    /// of that size has passed, and a larger one has not; `assumed`: larger ones got lost, how much passes is being found
    /// out; `configured`: `mtu` in `[daemon]` allows less than the path.
    pub source: String,
    /// Whether a packet of `path_mtu` bytes has passed.
    #[serde(default)]
    pub proven: bool,
    /// The router that said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<IpAddr>,
    /// Seconds until it is tried whether more passes by now; absent where that is being found out, or the path is not known to carry
    /// less than our line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_again_in_s: Option<u64>,
    /// What is larger is fragmented inside the tunnel or refused, and nothing is fragmented on its way.
    pub dont_fragment: bool,
}
