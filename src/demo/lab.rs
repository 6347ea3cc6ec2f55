//! The laboratory: four machines in namespaces without a name, which go when their processes go.
//!
//! ```text
//!  facility-host            facility                        data-centre            data-centre-host
//!  10.17.0.10 ─────── 10.17.0.1  203.0.113.17 ─────── 203.0.113.1  10.0.0.1 ─────── 10.0.0.10
//!                        lan  wan      the link that is watched    wan  lan
//! ```

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::Error;
use super::link::Change;
use super::node::{Node, Order};

/// The link between the gateways, as both call it.
pub const WAN: &str = "wan";
const LAN: &str = "lan";

/// One side of the link.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// The gateway's name.
    pub name: &'static str,
    /// The name of the host behind it.
    pub host_name: &'static str,
    /// The gateway's address on the link.
    pub outer: Ipv4Addr,
    /// The gateway's address in the protected network.
    pub inner: Ipv4Addr,
    /// The host's address.
    pub host: Ipv4Addr,
    /// The length of the protected network's prefix.
    pub prefix: u8,
}

/// The hospital's side.
pub const FACILITY: Side = Side {
    name: "facility",
    host_name: "facility-host",
    outer: Ipv4Addr::new(203, 0, 113, 17),
    inner: Ipv4Addr::new(10, 17, 0, 1),
    host: Ipv4Addr::new(10, 17, 0, 10),
    prefix: 24,
};

/// The data centre's side.
pub const DATA_CENTRE: Side = Side {
    name: "data-centre",
    host_name: "data-centre-host",
    outer: Ipv4Addr::new(203, 0, 113, 1),
    inner: Ipv4Addr::new(10, 0, 0, 1),
    host: Ipv4Addr::new(10, 0, 0, 10),
    prefix: 16,
};

impl Side {
    /// The protected network.
    pub fn network(&self) -> IpNet {
        Ipv4Net::new_assert(self.inner, self.prefix).trunc().into()
    }

    /// The host's address with a port.
    pub fn host_port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.host.into(), port)
    }
}

/// A gateway and the host behind it.
#[derive(Debug)]
pub struct Site {
    /// Names and addresses.
    pub side: Side,
    /// The gateway.
    pub gateway: Node,
    /// The host.
    pub host: Node,
}

/// The four machines, cabled and addressed. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Lab {
    /// The hospital.
    pub facility: Site,
    /// The data centre.
    pub centre: Site,
}

impl Lab {
    /// Starts four processes of `executable` (this program) and connects them.
    ///
    /// # Errors
    /// A namespace or an interface cannot be made.
    pub fn build(executable: &Path) -> Result<Self, Error> {
        let mut facility = Site::start(executable, FACILITY)?;
        let mut centre = Site::start(executable, DATA_CENTRE)?;
        cable(&mut facility.gateway, WAN, &centre.gateway)?;
        facility.connect(&DATA_CENTRE)?;
        centre.connect(&FACILITY)?;
        Ok(Self { facility, centre })
    }
}

impl Site {
    fn start(executable: &Path, side: Side) -> Result<Self, Error> {
        let mut gateway = Node::start(executable, side.name)?;
        let host = Node::start(executable, side.host_name)?;
        cable(&mut gateway, LAN, &host)?;
        Ok(Self { side, gateway, host })
    }

    fn connect(&mut self, other: &Side) -> Result<(), Error> {
        let Side { outer, inner, host, prefix, .. } = self.side;
        self.gateway.ask::<()>(&Order::Network(vec![
            address("lo", Ipv4Addr::LOCALHOST, 8),
            address(WAN, outer, 24),
            address(LAN, inner, prefix),
            Change::Forward,
            // The ordinary way past the tunnel, there all the time: what a leak would take.
            Change::Route { destination: other.network(), via: other.outer.into() },
        ]))?;
        let default = Ipv4Net::default().into();
        self.host.ask::<()>(&Order::Network(vec![
            address("lo", Ipv4Addr::LOCALHOST, 8),
            address(LAN, host, prefix),
            Change::Route { destination: default, via: IpAddr::V4(inner) },
        ]))
    }
}

fn cable(near: &mut Node, interface: &str, far: &Node) -> Result<(), Error> {
    let interface = interface.to_owned();
    near.ask(&Order::Network(vec![Change::Cable {
        near: interface.clone(),
        far: interface,
        far_pid: far.pid(),
    }]))
}

fn address(interface: &str, address: Ipv4Addr, prefix: u8) -> Change {
    Change::Address { interface: interface.to_owned(), address: Ipv4Net::new_assert(address, prefix).into() }
}

/// Where this run's files are: memory that only this process and its children see, and that goes with the last of them.
pub const SCRATCH: &str = "/run";

/// Withdraws this process, which must have one thread only, into a mount namespace of its own, as root of a user namespace of its own
/// if it is not root, and puts empty memory at [`SCRATCH`]. The answer is whether it took a user namespace.
///
/// # Errors
/// The machine does not allow it; the error names the remedy.
pub fn withdraw() -> Result<bool, Error> {
    let forbidden = |what: &'static str| move |error: io::Error| Error::Forbidden { what, error };
    let as_user = match unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => false,
        Err(Errno::EPERM) => become_root().map(|()| true).map_err(forbidden("a user namespace"))?,
        Err(error) => return Err(forbidden("a mount namespace")(error.into())),
    };
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .and_then(|()| {
            mount(nothing, SCRATCH, Some("tmpfs"), MsFlags::MS_NODEV | MsFlags::MS_NOSUID, Some("mode=0755"))
        })
        .map_err(|error| forbidden("a private file system")(error.into()))?;
    Ok(as_user)
}

fn become_root() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    // user_namespaces(7): without privileges, groups can be mapped only once setgroups is given up.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
