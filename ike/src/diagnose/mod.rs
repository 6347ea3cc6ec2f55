//! The diagnoses, one function each, so that their words can be read together.

mod addresses;
mod certificate;

use std::net::SocketAddr;

use crate::config::Connection;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Side};
use crate::identity::{Identity, ProofError, RemoteId};
use crate::negotiate::TrafficSelector;
use crate::negotiate::narrow;
use crate::negotiate::proposal::describe_ours;
use crate::path::Path;
use crate::suite::{EspProposal, IkeProposal};
use crate::wire::{AuthMethod, IdData, NotifyType};

pub(crate) use addresses::{
    address_not_asked, address_refused_there, address_unusable, no_address, pool_exhausted, started_by_peer,
};
pub(crate) use certificate::no_signature;

fn diagnosis(kind: DiagnosisKind, refused_by: Side, summary: String, advice: &str) -> Diagnosis {
    Diagnosis { kind, refused_by, summary, offered: None, acceptable: None, advice: advice.to_owned() }
}

impl Diagnosis {
    fn about(mut self, offered: impl Into<Option<String>>, acceptable: impl Into<Option<String>>) -> Self {
        self.offered = offered.into();
        self.acceptable = acceptable.into();
        self
    }
}

pub(crate) fn no_answer(remote: SocketAddr, exchange: &str, seconds: u64) -> Diagnosis {
    let advice = if exchange == "IKE_SA_INIT" {
        "Check the address in `remote`, that the peer's IKE daemon runs, and that UDP ports 500 and 4500 pass every firewall on the way"
    } else {
        "The peer answered IKE_SA_INIT but not this: check that UDP port 4500 passes every firewall on the way, and the peer's log"
    };
    let summary = format!("{remote} did not answer {exchange} within {seconds} s");
    diagnosis(DiagnosisKind::NoAnswer, Side::Nobody, summary, advice)
}

pub(crate) fn unreachable(hosts: &str, reason: &str) -> Diagnosis {
    let advice = "Check the name in `remote`, the name servers, and that there is a route to the peer";
    diagnosis(
        DiagnosisKind::Unreachable,
        Side::Nobody,
        format!("{hosts} cannot be reached: {reason}"),
        advice,
    )
}

pub(crate) fn no_ike_proposal_here(offered: String, ours: &[IkeProposal]) -> Diagnosis {
    let summary = "the peer's offer for the IKE SA has no suite that we accept".to_owned();
    let advice = "Make one suite of the peer's IKE proposals equal to one of `ike_proposals`";
    diagnosis(DiagnosisKind::NoIkeProposal, Side::Here, summary, advice).about(offered, describe_ours(ours))
}

pub(crate) fn no_ike_proposal_there(ours: &[IkeProposal]) -> Diagnosis {
    let summary = "the peer accepts none of the suites that we offered for the IKE SA".to_owned();
    let advice = "Compare `ike_proposals` with the peer's IKE (phase 1) proposals: one suite must be equal in cipher, PRF and group";
    diagnosis(DiagnosisKind::NoIkeProposal, Side::Peer, summary, advice).about(describe_ours(ours), None)
}

pub(crate) fn no_child_proposal_here(offered: String, ours: &[EspProposal]) -> Diagnosis {
    let summary = "the peer's offer for the Child SA has no suite that we accept".to_owned();
    let advice = "Make one suite of the peer's ESP proposals equal to one of `esp_proposals`; in a rekey the groups count too (perfect forward secrecy must be on at both ends or at neither)";
    diagnosis(DiagnosisKind::NoChildProposal, Side::Here, summary, advice).about(offered, describe_ours(ours))
}

pub(crate) fn no_child_proposal_there(ours: &[EspProposal]) -> Diagnosis {
    let summary = "the peer accepts none of the suites that we offered for the Child SA".to_owned();
    let advice = "Compare `esp_proposals` with the peer's ESP (phase 2) proposals: cipher, `esn` or `noesn`, and in a rekey the group (perfect forward secrecy)";
    diagnosis(DiagnosisKind::NoChildProposal, Side::Peer, summary, advice).about(describe_ours(ours), None)
}

