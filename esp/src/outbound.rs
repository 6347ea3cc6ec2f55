//! The SA that we send on: sequence number, padding, encryption in place (RFC 4303 §3.3).

use std::ops::Range;
use std::sync::MutexGuard;

use crate::cipher::{Cipher, PacketId};
use crate::drop_reason::DropReason;
use crate::ecn::{self, Marking};
use crate::format::{Layout, NEXT_IPV4, NEXT_IPV6, write_trailer};
use crate::sa::{Changing, ConfigError, SaConfig, Usage};
use crate::selector::Selector;

/// What a sequence number without ESN can count to.
const SHORT_LIMIT: u64 = u32::MAX as u64;
/// With ESN nothing is sent beyond this: far before the 64 bits end, and where the bounds of GCM and CBC on the data
/// under one key still leave a distinguisher about one chance in a million.
const EXTENDED_LIMIT: u64 = 1 << 48;

/// How many packets back one may be that a router speaks of: half a second on a gigabit line.
const LATELY: u64 = 1 << 16;

/// An SA that we send on. Shared by `Arc`; its sequence number sits behind one lock, taken once a train.
#[derive(Debug)]
pub struct OutboundSa {
    spi: u32,
    esn: bool,
    layout: Layout,
    cipher: Cipher,
    local: Box<[Selector]>,
    remote: Box<[Selector]>,
    tfc_padding: bool,
    marking: Marking,
    limit: u64,
    /// The last sequence number that was used.
    changing: Changing<u64>,
}

impl OutboundSa {
    /// An SA that has not sent yet. Its key must never have sealed a packet before.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(config: SaConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let cipher = Cipher::new(config.suite, &config.keymat)?;
        let limit = if config.esn { EXTENDED_LIMIT } else { SHORT_LIMIT };
        Ok(Self {
            spi: config.spi,
            esn: config.esn,
            layout: config.suite.layout(),
            cipher,
            local: config.local.into(),
            remote: config.remote.into(),
            tfc_padding: false,
            marking: config.marking,
            limit: config.packet_limit.map_or(limit, |lower| lower.min(limit)),
            changing: Changing::new(0),
        })
    }

    /// Hides how long its packets are: see [`Self::layout_for`].
    #[must_use]
    pub fn with_tfc_padding(self, tfc_padding: bool) -> Self {
        Self { tfc_padding, ..self }
    }

    /// Locks the SA for one train, whose time is `now_ns` on the caller's clock. Waits if another thread holds it, which the
    /// owner's never finds.
    pub fn sealer(&self, now_ns: u64) -> Sealer<'_> {
        // A panic elsewhere leaves a number that was counted and perhaps not sent: a gap, never a reuse.
        let last_sequence = self.changing.lock();
        Sealer { sa: self, last_sequence, over: self.changing.is_over(now_ns), packets: 0, bytes: 0 }
    }

    /// From `end_ns` on, on the clock of [`Self::sealer`]'s caller, nothing is sealed any more, whoever still knows the SA; 0: from
    /// now on. Waits for the train under way, so that [`Self::usage`] is final once this end has come.
    pub fn end_at(&self, end_ns: u64) {
        self.changing.end_at(end_ns);
    }

    /// The TOS or traffic class of the outer header for an inner packet that has this one (RFC 6040 §4.1).
    pub fn outer_tos(&self, inner_tos: u8) -> u8 {
        ecn::encapsulate(inner_tos, self.marking)
    }

    /// Whether a packet with this low half of its sequence number was among the last that were sent. Waits if another thread
    /// seals.
    pub fn has_sent_lately(&self, sequence: u32) -> bool {
        let last = *self.changing.lock();
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what a packet shows")]
        let back = u64::from((last as u32).wrapping_sub(sequence));
        back < last.min(LATELY)
    }

    /// How long the parts of its packets are.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The same for the packets of a tunnel with this MTU: if the SA hides how long they are, all are that long.
    pub fn layout_for(&self, inner_mtu: usize) -> Layout {
        if self.tfc_padding { self.layout.padded_to(inner_mtu) } else { self.layout }
    }

    /// The peer's SPI.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// What may be the source.
    pub fn local(&self) -> &[Selector] {
        &self.local
    }

    /// What may be the destination.
    pub fn remote(&self) -> &[Selector] {
        &self.remote
    }

    /// What it has sent, without waiting; a train that is being sealed is not yet in it.
    pub fn usage(&self) -> Usage {
        self.changing.usage.read()
    }
}

impl AsRef<Self> for OutboundSa {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// An [`OutboundSa`] locked for one train.
#[derive(Debug)]
pub struct Sealer<'sa> {
    sa: &'sa OutboundSa,
    last_sequence: MutexGuard<'sa, u64>,
    over: bool,
    packets: u64,
    bytes: u64,
}

