//! The Traffic Selector payloads (RFC 7296 §3.13).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::{Malformed, Reader, with_length};
use super::registry::TsType;

/// One selector as it stands on the wire, unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireSelector {
    /// 0 for any.
    pub protocol: u8,
    /// First port.
    pub first_port: u16,
    /// Last port.
    pub last_port: u16,
    /// First address.
    pub first: IpAddr,
    /// Last address, of the same family.
    pub last: IpAddr,
}

/// Reads the body of a `TSi` or `TSr` payload. Selectors of unknown types are left out: they cannot be chosen.
pub(super) fn parse(body: &[u8]) -> Result<Vec<WireSelector>, Malformed> {
    let mut reader = Reader::new(body);
    let count = reader.u8("traffic selectors")?;
    reader.take(3, "traffic selectors")?;
    let mut selectors = Vec::with_capacity(count.into());
    for _ in 0..count {
        let kind = TsType(reader.u8("traffic selector")?);
        let protocol = reader.u8("traffic selector")?;
        let length = reader.u16("traffic selector")?;
        let mut body = reader.counted(length, 4, "traffic selector length")?;
        let addresses = match kind {
            TsType::IPV4_ADDR_RANGE | TsType::IPV6_ADDR_RANGE => {
                let first_port = body.u16("traffic selector")?;
                let last_port = body.u16("traffic selector")?;
                let ipv4 = kind == TsType::IPV4_ADDR_RANGE;
                let first = address(&mut body, ipv4)?;
                let last = address(&mut body, ipv4)?;
                body.finish("traffic selector length")?;
                Some(WireSelector { protocol, first_port, last_port, first, last })
            }
            _ => None,
        };
        selectors.extend(addresses);
    }
    reader.finish("bytes behind the last traffic selector")?;
    Ok(selectors)
}

fn address(reader: &mut Reader<'_>, ipv4: bool) -> Result<IpAddr, Malformed> {
    Ok(if ipv4 {
        Ipv4Addr::from(reader.array::<4>("traffic selector address")?).into()
    } else {
        Ipv6Addr::from(reader.array::<16>("traffic selector address")?).into()
    })
}

/// Appends the body of a `TSi` or `TSr` payload; selectors beyond the 255th have no room on the wire.
pub(super) fn emit(selectors: &[WireSelector], out: &mut Vec<u8>) {
    let count = u8::try_from(selectors.len()).unwrap_or(u8::MAX);
    out.extend_from_slice(&[count, 0, 0, 0]);
    for selector in selectors.iter().take(count.into()) {
        let kind = if selector.first.is_ipv4() { TsType::IPV4_ADDR_RANGE } else { TsType::IPV6_ADDR_RANGE };
        with_length(out, &[kind.0, selector.protocol, 0, 0], 2, |out| {
            out.extend_from_slice(&selector.first_port.to_be_bytes());
            out.extend_from_slice(&selector.last_port.to_be_bytes());
            for address in [selector.first, selector.last] {
                match address {
                    IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                    IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
                }
            }
        });
    }
}
