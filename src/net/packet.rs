//! Every frame that crosses one interface, both ways: a ring of blocks shared with the kernel (packet(7), `TPACKET_V3`).
//!
//! The kernel fills a block and hands it over; we visit its frames and hand it back. It also counts what it could not place for want
//! of a free block, so that a capture knows what it did not see.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const BLOCK_BYTES: usize = 1 << 20;
/// A tenth of a second at 10 Gb/s, for a reader that has to wait for its turn on a busy machine.
const BLOCKS: usize = 128;
/// Only a unit of the kernel's arithmetic in version 3: frames lie in a block one behind the other.
const FRAME_BYTES: usize = 2048;
/// Milliseconds after which the kernel hands over a block that is not full.
const RETIRE_MS: u32 = 10;

/// An open capture on one interface. Needs `CAP_NET_RAW` in the interface's network namespace.
pub struct Capture {
    ring: Ring,
    next_block: usize,
    stored: u64,
    dropped: u64,
    visited: u64,
    truncated: u64,
    // Behind the ring: the mapping goes before the socket that it belongs to.
    socket: Socket,
}

impl Capture {
    /// Sees every frame that enters or leaves `interface` from now on.
    ///
    /// # Errors
    /// No such interface, or no right to open a packet socket.
    pub fn open(interface: &str) -> io::Result<Self> {
        // Protocol 0 receives nothing until `bind` names the interface: no frame of another one gets in.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        let ring = Ring::map(&socket)?;
        socket.bind(&every_protocol_on(if_nametoindex(interface)?)?)?;
        Ok(Self { ring, next_block: 0, stored: 0, dropped: 0, visited: 0, truncated: 0, socket })
    }

    /// Waits up to `patience` for a block and visits the frames of all blocks that are ready, link-layer header first. The answer is
    /// their number; 0 says that nothing came.
    ///
    /// # Errors
    /// The socket failed, for example because the interface is gone.
    pub fn read(&mut self, patience: Duration, mut visit: impl FnMut(&[u8])) -> io::Result<usize> {
        if !self.ring.is_ready(self.next_block) {
            let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
            poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout)?;
        }
        let mut frames = 0;
        while let Some(block) = self.ring.block(self.next_block) {
            for frame in Frames::of(block) {
                frames += 1;
                self.visited += 1;
                self.truncated += u64::from(frame.truncated);
                visit(frame.bytes);
            }
            self.ring.release(self.next_block);
            self.next_block = (self.next_block + 1) % BLOCKS;
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        Ok(frames)
    }

    /// How far `read` has come with what crossed the interface since `open`.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub fn progress(&mut self) -> io::Result<Progress> {
        // The kernel counts from the last time that it was asked. Its packets include those that it dropped.
        let counts = statistics(&self.socket)?;
        self.dropped += u64::from(counts.tp_drops);
        self.stored += u64::from(counts.tp_packets.saturating_sub(counts.tp_drops));
        Ok(Progress {
            pending: self.stored.saturating_sub(self.visited),
            missed: self.dropped + self.truncated,
        })
    }
}

/// Frames that crossed an interface and that the capture did not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Waiting for the next `read`.
    pub pending: u64,
    /// Lost for want of room, or shown cut short.
    pub missed: u64,
}

/// The mapped ring: `BLOCKS` blocks of `BLOCK_BYTES`.
struct Ring(NonNull<u8>);

#[expect(unsafe_code, reason = "memory shared with the kernel")]
impl Ring {
    #[expect(clippy::cast_possible_truncation, reason = "small constants")]
    fn map(socket: &Socket) -> io::Result<Self> {
        set_option(socket, libc::PACKET_VERSION, &libc::tpacket_versions::TPACKET_V3)?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK_BYTES as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME_BYTES as u32,
            tp_frame_nr: (BLOCK_BYTES / FRAME_BYTES * BLOCKS) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(socket, libc::PACKET_RX_RING, &request)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                BLOCK_BYTES * BLOCKS,
                protection,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(Self)
            .ok_or_else(|| io::Error::other("the ring is mapped at address 0"))
    }

