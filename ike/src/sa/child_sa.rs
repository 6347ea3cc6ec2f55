//! One Child SA: its place in the succession, and how fast it uses up its life (RFC 7296 §2.8).

use std::time::Duration;

use super::spis::EspSpiLease;
use crate::config::{Child, ChildLifetime, Connection};
use crate::event::{ChildSaId, ChildSaParameters, Pfs, TfcPadding, Usage, Withheld};
use crate::negotiate::TrafficSelector;
use crate::suite::{Esn, EspSuite};
use crate::time::{Instant, Now};
use crate::wire::EspSpi;

/// A Child SA's place in the succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildPlace {
    /// It stands.
    Standing,
    /// A newer one took its place; the peer is to delete it, or we do at `until`.
    Replaced { until: Instant },
    /// Our DELETE is queued or on its way.
    Deleting,
    /// Both ends agree that it has ended; it receives what is still on the way.
    Retired { until: Instant },
}

/// One Child SA of a tunnel.
#[derive(Debug)]
pub(crate) struct ChildSa {
    pub(crate) id: ChildSaId,
    /// Its place in [`Connection::children`].
    pub(crate) index: usize,
    pub(crate) lease: EspSpiLease,
    pub(crate) spi_out: EspSpi,
    pub(crate) suite: EspSuite,
    /// It was made in `IKE_AUTH`.
    pub(crate) first: bool,
    pub(crate) local: Vec<TrafficSelector>,
    pub(crate) remote: Vec<TrafficSelector>,
    pub(crate) place: ChildPlace,
    pub(crate) replaced_by: Option<ChildSaId>,
    pub(crate) sending: bool,
    /// The shell was told that it has ended.
    pub(crate) reported: bool,
    pub(crate) established: Now,
    /// `None` once its rekey is queued.
    pub(crate) rekey_at: Option<Instant>,
    /// When its lifetime has it replaced, if nothing else does before.
    pub(crate) due_at: Instant,
    /// Its rekey was refused: not asked for again before, however worn it is.
    pub(crate) retry_at: Option<Instant>,
    /// Its next rekey is to show whether the peer agrees to a key exchange.
    pub(crate) proves_pfs: bool,
    pub(crate) tfc_padding: TfcPadding,
    /// What the peer asked for besides.
    pub(crate) withheld: Option<Box<Withheld>>,
    pub(crate) expires_at: Instant,
    pub(crate) meter: Meter,
    /// When the last packet passed, as far as is known; before the first, when it or the first of its line was set up.
    pub(crate) active_at: Instant,
}

impl ChildSa {
    /// One that receives by these parameters, and is not sent on yet. It was agreed for the child at this place, in `IKE_AUTH` or
    /// not; `active_at` as in the field.
    pub(crate) fn new(
        parameters: &ChildSaParameters,
        lease: EspSpiLease,
        (index, first): (usize, bool),
        rekey_at: Instant,
        active_at: Instant,
    ) -> Self {
        Self {
            id: parameters.id,
            index,
            lease,
            spi_out: parameters.outbound.spi,
            suite: parameters.suite,
            first,
            local: parameters.local.clone(),
            remote: parameters.remote.clone(),
            place: ChildPlace::Standing,
            replaced_by: None,
            sending: false,
            reported: false,
            established: parameters.established,
            rekey_at: Some(rekey_at),
            due_at: rekey_at,
            retry_at: None,
            proves_pfs: false,
            tfc_padding: parameters.tfc_padding,
            withheld: parameters.withheld.clone(),
            expires_at: parameters.expires_at,
            meter: Meter::default(),
            active_at,
        }
    }

    pub(crate) fn spi_in(&self) -> EspSpi {
        self.lease.spi()
    }

    pub(crate) fn config<'a>(&self, connection: &'a Connection) -> Option<&'a Child> {
        connection.children.get(self.index)
    }

    pub(crate) fn pfs(&self) -> Pfs {
        match self.suite.group {
            Some(_) => Pfs::Own,
            None if self.first => Pfs::First,
            None => Pfs::Off,
        }
    }

    pub(crate) fn is_standing(&self) -> bool {
        self.place == ChildPlace::Standing
    }

    /// Whether it carries traffic: one that is replaced does until it is deleted.
    pub(super) fn passes(&self) -> bool {
        self.is_standing() || matches!(self.place, ChildPlace::Replaced { .. })
    }
}

