//! Several sockets on one port, one for each worker, and the filter by which the kernel chooses among them (socket(7),
//! `SO_ATTACH_REUSEPORT_CBPF`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::socket::{AtStep, Socket};

/// Load the word at an absolute offset: here from the start of what UDP carries. Where there is none, the filter's answer is 0.
const LOAD_WORD: u16 = 0x20;
/// Keep what the constant has in common with it.
const AND: u16 = 0x54;
/// The rest of the division by the constant.
const MODULO: u16 = 0x94;
/// Answer with it.
const RETURN: u16 = 0x16;

/// A socket for each worker, in their order. Nobody else's socket is joined.
pub(super) fn bind_group(address: SocketAddr, mark: u32, workers: u8) -> Result<Vec<Socket>, AtStep> {
    // The first one by itself: whoever has the port already, sharing or not, is in the way.
    let first = Socket::bind(address, mark, false)?;
    if workers <= 1 {
        return Ok(vec![first]);
    }
    first.share()?;
    let mut group = vec![first];
    for _ in 1..workers {
        group.push(Socket::bind(address, mark, true)?);
    }
    if let Some(first) = group.first() {
        attach(first.as_fd(), &program(workers)).map_err(|error| ("set SO_ATTACH_REUSEPORT_CBPF", error))?;
    }
    Ok(group)
}

/// The last byte of the SPI, modulo the number of workers. IKE's marker is an SPI of 0; a keepalive has none.
fn program(workers: u8) -> [libc::sock_filter; 4] {
    let step = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    [step(LOAD_WORD, 0), step(AND, 0xff), step(MODULO, workers.into()), step(RETURN, 0)]
}

#[expect(unsafe_code, reason = "setsockopt(2)")]
fn attach(socket: BorrowedFd<'_>, program: &[libc::sock_filter; 4]) -> io::Result<()> {
    let filter = libc::sock_fprog { len: 4, filter: program.as_ptr().cast_mut() };
    let length = libc::socklen_t::try_from(size_of_val(&filter)).unwrap_or_default();
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    // SAFETY: the kernel reads one `sock_fprog` and the four instructions that it points to; both outlive the call, and it
    // writes to neither.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const filter).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
