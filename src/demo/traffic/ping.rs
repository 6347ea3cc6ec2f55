//! ICMP echo (RFC 792) from a raw socket.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use super::Marker;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// How to ping.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// How many requests.
    pub count: u16,
    /// The longest wait for the reply to each, milliseconds.
    pub patience_ms: u64,
    /// What each request carries.
    pub marker: Marker,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echoes {
    /// Requests sent.
    pub sent: u16,
    /// Requests answered in time with the content that they had.
    pub received: u16,
    /// The median round-trip time, microseconds; nothing without a reply.
    pub rtt_us: Option<u64>,
}

/// Sends each request as soon as the one before is answered or given up.
///
/// # Errors
/// No right to a raw socket. A request that the network refuses to carry counts as unanswered.
pub fn ping(to: IpAddr, plan: &Plan) -> io::Result<Echoes> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    let identifier = std::process::id().to_be_bytes();
    let mut times = Vec::with_capacity(plan.count.into());
    for sequence in 0..plan.count {
        let request = echo(ECHO_REQUEST, identifier, sequence, plan.marker);
        let sent = Instant::now();
        if socket.send_to(&request, &SocketAddr::new(to, 0).into()).is_ok()
            && is_answered(
                &socket,
                &echo(ECHO_REPLY, identifier, sequence, plan.marker),
                sent,
                plan.patience_ms,
            )?
        {
            times.push(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }
    times.sort_unstable();
    let received = u16::try_from(times.len()).unwrap_or(u16::MAX);
    Ok(Echoes { sent: plan.count, received, rtt_us: times.get(times.len() / 2).copied() })
}

/// Reads what comes in until it is `reply` or the time is over.
fn is_answered(mut socket: &Socket, reply: &[u8], sent: Instant, patience_ms: u64) -> io::Result<bool> {
    let mut packet = [0; 1500];
    loop {
        let left = Duration::from_millis(patience_ms).saturating_sub(sent.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut packet) {
            // The kernel hands over the packet with its IP header.
            Ok(length) if packet.get(..length).is_some_and(|packet| packet.ends_with(reply)) => {
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn echo(kind: u8, [.., high, low]: [u8; 4], sequence: u16, marker: Marker) -> Vec<u8> {
    let [first, second] = sequence.to_be_bytes();
    let without_checksum = [&[kind, 0, 0, 0, high, low, first, second], marker.bytes()].concat();
    let [upper, lower] = checksum(&without_checksum).to_be_bytes();
    [&[kind, 0, upper, lower, high, low, first, second], marker.bytes()].concat()
}

/// RFC 1071, over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks();
    let mut sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + carry;
    }
    !u16::try_from(sum).unwrap_or(0)
}
