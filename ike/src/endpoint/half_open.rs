//! The half-open SAs of a responder, and who may have how many (RFC 7296 §2.6, RFC 8019 §3).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::EndpointConfig;
use crate::crypto::sha256;
use crate::limits;
use crate::sa::{DropReason, HalfOpen};
use crate::wire::IkeSpi;

/// Half-open SAs by their local SPI, and by what tells a repeated first message. One whose proof was refused counts
/// like the others until it expires: it takes their room.
#[derive(Default)]
pub(super) struct HalfOpenTable {
    by_spi: BTreeMap<IkeSpi, Box<HalfOpen>>,
    /// RFC 7296 §2.1: "a robust responder will do the IKE SA lookup using the whole packet, its hash, or the Ni
    /// payload": two peers behind one NAT may have the same SPI, and one peer may have cause to begin anew.
    by_first_message: BTreeMap<(SocketAddr, [u8; 32]), IkeSpi>,
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
        self.by_first_message.insert((remote, half_open.digest()), half_open.spi());
        *self.per_address.entry(remote.ip()).or_default() += 1;
        *self.per_prefix.entry(prefix(remote.ip())).or_default() += 1;
        self.by_spi.insert(half_open.spi(), half_open);
    }

    pub(super) fn take(&mut self, spi: IkeSpi) -> Option<Box<HalfOpen>> {
        let half_open = self.by_spi.remove(&spi)?;
        let remote = half_open.path().remote;
        self.by_first_message.remove(&(remote, half_open.digest()));
        decrement(&mut self.per_address, remote.ip());
        decrement(&mut self.per_prefix, prefix(remote.ip()));
        Some(half_open)
    }

    /// The half-open SA that this first message has made before.
    pub(super) fn made_by(&self, message: &[u8], remote: SocketAddr) -> Option<&HalfOpen> {
        let spi = self.by_first_message.get(&(remote, sha256(&[message])))?;
        self.by_spi.get(spi).map(Box::as_ref)
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
pub(super) fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}
