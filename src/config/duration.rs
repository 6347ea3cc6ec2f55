//! Spans of time as people write them: `8h`, `90s`, `500ms`, `1m30s`.

use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// How a span of time is written, for messages.
pub(super) const FORM: &str =
    "a number and a unit (d, h, m, s, ms), such as \"8h\", \"90s\", \"500ms\" or \"1m30s\"";

/// Reads numbers with units, the larger unit first and each unit once.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        // The iterator goes on from the last unit, so only smaller ones are found.
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// Writes it as [`parse`] reads it, in the fewest units.
pub fn show(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, millis) in UNITS {
        if rest >= millis {
            text += &(rest / millis).to_string();
            text += name;
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_as_they_print() {
        for (text, millis) in [
            ("8h", 28_800_000),
            ("90s", 90_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
            ("1h30ms", 3_600_030),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(parse(&show(Duration::from_millis(millis))), Some(Duration::from_millis(millis)));
        }
        assert_eq!(show(Duration::from_secs(90)), "1m30s");
        assert_eq!(show(Duration::ZERO), "0s");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "8",
            "h",
            "8 h",
            "8h ",
            "-1s",
            "1.5s",
            "30s1m",
            "1s1s",
            "8H",
            "1y",
            "８h",
            "99999999999999999d",
            "1é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
