//! A whole datagram: a header, and a chain in clear text or an SK payload (RFC 7296 §3.1, §3.14).

use super::cursor::{Malformed, Reader};
use super::header::Header;
use super::payload::{ChainWalk, Payload, emit_chain, parse_chain};
use super::registry::PayloadType;

/// A datagram whose form was checked. Nothing in it is to be believed yet.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The header.
    pub header: Header,
    /// All its bytes: the proofs of identity cover the first messages as they were sent.
    pub bytes: &'a [u8],
    /// What follows the header.
    pub body: Body<'a>,
}

/// What follows the header.
#[derive(Debug)]
pub enum Body<'a> {
    /// Payloads in clear text: `IKE_SA_INIT` and unprotected errors.
    Clear(Vec<Payload>),
    /// One encrypted and authenticated payload. Payloads in clear text before it are ignored: nothing protects
    /// them.
    Encrypted(Encrypted<'a>),
}

/// An SK payload, not opened.
#[derive(Clone, Copy, Debug)]
pub struct Encrypted<'a> {
    /// The type of the first payload inside.
    pub first: PayloadType,
    /// Everything before the IV: what the tag covers in addition (RFC 5282 §5.1).
    pub associated: &'a [u8],
    /// The explicit IV.
    pub iv: [u8; 8],
    /// Ciphertext and tag.
    pub sealed: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram; `Err` if its form is wrong anywhere, or it holds more or fewer bytes than it says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let header = Header::parse(&mut reader)?;
        if usize::try_from(header.length).ok() != Some(bytes.len()) {
            return Err(Malformed::Syntax("length in the header"));
        }
        let chain = reader.rest();
        let body = match Self::encrypted(&header, bytes, chain)? {
            Some(encrypted) => Body::Encrypted(encrypted),
            None => Body::Clear(parse_chain(header.next_payload, chain)?),
        };
        Ok(Self { header, bytes, body })
    }

    fn encrypted(
        header: &Header,
        bytes: &'a [u8],
        chain: &'a [u8],
    ) -> Result<Option<Encrypted<'a>>, Malformed> {
        let mut walk = ChainWalk::new(header.next_payload, chain);
        while let Some(raw) = walk.step()? {
            if raw.kind == PayloadType::SK {
                let mut reader = Reader::new(raw.body);
                let associated = bytes.len().checked_sub(raw.body.len()).and_then(|n| bytes.get(..n));
                let iv = reader.array("IV of the encrypted payload")?;
                return Ok(Some(Encrypted {
                    first: raw.next,
                    associated: associated.ok_or(Malformed::Syntax("encrypted payload"))?,
                    iv,
                    sealed: reader.rest(),
                }));
            }
        }
        Ok(None)
    }
}

/// Writes a message in clear text.
pub fn emit_clear(mut header: Header, payloads: &[Payload]) -> Vec<u8> {
    let mut chain = Vec::with_capacity(512);
    header.next_payload = emit_chain(payloads, &mut chain);
    header.length = u32::try_from(Header::LENGTH + chain.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(Header::LENGTH + chain.len());
    header.emit(&mut out);
    out.extend_from_slice(&chain);
    out
}

/// The parts of a message whose chain will be sealed: the associated data (header and the SK payload's header),
/// and the plaintext (chain, no padding, pad length 0). `overhead` is the length of IV and tag.
pub fn prepare_encrypted(mut header: Header, payloads: &[Payload], overhead: usize) -> (Vec<u8>, Vec<u8>) {
    let mut plaintext = Vec::with_capacity(512);
    let first = emit_chain(payloads, &mut plaintext);
    plaintext.push(0); // Pad Length
    let sk_length = 4 + overhead + plaintext.len();
    header.next_payload = PayloadType::SK;
    header.length = u32::try_from(Header::LENGTH + sk_length).unwrap_or(u32::MAX);
    let mut associated = Vec::with_capacity(Header::LENGTH + 4);
    header.emit(&mut associated);
    associated.extend_from_slice(&[first.0, 0]);
    associated.extend_from_slice(&u16::try_from(sk_length).unwrap_or(u16::MAX).to_be_bytes());
    (associated, plaintext)
}

/// Takes padding off an opened SK payload and reads the chain inside.
pub fn parse_opened(first: PayloadType, plaintext: &[u8]) -> Result<Vec<Payload>, Malformed> {
    let (pad_length, rest) = plaintext.split_last().ok_or(Malformed::Syntax("empty encrypted payload"))?;
    let length = rest.len().checked_sub((*pad_length).into()).ok_or(Malformed::Syntax("padding"))?;
    let chain = rest.get(..length).ok_or(Malformed::Syntax("padding"))?;
    parse_chain(first, chain)
}
