//! A whole datagram: a header, and a chain in clear text, an SK payload (RFC 7296 §3.1, §3.14) or an SKF payload
//! (RFC 7383 §2.5).

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
    /// One encrypted and authenticated payload. Payloads in clear text before it are ignored: none is defined to stand there.
    Encrypted(Encrypted<'a>),
    /// One fragment of such a payload.
    Fragment(Fragment<'a>),
}

/// An SK payload, or what an SKF payload seals; not opened.
#[derive(Clone, Copy, Debug)]
pub struct Encrypted<'a> {
    /// The type of the first payload inside.
    pub first: PayloadType,
    /// Everything before the IV: what the tag or checksum covers in addition (RFC 5282 §5.1, RFC 7296 §3.14).
    pub associated: &'a [u8],
    /// IV, ciphertext, and tag or checksum; how long these are, only the keys know.
    pub sealed: &'a [u8],
    /// A payload in clear text before it, which the tag covers too, of a type that we do not know, and critical.
    pub unsupported: Option<PayloadType>,
}

/// An SKF payload, not opened.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Which of them.
    pub place: FragmentPlace,
    /// What it seals. The type of the first payload inside is that of the whole message, and only the first
    /// fragment names it.
    pub sealed: Encrypted<'a>,
}

/// Which fragment of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPlace {
    /// From 1 to [`Self::total`].
    pub number: u16,
    /// Fragments of the message.
    pub total: u16,
}

impl FragmentPlace {
    /// Bytes on the wire.
    pub const LENGTH: usize = 4;

    /// "This field MUST be less than or equal to the next field (Total Fragments). This field MUST NOT be zero."
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let number = reader.u16("fragment number")?;
        let total = reader.u16("total of fragments")?;
        if number == 0 || number > total {
            return Err(Malformed::Syntax("fragment number"));
        }
        Ok(Self { number, total })
    }

    fn emit(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.total.to_be_bytes());
    }
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
        let body = match Self::protected(&header, bytes, chain)? {
            Some(body) => body,
            None => Body::Clear(parse_chain(header.next_payload, chain)?),
        };
        Ok(Self { header, bytes, body })
    }

    fn protected(header: &Header, bytes: &'a [u8], chain: &'a [u8]) -> Result<Option<Body<'a>>, Malformed> {
        let mut walk = ChainWalk::new(header.next_payload, chain);
        let mut unsupported = None;
        while let Some(raw) = walk.step()? {
            let at_the_end = |sealed| Encrypted::at_the_end(bytes, raw.next, sealed, unsupported);
            if raw.kind == PayloadType::SK {
                return at_the_end(raw.body).map(Body::Encrypted).map(Some);
            }
            if raw.kind == PayloadType::SKF {
                let mut reader = Reader::new(raw.body);
                let place = FragmentPlace::parse(&mut reader)?;
                let sealed = at_the_end(reader.rest())?;
                return Ok(Some(Body::Fragment(Fragment { place, sealed })));
            }
            unsupported = unsupported.or((raw.critical && !raw.kind.is_known()).then_some(raw.kind));
        }
        Ok(None)
    }
}

impl<'a> Encrypted<'a> {
    /// What is sealed is the end of the message; everything before it is associated data.
    fn at_the_end(
        bytes: &'a [u8],
        first: PayloadType,
        sealed: &'a [u8],
        unsupported: Option<PayloadType>,
    ) -> Result<Self, Malformed> {
        let associated = bytes.len().checked_sub(sealed.len()).and_then(|n| bytes.get(..n));
        let associated = associated.ok_or(Malformed::Syntax("encrypted payload"))?;
        Ok(Self { first, associated, sealed, unsupported })
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
pub fn prepare_chain(header: Header, first: PayloadType, chain: Vec<u8>, frame: Frame) -> (Vec<u8>, Vec<u8>) {
    prepare(header, PayloadType::SK, first, &[], chain, frame)
}

/// As [`prepare_chain`], for a piece of a chain. `first` is the type of the message's first payload.
pub fn prepare_fragment(
    header: Header,
    first: PayloadType,
    place: FragmentPlace,
    piece: Vec<u8>,
    frame: Frame,
) -> (Vec<u8>, Vec<u8>) {
    // Next Payload: "in the very first fragment …, this field MUST be set to the payload type of the first inner payload
    // …. In the rest of the Fragment messages …, this field MUST be set to zero" (RFC 7383 §2.5).
    let first = if place.number == 1 { first } else { PayloadType::NONE };
    let mut fields = Vec::with_capacity(FragmentPlace::LENGTH);
    place.emit(&mut fields);
    prepare(header, PayloadType::SKF, first, &fields, piece, frame)
}

fn prepare(
    mut header: Header,
    kind: PayloadType,
    first: PayloadType,
    fields: &[u8],
    mut plaintext: Vec<u8>,
    frame: Frame,
) -> (Vec<u8>, Vec<u8>) {
    frame.pad(&mut plaintext);
    let length = 4 + fields.len() + frame.overhead + plaintext.len();
    header.next_payload = kind;
    header.length = u32::try_from(Header::LENGTH + length).unwrap_or(u32::MAX);
    let mut associated = Vec::with_capacity(Header::LENGTH + 4 + fields.len());
    header.emit(&mut associated);
    associated.extend_from_slice(&[first.0, 0]);
    associated.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    associated.extend_from_slice(fields);
    (associated, plaintext)
}

impl Frame {
    /// Appends padding and Pad Length. Padding "MUST have a length that makes the combination of the payloads, the Padding,
    /// and the Pad Length to be a multiple of the encryption block size" (RFC 7296 §3.14).
    fn pad(self, plaintext: &mut Vec<u8>) {
        let padding = (plaintext.len() + 1).next_multiple_of(self.block.max(1)) - plaintext.len() - 1;
        plaintext.resize(plaintext.len() + padding, 0);
        plaintext.push(u8::try_from(padding).unwrap_or(u8::MAX));
    }

    /// Bytes of a message that carries a chain of so many bytes in one piece.
    pub fn whole(self, chain: usize) -> usize {
        Header::LENGTH + 4 + self.overhead + (chain + 1).next_multiple_of(self.block.max(1))
    }

    /// How many bytes of a chain a message of `message` bytes at most carries in one piece; 0 if none.
    pub fn whole_room(self, message: usize) -> usize {
        let fixed = Header::LENGTH + 4 + self.overhead;
        let blocks = message.saturating_sub(fixed) / self.block.max(1);
        (blocks * self.block).saturating_sub(1)
    }

    /// How many bytes of a chain one fragment carries in a message of `message` bytes at most; 0 if none.
    pub fn room(self, message: usize) -> usize {
        let fixed = Header::LENGTH + 4 + FragmentPlace::LENGTH + self.overhead;
        let blocks = message.saturating_sub(fixed) / self.block.max(1);
        (blocks * self.block).saturating_sub(1)
    }
}

/// Takes padding off an opened SK payload and reads the chain inside.
pub fn parse_opened(first: PayloadType, plaintext: &[u8]) -> Result<Vec<Payload>, Malformed> {
    parse_chain(first, strip_padding(plaintext)?)
}

/// Takes padding off an opened SK or SKF payload.
pub fn strip_padding(plaintext: &[u8]) -> Result<&[u8], Malformed> {
    let (pad_length, rest) = plaintext.split_last().ok_or(Malformed::Syntax("empty encrypted payload"))?;
    let length = rest.len().checked_sub((*pad_length).into()).ok_or(Malformed::Syntax("padding"))?;
    rest.get(..length).ok_or(Malformed::Syntax("padding"))
}
