//! The data path: packets from the TUN leave as ESP in UDP (RFC 4303, RFC 3948), and come back the same way.
//!
//! Workers that share nothing but immutable snapshots, each of two threads: `outbound` (TUN to UDP) and `inbound` (UDP to
//! TUN), with a queue of the TUN, sockets and counters of their own. An SA belongs to the worker that the last byte of our SPI
//! names: its packets come in there, and what answers them is read there. Control installs and removes SAs through
//! [`DataPath`], and publishes what it has changed; what concerns control comes back over one bounded channel. Identifiers are plain numbers of control's.

mod allowance;
mod drops;
mod failure;
mod held;
mod inbound;
mod joined;
mod outbound;
mod publish;
mod train;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use sekisho_esp::Fragments;
pub use sekisho_esp::icmp_quote::Quote;
use sekisho_esp::pmtu::Outer;
pub use sekisho_esp::{InnerView, Layout};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::net::offload::Offloads;
use crate::net::ready::{Bell, Stop, Woken};
use crate::net::tun::Tun;
use crate::net::udp::Sockets;
use drops::{Drops, Loss};
use inbound::Inbound;
use joined::Refusals;
use outbound::Outbound;
use publish::{Installed, Snapshot};
pub use publish::{NewSa, Reservation};

/// Messages to control that may wait; beyond it datagrams are dropped and counted.
const QUEUE: usize = 256;
/// Packets of the TUN whose fragments are followed at once.
const FRAGMENTED: usize = 1_024;
/// Between two tries to tell control that a thread has ended, while the queue is full.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// What the data path tells control.
pub enum FromData {
    /// An IKE message came in, without its non-ESP marker.
    Ike {
        /// Which way.
        path: UdpPath,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The first packet arrived on the inbound SPI of this SA. Told once in an SA's life.
    FirstPacket(u64),
    /// Packets wait for the Child SA of this policy, which has none and is set up on demand. Told once by each worker for all
    /// that wait there, with what the first of them says; answered by an SA, or by [`DataPath::abandon`].
    Acquire(u64, Option<InnerView>),
    /// The device or a socket fails persistently, for the reason told. The thread goes on trying.
    Failed(String),
    /// A thread has ended, for the reason told: nothing passes any more until the daemon starts again.
    Dead(String),
}

/// Where [`FromData`] goes in.
pub type FromDataSender = mpsc::Sender<FromData>;
/// Where [`FromData`] comes out.
pub type FromDataReceiver = mpsc::Receiver<FromData>;

/// The bounded channel from the data path to control.
pub fn channel() -> (FromDataSender, FromDataReceiver) {
    mpsc::channel(QUEUE)
}

/// Which way datagrams of a tunnel travel, or ESP of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPath {
    /// Our address and port; an unspecified address leaves the choice to the kernel.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// By the encapsulation port, where IKE messages wear the non-ESP marker. Of an SA: ESP is in UDP; otherwise it is a
    /// protocol of its own between the two addresses, and the ports mean nothing.
    pub encap: bool,
}

/// What is decided by configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the longest inner packet: the MTU of the TUN.
    pub mtu: u16,
    /// Whether the segments that TCP announces are made to fit the tunnel.
    pub clamp_mss: bool,
}

/// What is known of a tunnel's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathLimits {
    /// Bytes of the largest IP packet outside.
    pub mtu: u16,
    /// Bytes of the largest inner packet, whatever the path carries.
    pub most: u16,
    /// No packet may be fragmented outside.
    pub dont_fragment: bool,
}

/// What a Child SA has carried until now; bytes of inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaUsage {
    /// Packets received and accepted.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// When the last packet was accepted, as time since boot ([`crate::net::clock`]).
    pub last_in: Option<Duration>,
}

/// The running data path. Dropping it stops the threads and lets the device go.
#[derive(Debug)]
pub struct DataPath {
    shared: Arc<Shared>,
    workers: Vec<Arc<Worker>>,
    installed: Mutex<Installed>,
    threads: Vec<JoinHandle<()>>,
    /// What control finds.
    drops: Drops,
}

/// What all threads see.
#[derive(Debug)]
struct Shared {
    sockets: Arc<Sockets>,
    snapshot: ArcSwap<Snapshot>,
    clamp_mss: AtomicBool,
    /// Of packets on their way out, where selectors name ports. One for all workers: fragments show no ports, so that the kernel
    /// may give those of one packet to several queues. Nothing but fragments takes the lock, and for a look-up at a time.
    fragments: Mutex<Fragments>,
    refusals: Arc<Refusals>,
    stop: Stop,
    /// Control knows that a thread has ended.
    told_dead: AtomicBool,
    to_control: FromDataSender,
}

