//! Lines out of a stream of bytes, with a bound on their length.

/// The most bytes of a request, its newline not counted.
pub const MAX_REQUEST: usize = 64 << 10;
/// The most bytes of a reply, its newline not counted.
pub const MAX_REPLY: usize = 16 << 20;

/// Cuts a stream into lines. After [`TooLong`] the stream is of no more use.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Bytes at the front that were handed out.
    taken: usize,
    /// Bytes at the front that are known to hold no newline, counted from 0.
    searched: usize,
    limit: usize,
}

/// A line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {0} bytes")]
pub struct TooLong(pub usize);

impl Frames {
    /// For lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, searched: 0, limit }
    }

    /// More of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        // What was handed out goes before more comes in, so the buffer holds one line and what was read with it.
        self.buffer.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its newline, if it is there.
    ///
    /// # Errors
    /// [`TooLong`], as soon as that is certain.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let end = newline.map_or(self.buffer.len(), |at| self.searched + at);
        let start = self.taken;
        self.searched = end;
        if end - start > self.limit {
            return Err(TooLong(self.limit));
        }
        if newline.is_none() {
            return Ok(None);
        }
        self.taken = end + 1;
        self.searched = end + 1;
        Ok(self.buffer.get(start..end))
    }
}
