//! Interfaces, addresses and routes inside a network namespace, by netlink (no program is called).

use std::net::IpAddr;
use std::{fs, io};

use ipnet::IpNet;
use nix::net::if_::if_nametoindex;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use serde::{Deserialize, Serialize};

/// One change to the network of the namespace that it is applied in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A cable: `near` here, `far` in the network namespace of the process `far_pid`.
    Cable {
        /// The interface at this end.
        near: String,
        /// The interface at the other end.
        far: String,
        /// A process in the other end's network namespace.
        far_pid: u32,
    },
    /// Gives an interface an address with its prefix and sets it up.
    Address {
        /// The interface.
        interface: String,
        /// Its address and the prefix of its network.
        address: IpNet,
    },
    /// A route in the main table.
    Route {
        /// Where to.
        destination: IpNet,
        /// The next hop.
        via: IpAddr,
    },
    /// Sends on what comes in for others.
    Forward,
}

/// Applies the changes in order to the network namespace of the calling thread.
///
/// # Errors
/// The first change that the kernel refuses, in words.
pub fn apply(changes: &[Change]) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let (connection, netlink, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        for change in changes {
            apply_one(&netlink, change)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{change:?}: {error}")))?;
        }
        Ok(())
    })
}

async fn apply_one(netlink: &Handle, change: &Change) -> io::Result<()> {
    match change {
        Change::Cable { near, far, far_pid } => {
            // Born in its own namespace, so that both ends may have the same name.
            let far = LinkUnspec::new_with_name(far).setns_by_pid(*far_pid).build();
            let near = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
                .name(near)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
                .build();
            netlink.link().add(near).execute().await.map_err(io::Error::other)
        }
        Change::Address { interface, address } => {
            let index = if_nametoindex(interface.as_str())?;
            netlink
                .address()
                .add(index, address.addr(), address.prefix_len())
                .execute()
                .await
                .map_err(io::Error::other)?;
            let up = LinkUnspec::new_with_index(index).up().build();
            netlink.link().set(up).execute().await.map_err(io::Error::other)
        }
        Change::Route { destination, via } => {
            let route = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(destination.network(), destination.prefix_len())
                .and_then(|route| route.gateway(*via))
                .map_err(io::Error::other)?
                .build();
            netlink.route().add(route).execute().await.map_err(io::Error::other)
        }
        Change::Forward => fs::write("/proc/sys/net/ipv4/ip_forward", "1"),
    }
}