pub(crate) fn key_exchange_group(wanted: u16, ours: &[String]) -> Diagnosis {
    let summary = format!("the peer insists on key exchange group {wanted}, which we did not offer");
    let advice = "Name a group in the proposals that both ends have";
    diagnosis(DiagnosisKind::KeyExchangeGroup, Side::Peer, summary, advice).about(ours.join(", "), None)
}

pub(crate) fn too_many_restarts() -> Diagnosis {
    let summary = "the peer asked again and again for another cookie or group".to_owned();
    let advice = "It is under load or its configuration contradicts itself; look into the peer's log";
    diagnosis(DiagnosisKind::KeyExchangeGroup, Side::Peer, summary, advice)
}

/// Why the proof of a peer that says it has this identity is not accepted.
pub(crate) fn proof(error: &ProofError, id: &IdData, configured: &RemoteId) -> Diagnosis {
    match error {
        ProofError::Value | ProofError::Nobody => wrong_proof(configured),
        ProofError::Method(method) => other_auth_method(configured, *method),
        ProofError::Identity => wrong_identity(&Identity::describe(id), configured),
        ProofError::Certificates(error) => certificate::offered(error),
        ProofError::NoCertificate => certificate::missing(configured),
        ProofError::Path(error) => certificate::path(error),
        ProofError::Binding(error) => certificate::binding(error),
        ProofError::Signature(error) => certificate::signature(error),
        ProofError::Revocation(error) => certificate::revocation(error),
        ProofError::Ours(error) => no_signature(error),
    }
}

fn wrong_proof(peer: &RemoteId) -> Diagnosis {
    let summary = format!("`{peer}` sent a wrong proof of its identity");
    let advice = "The pre-shared keys differ: compare `psk_file` with the peer's secret (blanks, newline and `0s`/`0x` prefixes count)";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice)
}

fn other_auth_method(peer: &RemoteId, method: AuthMethod) -> Diagnosis {
    let summary = format!("`{peer}` wants to prove its identity by method {method}");
    let advice = "Set the peer to pre-shared key authentication";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice)
        .about(method.to_string(), AuthMethod::SHARED_KEY_MIC.to_string())
}

pub(crate) fn no_auth(peer: &RemoteId) -> Diagnosis {
    let summary = format!("`{peer}` wants EAP");
    let advice = "Set the peer to pre-shared key authentication";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Here, summary, advice)
}

pub(crate) fn auth_refused_there(connection: &Connection) -> Diagnosis {
    let (local, remote) = (&connection.local_id, &connection.remote_id);
    let summary = format!("the peer does not accept that we are `{local}`, or knows no `{remote}`");
    let advice = "Compare the pre-shared key at both ends, and that the peer is configured for exactly these two identities; or an operator took the tunnel down there";
    diagnosis(DiagnosisKind::AuthenticationFailed, Side::Peer, summary, advice)
        .about(format!("local_id {local}, remote_id {remote}"), None)
}

pub(crate) fn unknown_identity(theirs: &str, ours: Option<&str>, configured: &[String]) -> Diagnosis {
    let asked = ours.map_or_else(String::new, |id| format!(" asking for `{id}`"));
    let summary = format!("a peer that calls itself `{theirs}`{asked} is not configured");
    let advice = "Set `remote_id` (and `local_id`) of a tunnel to these, or correct the peer's identities";
    diagnosis(DiagnosisKind::UnknownIdentity, Side::Here, summary, advice)
        .about(theirs.to_owned(), (!configured.is_empty()).then(|| configured.join(", ")))
}

fn wrong_identity(theirs: &str, configured: &RemoteId) -> Diagnosis {
    let summary = format!("the peer calls itself `{theirs}`");
    let advice = "Set `remote_id` to this, or correct the peer's identity";
    diagnosis(DiagnosisKind::WrongIdentity, Side::Here, summary, advice)
        .about(theirs.to_owned(), configured.to_string())
}

