//! A TOML document with the place of everything in it, read key by key.
//!
//! Walking the tree, instead of deserialising it, finds all errors of a file in one go.

use std::fmt::Display;
use std::time::Duration;

use sekisho_ike::config::Name;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::files::FileError;
use super::keys;
use super::limits::Bounds;
use super::problem::{Place, Problem};
use super::values;

/// Bytes of the text.
pub(super) type Span = std::ops::Range<usize>;

/// A value of the document, not yet judged.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Collects what is wrong with a text.
pub(super) struct Judge<'t> {
    text: &'t str,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Errors beyond those kept.
    pub(super) further: usize,
}

impl<'t> Judge<'t> {
    /// Problems kept of each kind; whoever has more mends these first.
    const KEPT: usize = 50;

    pub(super) fn new(text: &'t str) -> Self {
        Self { text, errors: Vec::new(), warnings: Vec::new(), further: 0 }
    }

    /// How many errors there are so far.
    pub(super) fn found(&self) -> usize {
        self.errors.len() + self.further
    }

    pub(super) fn error(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if self.errors.len() < Self::KEPT {
            self.errors.push(self.problem(span, message.into(), help.into()));
        } else {
            self.further += 1;
        }
    }

    pub(super) fn warn(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if self.warnings.len() < Self::KEPT {
            self.warnings.push(self.problem(span, message.into(), help.into()));
        }
    }

    /// Unwraps, or notes why it cannot.
    pub(super) fn ok<T, E: Display>(&mut self, result: Result<T, E>, span: &Span, help: &str) -> Option<T> {
        result.map_err(|error| self.error(span, error.to_string(), help)).ok()
    }

    /// What a file holds that stands here, or notes why it does not do.
    pub(super) fn file<T>(&mut self, span: &Span, read: Result<T, FileError>) -> Option<T> {
        read.map_err(|error| self.error(span, error.message, error.help)).ok()
    }

    pub(super) fn line(&self, span: &Span) -> usize {
        Place::of(self.text, span).line
    }

    fn problem(&self, span: &Span, message: String, help: String) -> Problem {
        Problem { message, place: Place::of(self.text, span), help }
    }
}

