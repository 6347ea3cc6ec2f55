//! What can be wrong with an address inside the tunnel (RFC 7296 §2.19).

use std::net::IpAddr;

use super::diagnosis;
use crate::config::Name;
use crate::diagnosis::{Diagnosis, DiagnosisKind, Side};
use crate::identity::Identity;
use crate::wire::NotifyType;

pub(crate) fn pool_exhausted(peer: &Identity, pools: String) -> Diagnosis {
    let summary = format!("there is no address left for `{peer}`");
    let advice =
        "Add addresses to the pool, or end tunnels that are not needed; the peer asks again by itself";
    diagnosis(DiagnosisKind::PoolExhausted, Side::Here, summary, advice).about(None, pools)
}

pub(crate) fn no_pool(peer: &Identity, tunnel: &Name) -> Diagnosis {
    let summary =
        format!("`{peer}` asks for an address, and tunnel `{tunnel}` has no pool to give it one from");
    let advice = "Name a `pool` for this tunnel, or have the peer ask for no address (strongSwan: no `vips`) and name its own networks";
    diagnosis(DiagnosisKind::NoPool, Side::Here, summary, advice)
}

pub(crate) fn address_not_asked(tunnel: &Name) -> Diagnosis {
    let summary = format!("the peer of tunnel `{tunnel}` is to be given an address, and asks for none");
    let advice = "Have the peer ask for one (a virtual address, by configuration payload), or take `pool` out of this tunnel and name the peer's networks in `remote_networks`";
    diagnosis(DiagnosisKind::AddressNotAsked, Side::Here, summary, advice)
}

pub(crate) fn started_by_peer(tunnel: &Name) -> Diagnosis {
    let summary = format!("the peer wants to start tunnel `{tunnel}`, for which we need an address");
    let advice = "Who asks for an address starts the tunnel: have the peer only answer";
    diagnosis(DiagnosisKind::AddressRefused, Side::Here, summary, advice)
}

pub(crate) fn address_refused_there(kind: NotifyType) -> Diagnosis {
    let summary = format!("the peer gave us no address: it answered with {kind}");
    let advice = "The peer has no pool of addresses for us, or none is left in it of what `internal_address` asks for: have that mended there, or take `internal_address` out and name our networks in `local_networks`; it is tried again by itself";
    diagnosis(DiagnosisKind::AddressRefused, Side::Peer, summary, advice)
}

pub(crate) fn no_address() -> Diagnosis {
    let summary = "the peer gave us no address, though we asked for one".to_owned();
    let advice = "Configure a pool of addresses for us at the peer, or take `internal_address` out and name our networks in `local_networks`";
    diagnosis(DiagnosisKind::AddressRefused, Side::Peer, summary, advice)
}

pub(crate) fn address_unusable(address: IpAddr, why: &str) -> Diagnosis {
    let summary = format!("the peer gave us the address {address}, which {why}");
    let advice = "Correct the pool of addresses at the peer; if the peer is not yours, it may be trying to catch traffic that is not its own";
    diagnosis(DiagnosisKind::AddressRefused, Side::Here, summary, advice)
}
