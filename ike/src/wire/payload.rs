//! One payload, and the chain of them that makes up a message (RFC 7296 §3.2).

use super::configuration::Configuration;
use super::cursor::{Malformed, Reader, with_length};
use super::notify::{Delete, Notify};
use super::proposal::{self, Proposal};
use super::registry::{AuthMethod, CertEncoding, IdType, PayloadType};
use super::selectors::{self, WireSelector};
use crate::limits;

/// A payload whose form was checked, and nothing but the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Security Association (§3.3).
    Sa(Vec<Proposal>),
    /// Key Exchange (§3.4): the group's number and the public value.
    KeyExchange {
        /// In the registry of key exchange methods.
        group: u16,
        /// As the group defines it.
        data: Vec<u8>,
    },
    /// Identification of the initiator (§3.5).
    IdInitiator(IdData),
    /// Identification of the responder.
    IdResponder(IdData),
    /// Certificate (§3.6).
    Certificate {
        /// What the data is.
        encoding: CertEncoding,
        /// As the encoding defines it.
        data: Vec<u8>,
    },
    /// Certificate Request (§3.7).
    CertificateRequest {
        /// What is asked for.
        encoding: CertEncoding,
        /// "Certification Authority", as the encoding defines it.
        data: Vec<u8>,
    },
    /// Authentication (§3.8).
    Auth(AuthData),
    /// Nonce (§3.9), 16 to 256 bytes.
    Nonce(Vec<u8>),
    /// Notify (§3.10).
    Notify(Notify),
    /// Delete (§3.11).
    Delete(Delete),
    /// Traffic selectors of the initiator's side (§3.13).
    TsInitiator(Vec<WireSelector>),
    /// Traffic selectors of the responder's side.
    TsResponder(Vec<WireSelector>),
    /// Configuration (§3.15).
    Configuration(Configuration),
    /// A type that we do not use and that is not critical.
    Other(PayloadType),
}

/// A proof of identity as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthData {
    /// How it was made.
    pub method: AuthMethod,
    /// The proof itself.
    pub data: Vec<u8>,
}

/// An identity as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdData {
    /// The kind of identity.
    pub kind: IdType,
    /// "MUST be sent as zero and MUST be ignored on receipt"; but the proof of identity covers them as they were.
    pub reserved: [u8; 3],
    /// The identity.
    pub data: Vec<u8>,
}

impl IdData {
    /// An identity to send.
    pub fn new(kind: IdType, data: Vec<u8>) -> Self {
        Self { kind, reserved: [0; 3], data }
    }

    /// The body of the payload: what the proof of identity covers (RFC 7296 §2.15, `RestOfID`).
    pub fn body(&self) -> Vec<u8> {
        let mut out = vec![self.kind.0];
        out.extend_from_slice(&self.reserved);
        out.extend_from_slice(&self.data);
        out
    }

    fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let kind = IdType(reader.u8("identification")?);
        let reserved = reader.array("identification")?;
        Ok(Self { kind, reserved, data: reader.rest().to_vec() })
    }
}

