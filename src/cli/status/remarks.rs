//! What stands below a tunnel's line: why it is down, what comes next, and what else deserves a look.

use super::super::awaited::awaited;
use super::super::blocked::{blocked_local, cut_off};
use super::super::output::{Colour, bytes, details, moment, not_yet, time};
use super::super::silence::{Silence, silences};
use crate::api::{
    Child, ChildState, ConfiguredChild, Failed, IkeSa, Internal, NearMiss, PacketSize, Peer, State,
    Timestamp, Tunnel,
};
use crate::config::limits::EXPIRY_WARNING;
use crate::words::{RENEW, days};

/// Why it is down and what comes next, and what else deserves a look.
pub(super) fn remarks(tunnel: &Tunnel, now: Timestamp) -> Vec<(Colour, String)> {
    let (expired, certificates): (Vec<_>, Vec<_>) =
        certificates(tunnel).into_iter().partition(|(colour, _)| matches!(colour, Colour::Red));
    let mut remarks = expired;
    if let Some(Failed { at, diagnosis }) = &tunnel.last_failure {
        let ago = time((now.as_millis() / 1000).saturating_sub(*at));
        let often = times(tunnel.failure_times);
        let from = tunnel.failure_from.map_or_else(String::new, |remote| format!(", from {remote}"));
        remarks.push((Colour::Red, format!("{ago} ago{often}{from}: {}", diagnosis.summary)));
        remarks.extend(details(diagnosis).into_iter().map(|line| (Colour::Red, format!("  {line}"))));
        if diagnosis.comparison.iter().any(|row| row.theirs.is_some()) {
            remarks.push((Colour::Dim, format!("`sekisho explain {}` compares both ends", tunnel.name)));
        }
    }
    remarks.extend(tunnel.near_misses.iter().flat_map(|miss| near_miss(miss, now)));
    let waits = tunnel.awaited.as_ref().map(awaited);
    remarks.extend(waits.map(|waits| (Colour::Yellow, waits)));
    remarks.extend(outlook(tunnel));
    let told = tunnel.last_failure.as_ref().map(|failed| &failed.diagnosis);
    for Failed { diagnosis, .. } in tunnel.warnings.iter().filter(|warning| Some(&warning.diagnosis) != told)
    {
        remarks.push((Colour::Yellow, format!("warning: {}", diagnosis.summary)));
        remarks.push((Colour::Yellow, format!("  => {}", diagnosis.advice)));
    }
    let children = tunnel.children.iter().chain(tunnel.peers.iter().flat_map(|peer| &peer.children));
    if tunnel.state == State::Up && !children.into_iter().any(|child| child.sending) {
        remarks.push((Colour::Red, "no Child SA: no traffic passes".to_owned()));
    }
    for Silence { seen, advice } in silences(tunnel).into_iter().take(PEERS) {
        remarks.push((Colour::Yellow, format!("warning: {seen}")));
        remarks.push((Colour::Yellow, format!("  => {advice}")));
    }
    if let Some((seen, advice)) = blocked_local(&tunnel.blocked_local) {
        remarks.push((Colour::Yellow, format!("warning: {seen}")));
        remarks.push((Colour::Yellow, format!("  => {advice}")));
    }
    if let Some((seen, advice)) = cut_off(&tunnel.cut_off) {
        remarks.push((Colour::Yellow, format!("warning: {seen}")));
        remarks.push((Colour::Yellow, format!("  => {advice}")));
    }
    if is_probed_soon(tunnel) {
        let why = "it will be rekeyed once within half a minute, to see whether the peer agrees to perfect forward secrecy";
        remarks.push((Colour::Dim, why.to_owned()));
    }
    if tunnel.configured_children.len() > 1 {
        remarks.extend(tunnel.configured_children.iter().map(configured));
    }
    remarks.extend(tunnel.configured_children.iter().flat_map(narrowed));
    remarks.extend(tunnel.packets.as_ref().map(packets));
    remarks.extend(peers(tunnel));
    remarks.extend(tunnel.internal.as_ref().map(internal));
    remarks.extend(certificates);
    remarks.extend(tunnel.ike.as_ref().and_then(|ike| peer_certificate(ike, now)));
    if tunnel.weak_psk {
        let line = "its pre-shared key is weak (allow_weak_psk): replace it";
        remarks.push((Colour::Yellow, line.to_owned()));
    }
    remarks
}

