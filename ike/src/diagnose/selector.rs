//! No common traffic selectors: side by side, what does not fit (RFC 7296 §2.9).

use super::diagnosis;
use crate::config::Child;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::negotiate::TrafficSelector;
use crate::negotiate::narrow;
use crate::negotiate::overlap::{compare, is_interchanged};

const LOCAL: &str = "local networks";
const REMOTE: &str = "remote networks";
const ADVICE: &str = "`local_networks` here must overlap the peer's remote networks (strongSwan: `remote_ts`), and `remote_networks` its local ones (`local_ts`)";

/// `offered` is what the peer asks for of our side and of its own.
pub(crate) fn selectors_here(
    offered: (&[TrafficSelector], &[TrafficSelector]),
    children: &[&Child],
    exchange: &str,
) -> Diagnosis {
    let both =
        |child: &Child| [compare(LOCAL, &child.local, offered.0), compare(REMOTE, &child.remote, offered.1)];
    let fits = |rows: &[Row; 2]| rows.iter().filter(|row| row.agrees == Some(true)).count();
    // The one that comes nearest; of several, the first.
    let nearest = children.iter().map(|child| (child, both(child))).rev().max_by_key(|(_, rows)| fits(rows));
    let all = |of: fn(&Child) -> &Vec<TrafficSelector>| -> Vec<TrafficSelector> {
        children.iter().flat_map(|child| of(child).clone()).collect()
    };
    let ours = (all(|child| &child.local), all(|child| &child.remote));
    let (summary, advice, rows) = match nearest {
        Some((child, rows)) if is_interchanged((&child.local, &child.remote), offered) => (
            "the peer has the local and the remote networks interchanged: it asks for what lies behind it as ours, and the other way round".to_owned(),
            "Interchange the two lists at the peer (strongSwan: `local_ts` and `remote_ts`), or `local_networks` and `remote_networks` here",
            Vec::from(rows),
        ),
        Some((_, rows)) => (apart(&rows), ADVICE, Vec::from(rows)),
        None => ("the peer asks for networks, and no child is configured for them".to_owned(), ADVICE, Vec::new()),
    };
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice)
        .about(pair(offered.0, offered.1), pair(&ours.0, &ours.1))
        .compared(rows)
        .during(exchange)
}

fn apart(rows: &[Row; 2]) -> String {
    let apart: Vec<_> = rows.iter().filter(|row| row.agrees == Some(false)).collect();
    let what = match apart.as_slice() {
        [row] => format!(
            "the peer's traffic selectors and ours agree on one side; the {} have nothing in common",
            row.what
        ),
        _ => "the peer's traffic selectors have nothing in common with ours".to_owned(),
    };
    let why: Vec<_> = apart.iter().filter_map(|row| row.remarks.first()).map(String::as_str).collect();
    if why.is_empty() { what } else { format!("{what}: {}", why.join("; ")) }
}

pub(crate) fn selectors_there(child: &Child, exchange: &str) -> Diagnosis {
    let summary = format!("the peer accepts none of the traffic selectors of child `{}`", child.name);
    let words = |list: &[TrafficSelector]| list.iter().map(ToString::to_string).collect();
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Peer, summary, ADVICE)
        .about(pair(&child.local, &child.remote), None)
        .compared(vec![Row::ours(LOCAL, words(&child.local)), Row::ours(REMOTE, words(&child.remote))])
        .during(exchange)
}

pub(crate) fn selectors_widened(
    child: &Child,
    answer: (&[TrafficSelector], &[TrafficSelector]),
    exchange: &str,
) -> Diagnosis {
    let summary = "the peer answered with traffic selectors that we had not offered".to_owned();
    let advice = "This is a fault of the peer's software; compare the networks at both ends";
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice)
        .about(pair(answer.0, answer.1), pair(&child.local, &child.remote))
        .compared(vec![compare(LOCAL, &child.local, answer.0), compare(REMOTE, &child.remote, answer.1)])
        .during(exchange)
}

fn pair(local: &[TrafficSelector], remote: &[TrafficSelector]) -> String {
    format!("ours {} <-> theirs {}", narrow::describe(local), narrow::describe(remote))
}
