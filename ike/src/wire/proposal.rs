//! The Security Association payload: proposals and transforms (RFC 7296 §3.3).

use super::cursor::{Malformed, Reader, with_length};
use super::registry::{ProtocolId, TransformType};
use crate::limits;

/// One proposal: alternatives of each type of transform for one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// 1 for the first, and so on; an answer repeats the number of the one it chose.
    pub number: u8,
    /// What it is for.
    pub protocol: ProtocolId,
    /// The sender's SPI: empty in `IKE_SA_INIT`, 8 bytes to rekey an IKE SA, 4 for ESP.
    pub spi: Vec<u8>,
    /// The alternatives.
    pub transforms: Vec<Transform>,
}

/// One alternative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transform {
    /// What kind of algorithm.
    pub kind: TransformType,
    /// Which one, in the registry of its kind.
    pub id: u16,
    /// The key length attribute, bits.
    pub key_length: Option<u16>,
    /// It carries an attribute that we do not know, so it must not be chosen (RFC 7296 §3.3.6).
    pub unknown_attribute: bool,
}

impl Transform {
    /// A transform without attributes.
    pub const fn new(kind: TransformType, id: u16) -> Self {
        Self { kind, id, key_length: None, unknown_attribute: false }
    }
}

const LAST: u8 = 0;
const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
const ATTRIBUTE_KEY_LENGTH: u16 = 14;
const ATTRIBUTE_FORMAT_TV: u16 = 0x8000;

/// Reads the body of an SA payload.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Proposal>, Malformed> {
    let mut reader = Reader::new(body);
    let mut proposals = Vec::new();
    loop {
        let more = reader.u8("proposal")?;
        let _reserved = reader.u8("proposal")?;
        let length = reader.u16("proposal")?;
        proposals.push(proposal(reader.counted(length, 4, "proposal length")?)?);
        match more {
            LAST => break,
            MORE_PROPOSALS if proposals.len() < limits::PROPOSALS => {}
            _ => return Err(Malformed::Syntax("substructure of a proposal")),
        }
    }
    reader.finish("bytes behind the last proposal")?;
    Ok(proposals)
}

fn proposal(mut reader: Reader<'_>) -> Result<Proposal, Malformed> {
    let number = reader.u8("proposal")?;
    let protocol = ProtocolId(reader.u8("proposal")?);
    let spi_size = reader.u8("proposal")?;
    let count = usize::from(reader.u8("proposal")?);
    let spi = reader.take(spi_size.into(), "proposal SPI")?.to_vec();
    if count > limits::TRANSFORMS {
        return Err(Malformed::Syntax("number of transforms"));
    }
    let mut transforms = Vec::with_capacity(count);
    for index in 1..=count {
        let more = reader.u8("transform")?;
        if more != (if index == count { LAST } else { MORE_TRANSFORMS }) {
            return Err(Malformed::Syntax("substructure of a transform"));
        }
        let _reserved = reader.u8("transform")?;
        let length = reader.u16("transform")?;
        transforms.push(transform(reader.counted(length, 4, "transform length")?)?);
    }
    reader.finish("bytes behind the last transform")?;
    Ok(Proposal { number, protocol, spi, transforms })
}

fn transform(mut reader: Reader<'_>) -> Result<Transform, Malformed> {
    let kind = TransformType(reader.u8("transform")?);
    let _reserved = reader.u8("transform")?;
    let mut transform = Transform::new(kind, reader.u16("transform")?);
    while reader.remaining() > 0 {
        let attribute = reader.u16("attribute")?;
        let value = reader.u16("attribute")?;
        match (attribute & !ATTRIBUTE_FORMAT_TV, attribute & ATTRIBUTE_FORMAT_TV != 0) {
            (ATTRIBUTE_KEY_LENGTH, true) if transform.key_length.is_none() => {
                transform.key_length = Some(value);
            }
            (_, true) => transform.unknown_attribute = true,
            (_, false) => {
                reader.take(value.into(), "attribute length")?;
                transform.unknown_attribute = true;
            }
        }
    }
    Ok(transform)
}

/// Appends the body of an SA payload.
pub(super) fn emit(proposals: &[Proposal], out: &mut Vec<u8>) {
    for (index, proposal) in proposals.iter().enumerate() {
        let more = if index + 1 == proposals.len() { LAST } else { MORE_PROPOSALS };
        with_length(out, &[more, 0, 0, 0], 2, |out| emit_proposal(proposal, out));
    }
}

fn emit_proposal(proposal: &Proposal, out: &mut Vec<u8>) {
    let spi_size = u8::try_from(proposal.spi.len()).unwrap_or(0);
    let count = u8::try_from(proposal.transforms.len()).unwrap_or(u8::MAX);
    out.extend_from_slice(&[proposal.number, proposal.protocol.0, spi_size, count]);
    out.extend_from_slice(&proposal.spi);
    for (index, transform) in proposal.transforms.iter().enumerate() {
        let more = if index + 1 == proposal.transforms.len() { LAST } else { MORE_TRANSFORMS };
        with_length(out, &[more, 0, 0, 0], 2, |out| {
            out.extend_from_slice(&[transform.kind.0, 0]);
            out.extend_from_slice(&transform.id.to_be_bytes());
            if let Some(bits) = transform.key_length {
                out.extend_from_slice(&(ATTRIBUTE_FORMAT_TV | ATTRIBUTE_KEY_LENGTH).to_be_bytes());
                out.extend_from_slice(&bits.to_be_bytes());
            }
        });
    }
}
