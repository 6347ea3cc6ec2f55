//! What the endpoint tells the shell, and what the shell may ask of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Connection, ConnectionError, Name};
use crate::diagnosis::Diagnosis;
use crate::identity::{Identity, PeerProof};
use crate::negotiate::TrafficSelector;
use crate::path::Path;
use crate::pki::{Answer, Fetch};
use crate::secret::Secret;
use crate::suite::{EspSuite, IkeSuite};
use crate::time::{Instant, Now};
use crate::wire::{EspSpi, IkeSpi};
use crate::work::{Class, Done, Work};

/// A tunnel: an IKE SA, the IKE SAs that replace it, and their Child SAs. Never used again in an endpoint's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelId(pub u64);

/// A Child SA. Never used again in an endpoint's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildSaId(pub u64);

/// A fact for the shell. Events of one drain are to be handled before its transmits leave.
#[derive(Debug)]
pub enum Event {
    /// A peer proved its identity and an IKE SA stands.
    TunnelUp(Box<IkeSaRecord>),
    /// The IKE SA was replaced; the Child SAs go on.
    IkeSaRekeyed(Box<IkeSaRecord>),
    /// The tunnel is gone; its Child SAs are reported as [`Event::Retired`] before this.
    TunnelDown {
        /// Which.
        tunnel: TunnelId,
        /// Its connection.
        connection: Name,
        /// Why.
        reason: EndReason,
    },
    /// Install this Child SA for receiving, before the transmits of the same drain leave. Do not send on it yet.
    InboundReady(Box<ChildSaParameters>),
    /// Send on this one from now on, in place of the one it replaces.
    OutboundSwitch {
        /// Which.
        child_sa: ChildSaId,
    },
    /// Stop sending on this one, receive on it still (its end is near).
    OutboundStop {
        /// Which.
        child_sa: ChildSaId,
    },
    /// Remove this one altogether.
    Retired {
        /// Which.
        child_sa: ChildSaId,
        /// Why.
        reason: EndReason,
    },
    /// The peer's or our address changed: ESP of this tunnel goes this way from now on.
    PathChanged {
        /// Which.
        tunnel: TunnelId,
        /// The new way.
        path: Path,
    },
    /// An attempt to set up a tunnel or a Child SA failed, ours or a peer's.
    NegotiationFailed {
        /// The connection, if it was known by then.
        connection: Option<Name>,
        /// Where the peer is, if that was known.
        remote: Option<IpAddr>,
        /// What happened and what to do.
        diagnosis: Box<Diagnosis>,
        /// When the next attempt is made, for a connection that we initiate.
        next_try: Option<Instant>,
    },
}

/// What is known of an IKE SA that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeSaRecord {
    /// The tunnel it belongs to.
    pub tunnel: TunnelId,
    /// The configured connection.
    pub connection: Name,
    /// The initiator's SPI.
    pub spi_i: IkeSpi,
    /// The responder's SPI.
    pub spi_r: IkeSpi,
    /// Whether we are the initiator of this IKE SA.
    pub initiator: bool,
    /// Who we are.
    pub local_id: Identity,
    /// Who the peer proved to be.
    pub remote_id: Identity,
    /// How it proved that.
    pub remote_proof: PeerProof,
    /// Its algorithms.
    pub suite: IkeSuite,
    /// How its messages travel.
    pub path: Path,
    /// Whether a NAT was detected on the way.
    pub nat: NatStatus,
    /// When it was set up.
    pub established: Now,
    /// When it will be replaced; `None` once its rekey is under way.
    pub rekey_at: Option<Instant>,
}

/// What NAT detection saw (RFC 7296 §2.23). A peer that forces encapsulation looks like one behind a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatStatus {
    /// Our address was changed on the way to the peer.
    pub here: bool,
    /// The peer's address was changed on the way to us, or it says so to force encapsulation.
    pub there: bool,
}

/// Everything the data path needs for one Child SA.
#[derive(Debug)]
pub struct ChildSaParameters {
    /// Names it in all later events.
    pub id: ChildSaId,
    /// The tunnel it belongs to.
    pub tunnel: TunnelId,
    /// The configured connection.
    pub connection: Name,
    /// The configured child.
    pub child: Name,
    /// The one it replaces.
    pub replaces: Option<ChildSaId>,
    /// Who the peer proved to be.
    pub remote_id: Identity,
    /// Its algorithms.
    pub suite: EspSuite,
    /// What the peer sends with.
    pub inbound: DirectionKeys,
    /// What we send with.
    pub outbound: DirectionKeys,
    /// What our side may send from.
    pub local: Vec<TrafficSelector>,
    /// What the peer's side may send from.
    pub remote: Vec<TrafficSelector>,
    /// How its packets travel.
    pub path: Path,
    /// When it was set up.
    pub established: Now,
}