/// Whether its first Child SA is young and about to be rekeyed to see whether the peer agrees (the tunnel's initiator does).
pub(in super::super) fn is_probed_soon(tunnel: &Tunnel) -> bool {
    let soon = |child: &Child| child.pfs == "unproven" && child.rekey_in_s.is_some_and(|s| s <= 30);
    let initiator = tunnel.ike.as_ref().is_some_and(|ike| ike.initiator);
    initiator && tunnel.age_s.is_some_and(|age| age < 60) && tunnel.children.iter().any(soon)
}

/// How often, where it was more than once.
fn times(times: u32) -> String {
    if times > 1 { format!(", {times} times") } else { String::new() }
}

/// Who was perhaps its peer, and refused.
fn near_miss(NearMiss { remote, times, failed, .. }: &NearMiss, now: Timestamp) -> [(Colour, String); 2] {
    let Failed { at, diagnosis } = failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = self::times(*times);
    let line = format!("perhaps its peer, at {remote}, refused {ago} ago{often}: {}", diagnosis.summary);
    [(Colour::Yellow, line), (Colour::Yellow, format!("  => {}", diagnosis.advice))]
}

/// How large packets may be, as part of a sentence.
pub(in super::super) fn packet_size(size: &PacketSize) -> String {
    packets(size).1
}

/// One of several children.
fn configured(child: &ConfiguredChild) -> (Colour, String) {
    let (colour, doing) = match child.state {
        ChildState::Up => (Colour::Dim, "up"),
        ChildState::Connecting => (Colour::Yellow, "connecting"),
        ChildState::Backoff => (Colour::Red, "backoff"),
        ChildState::Idle => (Colour::Dim, "comes up when a packet is to be sent"),
        ChildState::Listening => (Colour::Dim, "waits for the peer"),
        ChildState::Down => (Colour::Yellow, "down"),
    };
    let (local, remote) = (child.local.join(" "), child.remote.join(" "));
    (colour, format!("{} {local} <-> {remote}: {doing}", child.name))
}

/// How large packets may be.
fn packets(packets: &PacketSize) -> (Colour, String) {
    let PacketSize { mtu, path_mtu, source, proven, router, tried_again_in_s, dont_fragment } = packets;
    let known = match (source.as_str(), router) {
        ("router", Some(router)) => format!("so says the router {router}"),
        ("probed", _) => "larger packets did not get there".to_owned(),
        ("assumed", _) => "larger packets get lost, and how much passes is being found out".to_owned(),
        ("configured", _) => "`mtu` in [daemon] allows no more".to_owned(),
        ("interface", _) if *proven => "as much as our own line; that was found out".to_owned(),
        _ => "and whether the path takes less is not known".to_owned(),
    };
    let again = tried_again_in_s.map(|wait| format!("; whether more does is tried again in {}", time(wait)));
    let again = again.unwrap_or_default();
    let takes = match source.as_str() {
        "interface" if !proven => "our own line takes",
        "probed" => "the path takes at least",
        _ => "the path takes",
    };
    let outside = if *dont_fragment { "" } else { "; larger ones may be fragmented on the way" };
    (Colour::Dim, format!("carries packets of {mtu} bytes: {takes} {path_mtu}, {known}{again}{outside}"))
}

/// What the peer did not let it carry, and what we did not let the peer have.
fn narrowed(child: &ConfiguredChild) -> Vec<(Colour, String)> {
    let name = &child.name;
    let ours = sides(&child.left_out_local, &child.left_out_remote).map(|sides| {
        format!(
            "{name} carries less than is configured, since the peer asks for or allows less; dropped: {sides}"
        )
    });
    let theirs = sides(&child.withheld_local, &child.withheld_remote).map(|sides| {
        format!("the peer asked for more than {name} is configured for; it was not given {sides}")
    });
    ours.into_iter().chain(theirs).map(|line| (Colour::Yellow, line)).collect()
}

fn sides(ours: &[String], theirs: &[String]) -> Option<String> {
    let sides = [("ours", ours), ("the peer's", theirs)];
    let sides = sides.into_iter().filter(|(_, networks)| !networks.is_empty());
    let sides: Vec<_> =
        sides.map(|(whose, networks)| format!("{} of {whose}", networks.join(", "))).collect();
    (!sides.is_empty()).then(|| sides.join(", "))
}

