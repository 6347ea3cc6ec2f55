//! Routing by rtnetlink: what is protected goes to the TUN or nowhere, whatever else the machine routes.
//!
//! # How protected traffic is routed
//!
//! ```text
//! rule      0: local                               addresses of this machine, loopback: always first
//! rule   7296: not fwmark MARK lookup TABLE        everything but our own IKE and ESP
//! rule  32766: main                                the machine's own routes
//!
//! TABLE:  10.0.0.0/16 dev sekisho0 metric 16 src 10.17.0.1     gone when the daemon is
//!         blackhole 10.0.0.0/16 metric 32768                   stays
//!         throw 10.0.5.0/24 metric 16                          what lies inside and is local all the same
//! ```
//!
//! - Blackholes are added before the rule and before the routes to the TUN, and nothing but [`Netlink::unprotect`]
//!   and [`Netlink::free`] removes one: no start, stop, crash, restart or reload opens a window in which protected traffic leaves in
//!   clear. A prefix that left the configuration stays blackholed and is reported as stale, unless a configured one
//!   covers it.
//! - Rule and routes carry the protocol number [`ROUTE_PROTOCOL`], by which the next start adopts them.
//! - A socket with the mark skips the table, so a selector that contains the peer's own address is harmless.
//!
//! # Networks that are local all the same
//!
//! A remote selector such as `0.0.0.0/0` covers the machine's own networks too. `throw` routes send these back to
//! the ordinary tables: the local selectors, link-local addresses, and the networks of addresses that were
//! configured for good (not by DHCP or router advertisements) on interfaces without a default route. Networks of
//! other addresses stay protected, since whoever hands out addresses on a line could otherwise name a network of
//! the far side as local and have its traffic sent in clear. A network that a remote selector names exactly is
//! protected too.

mod addresses;
mod cut_off;
mod inner;
mod link;
mod plan;
mod protection;
mod request;
mod route;
mod rule;
mod watch;

use std::collections::BTreeSet;
use std::io;

use ipnet::IpNet;

pub use cut_off::{CutOff, cut_off_by, is_everything};
pub use link::TunnelLink;
pub use plan::Policy;
pub use protection::{Protection, Removed};
pub use request::Error;
pub use route::Route;
pub use watch::{Change, Watch};

/// The protocol number (`rtm_protocol`) of our rule and routes; in neither the kernel's list nor `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 94;

/// Where and how our routes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The routing table.
    pub table: u32,
    /// The priority of the rule that leads to it.
    pub priority: u32,
    /// The mark (`SO_MARK`) that skips it.
    pub mark: u32,
}

/// A connection to the kernel's routing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    settings: Settings,
}

impl Netlink {
    /// Connects; the connection is served by a task of the current tokio runtime.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn connect(settings: Settings) -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        tokio::spawn(connection);
        Ok(Self { handle, settings })
    }
}

/// Takes the protection away: rule, routes and blackholes of every table. For the command line, while no daemon
/// runs.
///
/// # Errors
/// If we may not; what was not removed still blocks.
pub fn unprotect() -> Result<Removed, Error> {
    by_itself(async |netlink| netlink.unprotect().await)
}

/// What has a blackhole. For the command line, while no daemon runs.
///
/// # Errors
/// If the kernel does not say.
pub fn blocked() -> Result<BTreeSet<IpNet>, Error> {
    by_itself(async |netlink| netlink.blocked().await)
}

/// Takes these blackholes away. For the command line, while no daemon runs.
///
/// # Errors
/// If we may not; what was not removed still blocks.
pub fn free(prefixes: &BTreeSet<IpNet>) -> Result<(), Error> {
    by_itself(async |netlink| netlink.free(prefixes).await)
}

/// Without a daemon's runtime, and of all tables.
fn by_itself<T>(work: impl AsyncFnOnce(Netlink) -> Result<T, Error>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Open)?;
    runtime.block_on(async {
        let settings = Settings { table: 0, priority: 0, mark: 0 };
        work(Netlink::connect(settings).map_err(Error::Open)?).await
    })
}
