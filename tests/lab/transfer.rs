//! A TCP transfer whose every byte is checked.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::namespace::Namespace;

/// A transfer that stalls this long has failed.
const STALL: Duration = Duration::from_secs(20);
const CHUNK: usize = 64 * 1024;

/// Sends `kilobytes` (of 1,000 bytes) from one host to another over TCP, compares every byte, and returns the rate in Mb/s.
pub fn transfer(from: (&Namespace, IpAddr), to: (&Namespace, IpAddr), kilobytes: u32) -> f64 {
    let listener = to.0.run(|| TcpListener::bind((to.1, 0)).expect("listen"));
    let target = listener.local_addr().expect("the listener's address");
    let length = kilobytes as usize * 1_000;

    let start = Instant::now();
    let receiver = to.0.spawn(move || {
        let (stream, _) = listener.accept().expect("accept");
        receive(stream, length);
    });
    from.0.run(|| {
        let stream = TcpStream::connect_timeout(&target, STALL).expect("connect through the tunnel");
        send(stream, length);
    });
    receiver.join().expect("the transfer to arrive as it was sent");
    f64::from(kilobytes) * 8e-3 / start.elapsed().as_secs_f64()
}

fn send(mut stream: TcpStream, length: usize) {
    stream.set_write_timeout(Some(STALL)).expect("set a time-out");
    let mut pattern = Pattern::default();
    let mut chunk = vec![0; CHUNK];
    let mut left = length;
    while left > 0 {
        let part = &mut chunk[..left.min(CHUNK)];
        pattern.fill(part);
        stream.write_all(part).expect("write through the tunnel");
        left -= part.len();
    }
    stream.shutdown(Shutdown::Write).expect("end the stream");
    let mut answer = [0; 1];
    stream.set_read_timeout(Some(STALL)).expect("set a time-out");
    stream.read_exact(&mut answer).expect("the receiver's word that all has arrived");
}

fn receive(mut stream: TcpStream, length: usize) {
    stream.set_read_timeout(Some(STALL)).expect("set a time-out");
    let mut pattern = Pattern::default();
    let (mut chunk, mut expected) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut total = 0;
    loop {
        let count = stream.read(&mut chunk).expect("read from the tunnel");
        if count == 0 {
            break;
        }
        pattern.fill(&mut expected[..count]);
        assert!(chunk[..count] == expected[..count], "bytes changed on the way, near {total}");
        total += count;
    }
    assert_eq!(total, length, "bytes that arrived");
    stream.write_all(b"!").expect("answer through the tunnel");
}

/// A byte sequence without repetition in sight (a linear congruential generator), the same at both ends.
#[derive(Default)]
struct Pattern {
    state: u64,
}

impl Pattern {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.state =
                self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.state >> 56) as u8;
        }
    }
}
