//! Where an IKE message came from or goes to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::limits;

/// How IKE messages travel between two addresses. Others (TCP, RFC 9329) will be added here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP port 500: an IKE message is the whole datagram.
    Udp,
    /// UDP port 4500 (RFC 3948): the shell puts four zero bytes, the non-ESP marker, before each IKE message
    /// and takes them off again; ESP shares the port.
    UdpEncap,
}

/// A pair of addresses and what carries messages between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Our address: answers leave from the address that was asked.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// What carries the messages.
    pub transport: Transport,
}

impl Path {
    /// Plain UDP between two addresses.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, transport: Transport::Udp }
    }

    /// The same pair of hosts on other ports with UDP encapsulation (RFC 7296 §2.23: "float" to 4500).
    #[must_use]
    pub fn floated(self, local_port: u16, remote_port: u16) -> Self {
        Self {
            local: SocketAddr::new(self.local.ip(), local_port),
            remote: SocketAddr::new(self.remote.ip(), remote_port),
            transport: Transport::UdpEncap,
        }
    }

    /// Bytes of an IKE message that an IP packet of `packet` bytes carries along this path.
    pub fn room(self, packet: u16) -> usize {
        usize::from(packet).saturating_sub(self.overhead())
    }

    /// Bytes of the IP packet that carries an IKE message of `message` bytes along this path.
    pub fn packet(self, message: usize) -> usize {
        message.saturating_add(self.overhead())
    }

    fn overhead(self) -> usize {
        const UDP: usize = 8;
        let ip = if self.remote.is_ipv4() { 20 } else { 40 };
        let marker = if self.transport == Transport::UdpEncap { 4 } else { 0 };
        ip + UDP + marker
    }

    /// Bytes of IP packet that every path of its kind carries.
    pub(crate) fn least_mtu(self) -> u16 {
        if self.remote.is_ipv4() { limits::PATH_MTU_LEAST_IPV4 } else { limits::PATH_MTU_LEAST_IPV6 }
    }

    /// The peer's IP address.
    pub fn remote_ip(self) -> IpAddr {
        self.remote.ip()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)
    }
}
