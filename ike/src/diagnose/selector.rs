//! No common traffic selectors: side by side, what does not fit (RFC 7296 §2.9).

use super::diagnosis;
use crate::config::Name;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::identity::Identity;
use crate::negotiate::TrafficSelector;
use crate::negotiate::narrow;
use crate::negotiate::overlap::{compare, is_interchanged};
use crate::wire::ExchangeType;

const LOCAL: &str = "local networks";
const REMOTE: &str = "remote networks";
const ADVICE: &str = "`local_networks` here must overlap the peer's remote networks (strongSwan: `remote_ts`), and `remote_networks` its local ones (`local_ts`)";

/// What may pass of our side and of the peer's.
pub(crate) type Sides<'a> = (&'a [TrafficSelector], &'a [TrafficSelector]);

/// `offered` is what the peer asks for, `children` what we would let pass.
pub(crate) fn selectors_here(
    offered: Sides<'_>,
    children: &[Sides<'_>],
    exchange: ExchangeType,
) -> Diagnosis {
    let both = |child: Sides<'_>| [compare(LOCAL, child.0, offered.0), compare(REMOTE, child.1, offered.1)];
    let fits = |rows: &[Row; 2]| rows.iter().filter(|row| row.agrees == Some(true)).count();
    // The one that comes nearest; of several, the first.
    let nearest =
        children.iter().map(|child| (*child, both(*child))).rev().max_by_key(|(_, rows)| fits(rows));
    let local: Vec<_> = children.iter().flat_map(|(local, _)| local.to_vec()).collect();
    let remote: Vec<_> = children.iter().flat_map(|(_, remote)| remote.to_vec()).collect();
    let (summary, advice, rows) = match nearest {
        Some((child, rows)) if is_interchanged(child, offered) => (
            "the peer has the local and the remote networks interchanged: it asks for what lies behind it as ours, and the other way round".to_owned(),
            "Interchange the two lists at the peer (strongSwan: `local_ts` and `remote_ts`), or `local_networks` and `remote_networks` here",
            Vec::from(rows),
        ),
        Some((_, rows)) => (apart(&rows), ADVICE, Vec::from(rows)),
        None => ("the peer asks for networks, and no child is configured for them".to_owned(), ADVICE, Vec::new()),
    };
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice)
        .about(pair(offered.0, offered.1), pair(&local, &remote))
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

pub(crate) fn selectors_there(child: &Name, ours: Sides<'_>, exchange: ExchangeType) -> Diagnosis {
    let summary = format!("the peer accepts none of the traffic selectors of child `{child}`");
    let words = |list: &[TrafficSelector]| list.iter().map(ToString::to_string).collect();
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Peer, summary, ADVICE)
        .about(pair(ours.0, ours.1), None)
        .compared(vec![Row::ours(LOCAL, words(ours.0)), Row::ours(REMOTE, words(ours.1))])
        .during(exchange)
}

/// `SINGLE_PAIR_REQUIRED`: the peer "is only willing to accept Traffic Selectors specifying a single pair of addresses" (RFC 7296 §3.10.1).
pub(crate) fn single_pair(child: &Name, ours: Sides<'_>, exchange: ExchangeType) -> Diagnosis {
    let summary = format!(
        "the peer takes one pair of addresses at a time (SINGLE_PAIR_REQUIRED), and child `{child}` asks for more"
    );
    let advice = "Make a child of each pair of hosts (`[[tunnel.NAME.child]]`), with one address in `local_networks` and one in `remote_networks`, as `10.17.0.5`; or have the peer take whole networks";
    diagnosis(DiagnosisKind::PeerError, Side::Peer, summary, advice)
        .about(pair(ours.0, ours.1), None)
        .during(exchange)
}

pub(crate) fn selectors_widened(ours: Sides<'_>, answer: Sides<'_>, exchange: ExchangeType) -> Diagnosis {
    let summary = "the peer answered with traffic selectors that we had not offered".to_owned();
    let advice = "This is a fault of the peer's software; compare the networks at both ends";
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice)
        .about(pair(answer.0, answer.1), pair(ours.0, ours.1))
        .compared(vec![compare(LOCAL, ours.0, answer.0), compare(REMOTE, ours.1, answer.1)])
        .during(exchange)
}

/// `holder` has some of these networks.
pub(crate) fn network_taken(peer: &Identity, holder: &Identity, remote: &[TrafficSelector]) -> Diagnosis {
    let summary = format!("`{peer}` asks for networks that the tunnel of `{holder}` carries");
    let advice = "Give each peer networks of its own; if this one takes the place of that one, end the other's tunnel, or wait until it is found dead";
    diagnosis(DiagnosisKind::NetworkTaken, Side::Here, summary, advice).about(narrow::describe(remote), None)
}

fn pair(local: &[TrafficSelector], remote: &[TrafficSelector]) -> String {
    format!("ours {} <-> theirs {}", narrow::describe(local), narrow::describe(remote))
}
