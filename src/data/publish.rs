//! The writer's side: the list of installed SAs, and the snapshot that the threads look packets up in.
//!
//! The snapshot is immutable and made anew with each change, so that a look-up takes no lock. Making it costs time in
//! proportion to the SAs held; changes come at the pace of negotiations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sekisho_esp::{InboundSa, OutboundSa, Table, TableBuilder};

use super::{FromData, FromDataSender, SaUsage, UdpPath};

/// What packets are looked up in.
pub(super) type Snapshot = Table<Receiving, Sending>;

/// A Child SA to be installed.
#[derive(Debug)]
pub struct NewSa {
    /// Names it from now on.
    pub id: u64,
    /// The tunnel it belongs to.
    pub tunnel: u64,
    /// The configured child: of the SAs of one tunnel and child, one is sent on.
    pub child: String,
    /// What the peer sends with.
    pub inbound: InboundSa,
    /// What we send with, once switched to.
    pub outbound: OutboundSa,
    /// How its packets travel.
    pub path: UdpPath,
}

/// The receiving half of a Child SA, as a thread sees it.
#[derive(Debug)]
pub(super) struct Receiving {
    id: u64,
    sa: InboundSa,
    /// The first packet came, and control does not know yet.
    untold: AtomicBool,
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Sending {
    sa: Arc<OutboundSa>,
    pub(super) path: UdpPath,
}

impl Receiving {
    pub(super) fn sa(&self) -> &InboundSa {
        &self.sa
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
    pub(super) fn sa(&self) -> &OutboundSa {
        &self.sa
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
    /// In the order in which they were switched to, those that only receive first: of two that suit a packet
    /// equally, the later is used.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    tunnel: u64,
    child: String,
    receiving: Arc<Receiving>,
    sending: Arc<Sending>,
    switched: bool,
}

impl Installed {
    /// Receive on it. An SA of the same number is replaced.
    pub(super) fn install(&mut self, new: NewSa) {
        self.remove(new.id);
        let receiving = Receiving { id: new.id, sa: new.inbound, untold: AtomicBool::new(false) };
        let sending = Sending { sa: Arc::new(new.outbound), path: new.path };
        let (receiving, sending) = (Arc::new(receiving), Arc::new(sending));
        let entry =
            Entry { id: new.id, tunnel: new.tunnel, child: new.child, receiving, sending, switched: false };
        self.entries.insert(0, entry);
    }

    /// Send on it from now on, and no more on others of its tunnel and child.
    pub(super) fn switch_outbound(&mut self, id: u64) {
        let Some(position) = self.position(id) else { return };
        let mut entry = self.entries.remove(position);
        for other in &mut self.entries {
            other.switched &= (other.tunnel, &other.child) != (entry.tunnel, &entry.child);
        }
        entry.switched = true;
        self.entries.push(entry);
    }

    /// Receive on it only.
    pub(super) fn stop_outbound(&mut self, id: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.switched = false;
        }
    }

    /// Forget it, and what it has carried.
    pub(super) fn remove(&mut self, id: u64) -> Option<SaUsage> {
        self.position(id).map(|position| self.entries.remove(position).usage())
    }

    /// Packets of a tunnel travel another way from now on.
    pub(super) fn repath(&mut self, tunnel: u64, path: UdpPath) {
        for entry in self.entries.iter_mut().filter(|entry| entry.tunnel == tunnel) {
            entry.sending = Arc::new(Sending { sa: Arc::clone(&entry.sending.sa), path });
        }
    }

    pub(super) fn usage(&self, id: u64) -> Option<SaUsage> {
        self.entries.iter().find(|entry| entry.id == id).map(Entry::usage)
    }

    /// What the threads are to see.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut builder = TableBuilder::new();
        for entry in &self.entries {
            builder.inbound(Arc::clone(&entry.receiving));
            if entry.switched {
                builder.outbound(Arc::clone(&entry.sending));
            }
        }
        builder.build()
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }
}

impl Entry {
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
