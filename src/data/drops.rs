//! Why the data path lost packets between the device and the network; the ESP crate counts its own reasons.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reason outside ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Control did not keep up with IKE datagrams.
    IkeQueueFull,
    /// A datagram was longer than any datagram can be, or the kernel cut it off.
    Truncated,
    /// No socket fits the path of the SA.
    NoSocket,
    /// No route to the peer, or the line is down.
    Unreachable,
    /// The peer's machine refused an earlier datagram.
    Refused,
    /// A packet filter forbade it.
    Denied,
    /// The socket buffer or the line's queue was full.
    SendQueueFull,
    /// The network refused it for another reason.
    SendFailed,
    /// The TUN device refused it.
    TunWrite,
}

impl Loss {
    const ALL: [Self; 9] = [
        Self::IkeQueueFull,
        Self::Truncated,
        Self::NoSocket,
        Self::Unreachable,
        Self::Refused,
        Self::Denied,
        Self::SendQueueFull,
        Self::SendFailed,
        Self::TunWrite,
    ];

    /// A stable word for `status --json` and metrics.
    fn code(self) -> &'static str {
        match self {
            Self::IkeQueueFull => "ike_queue_full",
            Self::Truncated => "datagram_truncated",
            Self::NoSocket => "no_socket",
            Self::Unreachable => "peer_unreachable",
            Self::Refused => "peer_refused",
            Self::Denied => "send_denied",
            Self::SendQueueFull => "send_queue_full",
            Self::SendFailed => "send_failed",
            Self::TunWrite => "tun_write_failed",
        }
    }

    /// Why a datagram did not leave.
    pub(super) fn from_send_error(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => {
                Self::Unreachable
            }
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(libc::EPERM | libc::EACCES) => Self::Denied,
            Some(libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM) => Self::SendQueueFull,
            _ => Self::SendFailed,
        }
    }
}

/// A counter for each reason, outside ESP.
#[derive(Debug, Default)]
pub(super) struct Losses([AtomicU64; Loss::ALL.len()]);

impl Losses {
    pub(super) fn add(&self, loss: Loss, packets: usize) {
        if let Some(counter) = self.0.get(loss as usize) {
            counter.fetch_add(u64::try_from(packets).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Every reason, also those that never happened.
    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Loss::ALL
            .into_iter()
            .map(Loss::code)
            .zip(self.0.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Loss, Losses};

    #[test]
    fn each_reason_has_its_own_word_and_counter() {
        let losses = Losses::default();
        for (position, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, position);
            losses.add(loss, position + 1);
        }
        let read: Vec<_> = losses.read().collect();
        let words: BTreeSet<_> = read.iter().map(|(word, _)| word).collect();
        assert_eq!(words.len(), Loss::ALL.len());
        assert!(read.iter().zip(1..).all(|((_, count), position)| *count == position));
    }
}
