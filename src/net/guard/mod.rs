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
//!     meta nfproto ipv6 meta l4proto udp frag frag-off >= 1 accept       the rest of such: only the first fragment has a port
//!     icmp type 3 accept                                                 errors, and neighbours
//!     icmp type 11-12 accept
//!     icmpv6 type 1-4 accept
//!     icmpv6 type 133-137 accept
//!     socket mark != 0 accept                                            answers to who goes past the tunnel, as we do
//!     fib saddr . mark oifname "sekisho0" counter drop
//!     fib saddr . mark oif 0 counter drop
//! }
//! chain fragments { type filter hook prerouting priority -450; policy accept;
//!     meta nfproto ipv4 ip frag-off & 0x3fff == 0 accept
//!     meta nfproto ipv6 exthdr frag missing accept
//!     iifname "sekisho0" accept
//!     iifname "lo" accept
//!     ip daddr >= 224.0.0.0 accept
//!     ip6 daddr ff00::/8 accept
//!     fib saddr . mark . iif oif != 0 accept                             its answer leaves where it came in, by the routes of a VRF too
//!     # the next six only where a peer's own address may be in such a network
//!     fib daddr type local meta l4proto esp accept
//!     fib daddr type local udp dport 500 accept
//!     fib daddr type local udp dport 4500 accept
//!     fib daddr type local meta l4proto udp socket mark != 0 accept
//!     fib daddr type local meta l4proto udp ip frag-off & 0x1fff != 0 accept
//!     fib daddr type local meta nfproto ipv6 meta l4proto udp frag frag-off >= 1 accept
//!     fib saddr . mark oifname "sekisho0" counter drop
//!     fib saddr . mark oif 0 counter drop
//! }
//! ```
//!
//! The kernel puts fragments together whichever way they came: IPv4's for itself before `input`, all of both families before `forward`
//! and `input` where connections are tracked (priority -400). So those in clear must go before that, or a part of one's own could be
//! put among those of a packet that came out of the tunnel. No mark is set yet, unless somebody does so earlier still.
//!
//! Like the blackholes they outlive the daemon. Whoever changes the packet filter as a whole takes them away, or empties their table,
//! so that a daemon looks after them. A kernel that does not know all of it has what it knows ([`Extent`]).

mod expressions;
mod message;
mod rules;

use std::io::{self, ErrorKind, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use message::{Answers, Batch};

/// What it means that there is none.
pub const MISSING: &str = "what comes in clear in the name of a protected network is forwarded and taken as if it came out of a tunnel, for want of nf_tables (with `fib`)";

/// What the names of our tables begin with.
const PREFIX: &str = "sekisho_";
/// The kernel answers at once, or never.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of answers in one piece.
const ROOM: usize = 32 << 10;

/// What a guard knows of IKE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ike<'a> {
    /// It comes in at these ports, if a daemon runs.
    pub ports: &'a [u16],
    /// Whether a peer's own address may be in a protected network: then fragments of IKE and ESP are let in for this machine.
    pub peer_may_be_protected: bool,
}

impl Ike<'_> {
    /// No daemon runs.
    pub const NONE: Self = Self { ports: &[], peer_may_be_protected: false };
}

/// How much of a guard the kernel knows, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    /// It does not know sockets' marks: whose answers go past the tunnel is not told from others, so what is for this machine is let
    /// in unless it is a fragment.
    WithoutSockets,
    ForwardedAlone,
}

impl Extent {
    const ALL: [Self; 3] = [Self::Whole, Self::WithoutSockets, Self::ForwardedAlone];

    /// What is let in though it should not be.
    fn gap(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::WithoutSockets => Some(
                "what comes in clear in the name of a protected network and is for this machine itself is taken as if it came out of a tunnel: the kernel's nf_tables do not know sockets (`nft_socket`)",
            ),
            Self::ForwardedAlone => Some(
                "what comes in clear in the name of a protected network and is for this machine itself is taken as if it came out of a tunnel, and fragments are put together with those that did: the kernel's nf_tables know neither sockets (`nft_socket`) nor fragments",
            ),
        }
    }
}

/// What the kernel has turned out to know.
static KNOWN: Mutex<Extent> = Mutex::new(Extent::Whole);

fn known() -> MutexGuard<'static, Extent> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a guard that stands lets in for want of what the kernel lacks.
pub fn gap() -> Option<&'static str> {
    known().gap()
}

/// Guards all that is routed to this interface, whether it exists or not, in the place of what stood for it before.
///
/// # Errors
/// If the kernel has no `nf_tables`, or we may not.
pub fn put(interface: &str, ike: Ike<'_>) -> io::Result<()> {
    let mut known = known();
    let extent = put_by(send, interface, ike, *known)?;
    if let Some(gap) = extent.gap()
        && extent != *known
    {
        tracing::warn!("{gap}");
    }
    *known = extent;
    Ok(())
}

