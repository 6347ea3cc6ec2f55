//! What comes in clear in the name of a protected network is neither forwarded nor taken (RFC 4301 §5.2): routing says where
//! packets go, and nothing of where they may come from.
//!
//! Rules of `nf_tables` in a table of our own, `sekisho_INTERFACE`, for both address families:
//!
//! ```text
//! chain forward { type filter hook forward priority -10; policy accept;
//!     meta sdif 0 iifname != "sekisho0" fib saddr . mark oifname "sekisho0" counter drop    its answer would go into the tunnel
//!     meta sdif 0 iifname != "sekisho0" fib saddr . mark oif 0 counter drop                 or nowhere: the tunnel is down
//! }
//! chain input { type filter hook input priority -10; policy accept;
//!     iifname "sekisho0" accept                                          what came out of the tunnel
//!     iifname "lo" accept
//!     meta sdif != 0 accept
//!     meta l4proto esp accept                                            the tunnel itself: the peer may be in such a network
//!     ip daddr >= 224.0.0.0 accept                                       what is for many: routing protocols, DHCP, discovery
//!     ip6 daddr ff00::/8 accept
//!     meta nfproto ipv4 fib daddr type broadcast accept
//!     udp dport 500 accept
//!     udp dport 4500 accept
//!     udp dport 68 accept                                                what makes a line one
//!     udp dport 546 accept
//!     icmp type 3 accept                                                 errors, and neighbours
//!     icmp type 11-12 accept
//!     icmpv6 type 1-4 accept
//!     icmpv6 type 133-137 accept
//!     socket mark != 0 accept                                            answers to who goes past the tunnel, as we do
//!     fib saddr . mark oifname "sekisho0" counter drop
//!     fib saddr . mark oif 0 counter drop
//! }
//! ```
//!
//! Like the blackholes they outlive the daemon. Whoever changes the packet filter as a whole takes them away, or empties their table,
//! so that a daemon looks after them. A kernel that does not know sockets' marks guards what is forwarded alone.

mod message;
mod rules;

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use message::{Answers, Batch};

/// What it means that there is none.
pub const MISSING: &str = "what comes in clear in the name of a protected network is forwarded and taken as if it came out of a tunnel, for want of nf_tables (with `fib`)";

/// What the names of our tables begin with.
const PREFIX: &str = "sekisho_";
/// Whether the kernel has turned out to know no sockets' marks.
static WITHOUT_SOCKETS: AtomicBool = AtomicBool::new(false);
/// The kernel answers at once, or never.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of answers in one piece.
const ROOM: usize = 32 << 10;

/// Guards all that is routed to this interface, whether it exists or not, in the place of what stood for it before. IKE comes in at
/// these ports, if a daemon runs.
///
/// # Errors
/// If the kernel has no `nf_tables`, or we may not.
pub fn put(interface: &str, ports: &[u16]) -> io::Result<()> {
    match send(&guard(interface, covered(ports))) {
        Err(error) if is_missing(&error) && covered(ports).is_some() => {
            send(&guard(interface, None))?;
            WITHOUT_SOCKETS.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "what comes in clear and is for this machine itself is not refused: the kernel's nf_tables do not know sockets");
            Ok(())
        }
        done => done,
    }
}

/// Has the guard of this interface stand whole, or not at all, as it is wanted. One that stands stays as it is.
///
/// # Errors
/// If it is wanted and the kernel has no `nf_tables`, or if we may not.
pub fn look_after(interface: &str, ports: &[u16], wanted: bool) -> io::Result<()> {
    let table = format!("{PREFIX}{interface}");
    match tables() {
        Ok(tables) if wanted => {
            let whole = rules::count(interface, covered(ports));
            let stands = tables.contains(&table) && rules_of(&table)?.rules == whole;
            if stands { Ok(()) } else { put(interface, ports) }
        }
        Ok(tables) if tables.contains(&table) => take_away(&[table]),
        Ok(_) => Ok(()),
        Err(error) if !wanted && is_missing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The ports, if what is for this machine itself can be judged.
fn covered(ports: &[u16]) -> Option<&[u16]> {
    Some(ports).filter(|_| !WITHOUT_SOCKETS.load(Ordering::Relaxed))
}

fn guard(interface: &str, ports: Option<&[u16]>) -> Batch {
    let table = format!("{PREFIX}{interface}");
    let mut batch = Batch::new();
    // What is there is replaced at once: "add" makes sure that there is something to delete.
    batch.add_table(&table);
    batch.delete_table(&table);
    batch.add_table(&table);
    rules::add(&mut batch, &table, interface, ports);
    batch
}

/// What the guard of this interface has dropped since it was put up; 0 without any.
///
/// # Errors
/// If the kernel has no `nf_tables`, or we may not.
pub fn dropped(interface: &str) -> io::Result<u64> {
    Ok(rules_of(&format!("{PREFIX}{interface}"))?.packets)
}

/// Takes all guards away, of whatever interface: how many there were.
///
/// # Errors
/// If we may not. Where the kernel has no `nf_tables` there are none.
pub fn remove() -> io::Result<usize> {
    let ours: Vec<String> = match tables() {
        Ok(tables) => tables.into_iter().filter(|table| table.starts_with(PREFIX)).collect(),
        Err(error) if is_missing(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    if !ours.is_empty() {
        take_away(&ours)?;
    }
    Ok(ours.len())
}

fn take_away(tables: &[String]) -> io::Result<()> {
    let mut batch = Batch::new();
    tables.iter().for_each(|table| batch.delete_table(table));
    send(&batch)
}

/// Whether it is the kernel that knows nothing of it.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT)
    )
}

/// All or nothing of it takes effect.
fn send(batch: &Batch) -> io::Result<()> {
    let socket = open()?;
    socket.send(&batch.bytes())?;
    listen(&socket, batch.last()).map(drop)
}

/// What is said of the rules of a table; nothing, if there is none.
fn rules_of(table: &str) -> io::Result<Answers> {
    let (request, number) = message::list_rules(table);
    match ask((request, number)) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(Answers::to(number)),
        answers => answers,
    }
}

fn tables() -> io::Result<Vec<String>> {
    Ok(ask(message::list_tables())?.tables)
}

fn ask((request, number): (Vec<u8>, u32)) -> io::Result<Answers> {
    let socket = open()?;
    socket.send(&request)?;
    listen(&socket, number)
}

/// Until the last answer is here.
fn listen(socket: &Socket, number: u32) -> io::Result<Answers> {
    let mut answers = Answers::to(number);
    while !answers.are_complete() {
        answers.read(&receive(socket)?)?;
    }
    Ok(answers)
}

fn open() -> io::Result<Socket> {
    let protocol = Protocol::from(libc::NETLINK_NETFILTER);
    let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn receive(mut socket: &Socket) -> io::Result<Vec<u8>> {
    let mut room = vec![0; ROOM];
    let length = loop {
        match socket.read(&mut room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            length => break length?,
        }
    };
    room.truncate(length);
    Ok(room)
}
