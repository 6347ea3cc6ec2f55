//! Whether the addresses that the responder gives us are some that we can use (RFC 7296 §2.19, §3.15.4).

use std::net::IpAddr;

use super::Attempt;
use super::auth::Examining;
use crate::config::is_for_no_host;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::exchange::{ChildAnswer, ConfigReply};
use crate::sa::addresses::Addresses;
use crate::wire::NotifyType;

impl Attempt {
    /// What the responder, whose identity is proved, gave us: at most one a family, and none that we did not ask for. "If
    /// the initiator requires the assignment of an IP address, it will treat a response without `CFG_REPLY` as an error";
    /// we then "tear down the IKE SA [...] and later retry IKE SA from the beginning after some timeout".
    pub(super) fn given_addresses(&self, examining: &Examining) -> Result<Addresses, Diagnosis> {
        let wanted = self.connection.internal_address;
        if !wanted.is_asked() {
            return Ok(Addresses::default());
        }
        let refusals = [NotifyType::INTERNAL_ADDRESS_FAILURE, NotifyType::FAILED_CP_REQUIRED];
        if let ChildAnswer::Refused(kind) = examining.answer
            && refusals.contains(&kind)
        {
            return Err(diagnose::address_refused_there(kind));
        }
        let Some(ConfigReply { addresses, dns }) = &examining.configuration else {
            return Err(diagnose::no_address());
        };
        let families = [true, false].into_iter().filter(|ipv4| wanted.asks(*ipv4));
        let first = |ipv4| addresses.iter().copied().find(|address: &IpAddr| address.is_ipv4() == ipv4);
        let given: Vec<IpAddr> = families.filter_map(first).collect();
        if given.is_empty() {
            return Err(diagnose::no_address());
        }
        given.iter().try_for_each(|address| self.judge(*address))?;
        let dns = dns.iter().copied().filter(|server| !is_for_no_host(*server, *server)).collect();
        Ok(Addresses::given(given, dns))
    }

    /// An address becomes one of this machine's own: it must not be one that has a meaning of its own, nor one of whom
    /// other tunnels speak, whose traffic this peer would catch.
    fn judge(&self, address: IpAddr) -> Result<(), Diagnosis> {
        let unusable = |why| Err(diagnose::address_unusable(address, why));
        if is_for_no_host(address, address) {
            return unusable("no host in a network can have");
        }
        if address == self.path.remote_ip() || address == self.path.local.ip() {
            return unusable("is that of one of both ends outside the tunnel");
        }
        if self.asking.ends.contains(&address) {
            return unusable("is that of an end of another tunnel");
        }
        if self.asking.others.iter().any(|other| other.contains_address(address)) {
            return unusable("lies in a network of another tunnel");
        }
        Ok(())
    }
}
