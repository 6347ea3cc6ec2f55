//! The sockets of an IKE and ESP endpoint: two UDP ports, two address families (RFC 7296 §2, RFC 3948); and raw ones where
//! ESP goes without UDP.
//!
//! They are marked, so that routing lets our own packets past the tunnel; they tell and choose the local address of
//! each datagram, so that answers leave from the address that was asked; and they move trains of equal datagrams in
//! one call where the kernel can (`UDP_SEGMENT`, `UDP_GRO`), which takes a checksum in each, though RFC 3948 §2.1 would rather have
//! none.
//!
//! Why not `quinn-udp`: it forces the Don't Fragment bit, knows no DSCP, and gave up whole batches after `EIO`.

mod batch;
mod control;
mod lines;
mod native;
mod socket;
mod steer;
mod wholeness;

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use native::{Batch, NativePacket, NativeSocket};
pub(super) use socket::drops;
pub use socket::{MAX_SEGMENTS, MAX_TRAIN, Received, Segmentation, Sent, Socket};

use super::offload::Asked;
use lines::{LINES, Lines};

/// The non-ESP marker: what distinguishes IKE from ESP on the encapsulation port (RFC 3948 §2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// Process names of IKE daemons, as `/proc/PID/comm` shows them.
const IKE_DAEMONS: [&str; 7] =
    ["charon", "charon-systemd", "pluto", "iked", "racoon", "sekishod", "vpp_main"];

/// What is decided by configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The port of plain IKE, 500; never 0.
    pub ike_port: u16,
    /// The port of UDP encapsulation, 4500; never 0, and another than `ike_port`.
    pub nat_port: u16,
    /// `SO_MARK` of all that we send.
    pub mark: u32,
    /// Threads that receive, at least one: each has sockets of its own for ESP, on the encapsulation port and without UDP.
    pub workers: u8,
    /// Whether the kernel may cut and join trains (`UDP_SEGMENT`, `UDP_GRO`).
    pub offloads: Asked,
}

/// What the datagrams of a train have in common outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Where they leave from; unspecified: the kernel chooses.
    pub local: SocketAddr,
    /// Where they go.
    pub remote: SocketAddr,
    /// TOS or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Nobody may fragment them.
    pub whole: bool,
}

impl Outer {
    /// Without DSCP and ECN, and perhaps in fragments.
    pub fn plain(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, tos: 0, whole: false }
    }
}

/// The sockets, in each address family that the machine has: the IKE port once, the encapsulation port and a raw socket for ESP
/// once for each worker. More on the encapsulation port are for sending alone, one for each further line. Those for ESP without UDP are there whether a tunnel wants them or not: a reload may, when nobody has
/// `CAP_NET_RAW` any more; and a peer may send so at any time (RFC 7296 §2.23).
/// Any thread may send on any of them.
#[derive(Debug)]
pub struct Sockets {
    /// By worker.
    udp: Vec<Vec<Socket>>,
    /// By worker, those that trains of all lines but the first leave by: nothing is received on them.
    senders: Vec<Vec<Socket>>,
    /// Of IPv4 and of IPv6.
    lines: [Lines; 2],
    /// By worker.
    native: Vec<Vec<NativeSocket>>,
    settings: Settings,
}

