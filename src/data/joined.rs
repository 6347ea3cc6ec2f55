//! Packets of one flow are joined on their way to the TUN. What the device refuses joined (`EINVAL`, as some kernels 6.6
//! say) is cut again and written packet by packet, and so is all of its kind for a while: then it is tried again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_esp::{Coalescer, Joins, OffloadHeader, Suite, segment};

/// Trains that pass unjoined after a refusal.
const REST: u32 = 1_000;
/// The longest super-packet, cut into as many packets as the coalescer joins at most.
const ROOM: usize = 128 << 10;

/// What became of joined packets, in all threads.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    count: AtomicU64,
    resting: AtomicU64,
}

impl Refusals {
    /// Writes that were refused until now.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether packets pass unjoined for now because of that.
    pub(super) fn resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed) > 0
    }
}

/// One thread's way to the TUN.
pub(super) struct Joined {
    coalescer: Coalescer,
    /// What the device was granted.
    granted: Joins,
    cutter: Cutter,
}

/// What is done about refusals.
struct Cutter {
    refusals: Arc<Refusals>,
    /// Trains that TCP, and UDP, are still to rest for.
    rests: [u32; 2],
    changed: bool,
    room: Box<[u8]>,
}

impl Joined {
    pub(super) fn new(granted: Joins, refusals: Arc<Refusals>) -> Self {
        let cutter = Cutter { refusals, rests: [0; 2], changed: false, room: vec![0; ROOM].into() };
        Self { coalescer: Coalescer::new(granted), granted, cutter }
    }

    /// Takes a packet; `write` is called for what is complete by then, and its answer looked at if that was joined.
    pub(super) fn push(
        &mut self,
        packet: &[u8],
        mut write: impl FnMut(OffloadHeader, &[u8]) -> io::Result<()>,
    ) {
        let Self { coalescer, cutter, .. } = self;
        coalescer.push(packet, |header, packet| cutter.write(header, packet, &mut write));
        self.heed();
    }

    /// Writes what is held back: the end of a train.
    pub(super) fn flush(&mut self, mut write: impl FnMut(OffloadHeader, &[u8]) -> io::Result<()>) {
        let Self { coalescer, cutter, .. } = self;
        coalescer.flush(|header, packet| cutter.write(header, packet, &mut write));
        cutter.pass();
        self.heed();
    }

    /// Joins what the device took when last tried.
    fn heed(&mut self) {
        if std::mem::take(&mut self.cutter.changed) {
            let [tcp, udp] = self.cutter.rests.map(|rest| rest == 0);
            self.coalescer.set_joins(Joins { tcp: self.granted.tcp && tcp, udp: self.granted.udp && udp });
        }
    }
}

