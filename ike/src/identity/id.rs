//! Identities (RFC 7296 §3.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::limits;
use crate::pki::{DistinguishedName, NameError};
use crate::wire::{IdData, IdType};

/// An identity, compared exactly (names without regard to ASCII case).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// `ID_FQDN`: a host's name, lower case, such as `clinic-17.example`.
    Fqdn(String),
    /// `ID_RFC822_ADDR`: such as `support@clinic-17.example`.
    Email(String),
    /// `ID_IPV4_ADDR`.
    Ipv4(Ipv4Addr),
    /// `ID_IPV6_ADDR`.
    Ipv6(Ipv6Addr),
    /// `ID_KEY_ID`: any bytes.
    KeyId(Vec<u8>),
    /// `ID_DER_ASN1_DN`: such as `C=JP, O=Clinic, CN=clinic-17`; not empty.
    Dn(DistinguishedName),
}

/// Why a text is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing there.
    #[error("an identity is empty")]
    Empty,
    /// Longer than we carry.
    #[error("an identity is longer than {} bytes", Identity::MAX_LENGTH)]
    TooLong,
    /// Not letters, digits, `-`, `_`, `.` (host) with one `@` (e-mail).
    #[error("`{0}` is no host name, e-mail address, IP address, distinguished name or `keyid:` value")]
    Malformed(String),
    /// With a `=` in it, so meant as one.
    #[error("no distinguished name: {0}")]
    Dn(#[from] NameError),
}

impl Identity {
    /// The most bytes that an identity may have, unless it is a distinguished name.
    pub const MAX_LENGTH: usize = 256;

