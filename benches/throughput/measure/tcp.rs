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
const WARM_UP: Duration = Duration::from_millis(250);
/// Bytes given to the kernel at once, as iperf3 does. Of each, what is left behind two super-packets is for our MTU one segment
/// over IPv4 and two over IPv6, which have an acknowledgement of their own: that is what IPv6 loses most by here.
const CHUNK: usize = 128 << 10;
/// What is sent starts at each line of a page in turn. AMD's copies (`rep movsb`) take fifteen times as long where the destination
/// lies 1 to 15 bytes behind the source within its page; with one start for all, a stream could be like that for seconds, with
/// a tunnel or without: over IPv6 often, by the sizes of its segments, over IPv4 hardly ever.
const PAGE: usize = 4096;
const LINE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

/// Streams that run until this is dropped.
pub struct Load {
    received: Arc<AtomicU64>,
    streams: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

/// How streams are sent and measured.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Congestion control.
    pub control: &'a str,
    /// Seconds that are measured of each, in all its turns together.
    pub seconds: f64,
    /// Turns of each.
    pub turns: u32,
}

/// Streams, so many between each of these ends, and whose processor time they cost.
pub struct Course<'a, N> {
    pub ends: Vec<Ends<'a, N>>,
    pub streams: usize,
    pub processes: Vec<u32>,
}

/// What streams carried, all together.
#[derive(Clone, Copy, Default)]
pub struct Carried {
    gigabytes: f64,
    seconds: f64,
    processor_s: f64,
}

impl Carried {
    pub fn gbps(self) -> f64 {
        self.gigabytes * 8.0 / self.seconds
    }

    /// Processor time of the processes named, seconds for each 10^9 bytes.
    pub fn cpu_seconds_per_gb(self) -> f64 {
        self.processor_s / self.gigabytes
    }
}

/// What each course carries. They take turns, one beside the other: a machine changes speed within seconds, and then for all.
pub fn in_turns<N: Inside>(courses: &[&Course<'_, N>], how: How<'_>) -> Vec<Carried> {
    let mut all = vec![Carried::default(); courses.len()];
    for _ in 0..how.turns {
        for (course, carried) in courses.iter().zip(&mut all) {
            course.run(how, carried);
        }
    }
    all
}

impl<N: Inside> Course<'_, N> {
    fn run(&self, how: How<'_>, carried: &mut Carried) {
        let load = Load::start(&self.ends, self.streams, how.control);
        thread::sleep(WARM_UP);
        let (bytes, used, start) = (load.received(), Usage::of(&self.processes), Instant::now());
        thread::sleep(Duration::from_secs_f64(how.seconds / f64::from(how.turns)));
        carried.seconds += start.elapsed().as_secs_f64();
        carried.gigabytes += (load.received() - bytes) as f64 / 1e9;
        carried.processor_s += Usage::of(&self.processes).processor_s - used.processor_s;
    }
}

impl Load {
    /// Streams from here to there, so many for each.
    pub fn start<N: Inside>(ends: &[Ends<'_, N>], streams: usize, control: &str) -> Self {
        let mut load = Self { received: Arc::default(), streams: Vec::new(), threads: Vec::new() };
        for Ends { here, there } in ends {
            let listener = there.0.inside(|| TcpListener::bind((there.1, 0)).expect("listen"));
            let target = listener.local_addr().expect("an address");
            for _ in 0..streams {
                let sending = here.0.inside(|| connect(SocketAddr::new(here.1, 0), target, control));
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
    let data = vec![0x5a; CHUNK + PAGE];
    for start in (0..PAGE).step_by(LINE).cycle() {
        if stream.write_all(&data[start..start + CHUNK]).is_err() {
            break;
        }
    }
}

fn receive(mut stream: TcpStream, received: &AtomicU64) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}
