//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The process at the other end, as the kernel knew it when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process id.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its groups, the supplementary ones included.
    pub groups: Vec<u32>,
}

impl Peer {
    /// The peer of a connected Unix socket.
    ///
    /// # Errors
    /// What the kernel says; a process has more than 65,536 groups never.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), PeerCredentials)?;
        let mut groups = supplementary_groups(socket.as_fd())?;
        groups.push(credentials.gid());
        Ok(Self { pid: credentials.pid(), uid: credentials.uid(), groups })
    }
}

/// The most groups that Linux gives a process (`NGROUPS_MAX`).
const GROUPS: usize = 65_536;

#[expect(unsafe_code, reason = "SO_PEERGROUPS has no safe wrapper")]
fn supplementary_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut room = 64;
    loop {
        let mut groups = vec![0u32; room];
        let mut bytes = libc::socklen_t::try_from(groups.len() * size_of::<u32>()).unwrap_or(0);
        // SAFETY: `groups` is valid for writes of `bytes` bytes, `bytes` for reads and writes, and the descriptor
        // is open for as long as it is borrowed. The kernel writes at most `bytes` bytes.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        if result == 0 {
            groups.truncate(bytes as usize / size_of::<u32>());
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || room >= GROUPS {
            return Err(error);
        }
        room = (bytes as usize / size_of::<u32>()).clamp(room * 2, GROUPS);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn our_own_process_is_recognised_with_its_groups() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here).unwrap();
        assert_eq!(peer.pid, nix::unistd::getpid().as_raw());
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        for group in nix::unistd::getgroups().unwrap() {
            assert!(peer.groups.contains(&group.as_raw()), "{group} of {:?}", peer.groups);
        }
        assert!(peer.groups.contains(&nix::unistd::getegid().as_raw()));
    }
}
