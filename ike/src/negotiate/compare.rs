//! An offer and what we would accept, kind by kind of algorithm: for a diagnosis (RFC 7296 §2.7, §3.3).

use super::transform::{NONE, describe_transform, is_implemented};
use crate::diagnosis::Row;
use crate::wire::{Proposal, ProtocolId, Transform, TransformType};

/// The two proposals that come nearest to each other.
#[derive(Debug)]
pub(crate) struct Nearest {
    /// Numbers of ours and of theirs, from 1.
    pub(crate) numbers: (u8, u8),
    /// One line a kind of algorithm that either has.
    pub(crate) rows: Vec<Row>,
}

impl Nearest {
    /// What differs.
    pub(crate) fn differing(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.agrees == Some(false))
    }
}

/// The pair of proposals of a protocol that differ in the fewest kinds of algorithms; `None` if the offer has none of it.
/// Without `key_exchange` groups are left aside, as `IKE_AUTH` does.
pub(crate) fn nearest(
    offer: &[Proposal],
    ours: &[Proposal],
    protocol: ProtocolId,
    key_exchange: bool,
) -> Option<Nearest> {
    let theirs = || offer.iter().filter(|p| p.protocol == protocol);
    let pairs = ours.iter().flat_map(|ours| theirs().map(move |theirs| (ours, theirs)));
    let compared = pairs.map(|(ours, theirs)| Nearest {
        numbers: (ours.number, theirs.number),
        rows: rows(ours, theirs, key_exchange),
    });
    compared.min_by_key(|nearest| nearest.differing().count())
}

/// What we offer, kind by kind over all proposals, while the peer says nothing of what it has.
pub(crate) fn offered(ours: &[Proposal]) -> Vec<Row> {
    let all: Vec<Transform> = ours.iter().flat_map(|p| p.transforms.iter().copied()).collect();
    let row = |(kind, what)| {
        let mut words: Vec<String> = Vec::new();
        for word in all.iter().filter(|t| t.kind == kind).map(|t| describe_transform(*t)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        (!words.is_empty()).then(|| Row::ours(what, words))
    };
    KINDS.into_iter().filter_map(row).collect()
}

/// What the key exchange of a Child SA is called in a comparison.
pub(crate) const KEY_EXCHANGE: &str = "key exchange";

const KINDS: [(TransformType, &str); 5] = [
    (TransformType::ENCR, "cipher"),
    (TransformType::INTEG, "integrity"),
    (TransformType::PRF, "PRF"),
    (TransformType::KE, KEY_EXCHANGE),
    (TransformType::ESN, "sequence numbers"),
];

fn rows(ours: &Proposal, theirs: &Proposal, key_exchange: bool) -> Vec<Row> {
    let known = KINDS.into_iter().filter(|(kind, _)| key_exchange || *kind != TransformType::KE);
    let rows = known.filter_map(|(kind, what)| row(what, &of(ours, kind), &of(theirs, kind)));
    let is_other = |t: &&Transform| !KINDS.iter().any(|(kind, _)| *kind == t.kind);
    let others: Vec<Transform> = theirs.transforms.iter().filter(is_other).copied().collect();
    rows.chain(row("additional exchanges", &[], &others)).collect()
}

fn of(proposal: &Proposal, kind: TransformType) -> Vec<Transform> {
    proposal.transforms.iter().filter(|t| t.kind == kind).copied().collect()
}

fn row(what: &'static str, ours: &[Transform], theirs: &[Transform]) -> Option<Row> {
    if ours.is_empty() && theirs.is_empty() {
        return None;
    }
    let words = |list: &[Transform]| list.iter().map(|t| describe_transform(*t)).collect::<Vec<_>>();
    let mut row = Row::both(what, words(ours), words(theirs));
    // "No transform of this type" is the same as NONE (RFC 7296 §3.3.3).
    let has_none = |list: &[Transform]| list.is_empty() || list.iter().any(|t| t.id == NONE);
    let none_agrees = what != "sequence numbers" && has_none(ours) && has_none(theirs);
    let both = ours.iter().any(|t| theirs.contains(t) && !t.unknown_attribute);
    row.agrees = Some(both || none_agrees);
    Some(if row.agrees == Some(true) { row } else { explain(row, ours, theirs) })
}

fn explain(row: Row, ours: &[Transform], theirs: &[Transform]) -> Row {
    let other_length = |t: &Transform| ours.iter().any(|o| o.id == t.id && o.key_length != t.key_length);
    if row.what == KEY_EXCHANGE && theirs.is_empty() {
        return row.remark("the peer wants none: perfect forward secrecy is off there");
    }
    if row.what == KEY_EXCHANGE && ours.is_empty() {
        return row.remark("we want none: perfect forward secrecy is off here");
    }
    if theirs.iter().any(other_length) {
        return row.remark("the same algorithm with another key length");
    }
    if !theirs.is_empty() && !theirs.iter().copied().any(is_implemented) {
        return row.remark("the peer offers only what is not implemented here, most of it for weakness");
    }
    row
}