/// Lines about peers of one tunnel; `sekisho sas` has all.
const PEERS: usize = 10;

/// The first of many peers.
fn peers(tunnel: &Tunnel) -> Vec<(Colour, String)> {
    let line = |peer: &Peer| {
        let networks: Vec<&str> =
            peer.children.iter().flat_map(|child| &child.remote).map(String::as_str).collect();
        let networks = if networks.is_empty() { "no network".to_owned() } else { networks.join(" ") };
        let (age, inbound, outbound) = (time(peer.age_s), bytes(peer.bytes_in), bytes(peer.bytes_out));
        let line =
            format!("{} {}, {networks}: up {age}, {inbound} in, {outbound} out", peer.remote_id, peer.remote);
        (Colour::Dim, line)
    };
    let mut lines: Vec<_> = tunnel.peers.iter().take(PEERS).map(line).collect();
    let further = tunnel.peers_up.saturating_sub(lines.len());
    if further > 0 && !lines.is_empty() {
        lines.push((Colour::Dim, format!("and {further} more: `sekisho sas`")));
    }
    lines
}

/// Whose certificate the peer has, and whether it is known not to be revoked.
fn peer_certificate(ike: &IkeSa, now: Timestamp) -> Option<(Colour, String)> {
    let subject = ike.peer_certificate.as_ref()?;
    let ago = |at: Timestamp| time((now.as_millis() / 1000).saturating_sub(at.as_millis() / 1000));
    let known = match (ike.peer_revocation.as_deref(), ike.peer_revocation_checked) {
        (None, _) => "revocation is not asked about".to_owned(),
        (Some("good"), Some(at)) => format!("not revoked, by an answer fetched {} ago", ago(at)),
        (Some("good"), None) => "not revoked, by a list from a file".to_owned(),
        (Some(_), at) => unchecked(ike, at.map(ago)),
    };
    let colour = if ike.peer_auth_note.is_some() { Colour::Yellow } else { Colour::Dim };
    Some((colour, format!("the peer's certificate is of `{subject}`: {known}")))
}

/// Nobody says whether the peer's certificate was revoked, and it was let pass. `ago`: when it was asked.
fn unchecked(ike: &IkeSa, ago: Option<String>) -> String {
    let asked = ago.map(|ago| format!(", asked {ago} ago")).unwrap_or_default();
    let why = ike.peer_auth_note.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let passed = match ike.peer_revocation_ends {
        Some(at) => format!("the tunnel is ended for that on {} if it stays so", moment(at)),
        None => "it passed unchecked".to_owned(),
    };
    format!("nobody says whether it was revoked{asked}{why}; {passed}")
}

