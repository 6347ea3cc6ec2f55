//! How long an answer takes, and from when on one is late (RFC 6298 §2).

use std::time::Duration;

/// What the answers until now took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    /// Their smoothed time, and how much it varies.
    known: Option<(Duration, Duration)>,
}

impl RoundTrip {
    /// An answer came after this long. Of a request that was sent again it is not known which one was answered (Karn's algorithm,
    /// §3): that counts only if nothing is known yet, as it is never too short.
    pub(crate) fn answered(&mut self, after: Duration, sent_again: bool) {
        self.known = match self.known {
            None => Some((after, after / 2)),
            known if sent_again => known,
            Some((smoothed, variation)) => {
                Some((smoothed * 7 / 8 + after / 8, variation * 3 / 4 + smoothed.abs_diff(after) / 4))
            }
        };
    }

    /// After this long no answer is to be expected any more.
    pub(crate) fn late(&self) -> Option<Duration> {
        self.known.map(|(smoothed, variation)| smoothed + variation * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_line_is_waited_for_little_longer_than_it_takes() {
        let mut line = RoundTrip::default();
        assert_eq!(line.late(), None);
        line.answered(100 * MILLISECOND, false);
        assert_eq!(line.late(), Some(300 * MILLISECOND), "one answer says little");
        (0..100).for_each(|_| line.answered(100 * MILLISECOND, false));
        assert!(line.late() < Some(110 * MILLISECOND), "{line:?}");
    }

    #[test]
    fn an_answer_that_was_quick_by_chance_does_not_make_the_others_late() {
        let mut line = RoundTrip::default();
        [100, 150, 80].into_iter().for_each(|after| line.answered(after * MILLISECOND, false));
        for after in [2, 150, 80, 30, 140].repeat(50) {
            line.answered(after * MILLISECOND, false);
            assert!(line.late() > Some(150 * MILLISECOND), "{line:?}");
        }
    }

    #[test]
    fn what_was_sent_again_counts_only_as_long_as_nothing_else_is_known() {
        let mut line = RoundTrip::default();
        line.answered(800 * MILLISECOND, true);
        assert_eq!(line.late(), Some(2_400 * MILLISECOND));
        line.answered(5 * MILLISECOND, true);
        assert_eq!(line.late(), Some(2_400 * MILLISECOND));
    }
}
