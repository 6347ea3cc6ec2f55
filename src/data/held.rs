//! Packets that wait for a Child SA which is set up by the first of them (RFC 7296 §2.9: "a packet ... triggers" it).
//!
//! Pure: the thread says what time it is. Bounded for each child and in all; what finds no room is dropped, so that the
//! first packets are the ones that are sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sekisho_esp::OffloadHeader;

use super::drops::Loss;

/// Packets of one child. A super-packet counts as one.
const PACKETS_OF_ONE: usize = 64;
/// Bytes of one child.
const BYTES_OF_ONE: usize = 256 << 10;
/// Packets of all children.
const PACKETS: usize = 1_024;
/// Bytes of all children.
const BYTES: usize = 4 << 20;
/// From the first packet on: longer than a Child SA takes on a bad line, shorter than most applications wait.
pub(super) const LONGEST: Duration = Duration::from_secs(15);
/// Between two requests for the same child, however often they are refused.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A packet or super-packet as it was read.
pub(super) type Packet = (OffloadHeader, Box<[u8]>);

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Held {
    children: BTreeMap<u64, Waiting>,
    /// When each was asked for last, of those for which that matters still.
    asked: BTreeMap<u64, Duration>,
    packets: usize,
    bytes: usize,
}

/// What waits for one child; at least one packet.
#[derive(Debug)]
struct Waiting {
    since: Duration,
    asked: bool,
    packets: VecDeque<Packet>,
    bytes: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Keep a packet.
    ///
    /// # Errors
    /// [`Loss::AcquireFull`].
    pub(super) fn keep(
        &mut self,
        now: Duration,
        child: u64,
        header: OffloadHeader,
        packet: &[u8],
    ) -> Result<(), Loss> {
        let (packets, bytes) =
            self.children.get(&child).map_or((0, 0), |waiting| (waiting.packets.len(), waiting.bytes));
        let room = packets < PACKETS_OF_ONE
            && bytes.saturating_add(packet.len()) <= BYTES_OF_ONE
            && self.packets < PACKETS
            && self.bytes.saturating_add(packet.len()) <= BYTES;
        if !room {
            return Err(Loss::AcquireFull);
        }
        let waiting = self.children.entry(child).or_insert_with(|| Waiting::new(now));
        waiting.packets.push_back((header, packet.into()));
        waiting.bytes += packet.len();
        self.packets += 1;
        self.bytes += packet.len();
        Ok(())
    }

    /// The next child that is to be asked for now.
    pub(super) fn due(&mut self, now: Duration) -> Option<u64> {
        self.asked.retain(|_, at| now < at.saturating_add(ASK_AGAIN));
        let asked = &self.asked;
        let waits = |(child, waiting): &(&u64, &Waiting)| !waiting.asked && !asked.contains_key(child);
        self.children.iter().find(waits).map(|(child, _)| *child)
    }

    /// It has been asked for, if `told`; or else is to be once more.
    pub(super) fn asked(&mut self, now: Duration, child: u64, told: bool) {
        self.asked.insert(child, now);
        if let Some(waiting) = self.children.get_mut(&child) {
            waiting.asked = told;
        }
    }

    /// Those that packets wait for, and the first of these.
    pub(super) fn first(&self) -> impl Iterator<Item = (u64, &Packet)> {
        self.children.iter().filter_map(|(child, waiting)| Some((*child, waiting.packets.front()?)))
    }

    /// The first packet that waits for this child.
    pub(super) fn front(&self, child: u64) -> Option<&Packet> {
        self.children.get(&child)?.packets.front()
    }

    /// What waits for this child, in the order it came.
    pub(super) fn take(&mut self, child: u64) -> VecDeque<Packet> {
        let Some(waiting) = self.children.remove(&child) else { return VecDeque::new() };
        self.packets = self.packets.saturating_sub(waiting.packets.len());
        self.bytes = self.bytes.saturating_sub(waiting.bytes);
        waiting.packets
    }

    /// Lets go of what has waited for too long: how many packets.
    pub(super) fn expire(&mut self, now: Duration) -> usize {
        let over = |(_, waiting): &(&u64, &Waiting)| now >= waiting.since.saturating_add(LONGEST);
        let over: Vec<u64> = self.children.iter().filter(over).map(|(child, _)| *child).collect();
        over.into_iter().map(|child| self.take(child).len()).sum()
    }

    /// When the next request is due, or the next wait is over.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let ask = self.children.iter().filter(|(_, waiting)| !waiting.asked).map(|(child, waiting)| {
            self.asked.get(child).map_or(waiting.since, |at| at.saturating_add(ASK_AGAIN))
        });
        let over = self.children.values().map(|waiting| waiting.since.saturating_add(LONGEST));
        ask.chain(over).min()
    }
}

