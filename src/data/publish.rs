//! The writer's side: the list of installed SAs, and the snapshot that the threads look packets up in.
//!
//! The snapshot is immutable and made anew for each batch of changes, so that a look-up takes no lock. Making it costs time in
//! proportion to the SAs held (about a millisecond at 10,000), a change only in proportion to its logarithm: control makes
//! one snapshot a turn, however many SAs came and went in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use sekisho_esp::icmp_quote::Quote;
use sekisho_esp::pmtu::Outer;
use sekisho_esp::{Absent, InboundSa, OutboundSa, Selector, Table, TableBuilder};

use super::{FromData, FromDataSender, PathLimits, SaUsage, UdpPath};
use crate::net::udp::Segmentation;

/// What packets are looked up in.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    table: Table<Receiving, Sending>,
    /// How many there were before.
    number: u64,
}

impl Snapshot {
    /// Tells it from all others.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Deref for Snapshot {
    type Target = Table<Receiving, Sending>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}

/// A Child SA to be installed.
#[derive(Debug)]
pub struct NewSa {
    /// Names it from now on.
    pub id: u64,
    /// The tunnel it belongs to.
    pub tunnel: u64,
    /// The configured child, as in [`Reservation::policy`]: of the SAs of one tunnel and policy, one is sent on.
    pub policy: u64,
    /// What the peer sends with.
    pub inbound: InboundSa,
    /// What we send with, once switched to.
    pub outbound: OutboundSa,
    /// How its packets travel.
    pub path: UdpPath,
}

/// What a configured child may carry: reserved for it, whether it has an SA or not.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// Names the configured child.
    pub policy: u64,
    /// Whether a packet has its Child SA set up, and waits for it.
    pub on_demand: bool,
    /// Whether each of its SAs carries a part of it alone: that of one of many peers, or of an address that is given.
    pub in_part: bool,
    /// Our side.
    pub local: Vec<Selector>,
    /// The peer's side.
    pub remote: Vec<Selector>,
}

/// The receiving half of a Child SA, as a thread sees it.
#[derive(Debug)]
pub(super) struct Receiving {
    id: u64,
    sa: InboundSa,
    /// The first packet came, and control does not know yet.
    untold: AtomicBool,
    room: Arc<Room>,
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Sending {
    sa: Arc<OutboundSa>,
    pub(super) path: UdpPath,
    /// Whom the SA belongs to.
    pub(super) worker: usize,
    /// Whether the kernel cuts its trains, this way.
    pub(super) segmentation: Segmentation,
    room: Arc<Room>,
}

/// What the path of an SA leaves for it: changed by control at any time, and read with each packet.
#[derive(Debug)]
struct Room {
    /// Bytes of the largest inner packet.
    mtu: AtomicU16,
    /// No packet may be fragmented outside.
    whole: AtomicBool,
}

impl Receiving {
    pub(super) fn sa(&self) -> &InboundSa {
        &self.sa
    }

    /// Bytes of the largest inner packet that passes whole the other way.
    pub(super) fn mtu(&self) -> u16 {
        self.room.mtu.load(Ordering::Relaxed)
    }

    /// Tell control of the first packet. If its queue is full, again with the next train.
    pub(super) fn announce(&self, is_first: bool, to_control: &FromDataSender) {
        if is_first || self.untold.load(Ordering::Relaxed) {
            let told = to_control.try_send(FromData::FirstPacket(self.id)).is_ok();
            self.untold.store(!told, Ordering::Relaxed);
        }
    }
}

impl Sending {
    fn new(sa: Arc<OutboundSa>, path: UdpPath, worker: usize, room: Arc<Room>) -> Self {
        Self { sa, path, worker, segmentation: Segmentation::default(), room }
    }

    pub(super) fn sa(&self) -> &OutboundSa {
        &self.sa
    }

    /// Bytes of the largest inner packet that passes whole.
    pub(super) fn mtu(&self) -> u16 {
        self.room.mtu.load(Ordering::Relaxed)
    }

    /// Whether no packet may be fragmented outside.
    pub(super) fn is_whole(&self) -> bool {
        self.room.whole.load(Ordering::Relaxed)
    }

    /// Whether this quotes a packet that was sent here lately.
    fn is_quoted(&self, quote: &Quote) -> bool {
        let ports = self.path.encap.then(|| (self.path.local.port(), self.path.remote.port()));
        let proven = quote.esp.is_some_and(|(spi, sequence)| {
            spi == self.sa.spi()
                && quote.destination == self.path.remote.ip()
                && self.sa.has_sent_lately(sequence)
        });
        ports == quote.ports && proven
    }

