//! The Configuration payload (RFC 7296 §3.15): addresses that one end gives to the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::cursor::{Malformed, Reader};
use super::registry::{AttributeType, ConfigurationType};
use crate::limits;

/// A request for addresses and the like, or the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// What it is.
    pub kind: ConfigurationType,
    /// In the order sent.
    pub attributes: Vec<Attribute>,
}

/// One attribute. `None` asks for a value, whatever it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// An address for the asking end.
    Ip4Address(Option<Ipv4Addr>),
    /// An address for the asking end, and the length of its prefix: at most 128.
    Ip6Address(Option<(Ipv6Addr, u8)>),
    /// A name server.
    Ip4Dns(Option<Ipv4Addr>),
    /// A name server.
    Ip6Dns(Option<Ipv6Addr>),
    /// One that we do not use, or whose value is of a length that its type does not have.
    Other(AttributeType, Vec<u8>),
}

impl Configuration {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let kind = ConfigurationType(reader.u8("configuration")?);
        reader.take(3, "configuration")?;
        let mut attributes = Vec::new();
        while reader.remaining() > 0 {
            if attributes.len() == limits::CONFIGURATION_ATTRIBUTES {
                return Err(Malformed::Syntax("number of configuration attributes"));
            }
            // "This bit MUST be set to zero and MUST be ignored on receipt."
            let kind = AttributeType(reader.u16("configuration attribute")? & 0x7fff);
            let length = reader.u16("configuration attribute")?;
            attributes.push(Attribute::read(kind, reader.take(length.into(), "configuration attribute")?));
        }
        Ok(Self { kind, attributes })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, 0, 0, 0]);
        for attribute in &self.attributes {
            out.extend_from_slice(&attribute.kind().0.to_be_bytes());
            // The length here is of the value alone.
            let value = attribute.value();
            out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&value);
        }
    }
}

impl Attribute {
    fn read(kind: AttributeType, value: &[u8]) -> Self {
        let other = || Self::Other(kind, value.to_vec());
        let v4 = || <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from);
        let v6 = || <[u8; 16]>::try_from(value).ok().map(Ipv6Addr::from);
        match kind {
            AttributeType::INTERNAL_IP4_ADDRESS if value.is_empty() => Self::Ip4Address(None),
            AttributeType::INTERNAL_IP4_ADDRESS => v4().map_or_else(other, |a| Self::Ip4Address(Some(a))),
            AttributeType::INTERNAL_IP4_DNS if value.is_empty() => Self::Ip4Dns(None),
            AttributeType::INTERNAL_IP4_DNS => v4().map_or_else(other, |a| Self::Ip4Dns(Some(a))),
            AttributeType::INTERNAL_IP6_DNS if value.is_empty() => Self::Ip6Dns(None),
            AttributeType::INTERNAL_IP6_DNS => v6().map_or_else(other, |a| Self::Ip6Dns(Some(a))),
            AttributeType::INTERNAL_IP6_ADDRESS if value.is_empty() => Self::Ip6Address(None),
            AttributeType::INTERNAL_IP6_ADDRESS => match <[u8; 17]>::try_from(value) {
                Ok([address @ .., prefix]) if prefix <= 128 => {
                    Self::Ip6Address(Some((Ipv6Addr::from(address), prefix)))
                }
                _ => other(),
            },
            _ => other(),
        }
    }

    fn kind(&self) -> AttributeType {
        match self {
            Self::Ip4Address(_) => AttributeType::INTERNAL_IP4_ADDRESS,
            Self::Ip6Address(_) => AttributeType::INTERNAL_IP6_ADDRESS,
            Self::Ip4Dns(_) => AttributeType::INTERNAL_IP4_DNS,
            Self::Ip6Dns(_) => AttributeType::INTERNAL_IP6_DNS,
            Self::Other(kind, _) => *kind,
        }
    }

    fn value(&self) -> Vec<u8> {
        match self {
            Self::Ip4Address(address) | Self::Ip4Dns(address) => {
                address.map_or_else(Vec::new, |a| a.octets().to_vec())
            }
            Self::Ip6Dns(address) => address.map_or_else(Vec::new, |a| a.octets().to_vec()),
            Self::Ip6Address(address) => {
                address.map_or_else(Vec::new, |(a, prefix)| a.octets().into_iter().chain([prefix]).collect())
            }
            Self::Other(_, value) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attributes: &[u8]) -> Result<Vec<Attribute>, Malformed> {
        Configuration::parse(&[&[1, 0, 0, 0], attributes].concat()).map(|read| read.attributes)
    }

    /// Laid out by hand from the figures of RFC 7296 §3.15 and §3.15.1.
    #[test]
    fn each_attribute_reads_as_the_rfc_has_it() {
        assert_eq!(read(&[0, 1, 0, 0]), Ok(vec![Attribute::Ip4Address(None)]));
        assert_eq!(
            read(&[0, 1, 0, 4, 10, 0, 0, 7]),
            Ok(vec![Attribute::Ip4Address(Some([10, 0, 0, 7].into()))])
        );
        assert_eq!(read(&[0x80, 3, 0, 0]), Ok(vec![Attribute::Ip4Dns(None)]), "the reserved bit is ignored");
        let mut v6 = vec![0, 8, 0, 17];
        v6.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 128]);
        let address = "2001:db8::9".parse().ok();
        assert_eq!(read(&v6), Ok(vec![Attribute::Ip6Address(address.map(|a| (a, 128)))]));
        assert_eq!(read(&[0, 10, 0, 0]), Ok(vec![Attribute::Ip6Dns(None)]));
        let unknown = Attribute::Other(AttributeType(0x7abc), vec![1, 2]);
        assert_eq!(read(&[0x7a, 0xbc, 0, 2, 1, 2]), Ok(vec![unknown]), "carried, not refused");
    }

    #[test]
    fn a_value_of_another_length_is_no_address() {
        for attribute in
            [&[0, 1, 0, 3, 1, 2, 3][..], &[0, 3, 0, 5, 1, 2, 3, 4, 5], &[0, 10, 0, 4, 1, 2, 3, 4]]
        {
            assert!(matches!(read(attribute).as_deref(), Ok([Attribute::Other(..)])), "{attribute:?}");
        }
        let mut prefix = vec![0, 8, 0, 17];
        prefix.extend([0; 16].into_iter().chain([129]));
        assert!(matches!(read(&prefix).as_deref(), Ok([Attribute::Other(..)])), "a prefix of 129 bits");
    }

    #[test]
    fn what_is_cut_off_or_too_much_is_refused() {
        assert!(Configuration::parse(&[1, 0, 0]).is_err());
        for cut in [&[0][..], &[0, 1], &[0, 1, 0], &[0, 1, 0, 4, 10, 0, 0], &[0, 1, 0xff, 0xff, 0]] {
            assert!(read(cut).is_err(), "{cut:?}");
        }
        let many = |count| [0, 1, 0, 0].repeat(count);
        assert_eq!(read(&many(limits::CONFIGURATION_ATTRIBUTES)).map(|all| all.len()), Ok(64));
        assert!(read(&many(limits::CONFIGURATION_ATTRIBUTES + 1)).is_err());
    }
}