impl Waiting {
    fn new(now: Duration) -> Self {
        Self { since: now, asked: false, packets: VecDeque::new(), bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sekisho_esp::OffloadHeader;

    use super::super::drops::Loss;
    use super::{ASK_AGAIN, BYTES, BYTES_OF_ONE, Held, LONGEST, PACKETS, PACKETS_OF_ONE};

    const START: Duration = Duration::from_secs(1_000);

    fn keep(held: &mut Held, at: Duration, child: u64, packet: &[u8]) -> Result<(), Loss> {
        held.keep(at, child, OffloadHeader::default(), packet)
    }

    fn taken(held: &mut Held, child: u64) -> Vec<Vec<u8>> {
        held.take(child).into_iter().map(|(_, packet)| packet.into()).collect()
    }

    #[test]
    fn packets_are_given_back_in_order_and_by_child() {
        let mut held = Held::default();
        for (child, packet) in [(1, b"a"), (2, b"b"), (1, b"c"), (1, b"d")] {
            keep(&mut held, START, child, packet).unwrap();
        }
        let first: Vec<u64> = held.first().map(|(child, _)| child).collect();
        assert_eq!(first, [1, 2]);
        assert_eq!(held.front(1).map(|(_, packet)| &**packet), Some(&b"a"[..]));
        assert_eq!(taken(&mut held, 1), [b"a", b"c", b"d"]);
        assert_eq!(taken(&mut held, 1), [[0; 0]; 0]);
        assert!(!held.is_empty());
        assert_eq!(taken(&mut held, 2), [b"b"]);
        assert!(held.is_empty() && (held.packets, held.bytes) == (0, 0));
    }

    #[test]
    fn each_child_and_all_together_have_their_bounds() {
        let mut held = Held::default();
        for _ in 0..PACKETS_OF_ONE {
            keep(&mut held, START, 1, b"x").unwrap();
        }
        assert_eq!(keep(&mut held, START, 1, b"x"), Err(Loss::AcquireFull));
        keep(&mut held, START, 2, &vec![0; BYTES_OF_ONE]).unwrap();
        assert_eq!(keep(&mut held, START, 2, b"x"), Err(Loss::AcquireFull));
        let mut others = 3_u64..;
        while keep(&mut held, START, others.next().unwrap(), &vec![0; BYTES_OF_ONE / 2]).is_ok() {}
        assert!(held.bytes <= BYTES && held.bytes + BYTES_OF_ONE / 2 > BYTES, "{}", held.bytes);

        let mut held = Held::default();
        for child in 0..u64::try_from(PACKETS).unwrap() {
            keep(&mut held, START, child, b"x").unwrap();
        }
        assert_eq!(keep(&mut held, START, 5_000, b"x"), Err(Loss::AcquireFull));
        assert_eq!(held.expire(START + LONGEST), PACKETS);
        assert!(held.is_empty() && (held.packets, held.bytes) == (0, 0));
    }

    #[test]
    fn a_child_is_asked_for_once_and_after_a_refusal_not_at_once() {
        let mut held = Held::default();
        assert_eq!(held.due(START), None);
        keep(&mut held, START, 1, b"a").unwrap();
        assert_eq!(held.deadline(), Some(START));
        assert_eq!(held.due(START), Some(1));
        assert_eq!(held.due(START), Some(1), "until it was");
        held.asked(START, 1, true);
        keep(&mut held, START + ASK_AGAIN * 2, 1, b"b").unwrap();
        assert_eq!(held.due(START + ASK_AGAIN * 2), None, "it is being set up");

        // Refused at once, and packets go on coming.
        held.take(1);
        held.asked(START, 1, true);
        keep(&mut held, START + ASK_AGAIN / 2, 1, b"c").unwrap();
        assert_eq!(held.due(START + ASK_AGAIN / 2), None);
        assert_eq!(held.deadline(), Some(START + ASK_AGAIN));
        assert_eq!(held.due(START + ASK_AGAIN), Some(1));
        held.asked(START + ASK_AGAIN, 1, false);
        assert_eq!(held.due(START + ASK_AGAIN), None, "nobody listened; later once more");
        assert_eq!(held.deadline(), Some(START + ASK_AGAIN * 2));
        held.asked(START + ASK_AGAIN * 2, 1, true);
        assert_eq!(held.deadline(), Some(START + ASK_AGAIN / 2 + LONGEST));
    }

    #[test]
    fn what_waits_for_too_long_is_let_go() {
        let mut held = Held::default();
        keep(&mut held, START, 1, b"a").unwrap();
        keep(&mut held, START + LONGEST / 2, 1, b"b").unwrap();
        keep(&mut held, START + LONGEST / 2, 2, b"c").unwrap();
        assert_eq!(held.expire(START + LONGEST * 99 / 100), 0);
        assert_eq!(held.expire(START + LONGEST), 2);
        assert_eq!(taken(&mut held, 2), [b"c"]);
    }
}
