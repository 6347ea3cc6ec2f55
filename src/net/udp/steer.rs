//! Several sockets on one port, one for each worker, and the filters by which the kernel chooses among them, or keeps from a
//! raw socket what is for others (socket(7): `SO_ATTACH_REUSEPORT_CBPF`, `SO_ATTACH_FILTER`). Classic BPF, as of bpf(4).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::Settings;
use super::socket::{AtStep, Socket};

/// A <- the word at an offset. Where there is none, the filter's answer is 0.
const LOAD_WORD: u16 = 0x20;
/// A <- the word at an offset from X.
const LOAD_WORD_FROM_X: u16 = 0x40;
/// A <- the length of it all.
const LOAD_LENGTH: u16 = 0x80;
/// X <- the constant.
const SET_X: u16 = 0x01;
/// X <- the length of the IPv4 header at an offset.
const X_FROM_HEADER_LENGTH: u16 = 0xb1;
/// A <- A - X.
const SUBTRACT_X: u16 = 0x1c;
/// A <- what the constant has in common with it.
const AND: u16 = 0x54;
/// A <- the rest of its division by the constant.
const MODULO: u16 = 0x94;
/// Go on at one place if A is at least the constant, at another if not.
const IF_AT_LEAST: u16 = 0x35;
/// The same if it is the constant.
const IF_EQUAL: u16 = 0x15;
/// Answer with A.
const RETURN: u16 = 0x16;
/// Answer with the constant: how many bytes are kept.
const RETURN_CONSTANT: u16 = 0x06;

/// A socket for each worker, in their order; and for each those that its trains of further lines leave by, to which nothing comes.
/// Nobody else's socket is joined.
pub(super) fn bind_group(
    address: SocketAddr,
    settings: &Settings,
    workers: u8,
    lines: usize,
) -> Result<(Vec<Socket>, Vec<Vec<Socket>>), AtStep> {
    // The first one by itself: whoever has the port already, sharing or not, is in the way.
    let first = Socket::bind(address, settings, false)?;
    if workers <= 1 && lines <= 1 {
        return Ok((vec![first], Vec::new()));
    }
    first.share()?;
    let mut group = vec![first];
    for _ in 1..workers {
        group.push(Socket::bind(address, settings, true)?);
    }
    // The filter's answers are numbers of the group, in the order of binding: these come behind it.
    let senders = || (1..lines).map(|_| Socket::bind(address, settings, true)).collect();
    let senders = (0..workers.max(1)).map(|_| senders()).collect::<Result<_, _>>()?;
    if let Some(first) = group.first() {
        let attached = attach(first.as_fd(), libc::SO_ATTACH_REUSEPORT_CBPF, &choice(workers.max(1)));
        attached.map_err(|error| ("set SO_ATTACH_REUSEPORT_CBPF", error))?;
    }
    Ok((group, senders))
}

/// Keeps from a raw socket the ESP packets of other workers.
pub(super) fn keep_own(socket: BorrowedFd<'_>, ipv6: bool, worker: u8, workers: u8) -> io::Result<()> {
    attach(socket, libc::SO_ATTACH_FILTER, &own(ipv6, worker, workers))
}

fn step(code: u16, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// The last byte of the SPI, modulo the number of workers. IKE's marker is an SPI of 0; a keepalive has none.
fn choice(workers: u8) -> [libc::sock_filter; 4] {
    [step(LOAD_WORD, 0), step(AND, 0xff), step(MODULO, workers.into()), step(RETURN, 0)]
}

/// The same for a raw socket, to which IPv4 packets come with their header and IPv6 packets without. What is too short for an
/// SPI is for the first worker, to be counted.
fn own(ipv6: bool, worker: u8, workers: u8) -> [libc::sock_filter; 10] {
    let branch = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let short = if worker == 0 { 5 } else { 4 };
    [
        if ipv6 { step(SET_X, 0) } else { step(X_FROM_HEADER_LENGTH, 0) },
        step(LOAD_LENGTH, 0),
        step(SUBTRACT_X, 0),
        branch(IF_AT_LEAST, 4, 0, short),
        step(LOAD_WORD_FROM_X, 0),
        step(AND, 0xff),
        step(MODULO, workers.into()),
        branch(IF_EQUAL, worker.into(), 1, 0),
        step(RETURN_CONSTANT, 0),
        step(RETURN_CONSTANT, u32::MAX),
    ]
}

#[expect(unsafe_code, reason = "setsockopt(2)")]
fn attach(socket: BorrowedFd<'_>, option: libc::c_int, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = libc::c_ushort::try_from(program.len()).unwrap_or_default();
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let length = libc::socklen_t::try_from(size_of_val(&filter)).unwrap_or_default();
    // SAFETY: the kernel reads one `sock_fprog` and the `len` instructions that it points to; both outlive the call, and it
    // writes to neither.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const filter).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
