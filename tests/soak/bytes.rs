//! A TCP stream at full speed, every byte of which is compared.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::Namespace;
use crate::pattern::content;

/// A stream that stalls this long has failed.
const STALL: Duration = Duration::from_secs(20);
const CHUNK: usize = 1 << 16;

/// Running on two threads until `finish`.
pub struct Bytes {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<u64>,
}

impl Bytes {
    /// Sends from one host to another.
    pub fn start(from: (&Namespace, IpAddr), to: (&Namespace, IpAddr)) -> Self {
        let listener = to.0.run(|| TcpListener::bind((to.1, 0)).expect("listen"));
        let target = listener.local_addr().expect("the listener's address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let receiver = to.0.spawn(move || receive(listener.accept().expect("accept").0));
        let sender = from.0.spawn(move || {
            let stream = TcpStream::connect_timeout(&target, STALL).expect("connect through the tunnel");
            send(stream, &stopped)
        });
        Self { stop, sender, receiver }
    }

    /// Stops, and waits until all has arrived; how many bytes that was.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender's count");
        let received = self.receiver.join().expect("no byte was changed");
        assert_eq!(sent, received, "bytes that arrived");
        assert!(received > 0, "nothing was carried");
        received
    }
}

fn send(mut stream: TcpStream, stop: &AtomicBool) -> u64 {
    stream.set_write_timeout(Some(STALL)).expect("set a time-out");
    let mut chunks = 0;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(content(chunks, CHUNK)).expect("write through the tunnel");
        chunks += 1;
    }
    stream.shutdown(Shutdown::Write).expect("end the stream");
    chunks * CHUNK as u64
}

fn receive(mut stream: TcpStream) -> u64 {
    stream.set_read_timeout(Some(STALL)).expect("set a time-out");
    let mut buffer = vec![0; CHUNK];
    let (mut chunks, mut filled) = (0, 0);
    loop {
        match stream.read(&mut buffer[filled..]).expect("read from the tunnel") {
            0 => return chunks * CHUNK as u64 + filled as u64,
            count => filled += count,
        }
        if filled == CHUNK {
            assert!(buffer == content(chunks, CHUNK), "bytes changed on the way, in chunk {chunks}");
            (chunks, filled) = (chunks + 1, 0);
        }
    }
}
