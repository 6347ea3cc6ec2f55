//! What crosses the Internet: every frame is looked at for clear text, and the capture's own losses are counted.

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memchr::memmem::Finder;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Namespace;
use super::process::run;
use super::site::Site;

/// `ETH_P_ALL` of `linux/if_ether.h`.
const EVERY_PROTOCOL: u16 = 3;
/// Bytes of backlog that the kernel keeps for the capture.
const BUFFER: usize = 64 << 20;

/// A capture on every link of the router, until `finish`.
pub struct Capture<'a> {
    router: &'a Namespace,
    stop: Arc<AtomicBool>,
    worker: JoinHandle<Crossed>,
}

/// What crossed. A frame that the router forwards counts twice: coming in and going out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Frames seen.
    pub frames: u64,
    /// UDP datagrams from or to port 500 or 4500: IKE and ESP.
    pub protected: u64,
    /// Frames with ESP as a protocol of its own.
    pub native: u64,
    /// Frames that hold the scenario's marker.
    pub marked: u64,
    /// Frames from or to an address behind the gateways.
    pub inner: u64,
    /// Source and destination of the first of these: whose gateway let it out.
    pub first_inner: Option<[IpAddr; 2]>,
    /// Fragments of anything: what was sent did not fit the line.
    pub fragments: u64,
    /// Frames that the capture itself missed.
    pub missed: u64,
}

impl Crossed {
    /// Panics unless the capture saw protected traffic, missed nothing, and nothing crossed in clear.
    pub fn assert_no_clear_text(&self) {
        assert!(self.protected > 0, "the capture saw the tunnel: {self:?}");
        assert_eq!((self.marked, self.inner, self.missed), (0, 0, 0), "nothing crossed in clear: {self:?}");
    }
}

impl<'a> Capture<'a> {
    /// Starts on the router of `site`.
    pub fn start(site: &'a Site) -> Self {
        let socket = site.router.run(|| {
            let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
            Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("open a packet socket")
        });
        setsockopt(&socket, RcvBufForce, &BUFFER).expect("enlarge the capture's buffer");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("set a time-out");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, marker) = (Arc::clone(&stop), Finder::new(&site.marker()).into_owned());
        let worker = std::thread::spawn(move || watch(&socket, &marker, &stopped));
        Self { router: &site.router, stop, worker }
    }

    /// Ends the capture once it has looked at everything that it holds.
    pub fn finish(self) -> Crossed {
        let missed = missed(self.router);
        self.stop.store(true, Ordering::Relaxed);
        let crossed = self.worker.join().expect("the capture's counts");
        let crossed = Crossed { missed, ..crossed };
        println!("crossed the Internet: {crossed:?}");
        crossed
    }
}

fn watch(mut socket: &Socket, marker: &Finder, stop: &AtomicBool) -> Crossed {
    let mut crossed = Crossed::default();
    let mut frame = vec![0; 1 << 16];
    loop {
        match socket.read(&mut frame) {
            Ok(length) => count(&mut crossed, &frame[..length], marker),
            // Only when it has been quiet is the backlog empty.
            Err(_) if stop.load(Ordering::Relaxed) => return crossed,
            Err(_) => {}
        }
    }
}

fn count(crossed: &mut Crossed, frame: &[u8], marker: &Finder) {
    crossed.frames += 1;
    crossed.marked += u64::from(marker.find(frame).is_some());
    let Some((addresses, ports)) = addresses_and_ports(frame) else { return };
    crossed.fragments += u64::from(is_fragment(frame));
    crossed.native += u64::from(is_native_esp(frame));
    if addresses.iter().any(is_inner) {
        crossed.inner += 1;
        crossed.first_inner.get_or_insert(addresses);
    }
    crossed.protected +=
        u64::from(ports.is_some_and(|ports| ports.iter().any(|port| [500, 4500].contains(port))));
}

/// Addresses of an IP packet in an Ethernet frame and, if it is UDP, its ports.
fn addresses_and_ports(frame: &[u8]) -> Option<([IpAddr; 2], Option<[u16; 2]>)> {
    let headers = etherparse::LaxSlicedPacket::from_ethernet(frame).ok()?;
    let addresses = match headers.net? {
        etherparse::LaxNetSlice::Ipv4(ip) => {
            [ip.header().source_addr().into(), ip.header().destination_addr().into()]
        }
        etherparse::LaxNetSlice::Ipv6(ip) => {
            [ip.header().source_addr().into(), ip.header().destination_addr().into()]
        }
        etherparse::LaxNetSlice::Arp(_) => return None,
    };
    let ports = match headers.transport {
        Some(etherparse::TransportSlice::Udp(udp)) => Some([udp.source_port(), udp.destination_port()]),
        _ => None,
    };
    Some((addresses, ports))
}

fn is_native_esp(frame: &[u8]) -> bool {
    etherparse::LaxSlicedPacket::from_ethernet(frame)
        .ok()
        .and_then(|headers| headers.net)
        .and_then(|net| Some(net.ip_payload_ref()?.ip_number))
        .is_some_and(|protocol| protocol == etherparse::IpNumber::ENCAPSULATING_SECURITY_PAYLOAD)
}

fn is_fragment(frame: &[u8]) -> bool {
    etherparse::LaxSlicedPacket::from_ethernet(frame)
        .ok()
        .and_then(|headers| headers.net)
        .is_some_and(|net| net.ip_payload_ref().is_some_and(|payload| payload.fragmented))
}

/// Whether an address lies behind one of the gateways of [`Site`].
fn is_inner(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => matches!(v6.segments(), [0x2001, 0xdb8, 0x17 | 0, 0, ..]),
    }
}

/// Frames that packet sockets in the namespace had no room for (`d` in `ss`'s memory column).
fn missed(router: &Namespace) -> u64 {
    let sockets = run(router.command("ss").args(["--packet", "--memory", "--numeric", "--no-header"]));
    let drops = sockets.split("skmem:(").skip(1).map(|rest| {
        let fields = rest.split(')').next().unwrap_or_default();
        let drops = fields.split(',').find_map(|field| field.strip_prefix('d')).expect("ss names the drops");
        drops.parse::<u64>().expect("a number of drops")
    });
    let drops: Vec<u64> = drops.collect();
    assert_eq!(drops.len(), 1, "one packet socket in the router: {sockets}");
    drops.iter().sum()
}
