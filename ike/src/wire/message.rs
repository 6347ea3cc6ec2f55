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
    /// Everything before the IV: what the tag or checksum covers in addition (RFC 5282 §5.1, RFC 7296 §3.14).
    pub associated: &'a [u8],
    /// IV, ciphertext, and tag or checksum; how long these are, only the keys know.
    pub sealed: &'a [u8],
}

/// What a cipher wants of the encrypted payload around its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The plaintext is padded to a multiple of this, bytes.
    pub block: usize,
    /// IV, and tag or checksum, bytes.
    pub overhead: usize,
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
                let associated = bytes.len().checked_sub(raw.body.len()).and_then(|n| bytes.get(..n));
                return Ok(Some(Encrypted {
                    first: raw.next,
                    associated: associated.ok_or(Malformed::Syntax("encrypted payload"))?,
                    sealed: raw.body,
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
/// and the plaintext (chain, as little padding as will do, its length).
pub fn prepare_encrypted(header: Header, payloads: &[Payload], frame: Frame) -> (Vec<u8>, Vec<u8>) {
    let mut chain = Vec::with_capacity(512);
    let first = emit_chain(payloads, &mut chain);
    prepare_chain(header, first, chain, frame)
}

/// As [`prepare_encrypted`], for a chain that is written already.
pub fn prepare_chain(
    mut header: Header,
    first: PayloadType,
    chain: Vec<u8>,
    frame: Frame,
) -> (Vec<u8>, Vec<u8>) {
    let mut plaintext = chain;
    frame.pad(&mut plaintext);
    let sk_length = 4 + frame.overhead + plaintext.len();
    header.next_payload = PayloadType::SK;
    header.length = u32::try_from(Header::LENGTH + sk_length).unwrap_or(u32::MAX);
    let mut associated = Vec::with_capacity(Header::LENGTH + 4);
    header.emit(&mut associated);
    associated.extend_from_slice(&[first.0, 0]);
    associated.extend_from_slice(&u16::try_from(sk_length).unwrap_or(u16::MAX).to_be_bytes());
    (associated, plaintext)
}

impl Frame {
    /// Appends padding and Pad Length: "the length of the payload plus the padding plus the Pad Length is a multiple of
    /// the encryption block size" (RFC 7296 §3.14, shortened).
    fn pad(self, plaintext: &mut Vec<u8>) {
        let padding = (plaintext.len() + 1).next_multiple_of(self.block.max(1)) - plaintext.len() - 1;
        plaintext.resize(plaintext.len() + padding, 0);
        plaintext.push(u8::try_from(padding).unwrap_or(u8::MAX));
    }
}

/// Takes padding off an opened SK payload and reads the chain inside.
pub fn parse_opened(first: PayloadType, plaintext: &[u8]) -> Result<Vec<Payload>, Malformed> {
    let (pad_length, rest) = plaintext.split_last().ok_or(Malformed::Syntax("empty encrypted payload"))?;
    let length = rest.len().checked_sub((*pad_length).into()).ok_or(Malformed::Syntax("padding"))?;
    let chain = rest.get(..length).ok_or(Malformed::Syntax("padding"))?;
    parse_chain(first, chain)
}
