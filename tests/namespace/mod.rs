//! A network namespace of its own for each test (root needed), a line out of it, and what appears on that line.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};

/// The mark of the daemon's own sockets.
pub const MARK: u32 = 0x5e51;
/// Inside a protected prefix, one of each family.
pub const PROTECTED: [&str; 2] = ["10.0.5.5", "2001:db8:5::5"];
/// Reached by the default route, one of each family.
pub const ELSEWHERE: [&str; 2] = ["198.51.100.9", "2001:db8:ffff::9"];
/// How the hardware address of every neighbour on every line begins.
const NEIGHBOUR: [u8; 5] = [2, 0, 0, 0, 0];

/// A way out: `wan` has addresses and default routes of MTU 1454, and all interfaces are listened on.
pub struct Line {
    capture: Socket,
    observations: Cell<u32>,
}

impl Line {
    pub fn new() -> Self {
        for command in [
            "ip link set lo up",
            "ip link add wan type veth peer name line",
            "ip link set wan up",
            "ip link set line up",
            "ip addr add 192.0.2.2/24 dev wan",
            "ip addr add 2001:db8::2/64 dev wan nodad",
            "ip neigh add 192.0.2.1 dev wan lladdr 02:00:00:00:00:01 nud permanent",
            "ip neigh add 2001:db8::1 dev wan lladdr 02:00:00:00:00:01 nud permanent",
            "ip neigh add 192.0.2.77 dev wan lladdr 02:00:00:00:00:77 nud permanent",
            "ip route add default via 192.0.2.1 dev wan mtu 1454",
            "ip -6 route add default via 2001:db8::1 dev wan mtu 1454",
        ] {
            run(command);
        }
        settle("wan");
        let every_protocol = i32::from(u16::to_be(0x0003));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(every_protocol))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { capture: socket, observations: Cell::new(0) }
    }

    /// Whether an ordinary datagram to the address appears on any interface but the TUN and loopback.
    pub fn carries(&self, address: &str) -> bool {
        let number = self.observations.replace(self.observations.get() + 1);
        let (marker, end) = (format!("clear-text marker {number};"), format!("end of observation {number};"));
        let sent = send(address, marker.as_bytes());
        // What is seen next was sent later, through another, marked socket: no need to wait.
        let fence = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        fence.set_mark(MARK).unwrap();
        let to: SocketAddr = "192.0.2.1:9".parse().unwrap();
        fence.send_to(end.as_bytes(), &to.into()).unwrap();
        let seen = self.watch_until(end.as_bytes(), marker.as_bytes());
        assert!(!seen || sent, "a datagram that was refused appeared all the same");
        seen
    }

    pub fn wait_for(&self, end: &[u8]) {
        self.watch_until(end, b"nothing that is sent");
    }

    fn watch_until(&self, end: &[u8], marker: &[u8]) -> bool {
        let mut seen = false;
        loop {
            let mut frame = vec![0u8; 2048];
            let length =
                std::io::Read::read(&mut &self.capture, &mut frame).expect("a frame within five seconds");
            let holds = |text: &[u8]| frame[..length].windows(text.len()).any(|window| window == text);
            // The TUN's packets have no Ethernet header.
            seen |= holds(marker) && frame.starts_with(&NEIGHBOUR);
            if holds(end) {
                return seen;
            }
        }
    }
}

/// Waits until an interface that was just set up sends: the kernel connects it to its line later, by a worker that waits for its turn
/// while namespaces go, and drops in silence what is sent before.
pub fn settle(interface: &str) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !run(&format!("ip link show dev {interface}")).contains(" state UP ") {
        assert!(Instant::now() < give_up, "{interface} has no line");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the kernel took it.
pub fn send(address: &str, payload: &[u8]) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    match socket.send_to(payload, (address, 9)) {
        Ok(_) => true,
        Err(error) => {
            let refusals =
                [ErrorKind::InvalidInput, ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
            assert!(refusals.contains(&error.kind()), "{error}");
            false
        }
    }
}

pub fn assert_closed(line: &Line) {
    for address in PROTECTED {
        assert!(!line.carries(address), "{address} left in clear\n{}", routes());
    }
    for address in ELSEWHERE {
        assert!(line.carries(address), "{address} is none of ours\n{}", routes());
    }
}

pub fn routes() -> String {
    run("ip route show table all")
}

pub fn run(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a test in a network namespace that ends with it: a thread of its own has one of its own.
pub fn in_namespace<T, F>(test: T)
where
    T: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("root is needed to make a network namespace");
        runtime().block_on(async {
            tokio::time::timeout(Duration::from_mins(1), test()).await.expect("done within a minute");
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
