//! Connections, tunnels and Child SAs as `status` shows them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{ChildSaId, IkeSaRecord, TfcPadding, Withheld};
use crate::config::{Connection, Name};
use crate::diagnosis::Diagnosis;
use crate::negotiate::TrafficSelector;
use crate::path::Path;
use crate::suite::EspSuite;
use crate::time::{Instant, Now};
use crate::wire::{EspSpi, ExchangeType};

/// A connection as `status` shows it.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// As configured.
    pub connection: Arc<Connection>,
    /// What it is doing.
    pub state: ConnectionState,
    /// Its tunnels, in the order they came up: several for a connection with many peers, where they stand side by side,
    /// and while both ends sort out which is to stay.
    pub tunnels: Vec<TunnelStatus>,
    /// What deserves a look although traffic passes, each with the wall-clock time of it.
    pub warnings: Vec<(u64, Diagnosis)>,
    /// The last failure since the last success, and the wall-clock time of it.
    pub last_failure: Option<(u64, Diagnosis)>,
    /// How often it came one after the other.
    pub failure_times: u32,
    /// Who was refused, if it is a refusal of ours.
    pub failure_from: Option<IpAddr>,
    /// Refusals that named no tunnel and were perhaps meant for this one, the newest last; a few.
    pub near_misses: Vec<NearMiss>,
    /// When the next attempt is made.
    pub next_try: Option<Instant>,
    /// What the attempt under way waits for, while no tunnel stands.
    pub awaited: Option<Awaited>,
    /// Attempts since the last success.
    pub attempts: u32,
}

/// What an attempt to set a tunnel up waits for. What is computed here takes no time worth telling of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The addresses of this name.
    Addresses(String),
    /// The answer to a request.
    Answer {
        /// Its exchange.
        exchange: ExchangeType,
        /// Where it was sent.
        path: Path,
        /// How often.
        sent: u32,
        /// When first.
        since: Instant,
    },
    /// Whether the peer's certificates were revoked.
    Revocation,
}

/// A refusal that named no tunnel and was perhaps meant for one. Whoever was refused proved nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The wall-clock time of the last.
    pub at: u64,
    /// Where it came from.
    pub remote: IpAddr,
    /// What speaks for it.
    pub likeness: Likeness,
    /// How often the same happened.
    pub times: u32,
    /// Why it was refused.
    pub diagnosis: Diagnosis,
}

/// A refusal that named no tunnel and that no tunnel was told of. Whoever was refused proved nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The wall-clock time of the last.
    pub at: u64,
    /// Where it came from.
    pub remote: IpAddr,
    /// How often the same happened.
    pub times: u32,
    /// Why it was refused.
    pub diagnosis: Diagnosis,
}

/// Why a stranger is perhaps a tunnel's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is where the tunnel's peer should be, or was the last time.
    Address,
    /// It calls itself almost so, or so and us otherwise.
    Identity,
}

impl Likeness {
    /// A stable word for records.
    pub fn code(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Identity => "identity",
        }
    }
}

impl ConnectionStatus {
    /// The newest of its tunnels.
    pub fn tunnel(&self) -> Option<&TunnelStatus> {
        self.tunnels.last()
    }

    /// The newest of its tunnels, taken out.
    pub fn into_tunnel(mut self) -> Option<TunnelStatus> {
        self.tunnels.pop()
    }
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
    /// The addresses inside it that one end gave to the other, if one did.
    pub inner: Option<InnerAddresses>,
    /// When the peer last answered a request of ours, or the tunnel came up.
    pub last_answer: Instant,
    /// When the request was sent that waits for its answer, if it had to be sent again.
    pub unanswered_since: Option<Instant>,
    /// When it is ended unless somebody says before that the peer's certificates are not revoked, seconds since 1970 UTC, if nobody
    /// does and the policy is strict.
    pub revocation_ends: Option<u64>,
    /// When it is tried again whether the path carries more than is believed, if the line does and nothing is being tried now.
    pub path_raised_at: Option<Instant>,
}

/// Addresses inside a tunnel that one end gave to the other (RFC 7296 §2.19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InnerAddresses {
    /// The peer gave them to us; else we gave them to the peer.
    pub ours: bool,
    /// At most one a family.
    pub addresses: Vec<IpAddr>,
    /// Name servers that go with them.
    pub dns: Vec<IpAddr>,
}

/// How full a pool is. Of two numbers the first is that of IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// As configured.
    pub pool: Name,
    /// Addresses that peers hold.
    pub used: [usize; 2],
    /// Addresses that it can give out.
    pub size: [u128; 2],
    /// How often a peer was told that there is none left, since the endpoint began.
    pub refused: u64,
}

impl fmt::Display for PoolStatus {
    /// `office (3 of 254 IPv4 addresses in use)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.pool)?;
        let families = self.used.iter().zip(self.size).zip(["IPv4", "IPv6"]);
        let mut between = "";
        for ((used, size), family) in families.filter(|((_, size), _)| *size > 0) {
            write!(f, "{between}{used} of {size} {family} addresses in use")?;
            between = ", ";
        }
        f.write_str(")")
    }
}

/// Perfect forward secrecy of a Child SA: whether its keys are safe from one who learns those of the IKE SA later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pfs {
    /// It was made with its IKE SA and shares that one's key exchange. Its rekeys are to have one of their own, and nothing
    /// has shown yet that the peer agrees.
    Unproven,
    /// It was made with its IKE SA and shares that one's key exchange; its rekeys are as both ends want them.
    First,
    /// It had a key exchange of its own.
    Own,
    /// It had none: that is how we are configured, or the peer would not and the configuration allows it.
    Off,
    /// It was made with its IKE SA, and one end refuses the key exchange of its rekeys: it will not outlive its lifetime.
    Refused,
}

impl Pfs {
    /// A stable word for records and scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Refused => "refused",
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
    /// Whether what is sent hides how long it is.
    pub tfc_padding: TfcPadding,
    /// What the peer asked for besides, and was not given.
    pub withheld: Option<Box<Withheld>>,
}

/// How long from `now` until `at`: for `status`.
pub fn until(now: Now, at: Instant) -> Duration {
    at.since(now.boot)
}
