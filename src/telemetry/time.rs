//! Points in time as RFC 3339 writes them, UTC with milliseconds: `2025-11-21T21:48:40.123Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(u64);

/// A text that is no time of the form `2025-11-21T21:48:40.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time of the form 2025-11-21T21:48:40.123Z")]
pub struct NoTimestamp;

impl Timestamp {
    /// The last millisecond that four digits of year can name.
    const MAX: u64 = 253_402_300_799_999;

    /// The system's wall clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(Self::MAX))
    }

    /// Milliseconds since 1970 UTC; the year ends at 9999.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX))
    }

    /// Seconds since 1970 UTC.
    pub fn from_unix(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970 UTC.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// The day of it in UTC: `2025-11-21`.
    pub fn date(self) -> String {
        let (year, month, day) = date_of(self.0 / 86_400_000);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// Days in 400 years of the Gregorian calendar.
const DAYS_IN_ERA: u64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

/// Year, month and day of a day counted from 1970. Years are counted from March, so that leap days come last.
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_IN_ERA, days % DAYS_IN_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (DAYS_IN_ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The day counted from 1970 of a date not before it.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_IN_ERA + day_of_era).checked_sub(DAYS_BEFORE_1970)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = date_of(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl FromStr for Timestamp {
    type Err = NoTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |at: std::ops::Range<usize>| {
            let digits = text.get(at).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let parse = || {
            let days = days_of(number(0..4)?, number(5..7)?, number(8..10)?)?;
            let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
            Some(Self::from_millis((days * 86_400 + seconds) * 1000 + number(20..23)?))
        };
        // What reads back differently had a field out of range or another separator.
        parse().filter(|time| time.to_string() == text).ok_or(NoTimestamp)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NoTimestamp;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_763_761_720, "2025-11-21T21:48:40.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_unix(seconds)));
        }
        assert_eq!(Timestamp::from_millis(1_763_761_720_123).to_string(), "2025-11-21T21:48:40.123Z");
    }

    #[test]
    fn every_day_until_2120_reads_back() {
        let mut last = String::new();
        for day in 0..54_800 {
            let time = Timestamp::from_unix(day * 86_400 + 1);
            let text = time.to_string();
            assert!(text > last, "{text} after {last}");
            assert_eq!(text.parse(), Ok(time));
            last = text;
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2025-13-01T00:00:00.000Z",
            "2025-02-29T00:00:00.000Z",
            "2025-01-00T00:00:00.000Z",
            "2025-01-01 00:00:00.000Z",
            "2025-01-01T24:00:00.000Z",
            "2025-01-01T00:00:00Z",
            "1969-12-31T23:59:59.000Z",
            "0000-01-01T00:00:00.000Z",
            "+025-01-01T00:00:00.000Z",
            "२०२५-01-01T00:00:00.000Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NoTimestamp), "{text}");
        }
    }
}