impl Cutter {
    fn write(
        &mut self,
        header: OffloadHeader,
        packet: &[u8],
        write: &mut impl FnMut(OffloadHeader, &[u8]) -> io::Result<()>,
    ) {
        let refused = write(header, packet).is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL));
        if !refused || header.gso() == OffloadHeader::GSO_NONE {
            return;
        }
        self.rest(header);
        // Cut for the way in there is no ESP header to make room for; any lay-out does.
        let Ok(train) = segment(Suite::AES_128_GCM_16.layout(), header, packet, &mut self.room) else {
            // It would be lost uncounted. But what was joined can be cut, and 64 KiB with 128 headers more have room.
            debug_assert!(false, "what we joined we can cut");
            return;
        };
        for place in train.packets() {
            // An error is of the packet's own, and counted where it is written.
            let _ = write(OffloadHeader::default(), self.room.get(place).unwrap_or_default());
        }
    }

    fn rest(&mut self, header: OffloadHeader) {
        self.refusals.count.fetch_add(1, Ordering::Relaxed);
        let [tcp, udp] = &mut self.rests;
        let rest = if header.gso() == OffloadHeader::GSO_UDP_L4 { udp } else { tcp };
        if *rest == 0 {
            self.refusals.resting.fetch_add(1, Ordering::Relaxed);
        }
        *rest = REST;
        self.changed = true;
    }

    /// One train less to rest for.
    fn pass(&mut self) {
        for rest in self.rests.iter_mut().filter(|rest| **rest > 0) {
            *rest -= 1;
            if *rest == 0 {
                self.refusals.resting.fetch_sub(1, Ordering::Relaxed);
                self.changed = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use etherparse::PacketBuilder;
    use sekisho_esp::{Joins, OffloadHeader};

    use super::{Joined, REST, Refusals};

    const DATAGRAMS: u8 = 5;

    /// A device that refuses joined datagrams while `refuses`.
    #[derive(Default)]
    struct Device {
        refuses: bool,
        tries: usize,
        taken: Vec<(u8, Vec<u8>)>,
    }

    impl Device {
        fn write(&mut self, header: OffloadHeader, packet: &[u8]) -> io::Result<()> {
            self.tries += 1;
            if self.refuses && header.gso() == OffloadHeader::GSO_UDP_L4 {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            self.taken.push((header.gso(), packet.to_vec()));
            Ok(())
        }

        /// A train of datagrams, or of segments.
        fn train(&mut self, joined: &mut Joined, packets: &[Vec<u8>]) {
            for packet in packets {
                joined.push(packet, |header, packet| self.write(header, packet));
            }
            joined.flush(|header, packet| self.write(header, packet));
        }
    }

    fn datagrams() -> Vec<Vec<u8>> {
        (0..DATAGRAMS)
            .map(|number| {
                let mut packet = Vec::new();
                let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(1000, 2000);
                builder.write(&mut packet, &[number; 300]).unwrap();
                packet
            })
            .collect()
    }

    fn segments() -> Vec<Vec<u8>> {
        (0..2)
            .map(|number| {
                let mut packet = Vec::new();
                let builder =
                    PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(1000, 2000, number * 300, 9).ack(7);
                builder.write(&mut packet, &[7; 300]).unwrap();
                packet
            })
            .collect()
    }

    #[test]
    fn what_the_device_refuses_joined_arrives_packet_by_packet_and_is_tried_again_later() {
        let refusals = Arc::new(Refusals::default());
        let mut joined = Joined::new(Joins::ALL, Arc::clone(&refusals));
        let mut device = Device { refuses: true, ..Device::default() };
        let plain: Vec<_> = datagrams().into_iter().map(|packet| (OffloadHeader::GSO_NONE, packet)).collect();

        device.train(&mut joined, &datagrams());
        assert_eq!(device.taken, plain, "the run that was refused is not lost");
        assert_eq!((device.tries, refusals.count(), refusals.resting()), (6, 1, true));

        device.train(&mut joined, &datagrams());
        assert_eq!((device.tries, refusals.count()), (11, 1), "it is left in peace");
        device.taken.clear();
        device.train(&mut joined, &segments());
        assert_eq!(device.taken.len(), 1, "TCP is not concerned");

        device.refuses = false;
        for _ in 4..REST {
            device.train(&mut joined, &datagrams()[..1]);
        }
        device.taken.clear();
        device.train(&mut joined, &datagrams());
        assert_eq!(device.taken.len(), 5);
        assert!(!refusals.resting());
        device.taken.clear();
        device.train(&mut joined, &datagrams());
        assert_eq!(device.taken.iter().map(|(gso, _)| *gso).collect::<Vec<_>>(), [OffloadHeader::GSO_UDP_L4]);
        assert_eq!((refusals.count(), refusals.resting()), (1, false));
    }

    #[test]
    fn nothing_is_joined_that_the_device_was_not_granted() {
        let mut joined = Joined::new(Joins::NONE, Arc::default());
        let mut device = Device::default();
        device.train(&mut joined, &datagrams());
        device.train(&mut joined, &segments());
        assert_eq!(device.taken.len(), usize::from(DATAGRAMS) + 2);
    }
}
