//! Inbound ESP SPIs: random, unique, and carrying the number of the data worker that receives them.
//!
//! All SAs with one peer have one worker: the kernel joins packets that come from one socket into trains, whatever their
//! SPIs, and one thread alone keeps them in order. Peers are spread evenly.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sekisho_ike::wire::EspSpi;
use sekisho_ike::{SecureRandom, SpiAllocator};

/// Tries to find a free one; of 2^24 no sensible number is in use.
const TRIES: usize = 64;

/// Gives out SPIs: 24 random bits (never zero, so that no reserved SPI comes out), then the worker's number.
pub(super) struct Spis {
    used: BTreeMap<EspSpi, SocketAddr>,
    peers: BTreeMap<SocketAddr, Peer>,
    /// How many peers each worker has.
    load: Box<[usize]>,
}

/// A peer with SPIs.
struct Peer {
    worker: u8,
    spis: usize,
}

impl Spis {
    /// For this many workers, at least one.
    pub(super) fn new(workers: u8) -> Self {
        let load = vec![0; usize::from(workers.max(1))].into();
        Self { used: BTreeMap::new(), peers: BTreeMap::new(), load }
    }

    /// The worker of a peer: the one it has, or the one with the fewest.
    fn worker(&self, peer: SocketAddr) -> u8 {
        let idle = || (0..).zip(&self.load).min_by_key(|(_, load)| **load).map_or(0, |(worker, _)| worker);
        self.peers.get(&peer).map_or_else(idle, |known| known.worker)
    }

    fn take(&mut self, spi: EspSpi, peer: SocketAddr, worker: u8) {
        self.used.insert(spi, peer);
        let known = self.peers.entry(peer).or_insert(Peer { worker, spis: 0 });
        known.spis += 1;
        if let Some(load) = self.load.get_mut(usize::from(worker)).filter(|_| known.spis == 1) {
            *load += 1;
        }
    }
}

impl SpiAllocator for Spis {
    fn allocate(&mut self, peer: SocketAddr, random: &mut dyn SecureRandom) -> Option<EspSpi> {
        let worker = self.worker(peer);
        for _ in 0..TRIES {
            let [high, middle, low] = random.bytes::<3>();
            let spi = EspSpi(u32::from_be_bytes([high, middle, low, worker]));
            if spi.0 >= EspSpi::MIN && !self.used.contains_key(&spi) {
                self.take(spi, peer, worker);
                return Some(spi);
            }
        }
        None
    }

    fn release(&mut self, spi: EspSpi) {
        let Some(peer) = self.used.remove(&spi) else { return };
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.spis = known.spis.saturating_sub(1);
        if known.spis == 0 {
            if let Some(load) = self.load.get_mut(usize::from(known.worker)) {
                *load = load.saturating_sub(1);
            }
            self.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeats three bytes.
    struct Stuck([u8; 3]);

    impl SecureRandom for Stuck {
        fn fill(&mut self, out: &mut [u8]) {
            out.copy_from_slice(&self.0);
        }
    }

    /// Counts upwards.
    struct Counting(u32);

    impl SecureRandom for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            self.0 += 1;
            let [_, number @ ..] = self.0.to_be_bytes();
            out.copy_from_slice(&number);
        }
    }

    fn peer(number: u8) -> SocketAddr {
        SocketAddr::new([192, 0, 2, number].into(), 4500)
    }

    #[test]
    fn an_spi_names_its_worker_and_is_given_out_once() {
        let mut spis = Spis::new(1);
        let mut random = Stuck([1, 2, 4]);
        assert_eq!(spis.allocate(peer(1), &mut random), Some(EspSpi(0x0102_0400)));
        assert_eq!(spis.allocate(peer(1), &mut random), None);
        spis.release(EspSpi(0x0102_0400));
        assert_eq!(spis.allocate(peer(1), &mut random), Some(EspSpi(0x0102_0400)));
    }

    #[test]
    fn a_reserved_spi_never_comes_out() {
        assert_eq!(Spis::new(255).allocate(peer(1), &mut Stuck([0, 0, 0])), None);
    }

    #[test]
    fn peers_are_spread_and_each_keeps_its_worker_while_it_has_an_sa() {
        let mut spis = Spis::new(3);
        let mut random = Counting(0);
        let mut worker_of = |number: u8, spis: &mut Spis| {
            let spi = spis.allocate(peer(number), &mut random).unwrap();
            (spi, spi.0 & 0xff)
        };
        let first: Vec<_> = (0..6).map(|number| worker_of(number, &mut spis)).collect();
        assert_eq!(first.iter().map(|(_, worker)| *worker).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        for (number, (_, worker)) in (0..).zip(&first) {
            assert_eq!(worker_of(number, &mut spis).1, *worker, "the successor of its SA");
        }
        spis.release(first[1].0);
        assert_eq!(worker_of(1, &mut spis).1, 1, "it has the successor still");
        for spi in spis.used.clone().into_keys().filter(|spi| spi.0 & 0xff == 2) {
            spis.release(spi);
        }
        let anew = [7, 8, 9].map(|number| worker_of(number, &mut spis).1);
        assert_eq!(anew, [2, 2, 0], "to those with the fewest");
        spis.used.clone().into_keys().for_each(|spi| spis.release(spi));
        assert!(spis.peers.is_empty() && spis.load.iter().all(|load| *load == 0));
    }
}