impl Sealer<'_> {
    /// Makes ESP of the inner packet at `inner` in `buffer`, in place, and gives where it lies: from
    /// [`Layout::header_length`] bytes before `inner`, [`Layout::sealed_length`] bytes long.
    ///
    /// Whether the SA's selectors allow the packet is for [`crate::Table::outbound`] to say.
    ///
    /// # Errors
    /// [`DropReason::NoRoom`] if header or trailer do not fit, [`DropReason::NotIp`], [`DropReason::PacketLimit`],
    /// [`DropReason::SaEnded`]. The packet is then as it was.
    pub fn seal(&mut self, buffer: &mut [u8], inner: Range<usize>) -> Result<Range<usize>, DropReason> {
        self.seal_as(self.sa.layout, buffer, inner)
    }

    /// The same with the padding of `layout`, by which the packet was laid: one of [`OutboundSa::layout_for`].
    ///
    /// # Errors
    /// Those of [`Self::seal`]; [`DropReason::NoRoom`] also if the layout is of another suite.
    pub fn seal_as(
        &mut self,
        layout: Layout,
        buffer: &mut [u8],
        inner: Range<usize>,
    ) -> Result<Range<usize>, DropReason> {
        if layout.padded_to(0) != self.sa.layout {
            return Err(DropReason::NoRoom);
        }
        let next_header =
            match buffer.get(inner.clone()).ok_or(DropReason::NoRoom)?.first().map(|byte| byte >> 4) {
                Some(4) => NEXT_IPV4,
                Some(6) => NEXT_IPV6,
                _ => return Err(DropReason::NotIp),
            };
        let start = inner.start.checked_sub(layout.header_length()).ok_or(DropReason::NoRoom)?;
        let sealed = start..start + layout.sealed_length(inner.len());
        let packet = buffer.get_mut(sealed.clone()).ok_or(DropReason::NoRoom)?;
        let parts = layout.split(packet).ok_or(DropReason::NoRoom)?;
        let behind = parts.text.get_mut(inner.len()..).ok_or(DropReason::NoRoom)?;
        let (padding, trailer) = behind
            .split_at_mut_checked(layout.padded_length(inner.len()) - inner.len())
            .ok_or(DropReason::NoRoom)?;
        let sequence = self.next_sequence()?;
        padding.fill(0);
        write_trailer(trailer, next_header)?;
        self.sa.cipher.seal(PacketId { spi: self.sa.spi, sequence, esn: self.sa.esn }, parts)?;
        self.packets += 1;
        self.bytes += inner.len() as u64;
        Ok(sealed)
    }

    /// "If ... the sender ... MUST NOT send a packet on an SA if doing so would cause the sequence number to
    /// cycle" (RFC 4303 §3.3.3).
    fn next_sequence(&mut self) -> Result<u64, DropReason> {
        if self.over {
            return Err(DropReason::SaEnded);
        }
        if *self.last_sequence >= self.sa.limit {
            return Err(DropReason::PacketLimit);
        }
        *self.last_sequence += 1;
        Ok(*self.last_sequence)
    }
}

impl Drop for Sealer<'_> {
    fn drop(&mut self) {
        self.sa.changing.usage.add(self.packets, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::format::{HEADROOM, TAILROOM};
    use crate::suite::{Keymat, Suite};

    fn sa(suite: Suite, esn: bool, packet_limit: Option<u64>) -> OutboundSa {
        let any = || {
            let end = |octet| IpAddr::from([octet; 4]);
            vec![Selector::new(end(0), end(255), 0, (0, u16::MAX)).unwrap()]
        };
        let keymat = Keymat::new(vec![1; suite.keymat_length()]);
        let (local, remote, marking, replay_window) = (any(), any(), Marking::default(), 32);
        let config =
            SaConfig { spi: 256, suite, keymat, esn, local, remote, marking, replay_window, packet_limit };
        OutboundSa::new(config).unwrap()
    }

    #[test]
    fn the_counter_stops_before_it_would_end() {
        let last = u64::from(u32::MAX);
        for suite in Suite::ALL {
            for (esn, packet_limit, limit) in [
                (false, None, last),
                (false, Some(u64::MAX), last),
                (true, None, 1 << 48),
                (true, Some(u64::MAX), 1 << 48),
                (true, Some(last + 1), last + 1),
            ] {
                let sa = sa(suite, esn, packet_limit);
                *sa.changing.lock() = limit - 1;
                let mut buffer = vec![0x45; HEADROOM + 20 + TAILROOM];
                let inner = HEADROOM..HEADROOM + 20;
                let sealed = sa.sealer(0).seal(&mut buffer, inner.clone()).unwrap();
                assert_eq!(buffer[sealed][4..8], limit.to_be_bytes()[4..]);
                let mut buffer = vec![0x45; HEADROOM + 20 + TAILROOM];
                assert_eq!(sa.sealer(0).seal(&mut buffer, inner), Err(DropReason::PacketLimit));
                assert_eq!(buffer, [0x45; HEADROOM + 20 + TAILROOM], "a refused packet stays as it was");
            }
        }
    }
}
