//! The facts worth a record, with stable field names: scripts and auditors read them.

use std::net::{IpAddr, SocketAddr};

use data_encoding::HEXLOWER;
use ipnet::IpNet;
use sekisho_ike::diagnosis;
use sekisho_ike::event::{Assignment, ChildSaParameters, EndReason, IkeSaRecord, Usage};
use sekisho_ike::negotiate::{TrafficSelector, in_words};
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A fact and when it happened: one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, UTC.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened. The variant's name in snake case is the `event` of the JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    /// The daemon is ready.
    DaemonStarted {
        /// Of the program.
        version: String,
        /// The daemon's process.
        pid: u32,
        /// The TUN device.
        interface: String,
    },
    /// The daemon was asked to stop.
    DaemonStopping {
        /// Which signal or command, as a sentence's end: "on SIGTERM".
        reason: String,
    },
    /// A configuration came into force.
    ConfigLoaded {
        /// The file.
        source: String,
        /// Tunnels in it.
        tunnels: usize,
        /// What is allowed but deserves a second look.
        warnings: Vec<String>,
    },
    /// A configuration was refused; the old one stays in force.
    ConfigRefused {
        /// The file.
        source: String,
        /// The first error of it, in a line.
        reason: String,
    },
    /// An operator freed networks that no tunnel covers any more: their traffic leaves in clear.
    NetworksFreed {
        /// Which.
        networks: Vec<IpNet>,
    },
    /// A peer proved its identity and an IKE SA stands.
    TunnelUp(IkeSa),
    /// The IKE SA was replaced; the Child SAs go on.
    IkeSaRekeyed(IkeSa),
    /// The tunnel is gone.
    TunnelDown(IkeSaEnd),
    /// One end gave the other addresses inside the tunnel; they go with it.
    AddressesAssigned(Addresses),
    /// A Child SA can receive.
    ChildSaUp(ChildSa),
    /// Packets are sent on it from now on.
    ChildSaSending(ChildSa),
    /// A Child SA is gone.
    ChildSaDown(ChildSaEnd),
    /// The peer's or our address changed.
    PathChanged {
        /// The tunnel's name.
        tunnel: String,
        /// Who the peer is.
        remote_id: String,
        /// Our new address.
        local: SocketAddr,
        /// The peer's new address.
        remote: SocketAddr,
    },
    /// The path to the peer carries larger or smaller packets than before. At most twice a minute for each path.
    PathMtuChanged {
        /// The tunnel's name.
        tunnel: String,
        /// Who the peer is.
        remote_id: String,
        /// The peer's address.
        remote: IpAddr,
        /// Bytes of the largest IP packet before.
        from: u16,
        /// And now.
        to: u16,
        /// How it is known: `interface`, `router` or `probed`.
        source: String,
        /// Which router said so, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        router: Option<IpAddr>,
    },
    /// A certificate expires soon, or has: told of each once a day.
    CertificateExpires {
        /// The tunnel's name, if it is of one alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tunnel: Option<String>,
        /// How many tunnels need it.
        tunnels: usize,
        /// `local` or `peer`.
        side: String,
        /// Whose certificate it is.
        subject: String,
        /// When it expires; or one on the way to its authority, before it.
        expires: Timestamp,
        /// Whole days until then; negative once it has.
        days_left: i64,
    },
    /// An attempt to set up a tunnel or a Child SA failed, ours or a peer's.
    NegotiationFailed {
        /// The tunnel's name, if it was known by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tunnel: Option<String>,
        /// The peer's address, if it was known by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote: Option<String>,
        /// What happened and what to change.
        diagnosis: Diagnosis,
        /// Seconds until the next attempt, for a tunnel that we start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_try_in_s: Option<u64>,
    },
    /// Records that a slow reader of `events --follow` missed. Only in such a stream, never in the SA log.
    EventsLost {
        /// How many.
        lost: u64,
    },
}

/// An IKE SA: who, from where, with which algorithms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeSa {
    /// The tunnel's name.
    pub tunnel: String,
    /// Who we are.
    pub local_id: String,
    /// Who the peer proved to be.
    pub remote_id: String,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
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
    /// The peer's certificate: its subject and its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_certificate: Option<String>,
}

/// Addresses inside a tunnel that one end gave to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The tunnel's name.
    pub tunnel: String,
    /// Who the peer is.
    pub remote_id: String,
    /// Who gave them: `peer` (they are ours), or `here` (they are the peer's).
    pub given_by: String,
    /// At most one of IPv4 and one of IPv6.
    pub addresses: Vec<IpAddr>,
    /// Name servers that go with them.
    pub dns: Vec<IpAddr>,
}

/// The end of an IKE SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IkeSaEnd {
    /// Which.
    #[serde(flatten)]
    pub sa: IkeSa,
    /// Why.
    #[serde(flatten)]
    pub end: End,
    /// What all Child SAs of the tunnel carried.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// A Child SA: whose, what may pass, with which algorithms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSa {
    /// The tunnel's name.
    pub tunnel: String,
    /// The child's name.
    pub child: String,
    /// Who the peer proved to be.
    pub remote_id: String,
    /// Our address.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Cipher, key exchange if it had one of its own, width of the sequence numbers.
    pub suite: String,
    /// The SPI that we receive on, 8 hex digits.
    pub spi_in: String,
    /// The SPI that we send with, 8 hex digits.
    pub spi_out: String,
    /// What our side may send from.
    pub local_networks: Vec<String>,
    /// What the peer's side may send from.
    pub remote_networks: Vec<String>,
    /// What of our side the peer asked for besides and was not given, since it is not configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_local: Vec<String>,
    /// The same of the peer's side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld_remote: Vec<String>,
}