/// What the use of a Child SA asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wear {
    /// Nothing yet.
    Fresh,
    /// Replace it: at the measured rate a whole retransmission schedule still fits before the limit.
    Rekey,
    /// It must not be used any more.
    Spent,
}

/// How much a Child SA has carried, and how fast.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    last: Usage,
    at: Option<Instant>,
}

/// Packets in one direction before a rekey: far below where the counter ends (2^32, RFC 4303 §3.3.3).
const PACKETS_SHORT: u64 = 1 << 31;
/// With extended sequence numbers: far below what one AES-GCM key may seal.
const PACKETS_EXTENDED: u64 = 1 << 40;

impl Meter {
    /// Whether a packet has passed since the last reading.
    pub(crate) fn is_growing(&self, usage: &Usage) -> bool {
        usage.packets_in > self.last.packets_in || usage.packets_out > self.last.packets_out
    }

    /// Whether a packet has left since the last reading.
    pub(crate) fn has_sent(&self, usage: &Usage) -> bool {
        usage.packets_out > self.last.packets_out
    }

    /// Takes a new reading.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        usage: Usage,
        lifetime: &ChildLifetime,
        esn: Esn,
        schedule: Duration,
    ) -> Wear {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        let default = if esn == Esn::Extended { PACKETS_EXTENDED } else { PACKETS_SHORT };
        let packets = Some(lifetime.packets.unwrap_or(default).min(default));
        let readings = [
            (usage.packets_out, self.last.packets_out, packets),
            (usage.packets_in, self.last.packets_in, packets),
            (usage.bytes_out, self.last.bytes_out, lifetime.bytes),
            (usage.bytes_in, self.last.bytes_in, lifetime.bytes),
        ];
        (self.last, self.at) = (usage, Some(now));
        let wear = readings.into_iter().filter_map(|(new, old, limit)| {
            let ahead = ahead(new.saturating_sub(old), elapsed, schedule);
            limit.map(|limit| worn(new, ahead, limit))
        });
        wear.max_by_key(|w| *w as u8).unwrap_or(Wear::Fresh)
    }
}

/// What will pass within `schedule` at the rate measured.
fn ahead(grown: u64, elapsed: Duration, schedule: Duration) -> u64 {
    let per_schedule = u128::from(grown) * schedule.as_millis() / elapsed.as_millis().max(1);
    if elapsed.is_zero() { 0 } else { u64::try_from(per_schedule).unwrap_or(u64::MAX) }
}

/// The hard end lies a tenth behind the limit.
fn worn(value: u64, ahead: u64, limit: u64) -> Wear {
    if value >= limit.saturating_add(limit / 10) {
        Wear::Spent
    } else if value.saturating_add(ahead) >= limit {
        Wear::Rekey
    } else {
        Wear::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(readings: &[(u64, u64)], packets: u64) -> Vec<Wear> {
        let lifetime = ChildLifetime { packets: Some(packets), ..ChildLifetime::default() };
        let mut meter = Meter::default();
        let schedule = Duration::from_secs(20);
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let usage = |packets_out| Usage { packets_out, ..Usage::default() };
        readings.iter().map(|(t, n)| meter.read(at(*t), usage(*n), &lifetime, Esn::Short, schedule)).collect()
    }

    #[test]
    fn a_rekey_starts_a_whole_schedule_before_the_limit_at_the_measured_rate() {
        // 1,000 a second and 20 s of schedule: 20,000 ahead of 100,000.
        assert_eq!(read(&[(0, 0), (1, 1000), (79, 79_000)], 100_000), [Wear::Fresh; 3]);
        assert_eq!(read(&[(0, 0), (80, 80_000)], 100_000), [Wear::Fresh, Wear::Rekey]);
        assert_eq!(read(&[(0, 99_999)], 100_000), [Wear::Fresh], "no rate is known yet");
        assert_eq!(read(&[(0, 100_000)], 100_000), [Wear::Rekey]);
        assert_eq!(read(&[(0, 110_000)], 100_000), [Wear::Spent]);
    }

    #[test]
    fn a_limit_beyond_the_counter_is_not_believed() {
        assert_eq!(read(&[(0, 1 << 31)], u64::MAX), [Wear::Rekey]);
    }
}
