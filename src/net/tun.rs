//! A TUN device whose packets carry a virtio-net header, so that one read or write moves up to 64 KiB of one flow
//! (Linux, Documentation/networking/tuntap.rst; virtio 1.2 §5.1.6).
//!
//! Why our own and not the crate `tun-rs`: all that is needed are three ioctls; addresses, routes and MTU are set by
//! `netlink`. That crate's offload path cuts super-packets into buffers of its own, where ours cuts them straight
//! into the ESP train; and it has needed a row of memory-safety fixes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::net::if_::if_nametoindex;

use super::offload::{Asked, Granted, negotiate};

const CLONE_DEVICE: &str = "/dev/net/tun";

/// Longest packet that a TUN hands out: an IPv6 header and 65,535 bytes.
pub const MAX_PACKET: usize = 40 + 65_535;

/// Bytes of `struct virtio_net_hdr` before each packet; numbers in it are in the machine's byte order.
pub const HEADER: usize = 10;

/// A device of our own; it disappears when this is dropped or the process dies.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    granted: Granted,
}

/// Why there is no device, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel or the container has none.
    #[error(
        "{CLONE_DEVICE} is missing: load the module (`modprobe tun`), or give the container the device \
         (`--device {CLONE_DEVICE}`)"
    )]
    Missing,
    /// We may not.
    #[error(
        "no permission to create the TUN device `{0}`: it needs CAP_NET_ADMIN; start the daemon as root, or give \
         the service `AmbientCapabilities=CAP_NET_ADMIN`"
    )]
    Denied(String),
    /// Another has it.
    #[error(
        "the interface `{0}` exists already: stop the program that owns it, remove it (`ip link del {0}`), or set \
         another `interface` in the configuration"
    )]
    Exists(String),
    /// The kernel takes 1 to 15 bytes, without `/` and white space.
    #[error("`{0}` cannot be the name of an interface: 1 to 15 letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// Anything else.
    #[error("the TUN device `{name}` could not be set up: {what}: {source}")]
    Setup {
        /// The device.
        name: String,
        /// The step.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Tun {
    /// Create the device, non-blocking, one queue of a multi-queue device. It is down and has no address yet.
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn open(name: &str, offloads: Asked) -> Result<Self, TunError> {
        // Asked for exclusively: another program's device is never joined, however it was made.
        let file = attach(name, request(name, libc::IFF_TUN_EXCL)?)?;
        let size = libc::c_int::try_from(HEADER).unwrap_or_default();
        sys::set_header_size(&file, size).map_err(|error| setup_error(name, "TUNSETVNETHDRSZ", error))?;
        let granted = negotiate(offloads, |flags| sys::set_offload(&file, flags))
            .map_err(|error| setup_error(name, "TUNSETOFFLOAD", error))?;
        Ok(Self { file, name: name.to_owned(), granted })
    }

    /// Create the device with this many queues, at least one. The kernel spreads flows over them, and a flow comes out of
    /// the one through which its other direction went in.
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn open_queues(name: &str, queues: u8, offloads: Asked) -> Result<Vec<Self>, TunError> {
        let first = Self::open(name, offloads)?;
        let others: Result<Vec<_>, _> = (1..queues).map(|_| first.another()).collect();
        let mut all = others?;
        all.insert(0, first);
        Ok(all)
    }

    /// One more queue of the device; header size and offloads are the device's.
    fn another(&self) -> Result<Self, TunError> {
        let file = attach(&self.name, request(&self.name, 0)?)?;
        Ok(Self { file, name: self.name.clone(), granted: self.granted.clone() })
    }

    /// What reads and writes packets like a device, for tests.
    #[cfg(test)]
    pub(crate) fn stand_in(file: File) -> Self {
        let granted = Granted { offloads: super::offload::Offloads::TcpAndUdp, refused: Vec::new() };
        Self { file, name: "stand-in".to_owned(), granted }
    }

    /// The name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the kernel granted.
    pub fn granted(&self) -> &Granted {
        &self.granted
    }

    /// Packets that the kernel dropped because nobody read the ones before in time; 0 where it does not say.
    pub fn overflowed(&self) -> u64 {
        let devices = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        dropped_on_the_way_out(&devices, &self.name).unwrap_or(0)
    }

    /// Read one packet, or one super-packet, into `packet` ([`MAX_PACKET`] bytes hold any): its virtio header, and
    /// how long it is.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `EBADFD` when the device was removed.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<([u8; HEADER], usize)> {
        let mut header = [0; HEADER];
        let mut slices = [IoSliceMut::new(&mut header), IoSliceMut::new(packet)];
        let length = (&self.file).read_vectored(&mut slices)?;
        let length = length.checked_sub(HEADER).ok_or(ErrorKind::UnexpectedEof)?;
        Ok((header, length))
    }

    /// Write one packet, or one super-packet, with its virtio header.
    ///
    /// # Errors
    /// `EIO` when the device is down, `EBADFD` when it was removed, `EINVAL` for a header that contradicts the packet.
    pub fn write(&self, header: [u8; HEADER], packet: &[u8]) -> io::Result<()> {
        let slices = [IoSlice::new(&header), IoSlice::new(packet)];
        (&self.file).write_vectored(&slices).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The twelfth number of a device's line (proc(5), `/proc/net/dev`).
fn dropped_on_the_way_out(devices: &str, name: &str) -> Option<u64> {
    let numbers = devices.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

/// A descriptor of the device that the request names.
fn attach(name: &str, mut request: libc::ifreq) -> Result<File, TunError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(CLONE_DEVICE)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::Missing,
            Some(libc::EPERM | libc::EACCES) => TunError::Denied(name.to_owned()),
            _ => setup_error(name, "open", error),
        })?;
    sys::set_interface(&file, &mut request).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TunError::Denied(name.to_owned()),
        Some(libc::EBUSY) => TunError::Exists(name.to_owned()),
        // An interface of another kind has this name.
        Some(libc::EINVAL) if if_nametoindex(name).is_ok() => TunError::Exists(name.to_owned()),
        _ => setup_error(name, "TUNSETIFF", error),
    })?;
    Ok(file)
}

