//! Points in time as people read them.

use std::fmt;
use std::time::Duration;

/// Seconds since 1970, printed as `2026-05-12 16:34:22 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(t) = der::DateTime::from_unix_duration(Duration::from_secs(self.0)) else {
            return write!(f, "{} seconds after 1970", self.0);
        };
        let (year, month, day) = (t.year(), t.month(), t.day());
        let (hour, minute, second) = (t.hour(), t.minutes(), t.seconds());
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}
