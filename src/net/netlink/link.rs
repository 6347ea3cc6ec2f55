//! The TUN's link: up, quiet, and of the right MTU.

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};

use super::{Error, Netlink};

/// Packets that may wait in each queue of the TUN. Linux gives it 500, which small packets fill in two milliseconds; a thread
/// that waits for its turn on a busy processor is away for longer.
const QUEUE: u32 = 2_000;

/// The TUN as the kernel's routing sees it.
#[derive(Clone, Debug)]
pub struct TunnelLink {
    netlink: Netlink,
    name: String,
    index: u32,
}

impl TunnelLink {
    /// Brings the TUN up with this MTU, without any address of its own.
    ///
    /// # Errors
    /// If there is no such interface or we may not.
    pub async fn up(netlink: &Netlink, name: &str, mtu: u32) -> Result<Self, Error> {
        let refused = || Error::refused(format!("bring interface {name} up"));
        let index = if_nametoindex(name).map_err(|error| refused()(error.into()))?;
        let link = Self { netlink: netlink.clone(), name: name.to_owned(), index };
        link.silence().await;
        link.lengthen_queue().await;
        link.set_mtu(mtu).await?;
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        netlink.change(RouteNetlinkMessage::SetLink(message)).await.map_err(refused())?;
        Ok(link)
    }

    pub(super) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interface index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Sets the largest inner packet, bytes. Below 1280 the kernel takes IPv6 off the interface.
    ///
    /// # Errors
    /// If the device does not allow it.
    pub async fn set_mtu(&self, mtu: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        message.attributes.push(LinkAttribute::Mtu(mtu));
        let what = format!("set the MTU of {} to {mtu}", self.name);
        self.netlink.change(RouteNetlinkMessage::SetLink(message)).await.map_err(Error::refused(what))
    }

    /// A device that keeps its own length loses some packets more when there are many.
    async fn lengthen_queue(&self) {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        message.attributes.push(LinkAttribute::TxQueueLen(QUEUE));
        if let Err(error) = self.netlink.change(RouteNetlinkMessage::SetLink(message)).await {
            tracing::debug!(%error, interface = self.name, "the queue of the interface is left as it is");
        }
    }

    /// No link-local address, so no router solicitations nor multicast reports into the tunnel. A kernel without
    /// IPv6 refuses, and has nothing to be silent about.
    async fn silence(&self) {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![mode]));
        if let Err(error) = self.netlink.change(RouteNetlinkMessage::SetLink(message)).await {
            tracing::debug!(%error, interface = self.name, "IPv6 address generation is left as it is");
        }
    }
}