/// A table whose keys are taken out one by one; what is left at the end is unknown.
pub(super) struct Section<'t> {
    /// As in the file: `[tunnel.centre]`.
    pub(super) title: String,
    /// Where it begins.
    pub(super) span: Span,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub(super) fn new(title: String, span: Span, table: DeTable<'t>) -> Self {
        Self { title, span, table, known: Vec::new() }
    }

    /// Makes a section of a value that must be a table.
    pub(super) fn from_value(judge: &mut Judge<'_>, title: String, value: Value<'t>) -> Option<Self> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Self::new(title, span, table)),
            other => {
                let message =
                    format!("`{}` is {}, not a table", title.trim_matches(['[', ']']), kind(&other));
                judge.error(
                    &span,
                    message,
                    format!("write {title} on a line of its own and the settings below it"),
                );
                None
            }
        }
    }

    /// Whether the key is there, and not yet taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is absent, so that its default holds; it is known all the same.
    pub(super) fn lacks(&mut self, key: &'static str) -> bool {
        let lacks = !self.has(key);
        if lacks {
            self.known.push(key);
        }
        lacks
    }

    /// Whether the key is there, and its value a text.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| matches!(value.get_ref(), DeValue::String(_)))
    }

    /// The first key, if all that is here is tables.
    pub(super) fn only_tables(&self) -> Option<Span> {
        let all =
            self.table.iter().all(|(key, value)| value.get_ref().is_table() && key.get_ref() != "child");
        self.table.keys().next().filter(|_| all).map(Spanned::span)
    }

    /// Where the value of a key stands; the section's title if it is absent.
    pub(super) fn value_span(&self, key: &str) -> Span {
        self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Takes a key out.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// Notes a key that cannot be done without.
    pub(super) fn require(&self, judge: &mut Judge<'_>, key: &str, help: &str) {
        if !self.has(key) {
            judge.error(&self.span, format!("{} has no `{key}`", self.title), help);
        }
    }

    /// A text.
    pub(super) fn text(&mut self, judge: &mut Judge<'_>, key: &'static str) -> Option<Spanned<String>> {
        let value = self.take(key)?;
        text_of(judge, key, value, "a text in quotes")
    }

    /// A list of texts; `lone`: or a single one in place of the list.
    pub(super) fn texts(
        &mut self,
        judge: &mut Judge<'_>,
        key: &'static str,
        lone: bool,
        most: usize,
    ) -> Option<Spanned<Vec<Spanned<String>>>> {
        let value = self.take(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items) if items.len() > most => {
                let message = format!("`{key}` has {} entries", items.len());
                judge.error(&span, message, format!("at most {most} are possible"));
                None
            }
            DeValue::Array(items) => {
                let read =
                    items.into_iter().map(|item| text_of(judge, key, item, "a list of texts in quotes"));
                all_good(read).map(|list| Spanned::new(span, list))
            }
            DeValue::String(text) if lone => {
                let only = Spanned::new(span.clone(), text.into_owned());
                Some(Spanned::new(span, vec![only]))
            }
            DeValue::String(text) => {
                let message = format!("`{key}` is a text, not a list");
                judge.error(&span, message, format!("write {key} = [\"{text}\"]"));
                None
            }
            other => {
                let form =
                    if lone { "a text in quotes, or a list of them" } else { "a list of texts in quotes" };
                wrong_kind(judge, key, &span, &other, form);
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn number<T>(
        &mut self,
        judge: &mut Judge<'_>,
        key: &'static str,
        range: (T, T),
    ) -> Option<Spanned<T>>
    where
        T: TryFrom<u64> + Into<u64> + Copy,
    {
        let value = self.take(key)?;
        let span = value.span();
        let (floor, ceiling): (u64, u64) = (range.0.into(), range.1.into());
        let DeValue::Integer(digits) = value.get_ref() else {
            let form = format!("a number from {floor} to {ceiling}, without quotes");
            wrong_kind(judge, key, &span, value.get_ref(), &form);
            return None;
        };
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.filter(|n| (floor..=ceiling).contains(n)).and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            let message = format!("`{key}` is out of range");
            judge.error(&span, message, format!("a number from {floor} to {ceiling} is allowed"));
        }
        number.map(|n| Spanned::new(span, n))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, judge: &mut Judge<'_>, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        wrong_kind(judge, key, &value.span(), value.get_ref(), "true or false, without quotes");
        None
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        judge: &mut Judge<'_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<Spanned<T>> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let (last, others) = quoted.split_last()?;
        let form = format!("{} or {last}", others.join(", "));
        let value = self.take(key)?;
        let text = text_of(judge, key, value, &form)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text.get_ref()) {
            return Some(Spanned::new(text.span(), *value));
        }
        let message = format!("`{key}` cannot be `{}`", text.get_ref().escape_debug());
        judge.error(&text.span(), message, values::help(key, text.get_ref(), &format!("write {form}")));
        None
    }

    /// A span of time in its bounds; the default if it is absent or wrong.
    pub(super) fn span_of_time(
        &mut self,
        judge: &mut Judge<'_>,
        key: &'static str,
        bounds: &Bounds<Duration>,
    ) -> Spanned<Duration> {
        let absent = Spanned::new(self.span.clone(), bounds.default);
        let Some(value) = self.take(key) else { return absent };
        let span = value.span();
        let range = format!("{} to {}", duration::show(bounds.floor), duration::show(bounds.ceiling));
        if let DeValue::Integer(number) = value.get_ref() {
            let seconds = number.as_str().parse().ok().map(Duration::from_secs);
            let seconds = seconds.filter(|time| bounds.floor <= *time && *time <= bounds.ceiling);
            let example = seconds.map_or_else(|| duration::show(bounds.default), |_| format!("{number}s"));
            let help = format!(
                "a bare number says nothing about its unit: write {key} = \"{example}\"; {range} is allowed"
            );
            judge.error(&span, format!("`{key}` has no unit"), help);
            return absent;
        }
        let Some(text) = text_of(judge, key, value, duration::FORM) else { return absent };
        match duration::parse(text.get_ref()) {
            Some(time) if bounds.floor <= time && time <= bounds.ceiling => Spanned::new(span, time),
            Some(time) => {
                let side = if time < bounds.floor { "short" } else { "long" };
                judge.error(&span, format!("`{key}` is too {side}"), format!("{range} is allowed"));
                absent
            }
            None => {
                let message = format!("`{key}` is no span of time");
                judge.error(&span, message, format!("write {}; {range} is allowed", duration::FORM));
                absent
            }
        }
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, judge: &mut Judge<'_>, key: &'static str, title: &str) -> Vec<Self> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items) => {
                let read = items.into_iter().map(|item| Self::from_value(judge, title.to_owned(), item));
                read.collect::<Vec<_>>().into_iter().flatten().collect()
            }
            DeValue::Table(_) => {
                let message = format!("`{key}` is a single table, not a list of tables");
                judge.error(&span, message, format!("write {title} with two brackets"));
                Vec::new()
            }
            other => {
                wrong_kind(judge, key, &span, &other, &format!("a list of tables, each under {title}"));
                Vec::new()
            }
        }
    }

    /// The entries of a table whose keys are names.
    pub(super) fn into_named(self) -> impl Iterator<Item = (Spanned<String>, Value<'t>)> {
        self.table.into_iter().map(|(key, value)| {
            let name = Spanned::new(key.span(), key.into_inner().into_owned());
            (name, value)
        })
    }

    /// Reports what nobody took.
    pub(super) fn finish(self, judge: &mut Judge<'_>) {
        for (key, value) in &self.table {
            let name: &str = key.get_ref();
            let message = format!("{} has no setting `{}`", self.title, name.escape_debug());
            let help = keys::meant((name, value.get_ref().as_str()), &self.title, &self.known);
            judge.error(&key.span(), message, help);
        }
    }
}