/// Why a socket could not be had, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error(
        "UDP port {port} is taken, probably by another IKE daemon ({}): stop it, or set another `ike_port` or \
         `nat_port` in the configuration",
        owner.as_deref().unwrap_or("such as strongSwan's charon, Libreswan's pluto or OpenIKED")
    )]
    Taken {
        /// The port.
        port: u16,
        /// The IKE daemon that runs on this machine, if one was found: name and process id.
        owner: Option<String>,
    },
    /// The configuration makes no sense.
    #[error("`ike_port` and `nat_port` must be two different ports, neither of them 0")]
    Ports,
    /// We may not.
    #[error(
        "no permission to {what}: it needs CAP_NET_ADMIN, CAP_NET_RAW and, below port 1024, CAP_NET_BIND_SERVICE; start \
         the daemon as root, or give the service these capabilities"
    )]
    Denied {
        /// The step.
        what: String,
    },
    /// No address family at all.
    #[error("this machine has neither IPv4 nor IPv6 sockets")]
    NoFamily,
    /// Anything else.
    #[error("a UDP socket could not be set up: {what}: {source}")]
    Setup {
        /// The step.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Sockets {
    /// Bind both ports in both families; a family that the machine lacks is left out with a log line. ESP comes to the worker
    /// whose number, modulo their count, is the last byte of the SPI; all else to the first.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        if settings.ike_port == 0 || settings.nat_port == 0 || settings.ike_port == settings.nat_port {
            return Err(BindError::Ports);
        }
        let none = || -> Vec<Vec<Socket>> { (0..settings.workers.max(1)).map(|_| Vec::new()).collect() };
        let (mut sockets, mut senders) = (none(), none());
        for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            for (port, workers, lines) in
                [(settings.ike_port, 1, 1), (settings.nat_port, settings.workers, LINES)]
            {
                let address = SocketAddr::new(address, port);
                match steer::bind_group(address, &settings, workers, lines) {
                    Ok((group, others)) => {
                        sockets.iter_mut().zip(group).for_each(|(own, socket)| own.push(socket));
                        senders.iter_mut().zip(others).for_each(|(own, sockets)| own.extend(sockets));
                    }
                    Err((what, error)) if lacks_family(&error) => {
                        tracing::warn!(%address, what, %error, "this machine lacks the address family; going on without");
                    }
                    Err((what, error)) => return Err(bind_error(port, what, error)),
                }
            }
        }
        if sockets.iter().all(Vec::is_empty) {
            return Err(BindError::NoFamily);
        }
        let native = open_native(settings)?;
        Ok(Self { udp: sockets, senders, lines: Default::default(), native, settings })
    }

    /// The raw sockets that this worker receives ESP from: at most one a family.
    pub fn native_of(&self, worker: usize) -> &[NativeSocket] {
        self.native.get(worker).map(Vec::as_slice).unwrap_or_default()
    }

    /// The raw socket that ESP to `remote` leaves by: this worker's.
    ///
    /// # Errors
    /// `AddrNotAvailable` if there is none.
    pub fn native(&self, worker: usize, remote: SocketAddr) -> io::Result<&NativeSocket> {
        let mut own = self.native_of(worker).iter();
        own.find(|socket| socket.is_ipv6() == remote.is_ipv6()).ok_or_else(|| {
            io::Error::new(ErrorKind::AddrNotAvailable, format!("no raw socket for ESP to {}", remote.ip()))
        })
    }

    /// Those that this worker receives from, from 0; at most four.
    pub fn of(&self, worker: usize) -> &[Socket] {
        self.udp.get(worker).map(Vec::as_slice).unwrap_or_default()
    }

    /// Datagrams and packets that the kernel dropped because nobody took the ones before in time, since the start.
    pub fn overflowed(&self) -> u64 {
        let udp = self.udp.iter().flatten().map(Socket::overflowed);
        let native = self.native.iter().flatten().map(NativeSocket::overflowed);
        udp.chain(native).map(u64::from).sum()
    }

    /// Why the kernel joins no trains for us, if it should: as it said at the first socket that it refused that.
    pub fn unjoined(&self) -> Option<&str> {
        self.udp.iter().flatten().find_map(Socket::unjoined)
    }

    /// What they were bound by.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The socket that datagrams from `local` (its port) to `remote` (its family) leave by: this worker's, or else the first
    /// one's.
    ///
    /// # Errors
    /// `AddrNotAvailable` if no socket has that port, or the machine lacks the family.
    pub fn between(&self, worker: usize, local: SocketAddr, remote: SocketAddr) -> io::Result<&Socket> {
        self.of(worker)
            .iter()
            .chain(self.of(0))
            .find(|socket| socket.port() == local.port() && socket.is_ipv6() == remote.is_ipv6())
            .ok_or_else(|| {
                io::Error::new(ErrorKind::AddrNotAvailable, format!("no UDP socket for {local} -> {remote}"))
            })
    }

    /// The socket that trains of ESP from `local` to `remote` leave by: this worker's for that line.
    ///
    /// # Errors
    /// Those of [`Self::between`].
    pub fn for_trains(&self, worker: usize, local: SocketAddr, remote: SocketAddr) -> io::Result<&Socket> {
        let [ipv4, ipv6] = &self.lines;
        let line = if remote.is_ipv6() { ipv6.number(local) } else { ipv4.number(local) };
        let of_line =
            |socket: &&Socket| socket.port() == local.port() && socket.is_ipv6() == remote.is_ipv6();
        let senders = self.senders.get(worker).map(Vec::as_slice).unwrap_or_default();
        let other = line.checked_sub(1).and_then(|line| senders.iter().filter(of_line).nth(line));
        other.map_or_else(|| self.between(worker, local, remote), Ok)
    }

    /// Send one datagram as it is: IKE from the IKE port, or a keepalive; `whole` or perhaps in fragments. Never blocks. An
    /// unspecified local address leaves the choice to the kernel.
    ///
    /// # Errors
    /// Those of [`Self::between`] and of sendmsg(2); nothing was sent then.
    pub fn send(&self, local: SocketAddr, remote: SocketAddr, whole: bool, bytes: &[u8]) -> io::Result<()> {
        self.between(0, local, remote)?.send(local, remote, whole, [bytes])
    }

    /// Send one IKE message on the encapsulation port, behind the non-ESP marker. Never blocks.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_marked(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        whole: bool,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.between(0, local, remote)?.send(local, remote, whole, [&NON_ESP_MARKER, bytes])
    }
}

