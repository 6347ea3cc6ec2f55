//! What both ends have of one thing, side by side.

use crate::limits;

/// One line of a comparison. What the peer said is quoted in bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is compared, such as `cipher` or `remote networks`.
    pub what: &'static str,
    /// What we have; empty: none.
    pub ours: Vec<String>,
    /// What the peer has; empty: none; `None`: it did not say.
    pub theirs: Option<Vec<String>>,
    /// What both have.
    pub common: Vec<String>,
    /// Whether that is enough; `None`: it is not known.
    pub agrees: Option<bool>,
    /// What is to be said of it.
    pub remarks: Vec<String>,
}

impl Row {
    /// What we have, while the peer did not say what it has.
    pub(crate) fn ours(what: &'static str, ours: Vec<String>) -> Self {
        Self { what, ours, theirs: None, common: Vec::new(), agrees: None, remarks: Vec::new() }
    }

    /// Both lists; they agree if they have anything in common.
    pub(crate) fn both(what: &'static str, ours: Vec<String>, theirs: Vec<String>) -> Self {
        let common: Vec<_> = ours.iter().filter(|word| theirs.contains(word)).cloned().collect();
        let agrees = Some(!common.is_empty());
        Self { what, ours, theirs: Some(theirs), common, agrees, remarks: Vec::new() }
    }

    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// Cut to what a diagnosis may hold, with nothing in it that a terminal would obey.
    pub(super) fn bounded(mut self) -> Self {
        let theirs = self.theirs.iter_mut();
        for list in theirs.chain([&mut self.ours, &mut self.common, &mut self.remarks]) {
            let more = list.len().saturating_sub(limits::COMPARISON_WORDS);
            list.truncate(limits::COMPARISON_WORDS);
            list.iter_mut().for_each(|word| *word = super::bounded(word));
            if more > 0 {
                list.push(format!("… ({more} more)"));
            }
        }
        self
    }
}