impl Shared {
    /// A thread that dies must not die in silence: without it the tunnels carry nothing. Told once, whatever else dies.
    fn tell_dead(&self, why: &str) {
        if self.told_dead.swap(true, Ordering::Relaxed) {
            return;
        }
        while let Err(TrySendError::Full(_)) = self.to_control.try_send(FromData::Dead(why.to_owned())) {
            if matches!(self.stop.wait(&[], Some(TELL_AGAIN)), Ok(Woken::Stop) | Err(_)) {
                return;
            }
        }
    }
}

/// What the two threads of one worker see, and control.
#[derive(Debug)]
struct Worker {
    /// Which one, from 0.
    number: usize,
    /// Its queue of the TUN.
    queue: Tun,
    /// Tells the outbound thread that there are new SAs, or that some will not come.
    bell: Bell,
    /// The policies whose SAs will not come.
    abandoned: Mutex<BTreeSet<u64>>,
    /// Of the outbound thread.
    drops_out: Drops,
    /// Of the inbound thread.
    drops_in: Drops,
}

impl Worker {
    fn new(number: usize, queue: Tun) -> io::Result<Arc<Self>> {
        let (abandoned, drops_out, drops_in) = Default::default();
        Ok(Arc::new(Self { number, queue, bell: Bell::new()?, abandoned, drops_out, drops_in }))
    }
}