/// SPI and key of one direction.
#[derive(Debug)]
pub struct DirectionKeys {
    /// The receiver's SPI.
    pub spi: EspSpi,
    /// Key and salt, or encryption key and integrity key: [`crate::suite::Protection::keymat_length`] bytes.
    pub keymat: Secret,
}

/// Why an SA ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A newer one took its place.
    Rekeyed,
    /// The peer deleted it.
    DeletedByPeer,
    /// `sekisho down`, or it is no longer in the configuration.
    DeletedHere,
    /// The daemon stops.
    Shutdown,
    /// No answer within the retransmission schedule.
    PeerDead,
    /// The peer set up another tunnel for the same identities.
    Replaced,
    /// It reached its hard limit without having been replaced.
    Expired,
    /// No packet passed for as long as its configuration gives it; it comes back on demand.
    Inactive,
    /// The IKE SA failed for the reason given.
    Failed(Box<Diagnosis>),
}

impl EndReason {
    /// A stable word for records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rekeyed => "rekeyed",
            Self::DeletedByPeer => "deleted_by_peer",
            Self::DeletedHere => "deleted_here",
            Self::Shutdown => "shutdown",
            Self::PeerDead => "peer_dead",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Inactive => "inactive",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rekeyed => "replaced by a rekey",
            Self::DeletedByPeer => "the peer deleted it",
            Self::DeletedHere => "deleted here",
            Self::Shutdown => "the daemon stopped",
            Self::PeerDead => "the peer does not answer any more",
            Self::Replaced => "the peer set up a new tunnel",
            Self::Expired => "its hard lifetime ended before it could be replaced",
            Self::Inactive => "no packet passed for its inactivity time",
            Self::Failed(diagnosis) => return diagnosis.fmt(f),
        })
    }
}

/// What an operator, the shell or the data path asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace the configuration: what did not change keeps its SAs, what changed is set up anew, what is gone is
    /// deleted.
    Configure(Vec<Arc<Connection>>),
    /// Set it up now, and allow it again after a `Down`.
    Up(Name),
    /// Delete it, do not retry, and refuse the peer until `Up`.
    Down(Name),
    /// The data path has a packet for this child and no SA to send it on: set the child up, and the tunnel if there
    /// is none. May be repeated at will: what was refused is asked for again only after its back-off.
    Acquire {
        /// The connection.
        connection: Name,
        /// Its child.
        child: Name,
    },
    /// Replace the IKE SA now.
    RekeyIke(Name),
    /// Replace the Child SAs now.
    RekeyChildren(Name),
    /// Delete one Child SA (and whatever replaced it by then).
    DeleteChild(ChildSaId),
    /// A line or an address came (back): try again at once, and probe what stands.
    NetworkChanged,
    /// The first packet arrived on the inbound SPI of this Child SA.
    FirstPacket(ChildSaId),
    /// What a Child SA has carried until now.
    Usage(ChildSaId, Usage),
    /// Delete everything and take nothing new: the daemon stops.
    Shutdown,
}

/// What a Child SA has carried until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes of inner packets received.
    pub bytes_in: u64,
    /// Bytes of inner packets sent.
    pub bytes_out: u64,
    /// When the last one was accepted.
    pub last_in: Option<Instant>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No connection has this name.
    #[error("no tunnel is named `{0}`")]
    Unknown(Name),
    /// It cannot be done in this state.
    #[error("tunnel `{0}` is not up")]
    NotUp(Name),
    /// We only answer for it.
    #[error("tunnel `{0}` has no `remote` address: only the peer can start it")]
    CannotInitiate(Name),
    /// The connection has no such child.
    #[error("tunnel `{0}` has no child named `{1}`")]
    UnknownChild(Name, Name),
    /// Only the peer sets this child up.
    #[error("child `{1}` of tunnel `{0}` is set up by the peer alone")]
    OnlyAnswered(Name, Name),
    /// An operator took it down.
    #[error("tunnel `{0}` was taken down")]
    AdminDown(Name),
    /// A connection of the new configuration cannot be.
    #[error(transparent)]
    Invalid(#[from] ConnectionError),
    /// The endpoint stops.
    #[error("the daemon is stopping")]
    Stopping,
}

/// Slow work for the shell to do off the loop. Each is answered by one [`Completion`], whatever happens.
#[derive(Debug)]
pub struct Job {
    /// Names it in [`crate::Endpoint::handle_completion`].
    pub id: JobId,
    /// Whose it is.
    pub class: Class,
    /// What to do.
    pub kind: JobKind,
}

/// Names a job. Never used again in an endpoint's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// What to do.
#[derive(Debug)]
pub enum JobKind {
    /// Find paths (source and destination address, plain IKE port) to a host name or address.
    Resolve {
        /// The connection it is for.
        connection: Name,
        /// The host, as configured.
        host: String,
    },
    /// Run it on any thread.
    Compute(Work),
    /// Find out about revocation; an answer that was had before and is still good will do.
    Fetch(Fetch),
}