/// All of them, if all are good. Each is judged, and not only those before the first bad one.
pub(super) fn all_good<T>(judged: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let judged: Vec<_> = judged.collect();
    judged.into_iter().collect()
}

fn text_of(judge: &mut Judge<'_>, key: &str, value: Value<'_>, form: &str) -> Option<Spanned<String>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::String(text) => Some(Spanned::new(span, text.into_owned())),
        other => {
            wrong_kind(judge, key, &span, &other, form);
            None
        }
    }
}

fn wrong_kind(judge: &mut Judge<'_>, key: &str, span: &Span, value: &DeValue<'_>, form: &str) {
    let example = example(key, value, form).map_or_else(String::new, |example| format!("{example}: "));
    judge.error(span, format!("`{key}` cannot be {}", kind(value)), format!("write {example}{form}"));
}

/// What was written as it would be right, where that can be seen.
fn example(key: &str, value: &DeValue<'_>, form: &str) -> Option<String> {
    let text = match value {
        DeValue::String(text) => {
            let bare = text.trim();
            let right = match bare {
                "yes" | "on" | "true" if form.starts_with("true") => "true",
                "no" | "off" | "false" if form.starts_with("true") => "false",
                number if form.starts_with("a number") && number.parse::<u64>().is_ok() => number,
                _ => return None,
            };
            return Some(format!("{key} = {right}"));
        }
        DeValue::Integer(number) if form.starts_with("a text") => number.as_str().to_owned(),
        DeValue::Array(items) if form == "a text in quotes" && items.len() == 1 => {
            items.first()?.get_ref().as_str()?.to_owned()
        }
        _ => return None,
    };
    Some(format!("{key} = \"{}\"", text.escape_debug()))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A name of a tunnel or child: letters, digits, `-`, `_`, `.`.
pub(super) fn name(judge: &mut Judge<'_>, text: &Spanned<String>) -> Option<Name> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let most = super::limits::NAME_BYTES;
    let good = |t: &String| (1..=most).contains(&t.len()) && t.bytes().all(allowed);
    if good(text.get_ref()) {
        return Some(Name::from(text.get_ref().as_str()));
    }
    let message = format!("`{}` is no name", text.get_ref().escape_debug());
    judge.error(
        &text.span(),
        message,
        format!("letters, digits, -, _ and . are allowed, 1 to {most} of them"),
    );
    None
}
