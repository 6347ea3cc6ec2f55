//! Watching lines, addresses, default routes, and our own routes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::RouteProtocol;
use tokio::time::{Instant, sleep_until};

use super::addresses::address_key;
use super::{ROUTE_PROTOCOL, rule};

/// A line that comes up brings a burst of messages; one event is made of those within this time.
const SETTLE: Duration = Duration::from_millis(300);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A rule or route of ours was removed, or messages were lost: look at once.
    Protection,
    /// A line went up or down, an address came or went, or a default route changed.
    Network,
}

/// A stream of changes.
pub struct Watch {
    messages: BoxStream<'static, NetlinkPayload<RouteNetlinkMessage>>,
    seen: Seen,
    network_settles: Option<Instant>,
}

impl Watch {
    /// Starts watching. Changes of the interface `ignored` (the TUN) are not the network's.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn start(ignored: u32) -> io::Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ];
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        let messages = messages.map(|(message, _)| message.payload).boxed();
        Ok(Self { messages, seen: Seen { ignored, ..Seen::default() }, network_settles: None })
    }

    /// The next change. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the kernel's stream ended.
    pub async fn next(&mut self) -> io::Result<Change> {
        loop {
            let settled = async {
                match self.network_settles {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.messages.next() => match self.seen.judge(&message.ok_or(io::ErrorKind::BrokenPipe)?) {
                    Some(Change::Protection) => return Ok(Change::Protection),
                    Some(Change::Network) if self.network_settles.is_none() => {
                        self.network_settles = Some(Instant::now() + SETTLE);
                    }
                    _ => {}
                },
                () = settled => {
                    self.network_settles = None;
                    return Ok(Change::Network);
                }
            }
        }
    }
}

/// What was seen so far: the kernel repeats itself (statistics, router advertisements).
#[derive(Default)]
struct Seen {
    ignored: u32,
    running: BTreeMap<u32, bool>,
    addresses: BTreeSet<((u32, IpAddr, u8), bool)>,
}

impl Seen {
    fn judge(&mut self, message: &NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
        let message = match message {
            NetlinkPayload::InnerMessage(message) => message,
            NetlinkPayload::Overrun(_) => return Some(Change::Protection),
            _ => return None,
        };
        match message {
            RouteNetlinkMessage::NewLink(link) => self.link(link, is_running(link)),
            RouteNetlinkMessage::DelLink(link) => self.link(link, false),
            RouteNetlinkMessage::NewAddress(address) => {
                let (key, usable) =
                    address_key(address).filter(|((interface, ..), _)| *interface != self.ignored)?;
                self.addresses.remove(&(key, !usable));
                self.addresses.insert((key, usable)).then_some(Change::Network)
            }
            RouteNetlinkMessage::DelAddress(address) => {
                let (key, _) = address_key(address)?;
                // One of the TUN takes the routes along that prefer it.
                if key.0 == self.ignored {
                    return Some(Change::Protection);
                }
                self.addresses.retain(|(known, _)| *known != key);
                Some(Change::Network)
            }
            RouteNetlinkMessage::DelRoute(route)
                if route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL) =>
            {
                Some(Change::Protection)
            }
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) => {
                let default = route.header.destination_prefix_length == 0;
                let ours = route.header.protocol == RouteProtocol::from(ROUTE_PROTOCOL);
                (default && !ours).then_some(Change::Network)
            }
            RouteNetlinkMessage::DelRule(rule) if rule::is_ours(rule) => Some(Change::Protection),
            _ => None,
        }
    }

    /// The TUN going down takes its routes along, which is told apart from this.
    fn link(&mut self, link: &LinkMessage, running: bool) -> Option<Change> {
        let before = self.running.insert(link.header.index, running);
        if link.header.index == self.ignored {
            return (before != Some(running)).then_some(Change::Protection);
        }
        (before != Some(running)).then_some(Change::Network)
    }
}

fn is_running(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}
