//! Numbered UDP packets at a steady rate, both ways at once: the number that does not arrive is a packet lost.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::SockRef;

use super::Marker;

/// Packets a second.
pub const RATE: u64 = 1000;
const PACKET_BYTES: usize = 200;
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long packets sent may stay on their way before they count as lost.
const LATE: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// What arrived of the other end's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Packets sent that did not arrive.
    pub lost: u64,
    /// Packets that arrived more than once.
    pub duplicates: u64,
    /// The longest time between two arrivals, milliseconds.
    pub longest_pause_ms: u64,
}

/// One end of the exchange.
pub struct Stream {
    socket: UdpSocket,
    to: SocketAddr,
    marker: Marker,
    sender: Option<JoinHandle<u64>>,
    receiver: Option<JoinHandle<Tally>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop_sending: AtomicBool,
    stop_receiving: AtomicBool,
    arrived: AtomicU64,
}

#[derive(Default)]
struct Tally {
    numbers: BTreeSet<u64>,
    duplicates: u64,
    longest_pause: Duration,
}

impl Stream {
    /// Counts at `at` what comes from `to`. Both ends open before either starts, so that no packet finds nobody.
    ///
    /// # Errors
    /// The address is not ours, or taken.
    pub fn open(at: SocketAddr, to: SocketAddr, marker: Marker) -> io::Result<Self> {
        let socket = UdpSocket::bind(at)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        // A receiver that waits for its turn on a busy machine is not a packet lost on the way; the kernel caps this.
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        let shared = Arc::new(Shared::default());
        let receiver = thread::spawn({
            let (socket, shared) = (socket.try_clone()?, Arc::clone(&shared));
            move || receive(&socket, to, marker, &shared)
        });
        Ok(Self { socket, to, marker, sender: None, receiver: Some(receiver), shared })
    }

    /// Sends until it is stopped, one packet at least.
    ///
    /// # Errors
    /// The socket cannot be shared with a thread.
    pub fn start(&mut self) -> io::Result<()> {
        let (socket, shared) = (self.socket.try_clone()?, Arc::clone(&self.shared));
        let (to, marker) = (self.to, self.marker);
        self.sender = Some(thread::spawn(move || send(&socket, to, marker, &shared.stop_sending)));
        Ok(())
    }

    /// Sends no more; the answer is the number of packets sent.
    ///
    /// # Errors
    /// It was stopped before.
    pub fn stop(&mut self) -> io::Result<u64> {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        join(self.sender.take())
    }

    /// Waits for what is still on its way and judges what came.
    ///
    /// # Errors
    /// The receiving thread died.
    pub fn arrived(mut self, sent: u64) -> io::Result<Arrived> {
        let end = Instant::now() + LATE;
        while self.shared.arrived.load(Ordering::Relaxed) < sent && Instant::now() < end {
            thread::sleep(READ_TIMEOUT);
        }
        self.shared.stop_receiving.store(true, Ordering::Relaxed);
        let tally = join(self.receiver.take())?;
        let lost = sent.saturating_sub(tally.numbers.len() as u64);
        let longest_pause_ms = u64::try_from(tally.longest_pause.as_millis()).unwrap_or(u64::MAX);
        Ok(Arrived { lost, duplicates: tally.duplicates, longest_pause_ms })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.stop_sending.store(true, Ordering::Relaxed);
        self.shared.stop_receiving.store(true, Ordering::Relaxed);
    }
}

fn join<T>(thread: Option<JoinHandle<T>>) -> io::Result<T> {
    let thread = thread.ok_or_else(|| io::Error::other("stopped before"))?;
    thread.join().map_err(|_| io::Error::other("a thread of the stream panicked"))
}

fn send(socket: &UdpSocket, to: SocketAddr, marker: Marker, stop: &AtomicBool) -> u64 {
    let start = Instant::now();
    let mut number = 0u64;
    loop {
        // The n-th packet has its own time, so that a late one does not delay the rest.
        let due = Duration::from_micros(number * 1_000_000 / RATE);
        thread::sleep(due.saturating_sub(start.elapsed()));
        let mut packet = [marker.bytes(), &number.to_be_bytes()].concat();
        packet.resize(PACKET_BYTES, 0);
        // What the network refuses to carry is lost as well.
        let _ = socket.send_to(&packet, to);
        number += 1;
        if stop.load(Ordering::Relaxed) {
            return number;
        }
    }
}

fn receive(socket: &UdpSocket, from: SocketAddr, marker: Marker, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    let mut last: Option<Instant> = None;
    let mut packet = [0; PACKET_BYTES];
    while !shared.stop_receiving.load(Ordering::Relaxed) {
        let Ok((length, sender)) = socket.recv_from(&mut packet) else { continue };
        let Some(number) = packet.get(..length).and_then(|packet| number_in(packet, marker)) else {
            continue;
        };
        if sender != from {
            continue;
        }
        let now = Instant::now();
        let pause = last.replace(now).map_or(Duration::ZERO, |last| now - last);
        tally.longest_pause = tally.longest_pause.max(pause);
        if tally.numbers.insert(number) {
            shared.arrived.fetch_add(1, Ordering::Relaxed);
        } else {
            tally.duplicates += 1;
        }
    }
    tally
}

fn number_in(packet: &[u8], marker: Marker) -> Option<u64> {
    packet.strip_prefix(marker.bytes())?.first_chunk().copied().map(u64::from_be_bytes)
}
