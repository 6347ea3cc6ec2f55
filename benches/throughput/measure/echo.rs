//! Round trips of a UDP datagram, one after the other.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use super::{Ends, Inside};

/// What does not come back in this time is lost, and counts as this long.
const LOST: Duration = Duration::from_millis(200);
const LENGTH: usize = 56;

/// Round trips, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct RoundTrips {
    pub p50: f64,
    pub p99: f64,
}

/// So many from here to there and back, with a pause between.
pub fn round_trips<N: Inside>(ends: Ends<'_, N>, count: usize, pause: Duration) -> RoundTrips {
    let bind = |(namespace, address): (&N, _)| {
        let socket = namespace.inside(|| UdpSocket::bind((address, 0)).expect("bind"));
        socket.set_read_timeout(Some(LOST)).expect("set a time-out");
        socket
    };
    let (asks, answers) = (bind(ends.here), bind(ends.there));
    asks.connect(answers.local_addr().expect("an address")).expect("connect");
    answers.connect(asks.local_addr().expect("an address")).expect("connect");
    let mut times = thread::scope(|scope| {
        let echo = scope.spawn(|| answer(&answers));
        let times: Vec<_> = (0..count)
            .map(|number| {
                thread::sleep(pause);
                ask(&asks, number as u64)
            })
            .collect();
        end(&asks, || echo.is_finished());
        times
    });
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    RoundTrips { p50: at(0.5), p99: at(0.99) }
}

fn ask(socket: &UdpSocket, number: u64) -> f64 {
    let mut datagram = [0; LENGTH];
    datagram[..8].copy_from_slice(&number.to_be_bytes());
    let mut answer = [0; LENGTH];
    let start = Instant::now();
    // A refusal is a loss too.
    let _ = socket.send(&datagram);
    while let Ok(LENGTH) = socket.recv(&mut answer) {
        // One that was given up for lost may come after all.
        if answer == datagram {
            return start.elapsed().as_secs_f64() * 1e6;
        }
    }
    LOST.as_secs_f64() * 1e6
}

/// Until an empty datagram comes.
fn answer(socket: &UdpSocket) {
    let mut datagram = [0; LENGTH];
    loop {
        match socket.recv(&mut datagram) {
            Ok(0) => return,
            Ok(length) => drop(socket.send(&datagram[..length])),
            Err(_) => {}
        }
    }
}

fn end(socket: &UdpSocket, ended: impl Fn() -> bool) {
    while !ended() {
        let _ = socket.send(&[]);
        thread::sleep(Duration::from_millis(2));
    }
}
