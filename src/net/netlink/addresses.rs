//! The machine's own addresses, and which of its interfaces lead out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteNextHop};

use super::request::FAMILIES;
use super::{Error, Netlink};

/// One address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) interface: u32,
    /// The address itself.
    pub(super) own: IpAddr,
    /// The network that it puts on the interface.
    pub(super) network: IpNet,
    /// Configured for good, not by DHCP or a router advertisement.
    pub(super) permanent: bool,
    /// Fit to be the source of new packets.
    pub(super) usable: bool,
}

impl Address {
    fn read(message: &AddressMessage) -> Option<Self> {
        let mut prefix = None;
        let mut local = None;
        let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(address) => prefix = Some(*address),
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Flags(all) => flags = *all,
                _ => {}
            }
        }
        let own = local.or(prefix)?;
        let unfit = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated;
        Some(Self {
            interface: message.header.index,
            own,
            network: IpNet::new(prefix.unwrap_or(own), message.header.prefix_len).ok()?.trunc(),
            permanent: flags.contains(AddressFlags::Permanent),
            usable: !flags.intersects(unfit) && message.header.scope == AddressScope::Universe,
        })
    }
}

/// Identifies an address event: interface, address with its network's length (one may be there with several), and whether it can be used
/// yet.
pub(super) fn address_key(message: &AddressMessage) -> Option<((u32, IpAddr, u8), bool)> {
    let tentative = message.header.flags.contains(AddressHeaderFlags::Tentative);
    let key = |address: Address| (address.interface, address.own, address.network.prefix_len());
    Address::read(message).map(|address| (key(address), !tentative))
}

impl Netlink {
    /// The addresses of every interface.
    pub(super) async fn addresses(&self) -> Result<Vec<Address>, Error> {
        let answers = self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default())).await;
        let answers = answers.map_err(Error::refused("list the addresses of this machine"))?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewAddress(message) => Address::read(message),
                _ => None,
            })
            .collect())
    }

    /// The interfaces that carry a default route.
    pub(super) async fn uplinks(&self) -> Result<BTreeSet<u32>, Error> {
        let mut uplinks = BTreeSet::new();
        for family in FAMILIES {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            message.header.table = RouteHeader::RT_TABLE_MAIN;
            let answers = self.dump(RouteNetlinkMessage::GetRoute(message)).await;
            let answers = match answers.map_err(Error::refused("list the default routes")) {
                Err(error) if error.is_missing_family() => continue,
                other => other?,
            };
            for answer in answers {
                if let RouteNetlinkMessage::NewRoute(route) = answer
                    && route.header.destination_prefix_length == 0
                {
                    uplinks.extend(route.attributes.iter().flat_map(outgoing));
                }
            }
        }
        Ok(uplinks)
    }
}

fn outgoing(attribute: &RouteAttribute) -> Vec<u32> {
    match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => {
            hops.iter().map(|hop: &RouteNextHop| hop.interface_index).collect()
        }
        _ => Vec::new(),
    }
}
