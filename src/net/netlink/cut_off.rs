//! Networks that this machine is on and that nothing but the TUN leads to, since a protected prefix holds them.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;
use nix::net::if_::if_indextoname;

use super::addresses::Address;
use super::plan::{LINK_LOCAL, Policy};
use super::{Error, Netlink, by_itself};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// The protected prefix.
    pub protected: IpNet,
    /// Our address there, with the length of its network.
    pub own: IpNet,
    /// The interface's name.
    pub interface: String,
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.own, self.interface)
    }
}

/// Whether this is the whole internet, or half of it: whoever protects that means it.
pub fn is_everything(protected: &IpNet) -> bool {
    protected.prefix_len() <= 1
}

impl Netlink {
    /// The networks that this machine is on and that this policy takes away.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub async fn cut_off(&self, policy: &Policy) -> Result<Vec<CutOff>, Error> {
        let addresses = self.addresses().await?;
        let lans = self.lans(policy, &BTreeSet::new(), &addresses).await?;
        let name = |index: u32| {
            if_indextoname(index)
                .map_or_else(|_| index.to_string(), |name| name.to_string_lossy().into_owned())
        };
        let found = cut_off(policy, &addresses, &lans).into_iter();
        let found =
            found.map(|(protected, own, interface)| CutOff { protected, own, interface: name(interface) });
        Ok(found.collect())
    }
}

/// The same for the command line, also while no daemon runs.
///
/// # Errors
/// If the kernel does not say.
pub fn cut_off_by(policy: &Policy) -> Result<Vec<CutOff>, Error> {
    by_itself(async |netlink| netlink.cut_off(policy).await)
}

/// Protected prefix, our address and interface. `lans`: networks that are local all the same.
fn cut_off(policy: &Policy, addresses: &[Address], lans: &BTreeSet<IpNet>) -> Vec<(IpNet, IpNet, u32)> {
    let held: BTreeSet<IpNet> = policy.remote().collect();
    let local: Vec<IpNet> =
        policy.local_inside(&held).chain(LINK_LOCAL).chain(lans.iter().copied()).collect();
    let one = |address: &Address| {
        let Address { network, own, interface, .. } = address;
        let holding = held.iter().filter(|held| held.contains(network));
        let protected = holding.max_by_key(|held| held.prefix_len())?;
        let is_local =
            local.iter().any(|net| net.contains(network) && net.prefix_len() > protected.prefix_len());
        // Nobody else is in the network of a single address.
        let is_alone = own.is_loopback() || network.prefix_len() == network.max_prefix_len();
        if is_local || is_alone || is_everything(protected) {
            return None;
        }
        Some((*protected, IpNet::new(*own, network.prefix_len()).ok()?, *interface))
    };
    addresses.iter().filter_map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What is cut off of a machine with these addresses by a tunnel from `local` to `remote`.
    fn found(local: &str, remote: &str, addresses: &[&str], lans: &[&str]) -> Vec<String> {
        let mut policy = Policy::default();
        remote.split(' ').for_each(|net| policy.protect(net.parse().unwrap(), [local.parse().unwrap()]));
        let address = |own: &&str| {
            let network: IpNet = own.parse().unwrap();
            Address {
                interface: 2,
                own: network.addr(),
                network: network.trunc(),
                permanent: true,
                usable: true,
            }
        };
        let addresses: Vec<Address> = addresses.iter().map(address).collect();
        let lans = lans.iter().map(|net| net.parse().unwrap()).collect();
        let found = cut_off(&policy, &addresses, &lans).into_iter();
        found.map(|(protected, own, _)| format!("{own} by {protected}")).collect()
    }

    #[test]
    fn a_network_of_this_machine_that_only_the_tunnel_leads_to_is_found() {
        let lan = ["10.1.0.5/24"];
        let away = |remote| found("10.17.0.0/24", remote, &lan, &[]);
        assert_eq!(away("10.1.0.0/24"), ["10.1.0.5/24 by 10.1.0.0/24"], "the very network");
        assert_eq!(away("10.0.0.0/8 10.1.0.0/16"), ["10.1.0.5/24 by 10.1.0.0/16"], "the innermost");
        assert_eq!(away("10.2.0.0/16"), [""; 0]);
        assert_eq!(away("0.0.0.0/0"), [""; 0], "everything is meant");
        assert_eq!(away("0.0.0.0/1 128.0.0.0/1"), [""; 0], "in halves");
        assert_eq!(found("10.1.0.0/24", "10.0.0.0/8", &lan, &[]), [""; 0], "it is ours, and stays local");
        assert_eq!(found("10.17.0.0/24", "10.0.0.0/8", &lan, &["10.1.0.0/24"]), [""; 0], "the same");
        let alone = ["10.1.0.5/32", "127.0.0.1/8", "169.254.7.7/16"];
        assert_eq!(found("10.17.0.0/24", "10.0.0.0/8 169.0.0.0/8", &alone, &[]), [""; 0]);
        let v6 = found("2001:db8:17::/64", "2001:db8::/32", &["2001:db8:1::5/64", "fe80::5/64"], &[]);
        assert_eq!(v6, ["2001:db8:1::5/64 by 2001:db8::/32"]);
    }
}
