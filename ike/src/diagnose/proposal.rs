//! No common suite: kind by kind of algorithm, what differs (RFC 7296 §2.7).

use super::diagnosis;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Row, Side};
use crate::negotiate::compare::{self, KEY_EXCHANGE, Nearest};
use crate::negotiate::proposal::{describe, describe_group, describe_ours, offer_esp, offer_ike};
use crate::pki::Utc;
use crate::suite::{Ciphers, EspProposal, EspSuite, Group, IkeProposal, IkeSuite};
use crate::wire::{ExchangeType, Proposal, ProtocolId};

pub(crate) fn no_ike_proposal_here(
    offer: &[Proposal],
    ours: &[IkeProposal],
    exchange: ExchangeType,
) -> Diagnosis {
    let nearest = compare::nearest(offer, &offer_ike(ours, &[]), ProtocolId::IKE, true);
    let summary = format!(
        "the peer's offer for the IKE SA has no suite that we accept{}",
        difference(nearest.as_ref())
    );
    let advice = format!(
        "Make one suite of the peer's IKE proposals (strongSwan: `proposals`) equal to one of `ike_proposals`{}",
        enough(nearest.as_ref())
    );
    diagnosis(DiagnosisKind::NoIkeProposal, Side::Here, summary, &advice)
        .about(describe(offer), describe_ours(ours))
        .compared(nearest.map(|nearest| nearest.rows).unwrap_or_default())
        .during(exchange)
}

/// The peer proved to be one whose connection allows less than what was chosen before it was known.
pub(crate) fn suite_not_for_connection(suite: IkeSuite, ours: &[IkeProposal]) -> Diagnosis {
    let ciphers = Ciphers::from(suite.protection);
    let chosen = IkeProposal { ciphers, prfs: vec![suite.prf], groups: vec![suite.group] };
    no_ike_proposal_here(&offer_ike(&[chosen], &[]), ours, ExchangeType::IKE_AUTH)
}

pub(crate) fn no_ike_proposal_there(ours: &[IkeProposal], exchange: ExchangeType) -> Diagnosis {
    let summary = "the peer accepts none of the suites that we offered for the IKE SA".to_owned();
    let advice = "Compare `ike_proposals` with the peer's IKE (phase 1) proposals (strongSwan: `proposals`): one suite must be equal in cipher with its key length, integrity, PRF and key exchange; the peer's log says what it has";
    diagnosis(DiagnosisKind::NoIkeProposal, Side::Peer, summary, advice)
        .about(describe_ours(ours), None)
        .compared(compare::offered(&offer_ike(ours, &[])))
        .during(exchange)
}

pub(crate) fn no_child_proposal_here(
    offer: &[Proposal],
    ours: &[EspProposal],
    exchange: ExchangeType,
) -> Diagnosis {
    let with_ke = exchange == ExchangeType::CREATE_CHILD_SA;
    let nearest = compare::nearest(offer, &offer_esp(ours, &[], with_ke), ProtocolId::ESP, with_ke);
    if let Some(nearest) = &nearest
        && nearest.differing().map(|row| row.what).eq([KEY_EXCHANGE])
    {
        return pfs_here(offer, ours, nearest.rows.clone());
    }
    let summary = format!(
        "the peer's offer for the Child SA has no suite that we accept{}",
        difference(nearest.as_ref())
    );
    let advice = format!(
        "Make one suite of the peer's ESP proposals (strongSwan: `esp_proposals`) equal to one of `esp_proposals`{}",
        enough(nearest.as_ref())
    );
    diagnosis(DiagnosisKind::NoChildProposal, Side::Here, summary, &advice)
        .about(describe(offer), describe_ours(ours))
        .compared(nearest.map(|nearest| nearest.rows).unwrap_or_default())
        .during(exchange)
}

fn pfs_here(offer: &[Proposal], ours: &[EspProposal], rows: Vec<Row>) -> Diagnosis {
    let (mine, theirs) =
        rows.iter().find(|row| row.what == KEY_EXCHANGE).map_or_else(Default::default, |row| {
            (words(&row.ours), words(row.theirs.as_deref().unwrap_or_default()))
        });
    let summary = format!(
        "only the key exchange of Child SA rekeys (perfect forward secrecy) differs: ours {mine}, the peer's {theirs}"
    );
    diagnosis(DiagnosisKind::PfsMismatch, Side::Here, summary, PFS_ADVICE)
        .about(describe(offer), describe_ours(ours))
        .compared(rows)
        .during(ExchangeType::CREATE_CHILD_SA)
}

const PFS_ADVICE: &str = "Perfect forward secrecy must be on at both ends, with one key exchange in common, or at neither: put the peer's key exchange into `esp_proposals` (behind it `nopfs` lets the peer decline), or add one of ours to the peer's ESP proposals (strongSwan: `esp_proposals`)";

/// A Child SA that stands and that the peer refuses to replace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) suite: EspSuite,
    /// When it ends, seconds since 1970 UTC.
    pub(crate) until: u64,
}

/// `standing` is what our request was to replace, if it was a rekey: what the peer accepted for that it accepts still, so
/// only what was new in the request can be what it refuses.
pub(crate) fn no_child_proposal_there(
    ours: &[EspProposal],
    exchange: ExchangeType,
    standing: Option<Standing>,
) -> Diagnosis {
    let groups = ours.iter().any(|proposal| !proposal.groups.is_empty());
    match standing {
        Some(standing) if groups && standing.suite.group.is_none() => pfs_there(ours, standing),
        _ => child_refused_there(ours, exchange),
    }
}

