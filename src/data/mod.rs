//! The data path: packets from the TUN leave as ESP in UDP (RFC 4303, RFC 3948), and come back the same way.
//!
//! Two threads that share nothing but immutable snapshots: `outbound` (TUN to UDP) and `inbound` (UDP to TUN). Control
//! installs and removes SAs through [`DataPath`]; what concerns control comes back over one bounded channel. Identifiers
//! are plain numbers of control's.

mod drops;
mod failure;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

/// Messages to control that may wait; beyond it datagrams are dropped and counted.
const QUEUE: usize = 256;

/// What the data path tells control.
pub enum FromData {
    /// An IKE message came in, without its non-ESP marker.
    Ike {
        /// Which way.
        path: UdpPath,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The first packet arrived on the inbound SPI of this SA. Told once in an SA's life.
    FirstPacket(u64),
    /// The device or a socket fails persistently, for the reason told. The thread goes on trying.
    Failed(String),
}

/// Where [`FromData`] goes in.
pub type FromDataSender = mpsc::Sender<FromData>;
/// Where [`FromData`] comes out.
pub type FromDataReceiver = mpsc::Receiver<FromData>;

/// The bounded channel from the data path to control.
pub fn channel() -> (FromDataSender, FromDataReceiver) {
    mpsc::channel(QUEUE)
}

/// Which way datagrams of a tunnel travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPath {
    /// Our address and port; an unspecified address leaves the choice to the kernel.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// By the encapsulation port, where IKE messages wear the non-ESP marker.
    pub encap: bool,
}

/// What is decided by configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the longest inner packet: the MTU of the TUN.
    pub mtu: u16,
}

/// What a Child SA has carried until now; bytes of inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaUsage {
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// When the last packet was accepted, as time since boot ([`crate::net::clock`]).
    pub last_in: Option<Duration>,
}

impl fmt::Debug for FromData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ike { path, bytes } => write!(f, "Ike({path:?}, {} bytes)", bytes.len()),
            Self::FirstPacket(id) => write!(f, "FirstPacket({id})"),
            Self::Failed(what) => write!(f, "Failed({what:?})"),
        }
    }
}
