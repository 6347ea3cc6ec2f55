//! `sekisho sas`: the SAs that stand.

use std::net::SocketAddr;

use super::Daemon;
use super::output::{Done, Output, bytes, time};
use crate::api::{Child, IkeSa, Peer, Request, Sas, Tunnel};

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    let data = daemon.ask(&Request::Sas)?;
    output.answer(data, show)
}

fn show(sas: &Sas) -> String {
    if sas.tunnels.is_empty() {
        return "No SA stands.".to_owned();
    }
    sas.tunnels.iter().map(tunnel).collect::<Vec<_>>().join("\n")
}

fn tunnel(tunnel: &Tunnel) -> String {
    let Tunnel { name, local_id, remote_id, .. } = tunnel;
    if tunnel.peers.is_empty() {
        let title = title(tunnel, remote_id, tunnel.local.zip(tunnel.remote));
        let sas = tunnel.ike.iter().map(ike).chain(tunnel.children.iter().map(child));
        return std::iter::once(title).chain(sas).collect();
    }
    let of_peer = |peer: &Peer| -> String {
        let title = title(tunnel, &peer.remote_id, Some((peer.local, peer.remote)));
        let sas = std::iter::once(ike(&peer.ike)).chain(peer.children.iter().map(child));
        std::iter::once(title).chain(sas).collect()
    };
    let mut shown: Vec<String> = tunnel.peers.iter().map(of_peer).collect();
    let further = tunnel.peers_up.saturating_sub(tunnel.peers.len());
    if further > 0 {
        shown.push(format!("{name}: {local_id} and {further} more of {remote_id}\n"));
    }
    shown.join("\n")
}

fn title(tunnel: &Tunnel, remote_id: &str, path: Option<(SocketAddr, SocketAddr)>) -> String {
    let path = path.map_or_else(String::new, |(local, remote)| format!(", {local} to {remote}"));
    format!("{}: {} and {remote_id}{path}\n", tunnel.name, tunnel.local_id)
}

fn ike(sa: &IkeSa) -> String {
    // The note about the peer's certificate is for `status`.
    let IkeSa {
        suite,
        spi_i,
        spi_r,
        initiator,
        peer_auth,
        peer_auth_note: _,
        peer_certificate: _,
        peer_certificate_expires: _,
        peer_revocation: _,
        peer_revocation_checked: _,
        peer_revocation_ends: _,
        age_s,
        rekey_in_s,
        nat_here,
        nat_there,
        esp_in_udp,
        esp_in_udp_configured,
        last_answer_s: _,
        unanswered_for_s: _,
    } = sa;
    let role = if *initiator { "initiator" } else { "responder" };
    let esp = if *esp_in_udp {
        in_udp(*esp_in_udp_configured, *nat_here, *nat_there)
    } else {
        "ESP without UDP".to_owned()
    };
    format!(
        "  IKE SA    {suite}, {role}, peer by {peer_auth}, SPIs {spi_i} {spi_r}, age {}, {}, {esp}\n",
        time(*age_s),
        rekey(*rekey_in_s)
    )
}

/// A peer that asks for encapsulation looks like one behind a NAT.
fn in_udp(configured: bool, nat_here: bool, nat_there: Option<bool>) -> String {
    let there = match nat_there {
        Some(true) => Some("as a NAT is before the peer"),
        Some(false) if configured || nat_here => None,
        Some(false) => Some("as the peer asks for it"),
        None => Some("as the peer asks for it or is behind a NAT"),
    };
    let here = [configured.then_some("as configured"), nat_here.then_some("as a NAT is before us")];
    let reasons: Vec<_> = here.into_iter().chain([there]).flatten().collect();
    format!("ESP in UDP {}", reasons.join(", and "))
}

fn rekey(in_s: Option<u64>) -> String {
    in_s.map_or_else(|| "being replaced".to_owned(), |s| format!("rekey in {}", time(s)))
}

fn child(sa: &Child) -> String {
    let sending = if sa.sending { "" } else { ", receiving only" };
    let pfs = if sa.pfs == "off" { ", no perfect forward secrecy" } else { "" };
    let padding = match sa.tfc_padding.as_str() {
        "on" => ", all packets of one length",
        "refused" => ", the peer refuses padding",
        _ => "",
    };
    let rekey = rekey(sa.rekey_in_s);
    format!(
        "  Child SA  {} ({}), SPIs in {} out {}, age {}, {rekey}, ends in {}{sending}{pfs}{padding}\n            {} <-> {}\n            {} packets ({}) in, {} packets ({}) out\n",
        sa.name,
        sa.suite,
        sa.spi_in,
        sa.spi_out,
        time(sa.age_s),
        time(sa.expires_in_s),
        sa.local.join(" "),
        sa.remote.join(" "),
        sa.packets_in,
        bytes(sa.bytes_in),
        sa.packets_out,
        bytes(sa.bytes_out),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Status;

    #[test]
    fn why_esp_is_in_udp_is_said() {
        assert_eq!(in_udp(true, false, Some(false)), "ESP in UDP as configured");
        assert_eq!(
            in_udp(true, false, None),
            "ESP in UDP as configured, and as the peer asks for it or is behind a NAT"
        );
        assert_eq!(in_udp(false, true, Some(false)), "ESP in UDP as a NAT is before us");
        assert_eq!(in_udp(false, false, Some(true)), "ESP in UDP as a NAT is before the peer");
        assert_eq!(in_udp(false, false, Some(false)), "ESP in UDP as the peer asks for it");
    }

    #[test]
    fn only_what_stands_is_shown() {
        let status: Status = serde_json::from_str(include_str!("../../tests/status.json")).unwrap();
        assert_eq!(show(&Sas::from(status)), include_str!("../../tests/sas.txt"));
    }
}
