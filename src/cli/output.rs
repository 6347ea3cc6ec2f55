//! How commands print: to a person or as JSON, in colour only on a terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ClientError, Diagnosis, Failure, Reply, Timestamp};
use crate::words::TOO_EARLY;

/// Where a command prints.
pub(super) struct Output {
    pub(super) json: bool,
    colour: bool,
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Told by [`Output::finish`].
    Because(Box<Failure>),
    /// The command has told it already.
    Told,
    /// Nobody reads any more (a pipe into `head`): no failure.
    NobodyReads,
}

pub(super) type Done = Result<(), Failed>;

impl Failed {
    pub(super) fn because(error: impl Into<String>) -> Self {
        Self::Because(Box::new(Failure::new(error)))
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::because(error.to_string())
    }
}

impl From<Box<Failure>> for Failed {
    fn from(failure: Box<Failure>) -> Self {
        Self::Because(failure)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::because(format!("cannot print: {error}")),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Colour {
    Green,
    Yellow,
    Red,
    Dim,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !json && !plain && io::stdout().is_terminal() }
    }

    /// A daemon's answer: as it came, or shown by `human`.
    pub(super) fn answer<T: DeserializeOwned>(&self, data: Value, human: impl Fn(&T) -> String) -> Done {
        if self.json {
            return print_json(&data);
        }
        let data: T = Reply::Done(data).into_data()?;
        print(human(&data).trim_end())
    }

    /// In colour, where there is colour.
    pub(super) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Dim => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Tells a failure and makes the exit code.
    pub(super) fn finish(&self, done: Done) -> ExitCode {
        match done {
            Ok(()) | Err(Failed::NobodyReads) => return ExitCode::SUCCESS,
            Err(Failed::Told) => {}
            Err(Failed::Because(failure)) => {
                eprintln!("sekisho: {}", in_words(&failure));
                if self.json {
                    // Whoever waits for JSON shall get some; there is nobody to tell if that fails as well.
                    let _ = print_json(&Reply::Failed(failure));
                }
            }
        }
        ExitCode::FAILURE
    }
}

/// Prints a line or several.
pub(super) fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints JSON, indented, since people read it too.
pub(super) fn print_json(value: &impl Serialize) -> Done {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failed::because(error.to_string()))?;
    print(&text)
}

/// The error, and of the diagnosis what the error does not say already.
fn in_words(failure: &Failure) -> String {
    // Problems of a configuration are told by the error.
    let Failure { error, diagnosis, problems: _ } = failure;
    let Some(diagnosis) = diagnosis.as_ref().filter(|diagnosis| !error.contains(&diagnosis.advice)) else {
        return error.clone();
    };
    let mut lines = vec![error.clone()];
    if !error.contains(&diagnosis.summary) {
        lines.push(diagnosis.summary.clone());
    }
    lines.extend(details(diagnosis));
    lines.extend(comparison(diagnosis));
    lines.join("\n  ")
}

/// What both ends have, as a table; nothing if there is nothing to compare.
pub(super) fn comparison(diagnosis: &Diagnosis) -> Vec<String> {
    if diagnosis.comparison.is_empty() {
        return Vec::new();
    }
    let list = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    let title = ["", "OURS", "PEER'S", ""].map(str::to_owned);
    let rows = diagnosis.comparison.iter().map(|row| {
        let verdict = match row.agrees {
            Some(true) => "agree".to_owned(),
            Some(false) if row.remarks.is_empty() => "DIFFER".to_owned(),
            Some(false) => format!("DIFFER: {}", row.remarks.join("; ")),
            None => row.remarks.join("; "),
        };
        [
            row.what.clone(),
            list(&row.ours),
            row.theirs.as_deref().map_or_else(|| "?".to_owned(), list),
            verdict,
        ]
    });
    table(&std::iter::once(title).chain(rows).collect::<Vec<_>>(), |_, _, cell| cell)
}

/// What is behind a diagnosis's summary, in lines.
pub(super) fn details(diagnosis: &Diagnosis) -> Vec<String> {
    let parts = [("offered", &diagnosis.offered), ("acceptable", &diagnosis.acceptable)];
    let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("{name}: {}", part.as_ref()?)));
    parts.chain(std::iter::once(format!("=> {}", diagnosis.advice))).collect()
}

/// Rows in columns of equal width, two spaces apart; `paint` colours a cell after it was padded.
pub(super) fn table<const N: usize>(
    rows: &[[String; N]],
    paint: impl Fn(usize, usize, String) -> String,
) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |(y, row): (usize, &[String; N])| {
        let cells = row.iter().zip(widths).enumerate();
        let padded = cells.map(|(x, (cell, width))| paint(y, x, format!("{cell:width$}")));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().enumerate().map(line).collect()
}

/// A text in lines of so many columns; those after the first begin with blanks as the first does, and so many more.
pub(super) fn wrapped(text: &str, width: usize, hang: usize) -> Vec<String> {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let mut lines: Vec<String> = Vec::new();
    for word in text.trim_start_matches(' ').split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{}{word}", " ".repeat(blanks + hang))),
            None => lines.push(format!("{}{word}", " ".repeat(blanks))),
        }
    }
    lines
}

/// Seconds in the two largest units: `6h50m`, `41m`, `12s`.
pub(super) fn time(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m, s) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s:02}s"),
        (0, h, m, _) => format!("{h}h{m:02}m"),
        (d, h, ..) => format!("{d}d{h:02}h"),
    }
}

/// Of a certificate of ours: what is the matter until it begins to be valid.
pub(super) fn not_yet(begins: Timestamp) -> String {
    format!("not valid before {}, and peers refuse it until then: {TOO_EARLY}", moment(begins))
}

/// A whole second: `2025-11-21 21:48:40 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace(".000Z", " UTC")
}

/// Bytes with three digits or so: `84 B`, `1.2 MB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) / 100;
    for unit in UNITS {
        if tenths < 10_000 {
            return if tenths < 1000 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            };
        }
        tenths /= 1000;
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let times = [0, 59, 61, 3600, 24_600, 90_000].map(time);
        assert_eq!(times, ["0s", "59s", "1m01s", "1h00m", "6h50m", "1d01h"]);
        let sizes = [0, 999, 1000, 1234, 123_456, 1_234_567, 99_999_999, 1 << 40, u64::MAX].map(bytes);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "1.2 kB", "123 kB", "1.2 MB", "99.9 MB", "1.0 TB", "18.4 EB"]
        );
    }

    #[test]
    fn columns_line_up_whatever_the_colour() {
        let rows = [["a".to_owned(), "bcd".to_owned()], ["äöü".to_owned(), String::new()]];
        let lines = table(&rows, |_, x, cell| if x == 0 { format!("<{cell}>") } else { cell });
        assert_eq!(lines, ["<a  >  bcd", "<äöü>"]);
    }
}
