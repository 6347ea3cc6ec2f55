//! Addresses that are leased to peers and give themselves back: a failed path leaves none behind (RFC 7296 §2.19).

mod stock;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use stock::{Holder, Stock};

use crate::config::{Connection, Name, Pool, PoolRange, Uniqueness};
use crate::event::PoolStatus;
use crate::identity::Identity;
use crate::negotiate::TrafficSelector;

/// One way to find an address in a pool.
type Choice<'a> = &'a dyn Fn(&mut Stock) -> Option<IpAddr>;

/// All pools of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    stocks: BTreeMap<Name, Stock>,
    returned: Arc<Mutex<Vec<(Name, IpAddr)>>>,
}

impl Pools {
    /// These take the place of what was. A pool that goes on keeps its leases, those included that it could not give
    /// out any more: whoever has one is to be told, see [`Pools::holds`].
    pub(crate) fn configure(&mut self, pools: Vec<Pool>) {
        self.reclaim();
        let mut before = std::mem::take(&mut self.stocks);
        for pool in pools {
            let name = pool.name.clone();
            let stock = match before.remove(&name) {
                Some(stock) => stock.with(pool),
                None => Stock::new(pool),
            };
            self.stocks.insert(name, stock);
        }
    }

    pub(crate) fn has(&self, name: &Name) -> bool {
        self.stocks.contains_key(name)
    }

    /// Whether its pool, which this connection must name, still has this address to give.
    pub(crate) fn holds(&self, connection: &Connection, lease: &AddressLease) -> bool {
        let stock = self.stocks.get(&lease.pool).filter(|_| connection.pools.contains(&lease.pool));
        stock.is_some_and(|stock| stock.pool().holds(lease.address))
    }

    /// An address of this family for a peer that has proved who it is: the one that it has, if it is to have one tunnel
    /// alone; else the one that it wants, if that is free and no other peer's last; else the one that it had last, one that nobody had yet, the
    /// one that was given back longest ago. `None` if there is none left.
    pub(crate) fn lease(
        &mut self,
        connection: &Connection,
        peer: &Identity,
        ipv4: bool,
        wanted: Option<IpAddr>,
    ) -> Option<AddressLease> {
        self.reclaim();
        let holder = Holder::new(&connection.name, peer);
        let shares = connection.unique != Uniqueness::Never;
        let wanted = wanted.filter(|address| address.is_ipv4() == ipv4);
        let choices: [Choice<'_>; 5] = [
            &|stock| stock.held_by(&holder, ipv4).filter(|_| shares),
            &|stock| stock.free(wanted?, &holder),
            &|stock| stock.last_of(&holder, ipv4),
            &|stock| stock.fresh(ipv4),
            &|stock| stock.oldest(ipv4),
        ];
        for choose in choices {
            for name in &connection.pools {
                let Some(stock) = self.stocks.get_mut(name) else { continue };
                if let Some(address) = choose(stock) {
                    stock.hold(address, &holder);
                    let returned = Arc::clone(&self.returned);
                    return Some(AddressLease { pool: name.clone(), address, returned });
                }
            }
        }
        None
    }

    /// What a peer of this connection is told to ask for names.
    pub(crate) fn dns(&self, connection: &Connection, ipv4: bool) -> impl Iterator<Item = IpAddr> {
        let stocks = connection.pools.iter().filter_map(|name| self.stocks.get(name));
        stocks.flat_map(|stock| stock.pool().dns.iter().copied()).filter(move |dns| dns.is_ipv4() == ipv4)
    }

    /// All that is given out.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &TrafficSelector> {
        self.stocks.values().flat_map(|stock| &stock.pool().ranges).map(PoolRange::selector)
    }

    /// A peer of this connection was told that there is no address left.
    pub(crate) fn refused(&mut self, connection: &Connection) {
        for name in &connection.pools {
            self.stocks.get_mut(name).into_iter().for_each(Stock::refused);
        }
    }

    /// What a diagnosis says of the pools of a connection: how full they are.
    pub(crate) fn describe(&self, connection: &Connection) -> String {
        let stocks = connection.pools.iter().filter_map(|name| self.stocks.get(name));
        stocks.map(|stock| stock.status().to_string()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn status(&self) -> Vec<PoolStatus> {
        self.stocks.values().map(Stock::status).collect()
    }

    /// Takes back what was dropped since the last call.
    pub(crate) fn reclaim(&mut self) {
        let returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        for (pool, address) in returned {
            self.stocks.get_mut(&pool).into_iter().for_each(|stock| stock.release(address));
        }
    }
}

/// An address of a pool, given back on drop.
pub(crate) struct AddressLease {
    pool: Name,
    address: IpAddr,
    returned: Arc<Mutex<Vec<(Name, IpAddr)>>>,
}

impl AddressLease {
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for AddressLease {
    fn drop(&mut self) {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.push((self.pool.clone(), self.address));
    }
}

impl fmt::Debug for AddressLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.address, self.pool)
    }
}

#[cfg(test)]
mod tests;
