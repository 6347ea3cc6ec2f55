//! Why a negotiation failed, in words that tell the operator what to change.

mod comparison;
mod kind;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::limits;
use crate::wire::ExchangeType;

pub use comparison::Row;
pub use kind::DiagnosisKind;

/// What happened, which side refused, what was offered, what would have been accepted, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What happened.
    pub kind: DiagnosisKind,
    /// Which side refused.
    pub refused_by: Side,
    /// One sentence: what happened.
    pub summary: String,
    /// What was offered, if the failure is about an offer.
    pub offered: Option<String>,
    /// What would have been accepted, as far as it is known.
    pub acceptable: Option<String>,
    /// What to change, and where.
    pub advice: String,
    /// The exchange in which it happened, if it was one.
    pub exchange: Option<ExchangeType>,
    /// What both ends have, point by point, as far as it is known here.
    pub comparison: Box<[Row]>,
}

impl Diagnosis {
    /// One without an offer, a comparison or an exchange.
    pub fn new(kind: DiagnosisKind, refused_by: Side, summary: &str, advice: &str) -> Self {
        Self {
            kind,
            refused_by,
            summary: bounded(summary),
            offered: None,
            acceptable: None,
            advice: advice.to_owned(),
            exchange: None,
            comparison: Box::default(),
        }
    }

    /// What was offered, and what would have been accepted.
    pub(crate) fn about(
        mut self,
        offered: impl Into<Option<String>>,
        acceptable: impl Into<Option<String>>,
    ) -> Self {
        self.offered = offered.into().map(|text| bounded(&text));
        self.acceptable = acceptable.into().map(|text| bounded(&text));
        self
    }

    /// In which exchange it happened.
    pub(crate) fn during(mut self, exchange: ExchangeType) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// It was the IKE SA that was to be replaced: its exchange also makes and rekeys Child SAs.
    pub(crate) fn of_ike_rekey(mut self) -> Self {
        self.summary = bounded(&format!("rekey of the IKE SA: {}", self.summary));
        self
    }

    /// What both ends have.
    pub(crate) fn compared(mut self, rows: Vec<Row>) -> Self {
        self.comparison = rows.into_iter().take(limits::COMPARISON_ROWS).map(Row::bounded).collect();
        self
    }
}

/// A text that may be a peer's: of bounded length, and without anything that a terminal would obey.
pub(crate) fn bounded(text: &str) -> String {
    let control = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let clean = text.chars().map(|c| if control(c) { '\u{fffd}' } else { c });
    let mut cut: String = clean.take(limits::DIAGNOSIS_TEXT).collect();
    if text.chars().nth(limits::DIAGNOSIS_TEXT).is_some() {
        cut.push('…');
    }
    cut
}

/// Which side refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Here,
    /// The peer did.
    Peer,
    /// Nobody: nothing came back, or the machine itself failed.
    Nobody,
}

impl Side {
    /// A stable word for records.
    pub fn code(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Peer => "peer",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, offered, acceptable, advice, .. } = self;
        f.write_str(&sentence(summary, offered.as_deref(), acceptable.as_deref(), advice))
    }
}

/// What happened, what it was about, and what to change.
pub fn sentence(summary: &str, offered: Option<&str>, acceptable: Option<&str>, advice: &str) -> String {
    let part =
        |name: &str, part: Option<&str>| part.map_or_else(String::new, |part| format!("; {name}: {part}"));
    format!("{summary}{}{}. {advice}", part("offered", offered), part("acceptable", acceptable))
}