fn child_refused_there(ours: &[EspProposal], exchange: ExchangeType) -> Diagnosis {
    let summary = "the peer accepts none of the suites that we offered for the Child SA".to_owned();
    let advice = "Compare `esp_proposals` with the peer's ESP (phase 2) proposals (strongSwan: `esp_proposals`): cipher with its key length, integrity, `esn` or `noesn`, and in a rekey the key exchange (perfect forward secrecy); the peer's log says what it has";
    let offer = offer_esp(ours, &[], exchange == ExchangeType::CREATE_CHILD_SA);
    diagnosis(DiagnosisKind::NoChildProposal, Side::Peer, summary, advice)
        .about(describe_ours(ours), None)
        .compared(compare::offered(&offer))
        .during(exchange)
}

fn pfs_there(ours: &[EspProposal], standing: Standing) -> Diagnosis {
    let mut groups: Vec<String> = Vec::new();
    for group in ours.iter().flat_map(|proposal| &proposal.groups).map(ToString::to_string) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let summary = format!(
        "the peer refuses the key exchange of Child SA rekeys (perfect forward secrecy): we offered {}; traffic passes until {}, when the tunnel must be set up anew",
        words(&groups),
        Utc(standing.until)
    );
    let EspSuite { protection, esn, group: _ } = standing.suite;
    let accepted = EspProposal {
        ciphers: Ciphers::from(protection),
        groups: Vec::new(),
        pfs_may_be_declined: false,
        esn: vec![esn],
    };
    let accepted = offer_esp(&[accepted], &[], false);
    let nearest = compare::nearest(&accepted, &offer_esp(ours, &[], false), ProtocolId::ESP, false);
    let mut rows = nearest.map(|nearest| nearest.rows).unwrap_or_default();
    let refused = Row { agrees: Some(false), ..Row::ours(KEY_EXCHANGE, groups) };
    rows.push(refused.remark("all else was accepted when this Child SA was set up"));
    diagnosis(DiagnosisKind::PfsMismatch, Side::Peer, summary, PFS_ADVICE)
        .about(describe_ours(ours), None)
        .compared(rows)
        .during(ExchangeType::CREATE_CHILD_SA)
}

/// What a proposal is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Negotiated {
    IkeSa,
    ChildSa,
}

/// `INVALID_KE_PAYLOAD` (RFC 7296 §1.3) with a group that we cannot give.
pub(crate) fn key_exchange_group(
    wanted: u16,
    ours: &[Group],
    (what, exchange): (Negotiated, ExchangeType),
) -> Diagnosis {
    let mut words: Vec<String> = Vec::new();
    for group in ours.iter().map(ToString::to_string) {
        if !words.contains(&group) {
            words.push(group);
        }
    }
    let (theirs, offered) = (describe_group(wanted), words.join(", "));
    let summary = format!(
        "the peer insists on key exchange {theirs} (group {wanted}), which is not one that we can use now"
    );
    let (setting, strongswan) = match what {
        Negotiated::ChildSa => ("esp_proposals", "esp_proposals"),
        Negotiated::IkeSa => ("ike_proposals", "proposals"),
    };
    let advice = if Group::from_number(wanted).is_some() {
        format!("Add {theirs} to `{setting}`, or one of ours to the peer's (strongSwan: `{strongswan}`)")
    } else {
        format!(
            "{theirs} is not implemented here: set the peer to one of {offered} (strongSwan: `{strongswan}`)"
        )
    };
    diagnosis(DiagnosisKind::KeyExchangeGroup, Side::Peer, summary, &advice)
        .about(offered, theirs.clone())
        .compared(vec![Row::both(KEY_EXCHANGE, words, vec![theirs])])
        .during(exchange)
}

pub(crate) fn too_many_restarts() -> Diagnosis {
    let summary = "the peer asked again and again for another cookie or group".to_owned();
    let advice = "It is under load or its configuration contradicts itself; look into the peer's log";
    diagnosis(DiagnosisKind::KeyExchangeGroup, Side::Peer, summary, advice).during(ExchangeType::IKE_SA_INIT)
}

/// What the summary says of the nearest pair.
fn difference(nearest: Option<&Nearest>) -> String {
    let Some(nearest) = nearest else { return ": it has none of this protocol".to_owned() };
    let differing: Vec<&Row> = nearest.differing().collect();
    match differing.as_slice() {
        [] => String::new(),
        [row] => {
            let theirs = words(row.theirs.as_deref().unwrap_or_default());
            format!(": only the {} differs, ours {}, the peer's {theirs}", row.what, words(&row.ours))
        }
        [all @ .., last] => {
            let all: Vec<_> = all.iter().map(|row| row.what).collect();
            let (ours, theirs) = nearest.numbers;
            format!(
                ": even our proposal {ours} and its proposal {theirs}, the nearest, differ in {} and {}",
                all.join(", "),
                last.what
            )
        }
    }
}

/// What the advice adds.
fn enough(nearest: Option<&Nearest>) -> String {
    let mut differing = nearest.into_iter().flat_map(Nearest::differing);
    match (differing.next(), differing.next()) {
        (Some(row), None) => format!("; it is enough to agree on the {}", row.what),
        _ => String::new(),
    }
}

fn words(list: &[String]) -> String {
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}
