//! Whether what a socket sends may be fragmented, by us or by routers: an option of the socket and not of a message (ip(7), ipv6(7)).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::socket::{AtStep, set_option};

/// What is set at a socket. Where nothing may be fragmented the kernel does not believe what it has heard of a path by ICMP: whether a
/// packet passes is for us to judge.
#[derive(Debug)]
pub(super) struct Wholeness {
    ipv6: bool,
    /// What is sent now wears the Don't Fragment bit.
    whole: AtomicBool,
    /// Held while that is changed, or must not change.
    changing: Mutex<()>,
}

impl Wholeness {
    /// Packets of this socket may be fragmented until told otherwise.
    pub(super) fn new(socket: &socket2::Socket, ipv6: bool) -> Result<Self, AtStep> {
        let own = Self { ipv6, whole: AtomicBool::new(false), changing: Mutex::new(()) };
        own.set(socket, false).map_err(|error| ("set IP_MTU_DISCOVER", error))?;
        Ok(own)
    }

    /// From now on. Another thread may want it otherwise in between: then a few packets may be fragmented that should not be, or are
    /// lost.
    pub(super) fn want(&self, socket: &socket2::Socket, whole: bool) {
        if self.whole.load(Ordering::Relaxed) != whole {
            drop(self.hold(socket, whole));
        }
    }

    /// Until what is given back is dropped.
    pub(super) fn hold(&self, socket: &socket2::Socket, whole: bool) -> MutexGuard<'_, ()> {
        let held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // What the kernel allowed when the socket was set up cannot fail now.
        if self.whole.load(Ordering::Relaxed) != whole && self.set(socket, whole).is_ok() {
            self.whole.store(whole, Ordering::Relaxed);
        }
        held
    }

    fn set(&self, socket: &socket2::Socket, whole: bool) -> std::io::Result<()> {
        let (level, option, value) = match (self.ipv6, whole) {
            (true, true) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
            (true, false) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
            (false, true) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
            (false, false) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        };
        set_option(socket, level, option, value)
    }
}
