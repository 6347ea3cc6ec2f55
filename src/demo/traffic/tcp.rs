//! One TCP stream whose every byte the receiver knows beforehand, so that it can tell whether each came, in order and unchanged.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::{Marker, STANDSTILL};

/// A prime, so that the content does not repeat in step with segments or blocks.
const PERIOD: usize = 262_139;
/// So dense that every packet of a stream holds the whole marker.
const MARKER_EVERY: usize = 64;

/// What the receiver saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Bytes up to the end of the stream or the first wrong one.
    pub bytes: u64,
    /// From the connection to its end, microseconds.
    pub microseconds: u64,
    /// Whether every byte was the one expected.
    pub intact: bool,
}

impl Received {
    /// Thousands of millions of bits of content a second.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn gigabits_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / (self.microseconds.max(1) as f64 * 1000.0)
    }
}

/// When a sender stops: at whichever comes first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// Since the connection.
    pub milliseconds: u64,
    /// Sent, up to one period of the content more.
    pub bytes: u64,
}

/// Sends up to the limit and closes the stream; the answer is the number of bytes.
///
/// # Errors
/// No connection, or one that stands still.
pub fn send(to: SocketAddr, marker: Marker, until: Limit) -> io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&to, STANDSTILL)?;
    stream.set_write_timeout(Some(STANDSTILL))?;
    let content = content(marker);
    let end = Instant::now() + Duration::from_millis(until.milliseconds);
    let mut sent = 0;
    while sent < until.bytes && Instant::now() < end {
        stream.write_all(&content)?;
        sent += PERIOD as u64;
    }
    Ok(sent)
}

/// Receives one stream on a thread of its own.
pub struct Receiver(JoinHandle<io::Result<Received>>);

impl Receiver {
    /// Listens from now on.
    ///
    /// # Errors
    /// The address is not ours, or taken.
    pub fn start(at: SocketAddr, marker: Marker) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        Ok(Self(thread::spawn(move || receive(&listener, marker))))
    }

    /// Waits for the end of the stream.
    ///
    /// # Errors
    /// Nobody connected, or the stream stood still.
    pub fn finish(self) -> io::Result<Received> {
        self.0.join().map_err(|_| io::Error::other("the receiver panicked"))?
    }
}

fn receive(listener: &TcpListener, marker: Marker) -> io::Result<Received> {
    let timeout = PollTimeout::try_from(STANDSTILL).unwrap_or(PollTimeout::MAX);
    if poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody connected"));
    }
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(STANDSTILL))?;
    let start = Instant::now();
    let content = content(marker);
    let mut buffer = vec![0; PERIOD];
    let (mut bytes, mut intact) = (0, true);
    while intact {
        // Never past the end of the content's period, so that one comparison does.
        let expected = content.get(bytes % PERIOD..).unwrap_or_default();
        let room = buffer.get_mut(..expected.len()).unwrap_or_default();
        let length = stream.read(room)?;
        if length == 0 {
            break;
        }
        intact = room.get(..length) == expected.get(..length);
        bytes += length;
    }
    let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Received { bytes: bytes as u64, microseconds, intact })
}

/// One period of the content: the marker over and over, each with its own number behind it.
fn content(marker: Marker) -> Vec<u8> {
    let mut content = Vec::with_capacity(PERIOD + MARKER_EVERY);
    for number in 0u64.. {
        if content.len() >= PERIOD {
            break;
        }
        content.extend_from_slice(marker.bytes());
        // Odd multiples of an odd constant: no two chunks of a period are equal.
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        content.extend(mixed.iter().cycle().take(MARKER_EVERY - marker.bytes().len()));
    }
    content.truncate(PERIOD);
    content
}
