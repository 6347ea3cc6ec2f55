//! What `status` and `sas` tell. The field names are stable; times are whole seconds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Diagnosis, Timestamp};

/// The daemon and every configured tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Since the daemon's start.
    pub uptime_s: u64,
    /// The TUN device.
    pub interface: String,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// How many workers the data path has, each with its own queue and sockets.
    #[serde(default)]
    pub workers: usize,
    /// Settings that changed and take effect at the next start of the daemon.
    #[serde(default)]
    pub restart_needed: Vec<String>,
    /// What is exchanged with it in one read or write.
    #[serde(default)]
    pub offloads: Offloads,
    /// What of clear text in the name of protected networks is let in for want of what the kernel lacks; nothing, as it should be.
    #[serde(default)]
    pub unguarded: Option<String>,
    /// By name, also those that are down.
    pub tunnels: Vec<Tunnel>,
    /// Packets and messages dropped, by reason (stable words).
    pub drops: BTreeMap<String, u64>,
    /// The pools that peers get their addresses from, by name.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Refusals of late that named no tunnel and were kept with none, the newest last. Nobody proved anything.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// Networks that no tunnel protects any more and that stay blocked until `sekisho unprotect --stale`.
    #[serde(default)]
    pub stale: Vec<String>,
}

/// Packets of one flow that are exchanged with the TUN device many at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offloads {
    /// `auto` or `off`, as configured.
    pub configured: String,
    /// Whether TCP segments are.
    pub tcp: bool,
    /// Whether UDP datagrams are.
    pub udp: bool,
    /// Why not more: each step that the kernel refused, and its answer.
    pub refused: Vec<String>,
}

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

/// How large packets may be on the way to a peer, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSize {
    /// Bytes of the largest packet that the tunnel carries whole.
    pub mtu: u16,
    /// Bytes of the largest packet that the path carries, with all that the tunnel adds.
    pub path_mtu: u16,
    /// `interface`: that of our own line, nothing says that the path carries less; `router`: a router said so; `probed`: a packet
    /// of that size has passed, and a larger one has not; `assumed`: larger ones got lost, how much passes is being found
    /// out; `configured`: `mtu` in `[daemon]` allows less than the path.
    pub source: String,
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

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// As configured.
    pub name: String,
    /// IPv4 addresses that peers hold.
    pub ipv4_used: u64,
    /// IPv4 addresses that there are.
    pub ipv4_size: u64,
    /// IPv6 addresses that peers hold.
    pub ipv6_used: u64,
    /// IPv6 addresses that there are; the largest number that fits, if there are more.
    pub ipv6_size: u64,
    /// How often a peer was told that there is none left, since the daemon's start.
    pub refused: u64,
}

impl From<sekisho_ike::event::PoolStatus> for Pool {
    fn from(pool: sekisho_ike::event::PoolStatus) -> Self {
        let [ipv4_used, ipv6_used] = pool.used.map(|used| u64::try_from(used).unwrap_or(u64::MAX));
        let [ipv4_size, ipv6_size] = pool.size.map(|size| u64::try_from(size).unwrap_or(u64::MAX));
        Self {
            name: pool.pool.to_string(),
            ipv4_used,
            ipv4_size,
            ipv6_used,
            ipv6_size,
            refused: pool.refused,
        }
    }
}

impl From<sekisho_ike::event::InnerAddresses> for Internal {
    fn from(inner: sekisho_ike::event::InnerAddresses) -> Self {
        let given_by = if inner.ours { "peer" } else { "here" };
        Self { given_by: given_by.to_owned(), addresses: inner.addresses, dns: inner.dns }
    }
}

/// A failure and when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Unix time.
    pub at: u64,
    /// What happened and what to change.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
}

/// A refusal that was perhaps meant for a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// Where it came from.
    pub remote: IpAddr,
    /// What speaks for it: `address` (the tunnel's peer is or was there) or `identity` (it calls itself almost so).
    pub likeness: String,
    /// How often the same happened.
    pub times: u32,
    /// The last time, and why.
    #[serde(flatten)]
    pub failed: Failed,
}

/// A refusal that named no tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it came from.
    pub remote: IpAddr,
    /// How often the same happened.
    pub times: u32,
    /// The last time, and why.
    #[serde(flatten)]
    pub failed: Failed,
}

impl From<sekisho_ike::event::Refusal> for Refused {
    fn from(refusal: sekisho_ike::event::Refusal) -> Self {
        let failed = Failed { at: refusal.at, diagnosis: (&refusal.diagnosis).into() };
        Self { remote: refusal.remote, times: refusal.times, failed }
    }
}

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

/// The SAs that stand: the tunnels of [`Status`] that have any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sas {
    /// By name.
    pub tunnels: Vec<Tunnel>,
}

impl From<Status> for Sas {
    fn from(status: Status) -> Self {
        let stands = |tunnel: &Tunnel| tunnel.ike.is_some() || !tunnel.children.is_empty();
        Self { tunnels: status.tunnels.into_iter().filter(stands).collect() }
    }
}
