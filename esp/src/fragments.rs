//! Fragments inside the tunnel under selectors that name ports (RFC 4301 §7.3, "stateful fragment checking"): later fragments
//! show no ports, so those of the first are remembered, for a while and a bounded number of packets.
//!
//! Where ports decide, nothing may be written over them while the receiver puts the packet together: first fragments
//! that do not hold the whole transport header (RFC 1858 §3) and fragments that overlap (RFC 5722 §4) are dropped.
//!
//! RFC 4301 §7.3 has both ends agree to later fragments on such an SA (`NON_FIRST_FRAGMENTS_ALSO`) before either sends or takes them. We say
//! that we do, and agree, but knowingly do not insist: hardly anybody else says it, a peer that takes none drops them as we would have to,
//! and many that never say so put them together before they look at ports, as Linux does with connection tracking.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::drop_reason::DropReason;
use crate::inner::{Fragment, FragmentPlace, InnerView, Ports, least_transport_header};

/// How long the ports of a packet are remembered, nanoseconds: as long as Linux waits for its fragments.
pub const LONGEST_NS: u64 = 30_000_000_000;
/// Fragments of one packet: 64 KiB of the smallest that most lines make.
const PIECES: usize = 128;

/// What is known of the packets whose first fragments came by.
#[derive(Debug)]
pub struct Fragments {
    packets: BTreeMap<Key, Packet>,
    /// When each was begun, oldest first; what is gone meanwhile is passed over.
    begun: VecDeque<(u64, Key)>,
    most: usize,
}

/// What the fragments of one packet have in common. For IPv6 that is no protocol (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
}

#[derive(Debug)]
struct Packet {
    since: u64,
    protocol: u8,
    ports: Ports,
    /// Where each fragment that passed began and ended.
    pieces: Vec<(u16, u16)>,
    /// Where the packet ends, once its last fragment came.
    end: Option<u16>,
    /// Fragments overlapped: none passes any more.
    spoilt: bool,
}

impl Fragments {
    /// Remembers `most` packets at once; beyond that the oldest is forgotten.
    pub fn new(most: usize) -> Self {
        Self { packets: BTreeMap::new(), begun: VecDeque::new(), most: most.max(1) }
    }

    /// What `packet`, of which `view` was made, is to be judged by at `now_ns` on the caller's clock: a later fragment by the
    /// protocol and the ports of the first, if that came before it, and else by what it shows.
    ///
    /// # Errors
    /// [`DropReason::TinyFragment`], [`DropReason::FragmentOverlap`]; [`DropReason::InnerMalformed`] for a fragment that no
    /// packet has.
    pub fn judge(&mut self, now_ns: u64, packet: &[u8], view: &InnerView) -> Result<InnerView, DropReason> {
        if view.fragment() == Fragment::Whole {
            return Ok(*view);
        }
        let place = FragmentPlace::of(packet, view).ok_or(DropReason::InnerMalformed)?;
        let (start, end) = range(&place)?;
        let key = Key {
            source: view.source(),
            destination: view.destination(),
            protocol: if view.source().is_ipv4() { view.protocol() } else { 0 },
            identification: place.identification,
        };
        self.expire(now_ns);
        if view.fragment() == Fragment::First {
            self.begin(now_ns, key, view, end)?;
            return Ok(*view);
        }
        let Some(known) = self.packets.get_mut(&key) else { return Ok(*view) };
        known.take(start, end, place.more)?;
        let judged = view.with_transport(known.protocol, known.ports);
        if known.is_complete() {
            self.packets.remove(&key);
        }
        Ok(judged)
    }

    /// Packets that are remembered.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// A first fragment begins a packet, also in the place of one that was never completed: identifications come again.
    fn begin(&mut self, now_ns: u64, key: Key, view: &InnerView, end: u16) -> Result<(), DropReason> {
        let shown = view.total_length().saturating_sub(view.header_length());
        if shown < least_transport_header(view.protocol()) {
            return Err(DropReason::TinyFragment);
        }
        if self.packets.get(&key).is_some_and(|known| known.spoilt) {
            return Err(DropReason::FragmentOverlap);
        }
        let packet = Packet {
            since: now_ns,
            protocol: view.protocol(),
            ports: view.ports(),
            pieces: vec![(0, end)],
            end: None,
            spoilt: false,
        };
        self.packets.insert(key, packet);
        self.begun.push_back((now_ns, key));
        while self.packets.len() > self.most || self.begun.len() > 2 * self.most {
            let Some((since, oldest)) = self.begun.pop_front() else { break };
            self.forget(since, &oldest);
        }
        Ok(())
    }

    fn expire(&mut self, now_ns: u64) {
        while let Some(&(since, key)) = self.begun.front()
            && since.saturating_add(LONGEST_NS) <= now_ns
        {
            self.begun.pop_front();
            self.forget(since, &key);
        }
    }

    /// Forgets it, unless it was begun anew since.
    fn forget(&mut self, since: u64, key: &Key) {
        if self.packets.get(key).is_some_and(|packet| packet.since == since) {
            self.packets.remove(key);
        }
    }
}

impl Packet {
    /// Takes a later fragment. "any constituent fragment that overlaps": the packet "(and any constituent fragments,
    /// including those not yet received) MUST be silently discarded" (RFC 5722 §4).
    fn take(&mut self, start: u16, end: u16, more: bool) -> Result<(), DropReason> {
        // The same once more is no attack (RFC 8200 §4.5), and of no use.
        if self.pieces.contains(&(start, end)) || self.pieces.len() >= PIECES {
            return Err(DropReason::FragmentOverlap);
        }
        let overlaps = self.pieces.iter().any(|piece| start < piece.1 && piece.0 < end);
        let beyond = match (self.end, more) {
            (Some(known), true) => end > known,
            (Some(_), false) => true,
            (None, false) => self.pieces.iter().any(|piece| piece.1 > end),
            (None, true) => false,
        };
        if self.spoilt || overlaps || beyond {
            self.spoilt = true;
            return Err(DropReason::FragmentOverlap);
        }
        self.pieces.push((start, end));
        if !more {
            self.end = Some(end);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        let length = |(start, end): &(u16, u16)| u32::from(end.saturating_sub(*start));
        let here: u32 = self.pieces.iter().map(length).sum();
        self.end.is_some_and(|end| here == u32::from(end))
    }
}

/// Where a fragment begins and ends in its packet.
fn range(place: &FragmentPlace) -> Result<(u16, u16), DropReason> {
    let end = u16::try_from(place.offset + place.length).map_err(|_| DropReason::InnerMalformed)?;
    let start = u16::try_from(place.offset).map_err(|_| DropReason::InnerMalformed)?;
    if place.length == 0 || place.more && !place.length.is_multiple_of(8) {
        return Err(DropReason::InnerMalformed);
    }
    Ok((start, end))
}