    /// The name of the kind, as in messages to people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fqdn(_) => "host name",
            Self::Email(_) => "e-mail address",
            Self::Ipv4(_) | Self::Ipv6(_) => "IP address",
            Self::KeyId(_) => "key id",
            Self::Dn(_) => "distinguished name",
        }
    }

    /// As it stands on the wire.
    pub(crate) fn to_wire(&self) -> IdData {
        let (kind, data) = match self {
            Self::Fqdn(name) => (IdType::FQDN, name.as_bytes().to_vec()),
            Self::Email(name) => (IdType::RFC822_ADDR, name.as_bytes().to_vec()),
            Self::Ipv4(address) => (IdType::IPV4_ADDR, address.octets().to_vec()),
            Self::Ipv6(address) => (IdType::IPV6_ADDR, address.octets().to_vec()),
            Self::KeyId(bytes) => (IdType::KEY_ID, bytes.clone()),
            Self::Dn(name) => (IdType::DER_ASN1_DN, name.der().to_vec()),
        };
        IdData::new(kind, data)
    }

    /// From the wire; `None` for kinds that we do not have and for what is malformed.
    pub(crate) fn from_wire(id: &IdData) -> Option<Self> {
        if id.kind == IdType::DER_ASN1_DN {
            return Self::distinguished(&id.data);
        }
        if id.data.is_empty() || id.data.len() > Self::MAX_LENGTH {
            return None;
        }
        let text = || std::str::from_utf8(&id.data).ok();
        Some(match id.kind {
            IdType::FQDN => Self::Fqdn(Self::host_name(text()?)?),
            IdType::RFC822_ADDR => match text()?.parse().ok()? {
                email @ Self::Email(_) => email,
                _ => return None,
            },
            IdType::IPV4_ADDR => Self::Ipv4(<[u8; 4]>::try_from(id.data.as_slice()).ok()?.into()),
            IdType::IPV6_ADDR => Self::Ipv6(<[u8; 16]>::try_from(id.data.as_slice()).ok()?.into()),
            IdType::KEY_ID => Self::KeyId(id.data.clone()),
            _ => return None,
        })
    }

    /// An identity from the wire in words, also one of a kind that we do not have.
    pub(crate) fn describe(id: &IdData) -> String {
        if let Some(known) = Self::from_wire(id) {
            known.to_string()
        } else {
            let data = id.data.iter().take(Self::MAX_LENGTH).copied();
            let text: String = data.flat_map(std::ascii::escape_default).map(char::from).collect();
            format!("{}:{text}", id.kind)
        }
    }

    fn distinguished(der: &[u8]) -> Option<Self> {
        if der.len() > limits::DISTINGUISHED_NAME {
            return None;
        }
        DistinguishedName::from_der(der).ok().filter(|name| !name.is_empty()).map(Self::Dn)
    }

    pub(super) fn host_name(text: &str) -> Option<String> {
        let label = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        text.split('.').all(label).then(|| text.to_ascii_lowercase())
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    /// `10.0.0.1`, `2001:db8::1`, `name@host`, `keyid:TEXT`, `keyid:0xHEX`, `@host` or `host`. Whatever else holds a `=`
    /// is a distinguished name, as in strongSwan's files; `dn:` may stand before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || IdentityError::Malformed(text.to_owned());
        if text.is_empty() {
            return Err(IdentityError::Empty);
        }
        if !text.starts_with("keyid:") && (text.starts_with("dn:") || text.contains('=')) {
            return Ok(Self::Dn(text.strip_prefix("dn:").unwrap_or(text).parse()?));
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(IdentityError::TooLong);
        }
        if let Some(value) = text.strip_prefix("keyid:") {
            let bytes = match value.strip_prefix("0x") {
                Some(hex) => from_hex(hex).ok_or_else(malformed)?,
                None => value.as_bytes().to_vec(),
            };
            return if bytes.is_empty() { Err(IdentityError::Empty) } else { Ok(Self::KeyId(bytes)) };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        if let Some(host) = text.strip_prefix('@') {
            return Self::host_name(host).map(Self::Fqdn).ok_or_else(malformed);
        }
        match text.split_once('@') {
            Some((user, host))
                if !user.is_empty() && user.bytes().all(|b| b.is_ascii_graphic() && b != b'@') =>
            {
                let host = Self::host_name(host).ok_or_else(malformed)?;
                Ok(Self::Email(format!("{user}@{host}")))
            }
            Some(_) => Err(malformed()),
            None => Self::host_name(text).map(Self::Fqdn).ok_or_else(malformed),
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Ipv4(v4),
            IpAddr::V6(v6) => Self::Ipv6(v6),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fqdn(name) | Self::Email(name) => f.write_str(name),
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Dn(name) => name.fmt(f),
            Self::KeyId(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if text.bytes().all(|b| b.is_ascii_graphic()) && !text.starts_with("0x") => {
                    write!(f, "keyid:{text}")
                }
                _ => {
                    f.write_str("keyid:0x")?;
                    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
                }
            },
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reads_back_as_it_prints() {
        for text in
            ["clinic-17.example", "a@b.example", "10.0.0.1", "2001:db8::1", "keyid:box", "keyid:0x00ff"]
        {
            let id: Identity = text.parse().expect(text);
            assert_eq!(id.to_string(), text);
            assert_eq!(id.to_string().parse::<Identity>().as_ref(), Ok(&id));
        }
        assert_eq!("@Clinic.Example".parse::<Identity>(), Ok(Identity::Fqdn("clinic.example".into())));
    }

    #[test]
    fn the_wire_form_reads_back_and_nothing_else_does() {
        let dn = "C=JP, O=Clinic, CN=clinic-17";
        for text in ["clinic-17.example", "a@b.example", "10.0.0.1", "2001:db8::1", "keyid:0x00ff", dn] {
            let id: Identity = text.parse().expect(text);
            assert_eq!(Identity::from_wire(&id.to_wire()), Some(id));
        }
        let wire = |kind, data: &[u8]| Identity::from_wire(&IdData::new(kind, data.to_vec()));
        assert_eq!(wire(IdType::FQDN, b"Hub.Example"), Some(Identity::Fqdn("hub.example".into())));
        assert_eq!(wire(IdType::FQDN, b""), None);
        assert_eq!(wire(IdType::FQDN, b"hub\0.example"), None);
        assert_eq!(wire(IdType::RFC822_ADDR, b"hub.example"), None);
        assert_eq!(wire(IdType::IPV4_ADDR, &[1, 2, 3]), None);
        assert_eq!(wire(IdType::DER_ASN1_DN, b"x"), None);
        assert_eq!(wire(IdType::DER_ASN1_DN, &[0x30, 0]), None);
        assert_eq!(wire(IdType::DER_ASN1_GN, &[0x82, 1, b'a']), None);
        // What is printed of a name that only the wire can carry reads back as that name.
        let long = wire(
            IdType::DER_ASN1_DN,
            &[0x30, 15, 0x31, 13, 0x30, 11, 6, 3, 0x55, 4, 3, 0x0c, 4, b'a', b',', b'\n', b'b'],
        );
        let printed = long.as_ref().map(ToString::to_string);
        assert_eq!(printed.as_deref(), Some("CN=a\\,\\0ab"));
        assert_eq!(printed.and_then(|text| text.parse().ok()), long);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        for text in
            ["", "a b", "@", "a@", "@b@c", "a..b", "keyid:", "keyid:0xzz", "keyid:0x123", "naïve.example"]
        {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
