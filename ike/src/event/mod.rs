//! What the endpoint tells the shell, and what the shell may ask of it.

mod job;
mod status;
mod trigger;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Connection, ConnectionError, DontFragment, Name, Pool};
use crate::diagnosis::Diagnosis;
use crate::identity::{Identity, PeerProof};
use crate::negotiate::TrafficSelector;
use crate::path::Path;
use crate::secret::Secret;
use crate::suite::{EspSuite, IkeSuite};
use crate::time::{Instant, Now};
use crate::wire::{EspSpi, IkeSpi};

pub use job::{Completion, Job, JobId, JobKind};
pub use status::{
    Awaited, ChildSaStatus, ConnectionState, ConnectionStatus, InnerAddresses, Likeness, NearMiss, Pfs,
    PoolStatus, Refusal, TunnelStatus, until,
};
pub use trigger::Trigger;

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
    /// One end gave the other addresses inside the tunnel: told before the first Child SA that carries them, and again
    /// when there are more. They go with the tunnel.
    AddressesAssigned(Box<Assignment>),
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
        /// Whether ESP is in UDP.
        encapsulated: bool,
    },
    /// What a path carries by all that is known, after [`Command::LineCarries`]: told again whenever it changes.
    PathMtu {
        /// Which.
        tunnel: TunnelId,
        /// Bytes of the largest IP packet: of ESP as well as IKE.
        mtu: u16,
        /// A packet of that size has passed; else it is a guess.
        proven: bool,
    },
    /// An attempt to set up a tunnel or a Child SA failed, ours or a peer's.
    NegotiationFailed {
        /// The connection, if it was known by then.
        connection: Option<Name>,
        /// The tunnel, if it stood already.
        tunnel: Option<TunnelId>,
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
    /// Whether its messages may travel in fragments (RFC 7383).
    pub fragmentation: bool,
    /// Whether packets of its Child SAs may be fragmented on their way, as configured.
    pub dont_fragment: DontFragment,
    /// Whether a NAT was detected on the way.
    pub nat: NatStatus,
    /// When it was set up.
    pub established: Now,
    /// When it will be replaced; `None` once its rekey is under way.
    pub rekey_at: Option<Instant>,
}

/// Addresses that one end of a tunnel gave to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The tunnel.
    pub tunnel: TunnelId,
    /// The configured connection.
    pub connection: Name,
    /// Who the peer proved to be.
    pub remote_id: Identity,
    /// All that were given.
    pub inner: InnerAddresses,
}

/// What NAT detection saw (RFC 7296 §2.23). A peer that forces encapsulation looks like one behind a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatStatus {
    /// Our address was changed on the way to the peer.
    pub here: bool,
    /// The peer's address was changed on the way to us, or it says so to force encapsulation.
    pub there: bool,
    /// It says so to force encapsulation, in the way that we do, and its address is the one that we see.
    pub there_asks: bool,
    /// We said so of our own, to force encapsulation.
    pub forced: bool,
}

impl NatStatus {
    /// Whether ESP is in UDP: "If a NAT is detected, both devices MUST use UDP encapsulation for ESP" (RFC 7296 §2.23). Else it
    /// is a protocol of its own between the two addresses, whatever port IKE uses.
    pub fn encapsulates(self) -> bool {
        self.here || self.there || self.forced
    }
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
    /// How its packets travel: between these addresses, and if they are encapsulated these ports.
    pub path: Path,
    /// Whether ESP is in UDP.
    pub encapsulated: bool,
    /// When it was set up.
    pub established: Now,
    /// When it must not be used any more. It was replaced or [`Event::Retired`] by then, unless the endpoint was not driven.
    pub expires_at: Instant,
    /// Whether what we send hides how long it is.
    pub tfc_padding: TfcPadding,
    /// What the peer asked for besides.
    pub withheld: Option<Box<Withheld>>,
}

/// What a peer asked for and was not given, since it is not configured here (RFC 7296 §2.9). Without what it cannot know: the
/// part that is one of many peers', or an address that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Of our side.
    pub local: Vec<TrafficSelector>,
    /// Of its own side.
    pub remote: Vec<TrafficSelector>,
}

/// Whether packets are padded to the MTU, so that their length tells nothing (RFC 4303 §2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TfcPadding {
    /// It is not configured.
    #[default]
    Off,
    /// They are.
    On,
    /// It is configured, and the peer does not accept it: they are not.
    Refused,
}

impl TfcPadding {
    /// A stable word for `status --json`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Refused => "refused",
        }
    }
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
    /// Replace the pools, before the `Configure` that names them. A pool that grows keeps its leases; a tunnel whose
    /// address is in none of its pools any more ends.
    ConfigurePools(Vec<Pool>),
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
        /// The packet, if it was one.
        packet: Option<Box<Trigger>>,
    },
    /// Replace the IKE SA now.
    RekeyIke(Name),
    /// Replace the Child SAs now.
    RekeyChildren(Name),
    /// Replace one Child SA now.
    RekeyChild(ChildSaId),
    /// Delete one Child SA (and whatever replaced it by then).
    DeleteChild(ChildSaId),
    /// What is known of revocation may be out of date, as of now: have it asked about the peers that stand, spread over a while,
    /// about those that come up from now on whatever they send along, and about our own certificates.
    ReviewPeers,
    /// A line or an address came (back): try again at once, and probe what stands.
    NetworkChanged,
    /// The first packet arrived on the inbound SPI of this Child SA.
    FirstPacket(ChildSaId),
    /// What a Child SA has carried until now.
    Usage(ChildSaId, Usage),
    /// The line that a tunnel's packets leave by carries IP packets of this many bytes: find out whether the whole path does,
    /// now and from time to time. Ended by [`Event::PathChanged`]: it is to be said again of the new path. Of no effect
    /// where the peer takes no fragments or the configuration forbids it.
    LineCarries(TunnelId, u16),
    /// A router said, and proved that it is on the path, that the path carries no more than this many bytes.
    PathTooNarrow(TunnelId, u16),
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

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Which way. For [`crate::Transport::UdpEncap`] the shell adds the non-ESP marker, except to a keepalive.
    pub path: Path,
    /// What it is.
    pub payload: Payload,
    /// Nobody on the way may fragment it, nor may we: whether it arrives whole is what is to be found out. All others are to arrive
    /// in any way.
    pub dont_fragment: bool,
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
    /// A peer whose tunnel stands is judged again.
    Review,
    /// Whoever says whether our own certificate is good is asked again.
    Staple,
    /// How much a path carries is found out (again).
    PathMtu,
}