    /// What the path leaves for an inner packet.
    fn make_room(&self, limits: PathLimits) {
        let outer = Outer { ipv6: self.path.remote.is_ipv6(), udp: self.path.encap };
        let inner = outer.inner_mtu(self.sa.layout(), limits.mtu.into());
        let inner = u16::try_from(inner).unwrap_or(u16::MAX).min(limits.most);
        self.room.mtu.store(inner, Ordering::Relaxed);
        self.room.whole.store(limits.dont_fragment, Ordering::Relaxed);
    }
}

impl AsRef<InboundSa> for Receiving {
    fn as_ref(&self) -> &InboundSa {
        &self.sa
    }
}

impl AsRef<OutboundSa> for Sending {
    fn as_ref(&self) -> &OutboundSa {
        &self.sa
    }
}

/// All that is installed.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// By their numbers.
    entries: BTreeMap<u64, Entry>,
    /// Those that are sent on, in the order in which they were switched to: of two that suit a packet equally, the later
    /// is used.
    sending: BTreeMap<u64, u64>,
    /// Of each tunnel and policy, which one.
    current: BTreeMap<(u64, u64), u64>,
    /// Switches made until now.
    switches: u64,
    reserved: Vec<Reservation>,
    /// What is known of the tunnels' paths.
    paths: BTreeMap<u64, PathLimits>,
    /// What an inner packet may have where nothing is known of its path.
    mtu: u16,
    /// Snapshots made until now.
    made: u64,
    /// Something has changed since the last one.
    changed: bool,
    /// How many there are.
    workers: usize,
}

/// One Child SA.
#[derive(Debug)]
pub(super) struct Entry {
    tunnel: u64,
    policy: u64,
    receiving: Arc<Receiving>,
    sending: Arc<Sending>,
    /// It is sent on since this switch.
    switched: Option<u64>,
}

impl Installed {
    /// Nothing, for this many workers, and with what an inner packet may have where nothing is known of its path.
    pub(super) fn new(workers: usize, mtu: u16) -> Self {
        Self { mtu, workers, ..Self::default() }
    }

    /// Receive on it. An SA of the same number is replaced.
    pub(super) fn install(&mut self, new: NewSa) {
        self.remove(new.id);
        let room = Arc::new(Room { mtu: AtomicU16::new(self.mtu), whole: AtomicBool::new(false) });
        let untold = AtomicBool::new(false);
        let receiving = Receiving { id: new.id, sa: new.inbound, untold, room: Arc::clone(&room) };
        // As the sockets' filter says it.
        let [.., last] = receiving.sa.spi().to_be_bytes();
        let worker = usize::from(last).checked_rem(self.workers).unwrap_or_default();
        let sending = Sending::new(Arc::new(new.outbound), new.path, worker, room);
        self.paths.get(&new.tunnel).into_iter().for_each(|limits| sending.make_room(*limits));
        let (receiving, sending) = (Arc::new(receiving), Arc::new(sending));
        let entry = Entry { tunnel: new.tunnel, policy: new.policy, receiving, sending, switched: None };
        self.entries.insert(new.id, entry);
        self.changed = true;
    }

    /// Send on it from now on, and no more on others of its tunnel and policy.
    pub(super) fn switch_outbound(&mut self, id: u64) {
        let Some(role) = self.entries.get(&id).map(Entry::role) else { return };
        if let Some(before) = self.current.insert(role, id) {
            self.stop_outbound(before);
            self.current.insert(role, id);
        }
        self.switches += 1;
        self.sending.insert(self.switches, id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.switched = Some(self.switches);
        }
        self.changed = true;
    }

    /// Receive on it only.
    pub(super) fn stop_outbound(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(switch) = entry.switched.take() {
            self.sending.remove(&switch);
            self.current.remove(&entry.role());
            self.changed = true;
        }
    }