/// As much of a guard as the kernel takes, of this at most: how much that is.
fn put_by(
    kernel: impl Fn(&Batch) -> io::Result<()>,
    interface: &str,
    ike: Ike<'_>,
    most: Extent,
) -> io::Result<Extent> {
    let mut refused = ErrorKind::Unsupported.into();
    for extent in Extent::ALL.into_iter().skip_while(|extent| *extent != most) {
        match kernel(&guard(interface, ike, extent)) {
            Err(error) if is_missing(&error) => refused = error,
            done => return done.map(|()| extent),
        }
    }
    Err(refused)
}

/// Has the guard of this interface stand whole, or not at all, as it is wanted. One that stands stays as it is.
///
/// # Errors
/// If it is wanted and the kernel has no `nf_tables`, or if we may not.
pub fn look_after(interface: &str, ike: Ike<'_>, wanted: bool) -> io::Result<()> {
    let table = format!("{PREFIX}{interface}");
    match tables() {
        Ok(tables) if wanted => {
            let whole = rules::count(interface, ike, *known());
            let stands = tables.contains(&table) && rules_of(&table)?.rules == whole;
            if stands { Ok(()) } else { put(interface, ike) }
        }
        Ok(tables) if tables.contains(&table) => take_away(&[table]),
        Ok(_) => Ok(()),
        Err(error) if !wanted && is_missing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn guard(interface: &str, ike: Ike<'_>, extent: Extent) -> Batch {
    let table = format!("{PREFIX}{interface}");
    let mut batch = Batch::new();
    // What is there is replaced at once: "add" makes sure that there is something to delete.
    batch.add_table(&table);
    batch.delete_table(&table);
    batch.add_table(&table);
    rules::add(&mut batch, &table, interface, ike, extent);
    batch
}

/// Packets that a guard has dropped since it was put up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// As they were to be forwarded or taken.
    pub packets: u64,
    /// Fragments, before the kernel put them together.
    pub fragments: u64,
}

/// What the guard of this interface has dropped; nothing without any.
///
/// # Errors
/// If the kernel has no `nf_tables`, or we may not.
pub fn dropped(interface: &str) -> io::Result<Dropped> {
    let mut packets = rules_of(&format!("{PREFIX}{interface}"))?.packets;
    let fragments = packets.remove(rules::FRAGMENTS.name).unwrap_or(0);
    Ok(Dropped { packets: packets.into_values().fold(0, u64::saturating_add), fragments })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const IKE: Ike<'_> = Ike { ports: &[500, 4500], peer_may_be_protected: true };

    /// A kernel that knows none of these expressions, and takes a batch whole or not at all.
    fn without(lacks: &[&str]) -> impl Fn(&Batch) -> io::Result<()> {
        move |batch| {
            let bytes = batch.bytes();
            let names = |name: &&str| {
                let name = [name.as_bytes(), &[0]].concat();
                memchr::memmem::find(&bytes, &name).is_some()
            };
            let refused = lacks.iter().any(names);
            if refused { Err(io::Error::from_raw_os_error(libc::ENOENT)) } else { Ok(()) }
        }
    }

    #[test]
    fn a_kernel_without_sockets_or_fragments_guards_the_rest_and_status_says_what_is_let_in() {
        for (lacks, extent, said) in [
            (&[][..], Extent::Whole, None),
            (&["socket"], Extent::WithoutSockets, Some("(`nft_socket`)")),
            (&["socket", "exthdr"], Extent::ForwardedAlone, Some("fragments are put together")),
            (&["exthdr"], Extent::ForwardedAlone, Some("for this machine itself")),
        ] {
            assert_eq!(put_by(without(lacks), "x", IKE, Extent::Whole).unwrap(), extent, "{lacks:?}");
            let gap = extent.gap();
            assert_eq!(gap.is_some(), said.is_some());
            assert!(said.is_none_or(|said| gap.is_some_and(|gap| gap.contains(said))), "{lacks:?}: {gap:?}");
        }
        assert!(put_by(without(&["fib"]), "x", IKE, Extent::Whole).is_err(), "nothing can be told apart");
        let forbidden = |_: &Batch| Err(io::Error::from_raw_os_error(libc::EPERM));
        let error = put_by(forbidden, "x", IKE, Extent::Whole).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(libc::EPERM),
            "a refusal of another kind is no want of anything"
        );
    }

    #[test]
    fn what_the_kernel_turned_out_to_lack_is_not_tried_again() {
        let extent = put_by(without(&[]), "x", IKE, Extent::WithoutSockets).unwrap();
        assert_eq!(extent, Extent::WithoutSockets);
        let rules = |extent| rules::count("x", IKE, extent);
        assert!(rules(Extent::Whole) > rules(Extent::WithoutSockets));
        assert_eq!(rules(Extent::ForwardedAlone), 2);
    }

    #[test]
    fn fragments_are_let_in_for_peers_only_where_one_may_be_protected() {
        let rules =
            |peer_may_be_protected| rules::count("x", Ike { peer_may_be_protected, ..IKE }, Extent::Whole);
        assert_eq!(rules(true) - rules(false), 6);
    }
}