    fn is_ready(&self, index: usize) -> bool {
        self.status(index).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The block, if the kernel has handed it over.
    fn block(&self, index: usize) -> Option<&[u8]> {
        // SAFETY: the block lies inside the mapping, and the kernel does not write to it between setting TP_STATUS_USER and `release`,
        // which takes the ring again and so ends this borrow's use in `read`.
        self.is_ready(index).then(|| unsafe { std::slice::from_raw_parts(self.start(index), BLOCK_BYTES) })
    }

    /// Gives the block back to the kernel; no slice of it is used after that.
    fn release(&mut self, index: usize) {
        self.status(index).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        let offset =
            offset_of!(libc::tpacket_block_desc, hdr) + offset_of!(libc::tpacket_hdr_v1, block_status);
        // SAFETY: an aligned u32 inside the mapping, which both sides use as an atomic flag.
        unsafe { AtomicU32::from_ptr(self.start(index).add(offset).cast()) }
    }

    fn start(&self, index: usize) -> *mut u8 {
        // SAFETY: the remainder keeps the block inside the mapping of BLOCKS blocks.
        unsafe { self.0.as_ptr().add(index % BLOCKS * BLOCK_BYTES) }
    }
}

#[expect(unsafe_code, reason = "munmap")]
impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference into it outlives the ring.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BLOCK_BYTES * BLOCKS) };
    }
}

// SAFETY: the ring is plain memory owned by one value; no thread-bound state.
#[expect(unsafe_code, reason = "a mapping may move to the capture's thread")]
unsafe impl Send for Ring {}

struct Frame<'a> {
    bytes: &'a [u8],
    truncated: bool,
}

/// The frames of one block, in order of arrival.
struct Frames<'a> {
    block: &'a [u8],
    left: u32,
    header: usize,
}

impl<'a> Frames<'a> {
    fn of(block: &'a [u8]) -> Self {
        let descriptor = offset_of!(libc::tpacket_block_desc, hdr);
        let left = word(block, descriptor + offset_of!(libc::tpacket_hdr_v1, num_pkts)).unwrap_or(0);
        let first =
            word(block, descriptor + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt)).unwrap_or(0);
        Self { block, left, header: first as usize }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        self.left = self.left.checked_sub(1)?;
        let field = |offset| word(self.block, self.header + offset);
        let captured = field(offset_of!(libc::tpacket3_hdr, tp_snaplen))? as usize;
        let on_the_wire = field(offset_of!(libc::tpacket3_hdr, tp_len))? as usize;
        // `tp_mac` and `tp_net` share a word; the first is where the link-layer header starts.
        let [low, high, ..] = field(offset_of!(libc::tpacket3_hdr, tp_mac))?.to_ne_bytes();
        let start = self.header + usize::from(u16::from_ne_bytes([low, high]));
        let bytes = self.block.get(start..start + captured)?;
        self.header += field(offset_of!(libc::tpacket3_hdr, tp_next_offset))? as usize;
        Some(Frame { bytes, truncated: captured < on_the_wire })
    }
}

fn word(block: &[u8], offset: usize) -> Option<u32> {
    block.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[expect(unsafe_code, reason = "socket2 knows no sockaddr_ll")]
#[expect(clippy::cast_possible_truncation, reason = "small constants, which libc declares as wider types")]
fn every_protocol_on(interface: u32) -> io::Result<SockAddr> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    // SAFETY: sockaddr_ll fits into sockaddr_storage and the length says how much of it is set.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let link: *mut libc::sockaddr_ll = storage.cast();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            (*link).sll_ifindex = index;
            *length = size_of::<libc::sockaddr_ll>() as u32;
            Ok(())
        })
    }?;
    Ok(address)
}

#[expect(clippy::cast_possible_truncation, reason = "the size of a small structure")]
#[expect(unsafe_code, reason = "setsockopt of packet sockets has no safe wrapper")]
fn set_option<T>(socket: &Socket, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one live value of the type that the option takes.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "the size of a small structure")]
#[expect(unsafe_code, reason = "getsockopt of packet sockets has no safe wrapper")]
fn statistics(socket: &Socket) -> io::Result<libc::tpacket_stats_v3> {
    let mut statistics = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut length = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the structure that it defines for this option.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            ptr::from_mut(&mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics) } else { Err(io::Error::last_os_error()) }
}
