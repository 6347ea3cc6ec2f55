//! A line in user space, in the place of the router between the gateways: it loses, repeats and reorders, and knows what it
//! did. (This kernel's netem is missing on many machines; nftables only loses.)

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lab::{End, Namespace, Site};
use crate::pattern::scatter;

/// Packets that may pass one that is delayed: fewer than a replay window of the smallest size.
const OVERTAKING: u64 = 32;
/// What is delayed waits no longer than this on a quiet line.
const QUIET_MS: u8 = 5;
/// Packets that wait for the line; the default of 500 would lose some by itself.
const QUEUE: u32 = 20_000;

/// What happens, to how many packets in a thousand.
#[derive(Clone, Copy)]
pub struct Fate {
    pub lost: u64,
    pub repeated: u64,
    pub delayed: u64,
}

/// Works until it is dropped.
pub struct Link {
    stop: Arc<AtomicBool>,
    lost: [Arc<AtomicU64>; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Takes the gateways' cables to the router away and connects them with each other.
    pub fn instead_of_router(site: &Site, fate: Fate) -> Self {
        let [a, b] = [End::A, End::B].map(|end| {
            let gateway = site.side(end);
            Arc::new(device(&gateway.namespace, &gateway.outside[0].to_string()))
        });
        let mut link =
            Self { stop: Arc::default(), lost: [Arc::default(), Arc::default()], threads: Vec::new() };
        for (way, (from, to)) in [(Arc::clone(&a), Arc::clone(&b)), (b, a)].into_iter().enumerate() {
            let (stop, lost) = (Arc::clone(&link.stop), Arc::clone(&link.lost[way]));
            let way = Way { fate, seen: way as u64, delayed: VecDeque::new(), to, lost };
            link.threads.push(thread::spawn(move || way.run(&from, &stop)));
        }
        link
    }

    /// ESP packets that it has lost, a to b and b to a.
    pub fn lost(&self) -> [u64; 2] {
        self.lost.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the line failed");
        }
    }
}

/// One direction.
struct Way {
    fate: Fate,
    /// Packets until now; also the dice, so that each run is like the other.
    seen: u64,
    /// Each with the number of packets after which it goes on.
    delayed: VecDeque<(u64, Vec<u8>)>,
    to: Arc<File>,
    lost: Arc<AtomicU64>,
}

impl Way {
    fn run(mut self, from: &File, stop: &AtomicBool) {
        let mut packet = vec![0; 1 << 16];
        while !stop.load(Ordering::Relaxed) {
            match (&*from).read(&mut packet) {
                Ok(length) => self.pass(&packet[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
                    if poll(&mut fds, PollTimeout::from(QUIET_MS)).expect("poll") == 0 {
                        self.release(u64::MAX);
                    }
                }
                Err(error) => panic!("the line: {error}"),
            }
        }
    }

    fn pass(&mut self, packet: &[u8]) {
        self.seen += 1;
        let dice = scatter(self.seen.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % 1_000;
        let Fate { lost, repeated, delayed } = self.fate;
        if dice < lost {
            self.lost.fetch_add(u64::from(is_esp(packet)), Ordering::Relaxed);
        } else if dice < lost + repeated {
            self.put(packet);
            self.put(packet);
        } else if dice < lost + repeated + delayed {
            let until = self.seen + 1 + scatter(self.seen) % OVERTAKING;
            self.delayed.push_back((until, packet.to_vec()));
        } else {
            self.put(packet);
        }
        self.release(self.seen);
    }

    /// Those whose time has come.
    fn release(&mut self, now: u64) {
        let (due, later) = self.delayed.drain(..).partition(|(until, _)| *until <= now);
        self.delayed = later;
        let due: VecDeque<_> = due;
        due.iter().for_each(|(_, packet)| self.put(packet));
    }

    fn put(&self, packet: &[u8]) {
        (&*self.to).write_all(packet).expect("put a packet on the line");
    }
}

/// Whether it is ESP in UDP over IPv4: no IKE (RFC 3948 §2.2), no keepalive.
fn is_esp(packet: &[u8]) -> bool {
    packet.len() > 40 && packet[0] == 0x45 && packet[9] == 17 && packet[28..32] != [0; 4]
}

/// A device `wan` in the place of the cable of that name: what the kernel sends there is read from the file, packet by packet.
fn device(namespace: &Namespace, address: &str) -> File {
    namespace.ip("link del wan");
    let file = namespace.run(|| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
        let file = options.open("/dev/net/tun").expect("open /dev/net/tun");
        attach(&file).expect("TUNSETIFF");
        file
    });
    namespace.ip(&format!("link set wan mtu 1500 txqueuelen {QUEUE} up"));
    namespace.ip(&format!("addr add {address}/24 dev wan"));
    namespace.ip("route add default dev wan");
    file
}

fn attach(file: &File) -> io::Result<()> {
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(b"wan") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("flags of 16 bits");
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    sys::attach(file.as_raw_fd(), &mut libc::ifreq { ifr_name: name, ifr_ifru })
}

#[expect(unsafe_code, reason = "ioctl(2)")]
mod sys {
    use std::io;
    use std::os::fd::RawFd;

    mod ioctl {
        nix::ioctl_write_ptr_bad!(attach, libc::TUNSETIFF, libc::ifreq);
    }

    pub fn attach(file: RawFd, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the kernel reads and writes one `ifreq`, which is ours.
        unsafe { ioctl::attach(file, request) }?;
        Ok(())
    }
}