    /// Forget it.
    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        self.stop_outbound(id);
        let entry = self.entries.remove(&id)?;
        self.changed = true;
        Some(entry)
    }

    /// Packets of a tunnel travel another way from now on.
    pub(super) fn repath(&mut self, tunnel: u64, path: UdpPath) {
        for entry in self.entries.values_mut().filter(|entry| entry.tunnel == tunnel) {
            let Sending { sa, worker, room, .. } = &*entry.sending;
            entry.sending = Arc::new(Sending::new(Arc::clone(sa), path, *worker, Arc::clone(room)));
            self.changed = true;
        }
    }

    /// What is known of the path of a tunnel.
    pub(super) fn limit_path(&mut self, tunnel: u64, limits: PathLimits) {
        self.paths.insert(tunnel, limits);
        for entry in self.entries.values().filter(|entry| entry.tunnel == tunnel) {
            entry.sending.make_room(limits);
        }
    }

    /// A tunnel is gone.
    pub(super) fn forget_path(&mut self, tunnel: u64) {
        self.paths.remove(&tunnel);
    }

    /// What an inner packet may have from now on where nothing is known of its path.
    pub(super) fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        let unknown = |entry: &&Entry| !self.paths.contains_key(&entry.tunnel);
        for entry in self.entries.values().filter(unknown) {
            entry.sending.room.mtu.store(mtu, Ordering::Relaxed);
        }
    }

    /// The tunnel of which this quotes a packet that was sent lately.
    pub(super) fn quoted(&self, quote: &Quote) -> Option<u64> {
        self.entries.values().find(|entry| entry.sending.is_quoted(quote)).map(|entry| entry.tunnel)
    }

    /// Why the trains of some peers leave packet by packet for now, in words.
    pub(super) fn uncut(&self) -> Option<String> {
        let sending = self.sending.values().filter_map(|id| self.entries.get(id));
        let paused = sending.filter_map(|entry| {
            let Sending { segmentation, path, .. } = &*entry.sending;
            Some((path.remote.ip(), segmentation.paused()?))
        });
        let peers: BTreeMap<_, _> = paused.collect();
        let (peer, refusal) = peers.first_key_value()?;
        let others = match peers.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        Some(format!("UDP_SEGMENT: {refusal}: packets to {peer}{others} go one by one for now"))
    }

    /// Bytes of the largest inner packet that an SA carries whole.
    pub(super) fn inner_mtu(&self, id: u64) -> Option<u16> {
        self.entries.get(&id).map(|entry| entry.sending.mtu())
    }

    /// What is configured, in the place of what was.
    pub(super) fn reserve(&mut self, reserved: Vec<Reservation>) {
        self.reserved = reserved;
        self.changed = true;
    }

    pub(super) fn usage(&self, id: u64) -> Option<SaUsage> {
        self.entries.get(&id).map(Entry::usage)
    }

    /// What the threads are to see from now on, unless they see it already.
    pub(super) fn news(&mut self) -> Option<Snapshot> {
        std::mem::take(&mut self.changed).then(|| self.snapshot())
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut builder = TableBuilder::new();
        let sending: BTreeSet<u64> = self.current.keys().map(|(_, policy)| *policy).collect();
        for reserved in &self.reserved {
            let absent = match sending.contains(&reserved.policy) {
                true if !reserved.in_part => Absent::Narrowed,
                false if reserved.on_demand => Absent::Acquired(reserved.policy),
                _ => Absent::Dropped,
            };
            builder.reserve(&reserved.local, &reserved.remote, absent);
        }
        let by_policy: BTreeMap<u64, &Reservation> =
            self.reserved.iter().map(|reserved| (reserved.policy, reserved)).collect();
        self.entries.values().for_each(|entry| builder.inbound(Arc::clone(&entry.receiving)));
        for entry in self.sending.values().filter_map(|id| self.entries.get(id)) {
            let sending = Arc::clone(&entry.sending);
            match by_policy.get(&entry.policy) {
                Some(Reservation { local, remote, .. }) => builder.outbound_reserved(sending, local, remote),
                None => builder.outbound(sending),
            }
        }
        self.made += 1;
        Snapshot { table: builder.build(), number: self.made }
    }
}

impl Entry {
    /// Of those alike in this, one is sent on.
    fn role(&self) -> (u64, u64) {
        (self.tunnel, self.policy)
    }

    /// Nothing passes on it any more, also where a thread finds it in a snapshot still; what it has carried.
    pub(super) fn end(&self) -> SaUsage {
        self.receiving.sa.end_at(0);
        self.sending.sa.end_at(0);
        self.usage()
    }

    fn usage(&self) -> SaUsage {
        let (inbound, outbound) = (self.receiving.sa.usage(), self.sending.sa.usage());
        SaUsage {
            packets_in: inbound.packets,
            packets_out: outbound.packets,
            bytes_in: inbound.bytes,
            bytes_out: outbound.bytes,
            last_in: inbound.last_ns.map(Duration::from_nanos),
        }
    }
}

#[cfg(test)]
mod tests;