impl DataPath {
    /// Start the threads: a worker for each queue, as many as the sockets were bound for. Without SAs nothing passes: fail
    /// closed.
    ///
    /// # Errors
    /// If the system gives no more threads or descriptors.
    pub fn start(
        queues: Vec<Tun>,
        sockets: Arc<Sockets>,
        settings: Settings,
        to_control: FromDataSender,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            sockets,
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            clamp_mss: AtomicBool::new(settings.clamp_mss),
            fragments: Mutex::new(Fragments::new(FRAGMENTED)),
            refusals: Arc::default(),
            stop: Stop::new()?,
            told_dead: AtomicBool::new(false),
            to_control,
        });
        let workers = queues.into_iter().enumerate().map(|(number, queue)| Worker::new(number, queue));
        let workers: Vec<_> = workers.collect::<io::Result<_>>()?;
        let installed = Mutex::new(Installed::new(workers.len(), settings.mtu));
        // Whatever fails from here on, the drop stops what was started.
        let mut data = Self { shared, workers, installed, threads: Vec::new(), drops: Drops::default() };
        for worker in data.workers.clone() {
            let number = worker.number;
            let mut outbound = Outbound::new(Arc::clone(&data.shared), Arc::clone(&worker));
            data.spawn(format!("data-out-{number}"), move || outbound.run())?;
            let mut inbound = Inbound::new(Arc::clone(&data.shared), worker);
            data.spawn(format!("data-in-{number}"), move || inbound.run())?;
        }
        Ok(data)
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.clone());
        let guarded = move || match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => shared.tell_dead(&format!("the thread `{name}` ended: {error}")),
            Err(_) => shared.tell_dead(&format!("the thread `{name}` panicked")),
        };
        self.threads.push(thread.spawn(guarded)?);
        Ok(())
    }

    /// What is configured: none of it is sent on a less specific SA, also while its own is down. At once.
    pub fn reserve(&self, reserved: Vec<Reservation>) {
        self.installed().reserve(reserved);
        self.publish();
    }

    /// Receive on this SA; send on it only after [`Self::switch_outbound`]. From the next [`Self::publish`] on.
    pub fn install(&self, sa: NewSa) {
        self.installed().install(sa);
    }

    /// Send on this SA, and no more on any other of the same tunnel and policy. Where SAs of several tunnels suit a packet
    /// equally, the one switched to last carries it. From the next [`Self::publish`] on.
    pub fn switch_outbound(&self, id: u64) {
        self.installed().switch_outbound(id);
    }

    /// Send no more on this SA, receive on it still. From the next [`Self::publish`] on.
    pub fn stop_outbound(&self, id: u64) {
        self.installed().stop_outbound(id);
    }

    /// End this SA at once, and forget it with the next [`Self::publish`]: what it has carried. What comes for it in between is
    /// dropped, so that this is final.
    pub fn remove(&self, id: u64) -> Option<SaUsage> {
        let removed = self.installed().remove(id);
        removed.map(|entry| entry.end())
    }

    /// All SAs of this tunnel send this way, from the next [`Self::publish`] on.
    pub fn repath(&self, tunnel: u64, path: UdpPath) {
        self.installed().repath(tunnel, path);
    }

    /// All changes until now take effect, together. Whoever changes something publishes before it tells a peer: a peer may
    /// use an SA as soon as it knows of it.
    pub fn publish(&self) {
        let mut installed = self.installed();
        if let Some(snapshot) = installed.news() {
            self.shared.snapshot.store(Arc::new(snapshot));
            self.workers.iter().for_each(|worker| worker.bell.ring());
        }
    }

    /// What an SA has carried until now.
    pub fn usage(&self, id: u64) -> Option<SaUsage> {
        self.installed().usage(id)
    }

    /// The Child SA of this policy cannot be set up for now: what waits for it is dropped.
    pub fn abandon(&self, policy: u64) {
        for worker in &self.workers {
            worker.abandoned.lock().unwrap_or_else(PoisonError::into_inner).insert(policy);
            worker.bell.ring();
        }
    }

    /// Packets dropped until now by reason: stable words, those that never happened included.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let all = self.workers.iter().flat_map(|worker| [&worker.drops_out, &worker.drops_in]);
        let mut drops = Drops::read(&all.chain([&self.drops]).collect::<Vec<_>>());
        drops.push(("receive_queue_full", self.shared.sockets.overflowed()));
        // All queues are of one device.
        let device = self.workers.first().map_or(0, |worker| worker.queue.overflowed());
        drops.push(("device_queue_full", device));
        drops
    }

    /// What the TUN device exchanges with us in one read or write, and why not more; and why the UDP sockets do not take or give
    /// all trains whole.
    pub fn offloads(&self) -> (Offloads, Vec<String>) {
        // All queues are of one device, whose offloads these are.
        let granted = self.workers.first().map(|worker| worker.queue.granted());
        let mut reasons = granted.map(|granted| granted.refused.clone()).unwrap_or_default();
        let refusals = &self.shared.refusals;
        if refusals.count() > 0 {
            let now = if refusals.resting() { "packets go one by one for now" } else { "taken again" };
            let times = refusals.count();
            reasons.push(format!("the device refused joined packets (EINVAL) {times} times; {now}"));
        }
        reasons.extend(self.shared.sockets.unjoined().map(str::to_owned));
        reasons.extend(self.installed().uncut());
        (granted.map_or(Offloads::None, |granted| granted.offloads), reasons)
    }

    /// The MTU of the TUN has changed.
    pub fn set_mtu(&self, mtu: u16) {
        self.installed().set_mtu(mtu);
    }

    /// Whether the segments that TCP announces are made to fit the tunnel from now on.
    pub fn set_clamp_mss(&self, clamp: bool) {
        self.shared.clamp_mss.store(clamp, Ordering::Relaxed);
    }

    /// This is what is known of the path of a tunnel from now on.
    pub fn limit_path(&self, tunnel: u64, limits: PathLimits) {
        self.installed().limit_path(tunnel, limits);
    }

    /// A tunnel is gone, and with it what was known of its path.
    pub fn forget_path(&self, tunnel: u64) {
        self.installed().forget_path(tunnel);
    }

    /// Bytes of the largest inner packet that an SA carries whole.
    pub fn inner_mtu(&self, id: u64) -> Option<u16> {
        self.installed().inner_mtu(id)
    }

    /// The tunnel of which a router quotes a packet that was sent lately. What might be about us and is not proven is counted.
    pub fn quoted(&self, quote: &Quote) -> Option<u64> {
        let tunnel = self.installed().quoted(quote);
        let nat_port = self.shared.sockets.settings().nat_port;
        if tunnel.is_none() && quote.ports.is_none_or(|(source, _)| source == nat_port) {
            self.drops.loss(Loss::TooBigUnproven, 1);
        }
        tunnel
    }

    /// Stop the threads and wait for their end; the device goes with them.
    pub fn shutdown(self) {
        drop(self);
    }

    fn installed(&self) -> MutexGuard<'_, Installed> {
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DataPath {
    fn drop(&mut self) {
        self.shared.stop.raise();
        for thread in self.threads.drain(..) {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FromData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ike { path, bytes } => write!(f, "Ike({path:?}, {} bytes)", bytes.len()),
            Self::FirstPacket(id) => write!(f, "FirstPacket({id})"),
            Self::Acquire(policy, _) => write!(f, "Acquire({policy})"),
            Self::Failed(what) => write!(f, "Failed({what:?})"),
            Self::Dead(why) => write!(f, "Dead({why:?})"),
        }
    }
}

/// The largest packet, in bytes, that passes a line of `line` bytes inside UDP-encapsulated ESP with this layout, with an
/// outer header of IPv6 or IPv4.
pub fn inner_mtu(layout: Layout, ipv6: bool, line: usize) -> usize {
    Outer { ipv6, udp: true }.inner_mtu(layout, line)
}
