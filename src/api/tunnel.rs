//! What `status` tells of a configured tunnel, and of its peers where they are many.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Awaited, Child, Failed, IkeSa, NearMiss, PacketSize, Timestamp};

/// A configured tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// As configured.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Who we are.
    pub local_id: String,
    /// Who the peer is.
    pub remote_id: String,
    /// Where the peer is as configured: addresses and names; empty: anywhere.
    #[serde(default)]
    pub remote_hosts: Vec<String>,
    /// Our address, while it is up.
    pub local: Option<SocketAddr>,
    /// The peer's address, while it is up.
    pub remote: Option<SocketAddr>,
    /// Whether its pre-shared key is weak, which only `allow_weak_psk` makes possible.
    pub weak_psk: bool,
    /// When our certificate, or one that we send with it, begins to be valid, if it is not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_begins: Option<Timestamp>,
    /// When our certificate expires, or one that we send with it before that.
    #[serde(default)]
    pub certificate_expires: Option<Timestamp>,
    /// Whole days until then; negative once it has.
    #[serde(default)]
    pub certificate_days_left: Option<i64>,
    /// The same of the peer's, and of those up to its authority's, while the tunnel is up.
    #[serde(default)]
    pub peer_certificate_expires: Option<Timestamp>,
    /// Whole days until then; negative once it has.
    #[serde(default)]
    pub peer_certificate_days_left: Option<i64>,
    /// Whether `sekisho up` sets it up from here: it has one peer, at an address that is known, and a child that we may set up.
    #[serde(default)]
    pub startable: bool,
    /// Attempts since the last success.
    pub attempts: u32,
    /// Until the next attempt, if one is scheduled.
    pub next_try_in_s: Option<u64>,
    /// What the attempt under way waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// The last failure since the last success.
    pub last_failure: Option<Failed>,
    /// How often it came one after the other; 0 without one.
    #[serde(default)]
    pub failure_times: u32,
    /// Whom we refused, if that is the failure: the address that asked, whoever was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_from: Option<IpAddr>,
    /// Refusals that named no tunnel and were perhaps meant for this one, the newest last. Nobody proved anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
    /// What deserves a look although traffic passes: that the peer refuses the key exchange of rekeys.
    #[serde(default)]
    pub warnings: Vec<Failed>,
    /// Since the tunnel came up; its SAs may be younger.
    pub age_s: Option<u64>,
    /// The IKE SA, while it is up.
    pub ike: Option<IkeSa>,
    /// How large packets may be, while it is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketSize>,
    /// The addresses inside it that one end gave to the other, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<Internal>,
    /// The Child SAs, the ones being replaced included.
    pub children: Vec<Child>,
    /// The children as configured, also those that have no Child SA.
    #[serde(default)]
    pub configured_children: Vec<ConfiguredChild>,
    /// Networks of our side that are blocked, since a tunnel protected them before; until `sekisho unprotect NETWORK`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_local: Vec<String>,
    /// Networks that this machine is on, address and interface, and that lie in the peer's networks: they are reached through the
    /// tunnel only, which is seldom meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_off: Vec<String>,
    /// How many tunnels stand: several for many peers, or where one peer may have several side by side. What is said
    /// above of a tunnel that is up is said of the newest.
    #[serde(default)]
    pub peers_up: usize,
    /// The tunnels of many peers, or of one that has several, in the order they came up: [`PEERS_SHOWN`] at most.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Packets received and accepted since the tunnel came up, as the following: of all that stand.
    pub packets_in: u64,
    /// Packets sent since the tunnel came up.
    pub packets_out: u64,
    /// Bytes of inner packets received since the tunnel came up.
    pub bytes_in: u64,
    /// Bytes of inner packets sent since the tunnel came up.
    pub bytes_out: u64,
}

/// The longest list of peers of one tunnel.
pub const PEERS_SHOWN: usize = 256;

/// A child as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredChild {
    /// Its name.
    pub name: String,
    /// When it is set up: `always`, `on-demand` or `listen`.
    pub start: String,
    /// What it is doing.
    pub state: ChildState,
    /// What our side may send from.
    pub local: Vec<String>,
    /// What the peer's side may send from.
    pub remote: Vec<String>,
    /// While it is up: what of `local` its Child SAs do not carry, since the peer let them carry less (narrowing).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_local: Vec<String>,
    /// The same of `remote`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_remote: Vec<String>,
    /// While it is up: what of our side the peer asked for besides and was not given, since it is not configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_local: Vec<String>,
    /// The same of the peer's side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_remote: Vec<String>,
}

/// What a configured child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildState {
    /// It has a Child SA that is sent on.
    Up,
    /// It is being set up.
    Connecting,
    /// The last attempt failed; the next is scheduled.
    Backoff,
    /// It waits for a packet.
    Idle,
    /// It waits for the peer.
    Listening,
    /// An operator took the tunnel down.
    Down,
}

/// One of several tunnels of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Who it proved to be.
    pub remote_id: String,
    /// Our address.
    pub local: SocketAddr,
    /// Its address.
    pub remote: SocketAddr,
    /// Since its tunnel came up.
    pub age_s: u64,
    /// The IKE SA.
    pub ike: IkeSa,
    /// How large packets may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<PacketSize>,
    /// The Child SAs, the ones being replaced included.
    pub children: Vec<Child>,
    /// Packets received and accepted since its tunnel came up.
    pub packets_in: u64,
    /// Packets sent since its tunnel came up.
    pub packets_out: u64,
    /// Bytes of inner packets received since its tunnel came up.
    pub bytes_in: u64,
    /// Bytes of inner packets sent since its tunnel came up.
    pub bytes_out: u64,
}

/// What a tunnel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It stands.
    Up,
    /// It is being set up.
    Connecting,
    /// The last attempt failed; the next is scheduled.
    Backoff,
    /// Nothing is to be done until a packet comes for one of its networks.
    Idle,
    /// We only answer, and nobody asked yet.
    Waiting,
    /// An operator took it down.
    AdminDown,
}

impl From<sekisho_ike::event::ConnectionState> for State {
    fn from(state: sekisho_ike::event::ConnectionState) -> Self {
        use sekisho_ike::event::ConnectionState as From;
        match state {
            From::Waiting => Self::Waiting,
            From::Idle => Self::Idle,
            From::Connecting => Self::Connecting,
            From::Up => Self::Up,
            From::BackOff => Self::Backoff,
            From::AdminDown => Self::AdminDown,
        }
    }
}

/// Addresses inside a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internal {
    /// Who gave them: `peer` (they are ours), or `here` (they are the peer's).
    pub given_by: String,
    /// At most one of IPv4 and one of IPv6.
    pub addresses: Vec<IpAddr>,
    /// Name servers that go with them.
    pub dns: Vec<IpAddr>,
}

impl From<sekisho_ike::event::InnerAddresses> for Internal {
    fn from(inner: sekisho_ike::event::InnerAddresses) -> Self {
        let given_by = if inner.ours { "peer" } else { "here" };
        Self { given_by: given_by.to_owned(), addresses: inner.addresses, dns: inner.dns }
    }
}
