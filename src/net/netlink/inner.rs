//! The TUN's own addresses: those that a peer gave us.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Error, TunnelLink};

impl TunnelLink {
    /// The addresses that it has.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub async fn addresses(&self) -> Result<BTreeSet<IpAddr>, Error> {
        let all = self.netlink().addresses().await?;
        Ok(all.into_iter().filter(|address| address.interface == self.index()).map(|a| a.own).collect())
    }

    /// Gives it an address, alone and at once usable: nobody else on this link could have it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn add_address(&self, address: IpAddr) -> Result<(), Error> {
        let mut message = self.message(address);
        // For the kernel's part these make no route: ours do.
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute | AddressFlags::Permanent;
        message.header.flags = AddressHeaderFlags::Nodad | AddressHeaderFlags::Permanent;
        message.attributes.push(AddressAttribute::Flags(flags));
        let refused = Error::refused(format!("give {address} to the tunnel interface"));
        self.netlink().ensure(RouteNetlinkMessage::NewAddress(message)).await.map_err(refused)
    }

    /// Takes an address away, if it is there.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove_address(&self, address: IpAddr) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelAddress(self.message(address));
        match self.netlink().remove(message).await {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other.map_err(Error::refused(format!("take {address} from the tunnel interface"))),
        }
    }

    fn message(&self, address: IpAddr) -> AddressMessage {
        let mut message = AddressMessage::default();
        let (family, length) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        message.header.family = family;
        message.header.prefix_len = length;
        message.header.index = self.index();
        message.header.scope = AddressScope::Universe;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        message
    }
}
