//! The command line's end of the control socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Frames, MAX_REPLY, Record, Reply, Request, Wanted};

/// What the daemon may take beyond the wait that was asked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    frames: Frames,
}

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error(
        "no sekishod answers at {0}: is it running (`systemctl status sekishod`)? Another socket is given by --socket"
    )]
    NotRunning(PathBuf),
    /// The socket is not for us.
    #[error("you may not use {0}: be root or a member of its group (`ls -l {0}`)")]
    Forbidden(PathBuf),
    /// The connection broke or stayed silent.
    #[error("the daemon does not answer: {0}")]
    Broken(#[from] io::Error),
    /// What came is no answer.
    #[error("the daemon's answer is not understood (another version?): {0}")]
    Garbled(String),
}

impl Client {
    /// Connects to the daemon's socket.
    ///
    /// # Errors
    /// [`ClientError`], with what to do about it.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotRunning(path.to_owned()),
            ErrorKind::PermissionDenied => ClientError::Forbidden(path.to_owned()),
            _ => ClientError::Broken(error),
        })?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, frames: Frames::new(MAX_REPLY) })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// No answer came. A refusal is an answer: [`Reply::Failed`].
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let asked = match request {
            Request::Up { timeout_s, .. } | Request::Rekey { timeout_s, .. } => {
                Duration::from_secs(*timeout_s)
            }
            _ => Duration::ZERO,
        };
        self.stream.set_read_timeout(Some(PATIENCE.saturating_add(asked)))?;
        self.send(request)?;
        let line = self.line()?.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
        serde_json::from_slice(&line).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    /// The recent records and, with `follow`, those to come; each as its line and what it says.
    ///
    /// # Errors
    /// The request could not be sent; later ones come out of the iterator.
    pub fn events(
        mut self,
        follow: bool,
        wanted: Wanted,
    ) -> Result<impl Iterator<Item = Result<(String, Option<Record>), ClientError>>, ClientError> {
        self.stream.set_read_timeout(if follow { None } else { Some(PATIENCE) })?;
        let Wanted { tunnel, limit } = wanted;
        self.send(&Request::Events { follow, tunnel, limit })?;
        Ok(std::iter::from_fn(move || match self.line() {
            Ok(Some(line)) => Some(event(&line)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line =
            serde_json::to_vec(request).map_err(|error| ClientError::Garbled(error.to_string()))?;
        line.push(b'\n');
        match self.stream.write_all(&line) {
            // Turned away: the reason waits to be read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(ClientError::from),
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let mut chunk = [0; 8192];
        loop {
            match self.frames.next_line() {
                Ok(Some(line)) => return Ok(Some(line.to_vec())),
                Ok(None) => {}
                Err(error) => return Err(ClientError::Garbled(error.to_string())),
            }
            let length = match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if length == 0 {
                return Ok(None);
            }
            self.frames.push(chunk.get(..length).unwrap_or_default());
        }
    }
}

/// A record; one of a newer daemon that we do not know stays a line. A refusal in its place is an error.
fn event(line: &[u8]) -> Result<(String, Option<Record>), ClientError> {
    let text = String::from_utf8_lossy(line).into_owned();
    if let Ok(record) = serde_json::from_slice(line) {
        return Ok((text, Some(record)));
    }
    match serde_json::from_slice(line) {
        Ok(Reply::Failed(failure)) => Err(ClientError::Broken(io::Error::other(failure.error))),
        _ => Ok((text, None)),
    }
}