/// A running IKE daemon that is not this process: its name and process id.
pub fn other_ike_daemon() -> Option<String> {
    let own = std::process::id().to_string();
    let network = fs::read_link("/proc/self/ns/net").ok()?;
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().into_string().ok()?;
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        let name = comm.trim();
        // One in another network namespace holds other ports.
        let beside_us = fs::read_link(entry.path().join("ns/net")).is_ok_and(|its| its == network);
        (beside_us && IKE_DAEMONS.contains(&name)).then(|| format!("{name}, process {pid}"))
    })
}

/// For each worker those of both families.
fn open_native(settings: Settings) -> Result<Vec<Vec<NativeSocket>>, BindError> {
    let workers = settings.workers.max(1);
    let mut native: Vec<Vec<NativeSocket>> = (0..workers).map(|_| Vec::new()).collect();
    for ipv6 in [false, true] {
        for (worker, own) in (0..workers).zip(&mut native) {
            match NativeSocket::open(ipv6, settings.mark, worker, workers) {
                Ok(socket) => own.push(socket),
                Err((what, error)) if lacks_family(&error) => {
                    tracing::warn!(ipv6, what, %error, "this machine lacks the address family; going on without");
                }
                Err((what, error)) => return Err(native_error(what, error)),
            }
        }
    }
    Ok(native)
}

fn native_error(what: &'static str, source: io::Error) -> BindError {
    match source.kind() {
        ErrorKind::PermissionDenied => BindError::Denied { what: what.to_owned() },
        _ => BindError::Setup { what: what.to_owned(), source },
    }
}

fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT))
}

fn bind_error(port: u16, what: &'static str, source: io::Error) -> BindError {
    let what = format!("{what} (UDP port {port})");
    match source.kind() {
        ErrorKind::AddrInUse => BindError::Taken { port, owner: other_ike_daemon() },
        ErrorKind::PermissionDenied => BindError::Denied { what },
        _ => BindError::Setup { what, source },
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, BindError, Settings, Sockets};

    #[test]
    fn port_zero_and_twice_the_same_port_are_refused() {
        for (ike_port, nat_port) in [(0, 4500), (500, 0), (500, 500)] {
            let (workers, offloads) = (1, Asked::Auto);
            let error = Sockets::bind(Settings { ike_port, nat_port, mark: 1, workers, offloads });
            assert!(matches!(error, Err(BindError::Ports)), "{error:?}");
        }
    }
}