/// The addresses inside it.
fn internal(internal: &Internal) -> (Colour, String) {
    let Internal { given_by, addresses, dns } = internal;
    let list = |all: &[std::net::IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let whose = if given_by == "peer" { "our address, from the peer" } else { "the peer's address, from us" };
    let dns = if dns.is_empty() { String::new() } else { format!("; name servers: {}", list(dns)) };
    (Colour::Dim, format!("{whose}: {}{dns}", list(addresses)))
}

/// When certificates end: in colour if that is soon.
fn certificates(tunnel: &Tunnel) -> Vec<(Colour, String)> {
    let ours = (tunnel.certificate_expires, tunnel.certificate_days_left, "our certificate", RENEW);
    let (expires, left) = (tunnel.peer_certificate_expires, tunnel.peer_certificate_days_left);
    let theirs = (expires, left, "the peer's certificate", "the peer needs a new one");
    let warned = i64::try_from(EXPIRY_WARNING.as_secs() / 86_400).unwrap_or_default();
    let early = tunnel.certificate_begins.map(not_yet);
    let early = early.map(|not_yet| (Colour::Red, format!("our certificate is {not_yet}")));
    let mut remarks: Vec<_> = early.into_iter().collect();
    for (expires, left, whose, advice) in [ours, theirs] {
        let (Some(expires), Some(left)) = (expires, left) else { continue };
        let date = expires.date();
        remarks.push(match left {
            ..0 => (Colour::Red, format!("{whose} expired on {date}: {advice}")),
            _ if left <= warned => {
                (Colour::Yellow, format!("{whose} expires in {}, on {date}: {advice}", days(left)))
            }
            _ => (Colour::Dim, format!("{whose} is good until {date}")),
        });
    }
    remarks
}

/// What comes next for a tunnel that is not up.
fn outlook(tunnel: &Tunnel) -> Option<(Colour, String)> {
    let Tunnel { name, state, attempts, next_try_in_s, .. } = tunnel;
    Some(match (state, next_try_in_s) {
        (State::Up, _) => return None,
        (State::AdminDown, _) => {
            (Colour::Yellow, format!("taken down by an operator; `sekisho up {name}` allows it again"))
        }
        (State::Idle, None) => (Colour::Dim, "comes up when a packet is to be sent".to_owned()),
        (State::Waiting, None) => (Colour::Dim, "waits for the peer, which starts this tunnel".to_owned()),
        (_, Some(wait)) => {
            let so_far = if *attempts > 0 { format!("attempts so far: {attempts}, ") } else { String::new() };
            let next = if *wait == 0 { "now".to_owned() } else { format!("in {}", time(*wait)) };
            (Colour::Yellow, format!("{so_far}next try {next}"))
        }
        (_, None) if *attempts == 0 => return None,
        (_, None) => (Colour::Yellow, format!("attempts so far: {attempts}")),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::Status;

    #[test]
    fn a_try_that_is_due_is_made_now() {
        let status: Status = serde_json::from_str(include_str!("../../../tests/status.json")).unwrap();
        let spare = status.tunnels.into_iter().find(|tunnel| tunnel.name == "spare").unwrap();
        let told = |wait| outlook(&Tunnel { next_try_in_s: wait, ..spare.clone() }).unwrap().1;
        assert_eq!(told(Some(12)), "attempts so far: 3, next try in 12s");
        assert_eq!(told(Some(0)), "attempts so far: 3, next try now");
    }

    #[test]
    fn a_path_that_was_found_to_carry_what_the_line_does_is_known() {
        let status: Status = serde_json::from_str(include_str!("../../../tests/status.json")).unwrap();
        let size = status.tunnels.into_iter().find_map(|tunnel| tunnel.packets).unwrap();
        let line = PacketSize {
            mtu: 1438,
            path_mtu: 1500,
            source: "interface".to_owned(),
            router: None,
            tried_again_in_s: None,
            ..size
        };
        assert_eq!(
            packet_size(&PacketSize { proven: false, ..line.clone() }),
            "carries packets of 1438 bytes: our own line takes 1500, and whether the path takes less is not known"
        );
        assert_eq!(
            packet_size(&PacketSize { proven: true, ..line }),
            "carries packets of 1438 bytes: the path takes 1500, as much as our own line; that was found out"
        );
    }

    #[test]
    fn what_is_known_of_revocation_is_as_old_as_its_answer() {
        let status: Status = serde_json::from_str(include_str!("../../../tests/status.json")).unwrap();
        let ike = status.tunnels.into_iter().find_map(|tunnel| tunnel.ike).unwrap();
        let now = 1_763_761_750;
        let told = |revocation: Option<&str>, checked: Option<u64>| {
            let ike = IkeSa {
                peer_certificate: Some("CN=hub".to_owned()),
                peer_revocation: revocation.map(str::to_owned),
                peer_revocation_checked: checked.map(Timestamp::from_unix),
                ..ike.clone()
            };
            let (_, line) = peer_certificate(&ike, Timestamp::from_unix(now)).unwrap();
            line.strip_prefix("the peer's certificate is of `CN=hub`: ").unwrap().to_owned()
        };
        for (revocation, checked, line) in [
            (Some("good"), Some(now - 1800), "not revoked, by an answer fetched 30m00s ago"),
            (Some("good"), None, "not revoked, by a list from a file"),
            (
                Some("unknown"),
                Some(now - 20),
                "nobody says whether it was revoked, asked 20s ago (no answer from http://ocsp.example/); it passed unchecked",
            ),
            (None, None, "revocation is not asked about"),
        ] {
            assert_eq!(told(revocation, checked), line);
        }
        let strict = IkeSa { peer_revocation_ends: Some(Timestamp::from_unix(now + 3600)), ..ike };
        assert_eq!(
            unchecked(&strict, None),
            "nobody says whether it was revoked (no answer from http://ocsp.example/); the tunnel is ended for that on 2025-11-21 22:49:10 UTC if it stays so"
        );
    }
}
