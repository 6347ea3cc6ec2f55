//! One rate for a short while.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_timerslack;

use super::super::{Ends, Inside};
use super::flow::{Counter, Flow, Generator};

const DURATION: Duration = Duration::from_millis(200);
/// Nothing for so long after the last was sent: nothing more comes.
const QUIET: Duration = Duration::from_millis(30);
/// Between two looks at the clock where nothing is due, so that the sender leaves its processor to the others.
const NAP: Duration = Duration::from_micros(50);
/// Fewer are not worth a call.
const FEW: usize = 8;

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub sent: u64,
    pub received: u64,
    /// Received a second, from the start to the last arrival or the end of sending, whichever is later: what waited in
    /// queues is no speed.
    pub rate: f64,
    /// Sent a second: less than was asked for if the sender could not.
    pub offered: f64,
}

/// So many datagrams a second from here to there.
pub fn trial<N: Inside>(ends: Ends<'_, N>, flow: Flow, rate: f64) -> Trial {
    let bind =
        |(namespace, address): (&N, _)| namespace.inside(|| UdpSocket::bind((address, 0)).expect("bind"));
    let (sending, receiving) = (bind(ends.here), bind(ends.there));
    sending.connect(receiving.local_addr().expect("an address")).expect("connect");
    receiving.set_read_timeout(Some(QUIET)).expect("set a time-out");
    flow.prepare(&sending, &receiving);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let counter = scope.spawn(|| count(&receiving, flow, &over));
        let start = Instant::now();
        let (sent, ended) = scope.spawn(|| send(&sending, flow, rate)).join().expect("the sender");
        over.store(true, Ordering::Relaxed);
        let (received, last) = counter.join().expect("the counter");
        let seconds = last.max(ended).duration_since(start).as_secs_f64();
        let offered = sent as f64 / ended.duration_since(start).as_secs_f64();
        Trial { sent, received, rate: received as f64 / seconds, offered }
    })
}

fn send(socket: &UdpSocket, flow: Flow, rate: f64) -> (u64, Instant) {
    // Naps are as long as they say.
    set_timerslack(1).expect("prctl");
    let mut generator = Generator::new(socket, flow);
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < DURATION {
        let due = (start.elapsed().as_secs_f64() * rate) as u64 - sent;
        let due = usize::try_from(due).expect("a number").min(flow.batch());
        if due < FEW.min(flow.batch()) {
            thread::sleep(NAP);
        } else {
            sent += generator.send(due) as u64;
        }
    }
    (sent, Instant::now())
}

fn count(socket: &UdpSocket, flow: Flow, over: &AtomicBool) -> (u64, Instant) {
    let mut counter = Counter::new(socket, flow);
    let (mut received, mut last) = (0, Instant::now());
    loop {
        match counter.receive() {
            0 if over.load(Ordering::Relaxed) => return (received, last),
            0 => {}
            count => (received, last) = (received + count, Instant::now()),
        }
    }
}
