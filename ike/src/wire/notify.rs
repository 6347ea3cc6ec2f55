//! The Notify payload (RFC 7296 §3.10) and the Delete payload (§3.11).

use super::cursor::{Malformed, Reader};
use super::registry::{NotifyType, ProtocolId};
use super::spi::{ChildSpi, EspSpi};
use crate::limits;

/// An error or a piece of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The protocol of the SA that it is about, if about one.
    pub protocol: ProtocolId,
    /// The SPI of that SA.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// Its data.
    pub data: Vec<u8>,
}

impl Notify {
    /// One about no particular SA.
    pub fn new(kind: NotifyType, data: impl Into<Vec<u8>>) -> Self {
        Self { protocol: ProtocolId::NONE, spi: Vec::new(), kind, data: data.into() }
    }

    /// One about a Child SA.
    pub fn about(kind: NotifyType, child: impl Into<ChildSpi>) -> Self {
        let (protocol, spi) = match child.into() {
            ChildSpi::Esp(spi) => (ProtocolId::ESP, spi.0.to_be_bytes()),
            ChildSpi::Ah(spi) => (ProtocolId::AH, spi),
        };
        Self { protocol, spi: spi.into(), kind, data: Vec::new() }
    }

    /// The answer to a request that cannot be read: RFC 7296 §2.5 wants the type of an unknown critical payload named, and the
    /// version that is spoken stands in the header.
    pub fn refusing(error: Malformed) -> Self {
        match error {
            Malformed::UnsupportedCritical(kind) => {
                Self::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [kind])
            }
            Malformed::MajorVersion(_) => Self::new(NotifyType::INVALID_MAJOR_VERSION, []),
            Malformed::Syntax(_) => Self::new(NotifyType::INVALID_SYNTAX, []),
        }
    }

    /// The Child SA it is about, if that is what it is about.
    pub fn child_spi(&self) -> Option<ChildSpi> {
        let spi: [u8; 4] = self.spi.as_slice().try_into().ok()?;
        match self.protocol {
            ProtocolId::ESP => Some(ChildSpi::Esp(EspSpi(u32::from_be_bytes(spi)))),
            ProtocolId::AH => Some(ChildSpi::Ah(spi)),
            _ => None,
        }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let protocol = ProtocolId(reader.u8("notify")?);
        let spi_size = reader.u8("notify")?;
        let kind = NotifyType(reader.u16("notify")?);
        let spi = reader.take(spi_size.into(), "notify SPI")?.to_vec();
        Ok(Self { protocol, spi, kind, data: reader.rest().to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.protocol.0, u8::try_from(self.spi.len()).unwrap_or(0)]);
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
    }
}

/// SAs that the sender no longer receives on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// The IKE SA that carries the message, and all its Child SAs.
    Ike,
    /// Child SAs, by the sender's inbound SPIs.
    Esp(Vec<EspSpi>),
    /// SAs of a protocol that we do not have.
    Other(ProtocolId),
}

impl Delete {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let protocol = ProtocolId(reader.u8("delete")?);
        let spi_size = reader.u8("delete")?;
        let count = usize::from(reader.u16("delete")?);
        match (protocol, spi_size) {
            (ProtocolId::IKE, 0) if count == 0 => {
                reader.finish("bytes behind a delete of the IKE SA")?;
                Ok(Self::Ike)
            }
            (ProtocolId::ESP, 4) if count <= limits::DELETED_SPIS => {
                let spis =
                    (0..count).map(|_| reader.u32("delete SPI").map(EspSpi)).collect::<Result<_, _>>()?;
                reader.finish("bytes behind the last deleted SPI")?;
                Ok(Self::Esp(spis))
            }
            (ProtocolId::IKE | ProtocolId::ESP, _) => Err(Malformed::Syntax("delete")),
            (other, _) => Ok(Self::Other(other)),
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ike => out.extend_from_slice(&[ProtocolId::IKE.0, 0, 0, 0]),
            Self::Esp(spis) => {
                out.extend_from_slice(&[ProtocolId::ESP.0, 4]);
                out.extend_from_slice(&u16::try_from(spis.len()).unwrap_or(u16::MAX).to_be_bytes());
                spis.iter().for_each(|spi| out.extend_from_slice(&spi.0.to_be_bytes()));
            }
            Self::Other(protocol) => out.extend_from_slice(&[protocol.0, 0, 0, 0]),
        }
    }
}