pub(crate) fn admin_down(connection: &Connection) -> Diagnosis {
    let summary =
        format!("the peer asked for tunnel `{}`, which an operator took down here", connection.name);
    diagnosis(DiagnosisKind::AdminDown, Side::Here, summary, "Allow it again with `sekisho up`")
}

pub(crate) fn suite_not_for_connection(suite: &str, ours: &[IkeProposal]) -> Diagnosis {
    no_ike_proposal_here(suite.to_owned(), ours)
}

pub(crate) fn selectors_here(
    offered: (&[TrafficSelector], &[TrafficSelector]),
    ours: (&[TrafficSelector], &[TrafficSelector]),
) -> Diagnosis {
    let pair =
        |(local, remote)| format!("ours {} <-> theirs {}", narrow::describe(local), narrow::describe(remote));
    let summary = "the peer's traffic selectors have nothing in common with ours".to_owned();
    let advice =
        "`local_networks` here must overlap the peer's remote networks, and `remote_networks` its local ones";
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice).about(pair(offered), pair(ours))
}

pub(crate) fn selectors_there(local: &[TrafficSelector], remote: &[TrafficSelector]) -> Diagnosis {
    let offered = format!("ours {} <-> theirs {}", narrow::describe(local), narrow::describe(remote));
    let summary = "the peer accepts none of our traffic selectors".to_owned();
    let advice =
        "`local_networks` here must overlap the peer's remote networks, and `remote_networks` its local ones";
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Peer, summary, advice).about(offered, None)
}

pub(crate) fn selectors_widened(local: &[TrafficSelector], remote: &[TrafficSelector]) -> Diagnosis {
    let answer = format!("ours {} <-> theirs {}", narrow::describe(local), narrow::describe(remote));
    let summary = "the peer answered with traffic selectors that we had not offered".to_owned();
    let advice = "This is a fault of the peer's software; compare the networks at both ends";
    diagnosis(DiagnosisKind::TrafficSelectors, Side::Here, summary, advice).about(answer, None)
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

pub(crate) fn peer_error(exchange: &str, kind: NotifyType) -> Diagnosis {
    let summary = format!("the peer answered {exchange} with {kind}");
    let advice = match kind {
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

pub(crate) fn malformed(exchange: &str, what: &str) -> Diagnosis {
    let summary = format!("what the peer sent in {exchange} breaks the protocol: {what}");
    let advice = "This is a fault of the peer's software, or something on the way changes packets; please report it with `sekisho events`";
    diagnosis(DiagnosisKind::Malformed, Side::Here, summary, advice)
}

pub(crate) fn bad_answer(exchange: &str) -> Diagnosis {
    malformed(exchange, "the answer chose what was not offered")
}

pub(crate) fn reflected(exchange: &str) -> Diagnosis {
    malformed(exchange, "the answer carries our own SPI or nonce")
}

pub(crate) fn no_nat_traversal() -> Diagnosis {
    let summary = "the peer does not do NAT traversal, and we need UDP encapsulation".to_owned();
    let advice = "Switch NAT traversal (RFC 3948) on at the peer";
    diagnosis(DiagnosisKind::PeerError, Side::Here, summary, advice)
}

pub(crate) fn peer_dead(path: Path, seconds: u64) -> Diagnosis {
    let summary = format!("{} has not answered for {seconds} s", path.remote);
    let advice = "The peer or the line to it is down; it is tried again by itself";
    diagnosis(DiagnosisKind::PeerDead, Side::Nobody, summary, advice)
}

pub(crate) fn deleted_by_peer() -> Diagnosis {
    let summary = "the peer deleted the tunnel".to_owned();
    diagnosis(DiagnosisKind::DeletedByPeer, Side::Peer, summary, "Look into the peer's log for the reason")
}

pub(crate) fn out_of_step(exchange: &str) -> Diagnosis {
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