/// The end of a Child SA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSaEnd {
    /// Which.
    #[serde(flatten)]
    pub sa: ChildSa,
    /// Why.
    #[serde(flatten)]
    pub end: End,
    /// What it carried.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Why something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// A stable word: `rekeyed`, `deleted_by_peer`, `peer_dead` …
    pub reason: String,
    /// The same as a sentence.
    pub explanation: String,
    /// The failure behind it, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// What passed, inner packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Why a negotiation failed and what to change, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// A stable word: `no_answer`, `no_ike_proposal` …
    pub kind: String,
    /// `here`, `peer` or `nobody`.
    pub refused_by: String,
    /// One sentence: what happened.
    pub summary: String,
    /// What was offered, if the failure is about an offer.
    pub offered: Option<String>,
    /// What would have been accepted, as far as it is known.
    pub acceptable: Option<String>,
    /// What to change, and where.
    pub advice: String,
    /// The exchange in which it happened: `IKE_SA_INIT`, `IKE_AUTH`, `CREATE_CHILD_SA` or `INFORMATIONAL`.
    #[serde(default)]
    pub exchange: Option<String>,
    /// What both ends have, point by point, as far as it is known here.
    #[serde(default)]
    pub comparison: Vec<Comparison>,
}

/// One point of what both ends have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared: `cipher`, `remote networks` …
    pub what: String,
    /// What we have; empty: none.
    pub ours: Vec<String>,
    /// What the peer has; empty: none; null: it did not say.
    pub theirs: Option<Vec<String>>,
    /// What both have.
    pub common: Vec<String>,
    /// Whether that is enough; null: it is not known.
    pub agrees: Option<bool>,
    /// What is to be said of it.
    pub remarks: Vec<String>,
}

impl From<&diagnosis::Row> for Comparison {
    fn from(row: &diagnosis::Row) -> Self {
        let diagnosis::Row { what, ours, theirs, common, agrees, remarks } = row.clone();
        Self { what: what.to_owned(), ours, theirs, common, agrees, remarks }
    }
}

impl From<&diagnosis::Diagnosis> for Diagnosis {
    fn from(from: &diagnosis::Diagnosis) -> Self {
        Self {
            kind: from.kind.code().to_owned(),
            refused_by: from.refused_by.code().to_owned(),
            summary: from.summary.clone(),
            offered: from.offered.clone(),
            acceptable: from.acceptable.clone(),
            advice: from.advice.clone(),
            exchange: from.exchange.map(|exchange| exchange.to_string()),
            comparison: from.comparison.iter().map(Comparison::from).collect(),
        }
    }
}

impl From<&EndReason> for End {
    fn from(reason: &EndReason) -> Self {
        let diagnosis = match reason {
            EndReason::Failed(diagnosis) => Some(diagnosis.as_ref().into()),
            _ => None,
        };
        Self { reason: reason.code().to_owned(), explanation: reason.to_string(), diagnosis }
    }
}

impl From<Usage> for Traffic {
    fn from(usage: Usage) -> Self {
        let Usage { packets_in, packets_out, bytes_in, bytes_out, last_in: _ } = usage;
        Self { packets_in, packets_out, bytes_in, bytes_out }
    }
}

impl From<&IkeSaRecord> for IkeSa {
    fn from(sa: &IkeSaRecord) -> Self {
        Self {
            tunnel: sa.connection.to_string(),
            local_id: sa.local_id.to_string(),
            remote_id: sa.remote_id.to_string(),
            local: sa.path.local,
            remote: sa.path.remote,
            suite: sa.suite.to_string(),
            spi_i: sa.spi_i.to_string(),
            spi_r: sa.spi_r.to_string(),
            initiator: sa.initiator,
            peer_auth: sa.remote_proof.method.clone(),
            peer_certificate: sa.remote_proof.certificate.as_ref().map(|certificate| {
                format!("{}, serial {}", certificate.subject(), HEXLOWER.encode(certificate.serial()))
            }),
        }
    }
}

impl From<&Assignment> for Addresses {
    fn from(assignment: &Assignment) -> Self {
        let given_by = if assignment.inner.ours { "peer" } else { "here" };
        Self {
            tunnel: assignment.connection.to_string(),
            remote_id: assignment.remote_id.to_string(),
            given_by: given_by.to_owned(),
            addresses: assignment.inner.addresses.clone(),
            dns: assignment.inner.dns.clone(),
        }
    }
}

impl From<&ChildSaParameters> for ChildSa {
    fn from(sa: &ChildSaParameters) -> Self {
        let texts = |list: &[TrafficSelector]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let withheld = sa.withheld.as_deref();
        Self {
            tunnel: sa.connection.to_string(),
            child: sa.child.to_string(),
            remote_id: sa.remote_id.to_string(),
            local: sa.path.local,
            remote: sa.path.remote,
            suite: sa.suite.to_string(),
            spi_in: sa.inbound.spi.to_string(),
            spi_out: sa.outbound.spi.to_string(),
            local_networks: texts(&sa.local),
            remote_networks: texts(&sa.remote),
            withheld_local: withheld.map(|w| in_words(&w.local, &sa.local)).unwrap_or_default(),
            withheld_remote: withheld.map(|w| in_words(&w.remote, &sa.remote)).unwrap_or_default(),
        }
    }
}
