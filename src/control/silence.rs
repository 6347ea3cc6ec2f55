//! Packets that go out and bring nothing back: for each Child SA how many, and since when. A hint and no proof, as there is
//! traffic of one direction.

use std::time::Duration;

use sekisho_ike::Instant;
use sekisho_ike::event::Usage;

use crate::api::Unanswered;

/// Fewer packets without an answer are not worth a look: a few may well be lost.
const PACKETS: u64 = 10;
/// Nor is a shorter time.
const TIME: Duration = Duration::from_secs(20);

/// What was sent since the last packet came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// What had come, and what had been sent by then.
    came: u64,
    sent: u64,
    /// When the first packet after that was seen to be sent.
    since: Option<Instant>,
    /// What had been sent at the last reading.
    last: u64,
    /// What the SA that this one replaces had sent in vain.
    before: u64,
}

impl Silence {
    /// Takes a new reading; whether something came.
    pub(super) fn read(&mut self, now: Instant, usage: &Usage) -> bool {
        self.last = usage.packets_out;
        let came = usage.packets_in != self.came;
        self.came = usage.packets_in;
        if came {
            self.end();
        } else if usage.packets_out > self.sent {
            self.since.get_or_insert(now);
        }
        came
    }

    /// Something came, here or on the SA that this one replaces.
    pub(super) fn end(&mut self) {
        (self.sent, self.since, self.before) = (self.last, None, 0);
    }

    /// That of an SA which replaces this one: a rekey is no answer.
    pub(super) fn handed_on(&self) -> Self {
        let before = self.before.saturating_add(self.last.saturating_sub(self.sent));
        Self { since: self.since, before, ..Self::default() }
    }

    /// What is worth a look.
    pub(super) fn unanswered(&self, now: Instant, usage: &Usage) -> Option<Unanswered> {
        let waited = now.since(self.since.filter(|_| usage.packets_in == self.came)?);
        let packets = usage.packets_out.saturating_sub(self.sent).saturating_add(self.before);
        (packets >= PACKETS && waited >= TIME).then_some(Unanswered { packets, for_s: waited.as_secs() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads (seconds, sent, came) one after the other: what is worth a look after each.
    fn told(readings: &[(u64, u64, u64)]) -> Vec<Option<(u64, u64)>> {
        let mut silence = Silence::default();
        let read = |(at, packets_out, packets_in): &(u64, u64, u64)| {
            let (now, usage) = (
                Instant::from_boot(Duration::from_secs(*at)),
                Usage { packets_in: *packets_in, packets_out: *packets_out, ..Usage::default() },
            );
            silence.read(now, &usage);
            silence.unanswered(now, &usage).map(|told| (told.packets, told.for_s))
        };
        readings.iter().map(read).collect()
    }

    #[test]
    fn what_brings_nothing_back_is_told_of_after_a_while() {
        assert_eq!(told(&[(0, 0, 0), (100, 1, 0), (110, 50, 0)]), [None, None, None]);
        assert_eq!(told(&[(100, 1, 0), (120, 53, 0), (121, 54, 0)]).last(), Some(&Some((54, 21))));
        assert_eq!(told(&[(100, 1, 0), (1_000, 9, 0)]).last(), Some(&None), "a few may well be lost");
    }

    #[test]
    fn every_packet_that_comes_begins_anew() {
        let readings = [(0, 0, 0), (1, 5, 5), (2, 20, 5), (21, 40, 5), (22, 60, 5), (23, 61, 6), (60, 61, 6)];
        assert_eq!(told(&readings), [None, None, None, None, Some((55, 20)), None, None]);
    }

    fn usage(packets_out: u64, packets_in: u64) -> Usage {
        Usage { packets_in, packets_out, ..Usage::default() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    /// Or the rekey half a minute after the first start would hide that nothing ever came.
    #[test]
    fn a_rekey_does_not_break_the_silence_but_what_comes_on_either_sa_does() {
        let mut old = Silence::default();
        assert!(!old.read(at(1), &usage(5, 0)));
        let mut new = old.handed_on();
        assert!(!new.read(at(15), &usage(7, 0)));
        let told = new.unanswered(at(21), &usage(8, 0)).map(|told| (told.packets, told.for_s));
        assert_eq!(told, Some((13, 20)));
        assert!(old.read(at(22), &usage(5, 1)));
        new.end();
        assert!(!new.read(at(23), &usage(9, 0)) && new.unanswered(at(40), &usage(30, 0)).is_none());
    }
}