impl Payload {
    /// The number of its type.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::SA,
            Self::KeyExchange { .. } => PayloadType::KE,
            Self::IdInitiator(_) => PayloadType::IDI,
            Self::IdResponder(_) => PayloadType::IDR,
            Self::Certificate { .. } => PayloadType::CERT,
            Self::CertificateRequest { .. } => PayloadType::CERTREQ,
            Self::Auth(_) => PayloadType::AUTH,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::TsInitiator(_) => PayloadType::TSI,
            Self::TsResponder(_) => PayloadType::TSR,
            Self::Configuration(_) => PayloadType::CP,
            Self::Other(kind) => *kind,
        }
    }

    fn parse(kind: PayloadType, critical: bool, body: &[u8]) -> Result<Self, Malformed> {
        Ok(match kind {
            PayloadType::SA => Self::Sa(proposal::parse(body)?),
            PayloadType::KE => {
                let mut reader = Reader::new(body);
                let group = reader.u16("key exchange")?;
                reader.take(2, "key exchange")?;
                Self::KeyExchange { group, data: reader.rest().to_vec() }
            }
            PayloadType::IDI => Self::IdInitiator(IdData::parse(body)?),
            PayloadType::IDR => Self::IdResponder(IdData::parse(body)?),
            PayloadType::AUTH => {
                let mut reader = Reader::new(body);
                let method = AuthMethod(reader.u8("authentication")?);
                reader.take(3, "authentication")?;
                Self::Auth(AuthData { method, data: reader.rest().to_vec() })
            }
            // "the size of the Nonce Data MUST be between 16 and 256 octets, inclusive".
            PayloadType::NONCE if limits::NONCE.contains(&body.len()) => Self::Nonce(body.to_vec()),
            PayloadType::NONCE => return Err(Malformed::Syntax("length of a nonce")),
            PayloadType::NOTIFY => Self::Notify(Notify::parse(body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(body)?),
            PayloadType::TSI => Self::TsInitiator(selectors::parse(body)?),
            PayloadType::TSR => Self::TsResponder(selectors::parse(body)?),
            PayloadType::CERT => {
                let (encoding, data) = certificate(body)?;
                Self::Certificate { encoding, data }
            }
            PayloadType::CERTREQ => {
                let (encoding, data) = certificate(body)?;
                Self::CertificateRequest { encoding, data }
            }
            PayloadType::CP => Self::Configuration(Configuration::parse(body)?),
            PayloadType::VENDOR | PayloadType::EAP => Self::Other(kind),
            // An SK or SKF payload inside a chain that was already opened, or before the last place.
            PayloadType::SK | PayloadType::SKF => {
                return Err(Malformed::Syntax("misplaced encrypted payload"));
            }
            _ if critical => return Err(Malformed::UnsupportedCritical(kind.0)),
            _ => Self::Other(kind),
        })
    }

    fn emit_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sa(proposals) => proposal::emit(proposals, out),
            Self::KeyExchange { group, data } => {
                out.extend_from_slice(&group.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(data);
            }
            Self::IdInitiator(id) | Self::IdResponder(id) => out.extend_from_slice(&id.body()),
            Self::Certificate { encoding, data } | Self::CertificateRequest { encoding, data } => {
                out.push(encoding.0);
                out.extend_from_slice(data);
            }
            Self::Auth(AuthData { method, data }) => {
                out.extend_from_slice(&[method.0, 0, 0, 0]);
                out.extend_from_slice(data);
            }
            Self::Nonce(nonce) => out.extend_from_slice(nonce),
            Self::Notify(notify) => notify.emit(out),
            Self::Delete(delete) => delete.emit(out),
            Self::TsInitiator(selectors) | Self::TsResponder(selectors) => selectors::emit(selectors, out),
            Self::Configuration(configuration) => configuration.emit(out),
            Self::Other(_) => {}
        }
    }
}

/// Certificate and Certificate Request look alike.
fn certificate(body: &[u8]) -> Result<(CertEncoding, Vec<u8>), Malformed> {
    let mut reader = Reader::new(body);
    Ok((CertEncoding(reader.u8("certificate encoding")?), reader.rest().to_vec()))
}

/// Reads a chain of payloads that begins with one of type `first` and fills `bytes`.
pub fn parse_chain(first: PayloadType, bytes: &[u8]) -> Result<Vec<Payload>, Malformed> {
    let mut walk = ChainWalk::new(first, bytes);
    let mut payloads = Vec::new();
    while let Some(raw) = walk.step()? {
        if payloads.len() == limits::PAYLOADS {
            return Err(Malformed::Syntax("number of payloads"));
        }
        payloads.push(Payload::parse(raw.kind, raw.critical, raw.body)?);
    }
    Ok(payloads)
}

/// Appends a chain; returns the type of its first payload.
pub fn emit_chain(payloads: &[Payload], out: &mut Vec<u8>) -> PayloadType {
    let mut nexts = payloads.iter().skip(1).map(Payload::kind);
    for payload in payloads {
        let next = nexts.next().unwrap_or(PayloadType::NONE);
        with_length(out, &[next.0, 0, 0, 0], 2, |out| payload.emit_body(out));
    }
    payloads.first().map_or(PayloadType::NONE, Payload::kind)
}

/// A payload's generic header and body.
pub(super) struct RawPayload<'a> {
    pub(super) kind: PayloadType,
    pub(super) critical: bool,
    pub(super) body: &'a [u8],
    /// The type that its header names as the next.
    pub(super) next: PayloadType,
}

/// Walks the generic payload headers.
pub(super) struct ChainWalk<'a> {
    next: PayloadType,
    reader: Reader<'a>,
}

impl<'a> ChainWalk<'a> {
    pub(super) fn new(first: PayloadType, bytes: &'a [u8]) -> Self {
        Self { next: first, reader: Reader::new(bytes) }
    }

    /// The next payload; `None` at the end of the chain, which must be the end of the bytes.
    pub(super) fn step(&mut self) -> Result<Option<RawPayload<'a>>, Malformed> {
        if self.next == PayloadType::NONE {
            self.reader.finish("bytes behind the last payload")?;
            return Ok(None);
        }
        let kind = self.next;
        let next = PayloadType(self.reader.u8("payload header")?);
        let critical = self.reader.u8("payload header")? & 0x80 != 0;
        let length = self.reader.u16("payload header")?;
        let body = self.reader.counted(length, 4, "payload length")?.rest();
        self.next = next;
        // The encrypted payload's "next" names its own first inner payload: it must be the last of the message.
        if matches!(kind, PayloadType::SK | PayloadType::SKF) {
            self.reader.finish("bytes behind the encrypted payload")?;
            self.next = PayloadType::NONE;
        }
        Ok(Some(RawPayload { kind, critical, body, next }))
    }
}