/// `struct ifreq` with the name and the flags that we ask for, these among them.
fn request(name: &str, flags: libc::c_int) -> Result<libc::ifreq, TunError> {
    let fits = (1..libc::IFNAMSIZ).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !matches!(name, "." | "..");
    if !fits {
        return Err(TunError::Name(name.to_owned()));
    }
    let mut ifr_name = [0; libc::IFNAMSIZ];
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let flags = flags | libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
    let [low, high, ..] = flags.to_le_bytes();
    let ifru_flags = libc::c_short::from_le_bytes([low, high]);
    Ok(libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags } })
}

fn setup_error(name: &str, what: &'static str, source: io::Error) -> TunError {
    TunError::Setup { name: name.to_owned(), what, source }
}

#[expect(unsafe_code, reason = "ioctl(2)")]
mod sys {
    use super::{AsRawFd, File, io};

    mod ioctl {
        nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, libc::ifreq);
        nix::ioctl_write_int_bad!(set_offload, libc::TUNSETOFFLOAD);
        nix::ioctl_write_ptr_bad!(set_header_size, libc::TUNSETVNETHDRSZ, libc::c_int);
    }

    pub(super) fn set_interface(file: &File, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the descriptor is open and the kernel reads and writes one `ifreq`, which is ours.
        unsafe { ioctl::set_interface(file.as_raw_fd(), request) }?;
        Ok(())
    }

    pub(super) fn set_offload(file: &File, flags: u32) -> io::Result<()> {
        // SAFETY: the descriptor is open and the argument is an integer, not a pointer.
        unsafe { ioctl::set_offload(file.as_raw_fd(), flags.cast_signed()) }?;
        Ok(())
    }

    pub(super) fn set_header_size(file: &File, size: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open and the kernel reads one `int`, which outlives the call.
        unsafe { ioctl::set_header_size(file.as_raw_fd(), &raw const size) }?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Tun, TunError, dropped_on_the_way_out, request};

    #[test]
    fn a_name_that_the_kernel_would_refuse_or_expand_is_refused_with_the_rule() {
        for name in ["", "a/b", "sixteen-letters-", "tun%d", "a b", ".."] {
            let Err(error @ TunError::Name(_)) = request(name, 0) else { panic!("{name:?} was accepted") };
            assert!(error.to_string().contains("1 to 15"));
        }
        assert!(request("sekisho0", 0).is_ok());
    }

    #[test]
    fn what_was_dropped_on_the_way_out_is_found_in_the_line_of_the_device() {
        let devices = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop ...\n    \
            tun1: 1 2 3 4 5 6 7 8 9 10 11 99 13 14 15 16\n    tun:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!(dropped_on_the_way_out(devices, "tun"), Some(12));
        assert_eq!(dropped_on_the_way_out(devices, "tun1"), Some(99));
        assert_eq!(dropped_on_the_way_out(devices, "tu"), None);
    }

    #[test]
    fn an_interface_of_that_name_is_not_joined() {
        assert!(nix::unistd::geteuid().is_root(), "this test opens TUN devices: run it as root");
        // `lo` is everywhere, and never ours.
        let error = Tun::open("lo", Asked::Auto).unwrap_err();
        assert!(matches!(error, TunError::Exists(_)), "{error}");
        assert!(error.to_string().contains("ip link del lo"));
    }
}
