//! TCP streams at full speed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::usage::Usage;
use super::{Ends, Inside};

/// Time in which TCP finds its speed, which is not measured.
const WARM_UP: Duration = Duration::from_millis(400);
/// Bytes given to the kernel at once, as iperf3 does. Of each, what is left behind two super-packets is for our MTU one segment
/// over IPv4 and two over IPv6, which have an acknowledgement of their own: that is what IPv6 loses most by here.
const CHUNK: usize = 128 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// Streams that run until this is dropped.
pub struct Load {
    received: Arc<AtomicU64>,
    streams: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

/// How streams are to be sent.
#[derive(Clone, Copy)]
pub struct Streams<'a> {
    pub count: usize,
    /// Congestion control.
    pub control: &'a str,
}

/// What streams carried, all together.
pub struct Carried {
    pub gbps: f64,
    /// Processor time of the processes named, seconds for each 10^9 bytes.
    pub cpu_seconds_per_gb: f64,
}

/// What these streams, so many between each of these ends, carry in so many seconds, and what that costs these processes.
pub fn carried<N: Inside>(
    ends: &[Ends<'_, N>],
    streams: Streams<'_>,
    seconds: f64,
    processes: &[u32],
) -> Carried {
    let load = Load::start(ends, streams);
    thread::sleep(WARM_UP);
    let (bytes, used, start) = (load.received(), Usage::of(processes), Instant::now());
    thread::sleep(Duration::from_secs_f64(seconds));
    let elapsed = start.elapsed().as_secs_f64();
    let gigabytes = (load.received() - bytes) as f64 / 1e9;
    let used = Usage::of(processes).processor_s - used.processor_s;
    Carried { gbps: gigabytes * 8.0 / elapsed, cpu_seconds_per_gb: used / gigabytes }
}

impl Load {
    /// Streams from here to there, so many for each.
    pub fn start<N: Inside>(ends: &[Ends<'_, N>], streams: Streams<'_>) -> Self {
        let mut load = Self { received: Arc::default(), streams: Vec::new(), threads: Vec::new() };
        for Ends { here, there } in ends {
            let listener = there.0.inside(|| TcpListener::bind((there.1, 0)).expect("listen"));
            let target = listener.local_addr().expect("an address");
            for _ in 0..streams.count {
                let sending = here.0.inside(|| connect(SocketAddr::new(here.1, 0), target, streams.control));
                let (receiving, _) = listener.accept().expect("accept");
                load.run(sending, receiving);
            }
        }
        load
    }

    fn run(&mut self, sending: TcpStream, receiving: TcpStream) {
        for stream in [&sending, &receiving] {
            // What is under way at the end must not run on into the next measurement.
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("set SO_LINGER");
            self.streams.push(stream.try_clone().expect("duplicate a socket"));
        }
        let received = Arc::clone(&self.received);
        self.threads.push(thread::spawn(move || send(sending)));
        self.threads.push(thread::spawn(move || receive(receiving, &received)));
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for stream in &self.streams {
            // Fails where the other end was first.
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("a stream");
        }
    }
}

fn connect(local: SocketAddr, target: SocketAddr, control: &str) -> TcpStream {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, None).expect("a socket");
    socket.set_tcp_congestion(control.as_bytes()).expect("a congestion control of this kernel's");
    socket.bind(&local.into()).expect("bind");
    socket.connect_timeout(&target.into(), PATIENCE).expect("connect through the tunnel");
    socket.into()
}

fn send(mut stream: TcpStream) {
    let chunk = vec![0x5a; CHUNK];
    while stream.write_all(&chunk).is_ok() {}
}

fn receive(mut stream: TcpStream, received: &AtomicU64) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}
