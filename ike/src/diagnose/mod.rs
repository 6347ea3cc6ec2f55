//! The diagnoses, one function each and one file a concern, so that their words can be read together.

mod addresses;
pub(crate) mod certificate;
mod identity;
mod near;
mod proposal;
mod reach;
mod selector;

use crate::config::Connection;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Side};
use crate::identity::Identity;
use crate::wire::{ExchangeType, NotifyType};

pub(crate) use addresses::{
    address_not_asked, address_refused_there, address_unusable, no_address, no_pool, pool_exhausted,
    started_by_peer,
};
pub(crate) use certificate::no_signature;
pub(crate) use identity::{Pair, auth_refused_there, deleted_at_once, no_auth, proof, unknown_identity};
pub(crate) use near::Form;
pub(crate) use proposal::{
    Negotiated, Standing, key_exchange_group, no_child_proposal_here, no_child_proposal_there,
    no_ike_proposal_here, no_ike_proposal_there, suite_not_for_connection, too_many_restarts,
};
pub(crate) use reach::{Silence, never_came_back, peer_dead, request_incomplete, silence, unreachable};
pub(crate) use selector::{network_taken, selectors_here, selectors_there, selectors_widened, single_pair};

#[expect(clippy::needless_pass_by_value, reason = "a summary is made for this alone")]
fn diagnosis(kind: DiagnosisKind, refused_by: Side, summary: String, advice: &str) -> Diagnosis {
    Diagnosis::new(kind, refused_by, &summary, advice)
}

pub(crate) fn admin_down(connection: &Connection) -> Diagnosis {
    let summary =
        format!("the peer asked for tunnel `{}`, which an operator took down here", connection.name);
    diagnosis(DiagnosisKind::AdminDown, Side::Here, summary, "Allow it again with `sekisho up`")
}

pub(crate) fn put_off_there() -> Diagnosis {
    let summary = "the peer refuses the tunnel for the time being, and says nothing against our identity and our proof of it: most often an operator took the tunnel down there".to_owned();
    let advice = "Ask whoever runs the peer whether the tunnel is switched off there; with Sekisho, `sekisho up` there allows it again";
    diagnosis(DiagnosisKind::PutOff, Side::Peer, summary, advice).during(ExchangeType::IKE_AUTH)
}

pub(crate) fn not_unique(peer: &Identity) -> Diagnosis {
    let summary = format!("`{peer}` has a tunnel already, and set up another");
    let advice = "Give each device an identity of its own; if it lost its tunnel, its next attempt succeeds once the old one is found dead";
    diagnosis(DiagnosisKind::NotUnique, Side::Here, summary, advice)
}

pub(crate) fn childless_here() -> Diagnosis {
    let summary =
        "the peer wants an IKE SA without a Child SA, which is not allowed for this tunnel".to_owned();
    let advice = "Set the peer to set up a Child SA at once, or allow childless IKE SAs here";
    diagnosis(DiagnosisKind::ChildRefused, Side::Here, summary, advice)
}

pub(crate) fn no_childless_there() -> Diagnosis {
    let summary = "no Child SA is ours to set up, and the peer sets up no IKE SA without one".to_owned();
    let advice =
        "Let one child start always or on demand, or switch childless IKE SAs (RFC 6023) on at the peer";
    diagnosis(DiagnosisKind::ChildRefused, Side::Nobody, summary, advice)
}

pub(crate) fn peer_error(exchange: ExchangeType, kind: NotifyType) -> Diagnosis {
    error(format!("the peer answered {exchange} with {kind}"), kind).during(exchange)
}

/// The peer refuses us after the fact (RFC 7296 §2.21.2).
pub(crate) fn refused_afterwards(kind: NotifyType) -> Diagnosis {
    error(format!("the peer answered our last message with {kind}"), kind)
}

fn error(summary: String, kind: NotifyType) -> Diagnosis {
    let advice = match kind {
        NotifyType::INVALID_SYNTAX => {
            "The peer cannot read what we sent, or misses something in it: its log says what; please report it with `sekisho events`"
        }
        NotifyType::NO_ADDITIONAL_SAS => {
            "The peer takes no further Child SAs: look for a limit in its configuration"
        }
        NotifyType::INTERNAL_ADDRESS_FAILURE | NotifyType::FAILED_CP_REQUIRED => {
            "The peer wants to give out an address (remote-access mode): ask for it with `internal_address`, or configure the peer as a site-to-site tunnel"
        }
        NotifyType::TEMPORARY_FAILURE => "The peer was busy with another exchange; it is tried again",
        _ => "Look into the peer's log for the same moment",
    };
    diagnosis(DiagnosisKind::PeerError, Side::Peer, summary, advice)
}

pub(crate) fn malformed(exchange: ExchangeType, what: &str) -> Diagnosis {
    let summary = format!("what the peer sent in {exchange} breaks the protocol: {what}");
    let advice = "This is a fault of the peer's software, or something on the way changes packets; please report it with `sekisho events`";
    diagnosis(DiagnosisKind::Malformed, Side::Here, summary, advice).during(exchange)
}

pub(crate) fn bad_answer(exchange: ExchangeType) -> Diagnosis {
    malformed(exchange, "the answer chose what was not offered")
}

pub(crate) fn reflected(exchange: ExchangeType) -> Diagnosis {
    malformed(exchange, "the answer carries our own SPI or nonce")
}

pub(crate) fn no_nat_traversal() -> Diagnosis {
    let summary = "the peer does not do NAT traversal, and we need UDP encapsulation".to_owned();
    let advice = "Switch NAT traversal (RFC 3948) on at the peer, or set `encapsulation = \"auto\"` here";
    diagnosis(DiagnosisKind::PeerError, Side::Here, summary, advice)
}

pub(crate) fn deleted_by_peer() -> Diagnosis {
    let summary = "the peer deleted the tunnel".to_owned();
    diagnosis(DiagnosisKind::DeletedByPeer, Side::Peer, summary, "Look into the peer's log for the reason")
}

pub(crate) fn out_of_step(exchange: ExchangeType) -> Diagnosis {
    let summary = format!("the peer put {exchange} off again and again");
    let advice = "Both ends disagree on what exists; the tunnel is set up anew";
    diagnosis(DiagnosisKind::PeerError, Side::Peer, summary, advice)
}

pub(crate) fn expired() -> Diagnosis {
    let summary = "the SA reached the end of its life and could not be replaced".to_owned();
    let advice = "See the earlier failures of its rekey in `sekisho events`";
    diagnosis(DiagnosisKind::ChildRefused, Side::Here, summary, advice)
}

pub(crate) fn local(what: &str) -> Diagnosis {
    let advice = "This machine could not do its part; see the log";
    diagnosis(DiagnosisKind::Local, Side::Here, what.to_owned(), advice)
}
