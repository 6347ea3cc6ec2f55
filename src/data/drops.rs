//! Why packets were lost: the reasons of the ESP crate, and finer ones for the network around it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_esp::{Counters, DropReason};

/// A reason that only sockets, devices and queues know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// A NAT keepalive of the peer: no error.
    Keepalive,
    /// The kernel cut a datagram off.
    DatagramCut,
    /// No route to the peer, or the line is down.
    Unreachable,
    /// The peer's machine refused an earlier datagram.
    Refused,
    /// A packet filter forbade it.
    Denied,
    /// The socket buffer or the line's queue was full.
    SendQueueFull,
    /// The socket refused a datagram of ours for another reason.
    SendFailed,
    /// The TUN refused a packet.
    DeliverFailed,
    /// IKE arrived faster than it is worked off.
    QueueFull,
    /// A router's message that a packet was too big which does not show one that we have sent lately: forged, or from a router
    /// that quotes too little. It changes nothing.
    TooBigUnproven,
    /// It waited for its Child SA for too long.
    AcquireExpired,
    /// Its Child SA could not be set up.
    AcquireFailed,
    /// As much as may wait for a Child SA waits already.
    AcquireFull,
}

impl Loss {
    const ALL: [Self; 13] = [
        Self::Keepalive,
        Self::DatagramCut,
        Self::Unreachable,
        Self::Refused,
        Self::Denied,
        Self::SendQueueFull,
        Self::SendFailed,
        Self::DeliverFailed,
        Self::QueueFull,
        Self::TooBigUnproven,
        Self::AcquireExpired,
        Self::AcquireFailed,
        Self::AcquireFull,
    ];

    /// A stable word for `status --json` and metrics.
    fn code(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::DatagramCut => "datagram_cut",
            Self::Unreachable => "peer_unreachable",
            Self::Refused => "peer_refused",
            Self::Denied => "send_denied",
            Self::SendQueueFull => "send_queue_full",
            Self::SendFailed => "send_failed",
            Self::DeliverFailed => "deliver_failed",
            Self::QueueFull => "queue_full",
            Self::TooBigUnproven => "too_big_unproven",
            Self::AcquireExpired => "acquire_expired",
            Self::AcquireFailed => "acquire_failed",
            Self::AcquireFull => "acquire_full",
        }
    }
}

/// A counter for each reason, for one thread: drops may be as many as packets.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Drops {
    esp: Counters,
    losses: [AtomicU64; Loss::ALL.len()],
}

/// A worker's threads each write to their own, for every packet that somebody floods us with.
const _: () = assert!(align_of::<Drops>() >= 128 && size_of::<Drops>().is_multiple_of(128));

impl Drops {
    /// Count packets lost for a reason of the ESP crate.
    pub(super) fn esp(&self, reason: DropReason, packets: usize) {
        self.esp.add(reason, widened(packets));
    }

    /// Count packets lost in the network.
    pub(super) fn loss(&self, loss: Loss, packets: usize) {
        if let Some(counter) = self.losses.get(loss as usize) {
            counter.fetch_add(widened(packets), Ordering::Relaxed);
        }
    }

    /// Count datagrams that did not leave.
    pub(super) fn unsent(&self, error: Option<&io::Error>, packets: usize) {
        match error.and_then(io::Error::raw_os_error) {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => {
                self.loss(Loss::Unreachable, packets);
            }
            Some(libc::ECONNREFUSED) => self.loss(Loss::Refused, packets),
            Some(libc::EPERM | libc::EACCES) => self.loss(Loss::Denied, packets),
            Some(libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM) => self.loss(Loss::SendQueueFull, packets),
            _ => self.loss(Loss::SendFailed, packets),
        }
    }

    /// Every reason, also those that never happened: the sums over all threads.
    pub(super) fn read(all: &[&Self]) -> Vec<(&'static str, u64)> {
        let sum =
            |count: &dyn Fn(&Self) -> u64| all.iter().map(|own| count(own)).fold(0, u64::saturating_add);
        let esp = DropReason::ALL.into_iter().map(|reason| (reason.code(), sum(&|own| own.esp.get(reason))));
        let losses = Loss::ALL.into_iter().map(|loss| (loss.code(), sum(&|own| own.losses(loss))));
        esp.chain(losses).collect()
    }

    fn losses(&self, loss: Loss) -> u64 {
        self.losses.get(loss as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

fn widened(packets: usize) -> u64 {
    u64::try_from(packets).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use sekisho_esp::DropReason;

    use super::{Drops, Loss};

    #[test]
    fn each_reason_has_its_own_word_and_counter() {
        let drops = Drops::default();
        for (position, loss) in Loss::ALL.into_iter().enumerate() {
            drops.loss(loss, position + 1);
        }
        let read = Drops::read(&[&drops]);
        let by_word: BTreeMap<_, _> = read.iter().copied().collect();
        assert_eq!(read.len(), by_word.len(), "two reasons share a word");
        for (loss, expected) in Loss::ALL.into_iter().zip(1..) {
            assert_eq!(by_word.get(loss.code()), Some(&expected));
        }
    }

    #[test]
    fn what_several_threads_counted_is_added_up() {
        let all = [Drops::default(), Drops::default()];
        for drops in &all {
            drops.esp(DropReason::Replayed, 2);
            drops.loss(Loss::Keepalive, 3);
        }
        let read = Drops::read(&[&all[0], &all[1]]);
        assert!(read.contains(&("replayed", 4)) && read.contains(&("keepalive", 6)), "{read:?}");
    }

    #[test]
    fn what_the_kernel_says_to_a_datagram_is_told_apart() {
        let drops = Drops::default();
        let cases = [
            (libc::ENETUNREACH, "peer_unreachable"),
            (libc::ECONNREFUSED, "peer_refused"),
            (libc::EPERM, "send_denied"),
            (libc::ENOBUFS, "send_queue_full"),
            (libc::EINVAL, "send_failed"),
        ];
        for (errno, word) in cases {
            drops.unsent(Some(&io::Error::from_raw_os_error(errno)), 3);
            assert!(Drops::read(&[&drops]).contains(&(word, 3)), "{word}");
        }
    }
}
