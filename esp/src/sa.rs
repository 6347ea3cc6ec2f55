//! What makes an SA, why it may be refused, and what it has carried.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ecn::Marking;
use crate::selector::Selector;
use crate::suite::{Keymat, Suite};

/// Smallest and largest replay window, in packets.
pub(crate) const REPLAY_WINDOWS: std::ops::RangeInclusive<u32> = 32..=65_536;

/// Everything that one direction of a Child SA needs.
#[derive(Debug)]
pub struct SaConfig {
    /// The receiver's SPI; 0 to 255 are reserved.
    pub spi: u32,
    /// The cipher.
    pub suite: Suite,
    /// Key and salt of this direction.
    pub keymat: Keymat,
    /// Whether sequence numbers have 64 bits (RFC 4303 §2.2.1) or end at 2^32 - 1.
    pub esn: bool,
    /// What our side may send from. Outbound: the source; inbound: the destination.
    pub local: Vec<Selector>,
    /// What the peer's side may send from. Outbound: the destination; inbound: the source.
    pub remote: Vec<Selector>,
    /// What the outer header carries of the inner one. Outbound only.
    pub marking: Marking,
    /// Packets that may arrive out of order: 32 to 65,536, usually 1,024. Inbound only.
    pub replay_window: u32,
    /// Packets after which nothing more is sent, if that is less than what the cipher and the sequence number
    /// allow. Outbound only.
    pub packet_limit: Option<u64>,
}

/// Why an SA or a selector cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// SPI below 256.
    #[error("SPI {0} is reserved")]
    ReservedSpi(u32),
    /// Not as many bytes of key material as the cipher needs.
    #[error("the cipher needs {expected} bytes of key material and was given {given}")]
    KeymatLength {
        /// Key and salt.
        expected: usize,
        /// What there was.
        given: usize,
    },
    /// A replay window out of range; 0, "no protection", is never allowed.
    #[error("a replay window of {0} packets is not allowed; it must be 32 to 65536")]
    ReplayWindow(u32),
    /// No local or no remote selector.
    #[error("an SA needs a local and a remote selector")]
    NoSelectors,
    /// The first address lies behind the last, or they are of two families.
    #[error("the range of addresses is empty")]
    Addresses,
    /// The first port lies behind the last.
    #[error("the range of ports is empty")]
    Ports,
}

impl SaConfig {
    /// What both directions require.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.spi < 256 {
            return Err(ConfigError::ReservedSpi(self.spi));
        }
        if !REPLAY_WINDOWS.contains(&self.replay_window) {
            return Err(ConfigError::ReplayWindow(self.replay_window));
        }
        if self.local.is_empty() || self.remote.is_empty() {
            return Err(ConfigError::NoSelectors);
        }
        Ok(())
    }
}

/// What an SA has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packets sealed, or opened and accepted.
    pub packets: u64,
    /// Bytes of those inner packets.
    pub bytes: u64,
    /// When the last authentic packet arrived, on the clock of [`crate::InboundSa::opener`]'s caller; outbound
    /// SAs have none.
    pub last_ns: Option<u64>,
}

/// What a train changes of an SA, with nothing else in the cache lines that it writes to (processors fetch two at a time): the
/// rest of the SA is read by every worker, and other SAs are written to by theirs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Changing<T> {
    /// Behind the lock that is taken once a train.
    pub(crate) state: Mutex<T>,
    /// Changed by who holds it, read by anybody.
    pub(crate) usage: UsageCounters,
    /// When its life is over, on the clock of those who lock it. Changed and read by who holds the lock.
    end_ns: AtomicU64,
}

const _: () = assert!(align_of::<Changing<u64>>() >= 128 && size_of::<Changing<u64>>().is_multiple_of(128));

impl<T> Changing<T> {
    pub(crate) const fn new(state: T) -> Self {
        Self { state: Mutex::new(state), usage: UsageCounters::new(), end_ns: AtomicU64::new(u64::MAX) }
    }

    /// Locked for one train. Waits if another thread holds it, which the owner's never finds.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the life of the SA is over, for who has locked it.
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        self.end_ns.load(Ordering::Relaxed) <= now_ns
    }

    /// Has the life of the SA end then. Waits for the train under way.
    pub(crate) fn end_at(&self, end_ns: u64) {
        let _train = self.lock();
        self.end_ns.store(end_ns, Ordering::Relaxed);
    }
}

/// [`Usage`] that whoever holds the SA's lock updates once a train and anybody reads without waiting.
#[derive(Debug)]
pub(crate) struct UsageCounters {
    packets: AtomicU64,
    bytes: AtomicU64,
    last_ns: AtomicU64,
}

impl UsageCounters {
    const NEVER: u64 = u64::MAX;

    pub(crate) const fn new() -> Self {
        Self { packets: AtomicU64::new(0), bytes: AtomicU64::new(0), last_ns: AtomicU64::new(Self::NEVER) }
    }

    pub(crate) fn add(&self, packets: u64, bytes: u64) {
        // One thread at a time writes, so that no atomic addition is needed.
        let add = |counter: &AtomicU64, more: u64| {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(&self.packets, packets);
        add(&self.bytes, bytes);
    }

    pub(crate) fn seen(&self, now_ns: u64) {
        self.last_ns.store(now_ns, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Usage {
        let last_ns = self.last_ns.load(Ordering::Relaxed);
        Usage {
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            last_ns: (last_ns != Self::NEVER).then_some(last_ns),
        }
    }
}
