//! The Configuration payload as a request and its answer (RFC 7296 §2.19, §3.15), as far as we use it.

use std::net::IpAddr;

use crate::config::InternalAddress;
use crate::limits;
use crate::wire::{Attribute, Configuration, ConfigurationType, Malformed, Payload};

/// `CP(CFG_REQUEST)`: what the sender would be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigRequest {
    /// One a family.
    pub(crate) addresses: Vec<AddressWish>,
    /// Whether name servers of IPv4 and of IPv6 are asked for.
    pub(crate) dns: [bool; 2],
}

/// An address of a family, and perhaps a certain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressWish {
    pub(crate) ipv4: bool,
    pub(crate) wanted: Option<IpAddr>,
}

/// `CP(CFG_REPLY)`: what the asking end is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigReply {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) dns: Vec<IpAddr>,
}

impl ConfigRequest {
    /// What we ask for, if it can be what we had last, with the name servers that go with it.
    pub(crate) fn new(asked: InternalAddress, last: &[IpAddr]) -> Self {
        let families = [true, false].into_iter().filter(|ipv4| asked.asks(*ipv4));
        let had = |ipv4| last.iter().copied().find(|address| address.is_ipv4() == ipv4);
        let addresses = families.map(|ipv4| AddressWish { ipv4, wanted: had(ipv4) }).collect();
        Self { addresses, dns: [asked.ipv4, asked.ipv6] }
    }

    /// "An implementation of this specification MAY ignore `CFG_SET` payloads"; an answer is no request.
    pub(super) fn read(payload: Option<Configuration>) -> Result<Option<Self>, Malformed> {
        let Some(Configuration { kind, attributes }) = payload else { return Ok(None) };
        match kind {
            ConfigurationType::CFG_REQUEST => Ok(Some(Self::of(&attributes))),
            ConfigurationType::CFG_REPLY => Err(Malformed::Syntax("CFG_REPLY in a request")),
            _ => Ok(None),
        }
    }

    /// "Unrecognized or unsupported attributes MUST be ignored in both requests and responses."
    fn of(attributes: &[Attribute]) -> Self {
        let mut request = Self::default();
        for attribute in attributes {
            match *attribute {
                Attribute::Ip4Address(wanted) => request.wish(true, wanted.map(IpAddr::V4)),
                Attribute::Ip6Address(wanted) => request.wish(false, wanted.map(|(v6, _)| IpAddr::V6(v6))),
                Attribute::Ip4Dns(_) => request.dns[0] = true,
                Attribute::Ip6Dns(_) => request.dns[1] = true,
                Attribute::Other(..) => {}
            }
        }
        request
    }

    /// One address a family is what we give out; of several wishes the first counts.
    fn wish(&mut self, ipv4: bool, wanted: Option<IpAddr>) {
        if !self.addresses.iter().any(|have| have.ipv4 == ipv4) {
            let wanted = wanted.filter(|address| !address.is_unspecified());
            self.addresses.push(AddressWish { ipv4, wanted });
        }
    }

    pub(super) fn into_payload(self) -> Payload {
        let address = |wish: AddressWish| match (wish.ipv4, wish.wanted) {
            (_, Some(wanted)) => address(wanted),
            (true, None) => Attribute::Ip4Address(None),
            (false, None) => Attribute::Ip6Address(None),
        };
        let [dns4, dns6] = self.dns;
        let attributes = self.addresses.into_iter().map(address);
        let attributes = attributes.chain(dns4.then_some(Attribute::Ip4Dns(None)));
        let attributes = attributes.chain(dns6.then_some(Attribute::Ip6Dns(None))).collect();
        Payload::Configuration(Configuration { kind: ConfigurationType::CFG_REQUEST, attributes })
    }
}

impl ConfigReply {
    /// A request is no answer; a `CFG_ACK` is one to what we never say.
    pub(super) fn read(payload: Option<Configuration>) -> Result<Option<Self>, Malformed> {
        let Some(Configuration { kind, attributes }) = payload else { return Ok(None) };
        match kind {
            ConfigurationType::CFG_REPLY => Ok(Some(Self::of(&attributes))),
            ConfigurationType::CFG_REQUEST => Err(Malformed::Syntax("CFG_REQUEST in an answer")),
            _ => Ok(None),
        }
    }

    fn of(attributes: &[Attribute]) -> Self {
        let mut reply = Self::default();
        for attribute in attributes {
            match *attribute {
                Attribute::Ip4Address(Some(v4)) => reply.addresses.push(v4.into()),
                Attribute::Ip6Address(Some((v6, _))) => reply.addresses.push(v6.into()),
                Attribute::Ip4Dns(Some(v4)) => reply.server(v4.into()),
                Attribute::Ip6Dns(Some(v6)) => reply.server(v6.into()),
                _ => {}
            }
        }
        reply
    }

    fn server(&mut self, server: IpAddr) {
        if self.dns.len() < limits::NAME_SERVERS && !self.dns.contains(&server) {
            self.dns.push(server);
        }
    }

    pub(super) fn into_payload(self) -> Payload {
        let dns = |server| match server {
            IpAddr::V4(v4) => Attribute::Ip4Dns(Some(v4)),
            IpAddr::V6(v6) => Attribute::Ip6Dns(Some(v6)),
        };
        let attributes = self.addresses.into_iter().map(address).chain(self.dns.into_iter().map(dns));
        let attributes = attributes.collect();
        Payload::Configuration(Configuration { kind: ConfigurationType::CFG_REPLY, attributes })
    }
}

fn address(address: IpAddr) -> Attribute {
    match address {
        IpAddr::V4(v4) => Attribute::Ip4Address(Some(v4)),
        IpAddr::V6(v6) => Attribute::Ip6Address(Some((v6, 128))),
    }
}
