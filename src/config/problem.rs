//! What is wrong with a configuration, shown at its line with what is allowed.

use std::fmt;
use std::path::{Path, PathBuf};

use super::document::Span;

/// An error or a warning: what, where, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in a line.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What is allowed or what to do.
    pub help: String,
}

/// A place in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line itself, or the part of a long one around the place; secrets blotted out.
    pub snippet: String,
    /// Columns of a terminal before the place in the snippet, and of the place itself.
    marked: (usize, usize),
}

/// A configuration that was refused: every error found in it, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub source: PathBuf,
    /// What must be mended, in the file's order.
    pub errors: Vec<Problem>,
    /// Errors found beyond those listed.
    pub further: usize,
    /// What deserves a second look besides.
    pub warnings: Vec<Problem>,
}

impl Problem {
    /// One about the file as a whole.
    pub(super) fn of_file(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), place: Place::default(), help: help.into() }
    }

    /// The whole of it for a person: message, place, line, help.
    pub fn show(&self, kind: &str, source: &Path) -> String {
        let Place { line, column, snippet, marked: (before, width) } = &self.place;
        let source = source.display();
        if *line == 0 {
            return format!("{kind}: {}\n --> {source}\n  = help: {}\n", self.message, self.help);
        }
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        format!(
            "{kind}: {}\n{gutter}--> {source}:{line}:{column}\n{gutter} |\n{number} | {snippet}\n{gutter} | {}{}\n{gutter} = help: {}\n",
            self.message,
            " ".repeat(*before),
            "^".repeat((*width).max(1)),
            self.help,
        )
    }
}

impl fmt::Display for Problem {
    /// In one line, without the file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line > 0 {
            write!(f, "line {}: ", self.place.line)?;
        }
        f.write_str(&self.message)
    }
}

impl ConfigError {
    /// One error about the file as a whole.
    pub(super) fn of_file(source: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        let errors = vec![Problem::of_file(message, help)];
        Self { source: source.to_owned(), errors, further: 0, warnings: Vec::new() }
    }

    /// How many errors there are.
    pub fn count(&self) -> usize {
        self.errors.len().saturating_add(self.further)
    }

    /// The first error in a line, and how many there are: for logs.
    pub fn summary(&self) -> String {
        let first = self.errors.first().map(ToString::to_string).unwrap_or_default();
        match self.count() {
            0 | 1 => first,
            n => format!("{first} (and {} more)", n - 1),
        }
    }
}

impl fmt::Display for ConfigError {
    /// Every error with its line, and the count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.errors {
            writeln!(f, "{}", problem.show("error", &self.source))?;
        }
        let count = self.count();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{}: {count} error{plural}", self.source.display())?;
        if self.further > 0 {
            write!(f, ", the first {} shown", self.errors.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The most characters of a line that are shown.
const SNIPPET: usize = 120;
/// Characters shown before the place in a line that is longer.
const LEAD: usize = 40;

impl Place {
    /// The place of a span of bytes in a text.
    pub(super) fn of(text: &str, span: &Span) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.floor_char_boundary(span.end.max(start));
        let (before, after) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let lead = before.get(line_start..).unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        let marked = rest.get(..end.saturating_sub(start)).unwrap_or(rest).trim_end();

        let column = lead.chars().count();
        let skipped = if column + rest.chars().count() > SNIPPET { column.saturating_sub(LEAD) } else { 0 };
        let cut = if skipped > 0 { "…" } else { "" };
        let lead = format!("{cut}{}", printable(lead.chars().skip(skipped)));
        let marked = printable(marked.chars().take(SNIPPET));
        let tail = printable(rest.trim_end().chars().take(SNIPPET));
        let line = format!("{lead}{tail}");
        let snippet = without_secret(&line);
        // Where the text is blotted out, its length says nothing and is nobody's business.
        let width = if snippet == line { columns(&marked) } else { 1 };
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            marked: (columns(&lead), width),
            snippet,
        }
    }
}

/// What a terminal shows as it is: no tabs, no control characters.
fn printable(characters: impl Iterator<Item = char>) -> String {
    characters
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Columns that a terminal needs: two for a character of Chinese, Japanese or Korean.
fn columns(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// A line that seems to hold a secret ends at its `=`: error messages go into logs.
fn without_secret(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
    let name = key.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    let bare = ["psk", "secret", "password", "passphrase", "key", "shared_secret", "psk_hex", "psk_base64"];
    let in_place_of_a_file = name == "psk_file" && looks_like_key(value.trim().trim_matches(['"', '\'']));
    let pasted = value.contains("-----BEGIN");
    if bare.contains(&name.as_str()) || in_place_of_a_file || pasted {
        format!("{key}= …")
    } else {
        line.to_owned()
    }
}

/// Whether a text is a key rather than the name of a file.
pub(super) fn looks_like_key(text: &str) -> bool {
    ["0s", "0S", "0x", "0X"].iter().any(|mark| text.starts_with(mark)) || text.ends_with('=')
}