/// What came of a job.
#[derive(Debug)]
pub enum Completion {
    /// Paths to the host, best first; or why there is none, as a sentence for the operator.
    Resolved(Result<Vec<Path>, String>),
    /// What [`Work::run`] returned.
    Computed(Done),
    /// What came of the fetch, a failure included.
    Fetched(Answer),
    /// It could not be done: why, as a sentence for the operator.
    Failed(String),
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Which way. For [`crate::Transport::UdpEncap`] the shell adds the non-ESP marker, except to a keepalive.
    pub path: Path,
    /// What it is.
    pub payload: Payload,
}

/// What a datagram is.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// An IKE message.
    Ike(Vec<u8>),
    /// A NAT keepalive: one byte of 0xff (RFC 3948 §2.3).
    Keepalive,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ike(bytes) => write!(f, "Ike({} bytes)", bytes.len()),
            Self::Keepalive => f.write_str("Keepalive"),
        }
    }
}

/// The next deadline and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When to call `handle_timeout`.
    pub at: Instant,
    /// What happens then.
    pub reason: DeadlineReason,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineReason {
    /// A request is sent again or given up.
    Retransmit,
    /// A half-open SA is forgotten.
    HalfOpenExpiry,
    /// The peer is probed.
    Liveness,
    /// A NAT keepalive is sent.
    Keepalive,
    /// A queued exchange may be tried (again).
    Task,
    /// An SA is replaced.
    Rekey,
    /// An SA reaches its hard limit.
    Expire,
    /// The grace time of a replaced Child SA ends.
    Retire,
    /// A connection is tried again.
    Retry,
}

/// A connection as `status` shows it.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// As configured.
    pub connection: Arc<Connection>,
    /// What it is doing.
    pub state: ConnectionState,
    /// The tunnel, if it stands; the newest, if there are several.
    pub tunnel: Option<TunnelStatus>,
    /// All tunnels, in the order they came up: several for a connection with many peers, where they stand side by side,
    /// and while both ends sort out which is to stay.
    pub tunnels: Vec<TunnelStatus>,
    /// The last failure since the last success, and the wall-clock time of it.
    pub last_failure: Option<(u64, Diagnosis)>,
    /// When the next attempt is made.
    pub next_try: Option<Instant>,
    /// Attempts since the last success.
    pub attempts: u32,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// We only answer, and nobody asked yet.
    Waiting,
    /// Nothing is to be done until a packet comes for one of its children.
    Idle,
    /// We are setting it up.
    Connecting,
    /// It stands, and every child that is to stand without being asked for.
    Up,
    /// The last attempt failed; the next is scheduled.
    BackOff,
    /// An operator took it down.
    AdminDown,
}

impl ConnectionState {
    /// A stable word for `status --json`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::BackOff => "backoff",
            Self::AdminDown => "admin_down",
        }
    }
}

/// A tunnel as `status` shows it.
#[derive(Clone, Debug)]
pub struct TunnelStatus {
    /// When the tunnel came up; its IKE SA may be younger.
    pub established: Instant,
    /// Its present IKE SA.
    pub ike_sa: IkeSaRecord,
    /// Its Child SAs, the ones being replaced included.
    pub children: Vec<ChildSaStatus>,
}

/// Perfect forward secrecy of a Child SA: whether its keys are safe from one who learns those of the IKE SA later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pfs {
    /// It was made with its IKE SA and shares that one's key exchange.
    First,
    /// It had a key exchange of its own.
    Own,
    /// It had none: that is how we are configured, or the peer would not and the configuration allows it.
    Off,
}

impl Pfs {
    /// A stable word for records and scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Own => "own",
            Self::Off => "off",
        }
    }
}

/// A Child SA as `status` shows it.
#[derive(Clone, Debug)]
pub struct ChildSaStatus {
    /// Names it in events.
    pub id: ChildSaId,
    /// The configured child.
    pub child: Name,
    /// The SPI that we receive on.
    pub spi_in: EspSpi,
    /// The SPI that we send with.
    pub spi_out: EspSpi,
    /// Its algorithms.
    pub suite: EspSuite,
    /// Whether its keys are its own.
    pub pfs: Pfs,
    /// What our side may send from.
    pub local: Vec<TrafficSelector>,
    /// What the peer's side may send from.
    pub remote: Vec<TrafficSelector>,
    /// When it was set up.
    pub established: Now,
    /// When it will be replaced; `None` once it is being replaced.
    pub rekey_at: Option<Instant>,
    /// When it ends whatever happens.
    pub expires_at: Instant,
    /// Whether packets are sent on it.
    pub sending: bool,
}

/// How long from `now` until `at`: for `status`.
pub fn until(now: Now, at: Instant) -> Duration {
    at.since(now.boot)
}
