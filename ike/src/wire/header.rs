//! The IKE header (RFC 7296 §3.1).

use super::cursor::{Malformed, Reader};
use super::registry::{ExchangeType, PayloadType};
use super::spi::IkeSpi;

/// The first 28 bytes of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The initiator of the IKE SA's SPI.
    pub spi_i: IkeSpi,
    /// The responder's SPI; zero in the first message.
    pub spi_r: IkeSpi,
    /// Type of the first payload.
    pub next_payload: PayloadType,
    /// Which exchange the message belongs to.
    pub exchange: ExchangeType,
    /// The sender is the original initiator of the IKE SA.
    pub from_initiator: bool,
    /// The message answers a request.
    pub response: bool,
    /// Counts requests of each side.
    pub message_id: u32,
    /// Length of the whole message, header included.
    pub length: u32,
}

impl Header {
    /// Bytes on the wire.
    pub const LENGTH: usize = 28;
    /// The major version that we speak, and the only one.
    pub const MAJOR: u8 = 2;
    const VERSION: u8 = Self::MAJOR << 4;
    const FLAG_INITIATOR: u8 = 0x08;
    const FLAG_RESPONSE: u8 = 0x20;

    /// Reads a header. `Err` if it is too short or of another major version.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        // "Minor version … MUST be ignored on receipt".
        match Self::parse_any_version(reader)? {
            (header, Self::MAJOR) => Ok(header),
            (_, other) => Err(Malformed::MajorVersion(other)),
        }
    }

    /// The same whatever the major version, and that.
    pub fn parse_any_version(reader: &mut Reader<'_>) -> Result<(Self, u8), Malformed> {
        let spi_i = IkeSpi(reader.array("header")?);
        let spi_r = IkeSpi(reader.array("header")?);
        let next_payload = PayloadType(reader.u8("header")?);
        let version = reader.u8("header")?;
        let exchange = ExchangeType(reader.u8("header")?);
        let flags = reader.u8("header")?;
        let message_id = reader.u32("header")?;
        let length = reader.u32("header")?;
        let header = Self {
            spi_i,
            spi_r,
            next_payload,
            exchange,
            from_initiator: flags & Self::FLAG_INITIATOR != 0,
            response: flags & Self::FLAG_RESPONSE != 0,
            message_id,
            length,
        };
        Ok((header, version >> 4))
    }

    /// Appends the header.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let initiator = if self.from_initiator { Self::FLAG_INITIATOR } else { 0 };
        let response = if self.response { Self::FLAG_RESPONSE } else { 0 };
        out.extend_from_slice(&self.spi_i.0);
        out.extend_from_slice(&self.spi_r.0);
        out.extend_from_slice(&[self.next_payload.0, Self::VERSION, self.exchange.0, initiator | response]);
        out.extend_from_slice(&self.message_id.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
    }
}
