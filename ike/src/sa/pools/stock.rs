//! One pool: which of its addresses are held, which were, and which nobody had yet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::{Name, Pool};
use crate::event::PoolStatus;
use crate::identity::Identity;
use crate::limits;

/// Who an address is for: a peer, on one connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder(Name, Identity);

impl Holder {
    pub(super) fn new(connection: &Name, peer: &Identity) -> Self {
        Self(connection.clone(), peer.clone())
    }
}

/// One pool and its addresses.
#[derive(Debug)]
pub(super) struct Stock {
    pool: Pool,
    /// By whom, and by how many of its tunnels: for a moment two, while one takes the place of the other.
    held: BTreeMap<IpAddr, (Holder, u32)>,
    by_holder: BTreeSet<(Holder, IpAddr)>,
    /// Of IPv4 and of IPv6.
    former: [Former; 2],
    /// Of IPv4 and of IPv6: all before this place are held or were.
    fresh_from: [u128; 2],
    refused: u64,
}

impl Stock {
    pub(super) fn new(pool: Pool) -> Self {
        let (held, by_holder) = (BTreeMap::new(), BTreeSet::new());
        Self { pool, held, by_holder, former: Default::default(), fresh_from: [0; 2], refused: 0 }
    }

    /// The same with other addresses.
    pub(super) fn with(self, pool: Pool) -> Self {
        let former = self.former.map(|former| former.within(&pool));
        Self { former, fresh_from: [0; 2], pool, ..self }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The address that it holds.
    pub(super) fn held_by(&self, holder: &Holder, ipv4: bool) -> Option<IpAddr> {
        let lowest = (holder.clone(), IpAddr::from([0; 4]));
        let held = self.by_holder.range(lowest..).take_while(|(by, _)| by == holder);
        held.map(|(_, address)| *address).find(|a| a.is_ipv4() == ipv4 && self.pool.holds(*a))
    }

    /// This address, unless somebody holds it or another one had it last: whoever asks does not choose whose place it
    /// takes. One that nobody had yet is given out under the same bound as [`Self::fresh`].
    pub(super) fn free(&self, address: IpAddr, holder: &Holder) -> Option<IpAddr> {
        let former = self.former(address);
        let may_have = match former.holder_of(address) {
            Some(last) => last == holder,
            None => former.len() < limits::REMEMBERED_LEASES,
        };
        let good = self.pool.holds(address) && !self.held.contains_key(&address);
        (good && may_have).then_some(address)
    }

    /// The address that it gave back last.
    pub(super) fn last_of(&self, holder: &Holder, ipv4: bool) -> Option<IpAddr> {
        self.former_of(ipv4).last_of(holder)
    }

    /// An address that nobody had yet. None is given out while more than enough are remembered.
    pub(super) fn fresh(&mut self, ipv4: bool) -> Option<IpAddr> {
        if self.former_of(ipv4).len() >= limits::REMEMBERED_LEASES {
            return None;
        }
        let [of_ipv4, of_ipv6] = self.fresh_from;
        let mut from = if ipv4 { of_ipv4 } else { of_ipv6 };
        let mut found = self.pool.at(ipv4, from);
        while let Some(address) = found
            && (self.held.contains_key(&address) || self.former(address).holder_of(address).is_some())
        {
            from = from.saturating_add(1);
            found = self.pool.at(ipv4, from);
        }
        self.fresh_from = if ipv4 { [from, of_ipv6] } else { [of_ipv4, from] };
        found
    }

    /// The address that was given back longest ago.
    pub(super) fn oldest(&self, ipv4: bool) -> Option<IpAddr> {
        self.former_of(ipv4).oldest()
    }

    pub(super) fn hold(&mut self, address: IpAddr, holder: &Holder) {
        self.former_mut(address).forget(address);
        self.held.entry(address).or_insert_with(|| (holder.clone(), 0)).1 += 1;
        self.by_holder.insert((holder.clone(), address));
    }

    pub(super) fn release(&mut self, address: IpAddr) {
        let Some((_, times)) = self.held.get_mut(&address) else { return };
        *times = times.saturating_sub(1);
        if *times > 0 {
            return;
        }
        if let Some((holder, _)) = self.held.remove(&address) {
            self.by_holder.remove(&(holder.clone(), address));
            if self.pool.holds(address) {
                self.former_mut(address).remember(address, holder);
            }
        }
    }

    /// How many addresses of a family are kept for those who had them.
    #[cfg(test)]
    pub(super) fn remembered(&self, ipv4: bool) -> usize {
        self.former_of(ipv4).len()
    }

    fn former_of(&self, ipv4: bool) -> &Former {
        let [of_ipv4, of_ipv6] = &self.former;
        if ipv4 { of_ipv4 } else { of_ipv6 }
    }

    fn former(&self, address: IpAddr) -> &Former {
        self.former_of(address.is_ipv4())
    }

    fn former_mut(&mut self, address: IpAddr) -> &mut Former {
        let [of_ipv4, of_ipv6] = &mut self.former;
        if address.is_ipv4() { of_ipv4 } else { of_ipv6 }
    }

    pub(super) fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    pub(super) fn status(&self) -> PoolStatus {
        let used = |ipv4| self.held.keys().filter(|address| address.is_ipv4() == ipv4).count();
        PoolStatus {
            pool: self.pool.name.clone(),
            used: [used(true), used(false)],
            size: [self.pool.size(true), self.pool.size(false)],
            refused: self.refused,
        }
    }
}

/// Addresses of one family that were given back, kept for those who had them.
#[derive(Debug, Default)]
struct Former {
    /// In the order in which they were given back.
    in_order: BTreeMap<u64, (IpAddr, Holder)>,
    by_address: BTreeMap<IpAddr, u64>,
    by_holder: BTreeSet<(Holder, u64)>,
    next: u64,
}

impl Former {
    fn len(&self) -> usize {
        self.in_order.len()
    }

    fn remember(&mut self, address: IpAddr, holder: Holder) {
        self.forget(address);
        let place = self.next;
        self.next += 1;
        self.by_address.insert(address, place);
        self.by_holder.insert((holder.clone(), place));
        self.in_order.insert(place, (address, holder));
    }

    fn forget(&mut self, address: IpAddr) {
        let Some(place) = self.by_address.remove(&address) else { return };
        if let Some((_, holder)) = self.in_order.remove(&place) {
            self.by_holder.remove(&(holder, place));
        }
    }

    fn holder_of(&self, address: IpAddr) -> Option<&Holder> {
        self.in_order.get(self.by_address.get(&address)?).map(|(_, holder)| holder)
    }

    fn last_of(&self, holder: &Holder) -> Option<IpAddr> {
        let range = (holder.clone(), 0)..=(holder.clone(), u64::MAX);
        let (_, place) = self.by_holder.range(range).next_back()?;
        self.in_order.get(place).map(|(address, _)| *address)
    }

    fn oldest(&self) -> Option<IpAddr> {
        self.in_order.values().next().map(|(address, _)| *address)
    }

    /// Only those that the pool still gives out.
    fn within(mut self, pool: &Pool) -> Self {
        let gone: Vec<_> = self.by_address.keys().copied().filter(|address| !pool.holds(*address)).collect();
        gone.into_iter().for_each(|address| self.forget(address));
        self
    }
}
