//! Reading and writing big-endian fields without ever trusting a length.

/// What breaks the format, in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Bytes end before the field does, or stand behind the last field.
    #[error("malformed message: {0}")]
    Syntax(&'static str),
    /// RFC 7296 §2.5: "if the critical flag is set and the payload type is unrecognized, the message MUST be
    /// rejected".
    #[error("unsupported critical payload of type {0}")]
    UnsupportedCritical(u8),
    /// RFC 7296 §2.5: another major version.
    #[error("IKE major version {0}")]
    MajorVersion(u8),
}

/// A position in bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or(Malformed::Syntax(what))?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Syntax(what))?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// A field whose 16-bit `length` counts `header` bytes that were already read.
    pub fn counted(
        &mut self,
        length: u16,
        header: usize,
        what: &'static str,
    ) -> Result<Reader<'a>, Malformed> {
        let body = usize::from(length).checked_sub(header).ok_or(Malformed::Syntax(what))?;
        self.take(body, what).map(Reader::new)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// `Err` unless everything was read.
    pub fn finish(self, what: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Syntax(what)) }
    }
}

/// Runs `body` behind a 16-bit length at `offset` bytes into the structure, and fills the length in.
pub(crate) fn with_length(out: &mut Vec<u8>, header: &[u8], offset: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(header);
    body(out);
    // What we write ourselves stays far below 64 KiB; a longer one would be refused by the peer, not misread.
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(field) = out.get_mut(start + offset..start + offset + 2) {
        field.copy_from_slice(&length);
    }
}
