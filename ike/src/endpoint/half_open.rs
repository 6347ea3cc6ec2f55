//! The half-open SAs of a responder, and who may have how many (RFC 7296 §2.6, RFC 8019 §3).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::EndpointConfig;
use crate::limits;
use crate::sa::{DropReason, HalfOpen};
use crate::wire::IkeSpi;

/// Half-open SAs by their local SPI, and by what tells a repeated first message. One whose proof was refused counts
/// like the others until it expires: it takes their room.
#[derive(Default)]
pub(super) struct HalfOpenTable {
    by_spi: BTreeMap<IkeSpi, Box<HalfOpen>>,
    by_peer: BTreeMap<(IkeSpi, SocketAddr), IkeSpi>,
    per_address: BTreeMap<IpAddr, usize>,
    per_prefix: BTreeMap<IpAddr, usize>,
}

/// What a first message must bring.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    Cookie,
    Refused(DropReason),
}

impl HalfOpenTable {
    /// Counts are held by address and by prefix, so that one sender cannot push all others into cookies.
    pub(super) fn admission(&self, config: &EndpointConfig, remote: IpAddr) -> Admission {
        let of_address = self.per_address.get(&remote).copied().unwrap_or(0);
        let of_prefix = self.per_prefix.get(&prefix(remote)).copied().unwrap_or(0);
        let full = self.by_spi.len() >= config.half_open_max
            || of_address >= limits::HALF_OPEN_PER_ADDRESS
            || of_prefix >= limits::HALF_OPEN_PER_PREFIX;
        if full {
            Admission::Refused(DropReason::HalfOpenLimit)
        } else if self.by_spi.len() >= config.cookie_threshold
            || of_address >= limits::HALF_OPEN_PER_ADDRESS / 2
            || of_prefix >= limits::HALF_OPEN_PER_PREFIX / 2
        {
            Admission::Cookie
        } else {
            Admission::Free
        }
    }

    pub(super) fn insert(&mut self, half_open: Box<HalfOpen>) {
        let remote = half_open.path().remote;
        self.by_peer.insert((half_open.peer_spi(), remote), half_open.spi());
        *self.per_address.entry(remote.ip()).or_default() += 1;
        *self.per_prefix.entry(prefix(remote.ip())).or_default() += 1;
        self.by_spi.insert(half_open.spi(), half_open);
    }

    pub(super) fn take(&mut self, spi: IkeSpi) -> Option<Box<HalfOpen>> {
        let half_open = self.by_spi.remove(&spi)?;
        let remote = half_open.path().remote;
        self.by_peer.remove(&(half_open.peer_spi(), remote));
        decrement(&mut self.per_address, remote.ip());
        decrement(&mut self.per_prefix, prefix(remote.ip()));
        Some(half_open)
    }

    /// The half-open SA that this peer's first message made before.
    pub(super) fn of_peer(&self, spi_i: IkeSpi, remote: SocketAddr) -> Option<&HalfOpen> {
        self.by_spi.get(self.by_peer.get(&(spi_i, remote))?).map(Box::as_ref)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn decrement(counts: &mut BTreeMap<IpAddr, usize>, key: IpAddr) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// The /24 of an IPv4 address, the /64 of an IPv6 address: what one subscriber may have.
fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}
