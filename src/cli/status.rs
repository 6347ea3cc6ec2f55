//! `sekisho status`: every configured tunnel in a line, and below it why it is down.

use super::Daemon;
use super::output::{Colour, Done, Output, bytes, details, table, time, wrapped};
use crate::api::{
    Child, ChildState, ConfiguredChild, Failed, IkeSa, Internal, NearMiss, Offloads, PacketSize, Peer, Pool,
    Request, State, Status, Timestamp, Tunnel,
};
use crate::config::limits::EXPIRY_WARNING;

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho status\n  sekisho status --json | jq '.tunnels[] | select(.state != \"up\") | .name'\n\nStates: up; connecting; backoff (the last try failed, another follows by itself); idle (the next packet starts it); waiting (the peer starts it); admin_down (by `sekisho down`).";

/// Columns of a remark.
const WIDTH: usize = 112;

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    let data = daemon.ask(&Request::Status)?;
    output.answer(data, |status| show(output, status, Timestamp::now()))
}

fn show(output: &Output, status: &Status, now: Timestamp) -> String {
    let Status { version, pid, uptime_s, interface, mtu, offloads, tunnels, drops, pools, stale } = status;
    let uptime = time(*uptime_s);
    let mut lines =
        vec![format!("sekishod {version} on {interface} (MTU {mtu}), running for {uptime}, process {pid}\n")];
    lines.extend(missing(offloads));
    if tunnels.is_empty() {
        lines.push("No tunnel is configured.".to_owned());
    } else {
        lines.extend(tunnel_lines(output, tunnels, now));
    }
    if !pools.is_empty() {
        lines.push(String::new());
        lines.extend(pools.iter().map(pool));
    }
    if !stale.is_empty() {
        let stale = stale.join(", ");
        lines.push(format!("\nNo longer configured, and blocked until `sekisho unprotect --stale`: {stale}"));
    }
    let dropped: Vec<_> =
        drops.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{why} {n}")).collect();
    if !dropped.is_empty() {
        lines.push(format!("\nDropped: {}", dropped.join(", ")));
    }
    lines.join("\n") + "\n"
}

/// Nothing to say, where all is as it should be.
fn missing(offloads: &Offloads) -> Option<String> {
    let Offloads { configured, tcp, udp, refused } = offloads;
    let which = match (configured.as_str(), tcp, udp) {
        ("", ..) => return None,
        ("off", ..) => "off, as configured",
        (_, true, true) if refused.is_empty() => return None,
        (_, true, true) => "TCP and UDP",
        (_, true, false) => "TCP alone",
        _ => "none: every packet costs a read or write",
    };
    let lines: Vec<_> = std::iter::once(which).chain(refused.iter().map(String::as_str)).collect();
    Some(format!("Offloads: {}\n", lines.join("\n  ")))
}

/// How full it is.
fn pool(pool: &Pool) -> String {
    let Pool { name, ipv4_used, ipv4_size, ipv6_used, ipv6_size, refused } = pool;
    let family = |used: &u64, size: &u64, family| match *size {
        0 => None,
        u64::MAX => Some(format!("{used} {family} addresses in use")),
        size => Some(format!("{used} of {size} {family} addresses in use")),
    };
    let families = [family(ipv4_used, ipv4_size, "IPv4"), family(ipv6_used, ipv6_size, "IPv6")];
    let turned_away = (*refused > 0).then(|| format!("peers turned away for want of one: {refused}"));
    let words: Vec<_> = families.into_iter().chain([turned_away]).flatten().collect();
    format!("Pool {name}: {}", words.join(", "))
}

/// The table, and below each tunnel what a line of it cannot say.
fn tunnel_lines(output: &Output, tunnels: &[Tunnel], now: Timestamp) -> Vec<String> {
    let title = ["TUNNEL", "STATE", "PEER", "SUITE", "AGE", "REKEY", "IN", "OUT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(title).chain(tunnels.iter().map(row)).collect();
    let painted = |y: usize, x: usize, cell: String| match (y.checked_sub(1).and_then(|y| tunnels.get(y)), x)
    {
        (None, _) => output.paint(Colour::Dim, &cell),
        (Some(tunnel), 1) => output.paint(colour(tunnel.state), &cell),
        _ => cell,
    };
    let mut table = table(&rows, painted).into_iter();
    let mut lines: Vec<String> = table.next().into_iter().collect();
    for (line, tunnel) in table.zip(tunnels) {
        lines.push(line);
        for (colour, remark) in remarks(tunnel, now) {
            let remark = wrapped(&remark, WIDTH, 2).into_iter();
            lines.extend(remark.map(|line| format!("    {}", output.paint(colour, &line))));
        }
    }
    lines
}

fn row(tunnel: &Tunnel) -> [String; 8] {
    let none = || "-".to_owned();
    let peer = match tunnel.remote {
        _ if !tunnel.peers.is_empty() => format!("{} ({} up)", tunnel.remote_id, tunnel.peers_up),
        Some(remote) => format!("{} {remote}", tunnel.remote_id),
        None => tunnel.remote_id.clone(),
    };
    let rekeys = tunnel.children.iter().filter_map(|child| child.rekey_in_s);
    let rekey = rekeys.chain(tunnel.ike.iter().filter_map(|ike| ike.rekey_in_s)).min();
    [
        tunnel.name.clone(),
        word(tunnel.state).to_owned(),
        peer,
        tunnel.ike.as_ref().map_or_else(none, |ike| ike.suite.clone()),
        tunnel.age_s.map_or_else(none, time),
        rekey.map_or_else(none, time),
        bytes(tunnel.bytes_in),
        bytes(tunnel.bytes_out),
    ]
}

/// Why it is down and what comes next, and what else deserves a look.
fn remarks(tunnel: &Tunnel, now: Timestamp) -> Vec<(Colour, String)> {
    let mut remarks = Vec::new();
    if let Some(Failed { at, diagnosis }) = &tunnel.last_failure {
        let ago = time((now.as_millis() / 1000).saturating_sub(*at));
        remarks.push((Colour::Red, format!("{ago} ago: {}", diagnosis.summary)));
        remarks.extend(details(diagnosis).into_iter().map(|line| (Colour::Red, format!("  {line}"))));
        if !diagnosis.comparison.is_empty() {
            remarks.push((Colour::Dim, format!("`sekisho explain {}` compares both ends", tunnel.name)));
        }
    }
    remarks.extend(tunnel.near_misses.iter().flat_map(|miss| near_miss(miss, now)));
    remarks.extend(outlook(tunnel));
    for Failed { diagnosis, .. } in &tunnel.warnings {
        remarks.push((Colour::Yellow, format!("warning: {}", diagnosis.summary)));
        remarks.push((Colour::Yellow, format!("  => {}", diagnosis.advice)));
    }
    let children = tunnel.children.iter().chain(tunnel.peers.iter().flat_map(|peer| &peer.children));
    if tunnel.state == State::Up && !children.into_iter().any(|child| child.sending) {
        remarks.push((Colour::Red, "no Child SA: no traffic passes".to_owned()));
    }
    if is_probed_soon(tunnel) {
        let why =
            "rekeyed once within half a minute, to see whether the peer agrees to perfect forward secrecy";
        remarks.push((Colour::Dim, why.to_owned()));
    }
    if tunnel.configured_children.len() > 1 {
        remarks.extend(tunnel.configured_children.iter().map(configured));
    }
    remarks.extend(tunnel.configured_children.iter().filter_map(narrowed));
    remarks.extend(tunnel.packets.as_ref().map(packets));
    remarks.extend(peers(tunnel));
    remarks.extend(tunnel.internal.as_ref().map(internal));
    remarks.extend(certificates(tunnel));
    remarks.extend(tunnel.ike.as_ref().and_then(|ike| peer_certificate(ike, now)));
    if let Some(note) = tunnel.ike.as_ref().and_then(|ike| ike.peer_auth_note.as_ref()) {
        remarks.push((Colour::Yellow, format!("the peer passed unchecked: {note}")));
    }
    if tunnel.weak_psk {
        let line = "its pre-shared key is weak (allow_weak_psk): replace it";
        remarks.push((Colour::Yellow, line.to_owned()));
    }
    remarks
}

/// Whether its first Child SA is young and about to be rekeyed to see whether the peer agrees (the tunnel's initiator does).
pub(super) fn is_probed_soon(tunnel: &Tunnel) -> bool {
    let soon = |child: &Child| child.pfs == "unproven" && child.rekey_in_s.is_some_and(|s| s <= 30);
    let initiator = tunnel.ike.as_ref().is_some_and(|ike| ike.initiator);
    initiator && tunnel.age_s.is_some_and(|age| age < 60) && tunnel.children.iter().any(soon)
}

/// Who was perhaps its peer, and refused.
fn near_miss(NearMiss { remote, times, failed, .. }: &NearMiss, now: Timestamp) -> [(Colour, String); 2] {
    let Failed { at, diagnosis } = failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    let line = format!("perhaps its peer, at {remote}, refused {ago} ago{often}: {}", diagnosis.summary);
    [(Colour::Yellow, line), (Colour::Yellow, format!("  => {}", diagnosis.advice))]
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
    let PacketSize { mtu, path_mtu, source, router, dont_fragment } = packets;
    let known = match (source.as_str(), router) {
        ("router", Some(router)) => format!("so says the router {router}"),
        ("probed", _) => "larger packets do not get there".to_owned(),
        ("assumed", _) => "larger packets get lost, and how much passes is being found out".to_owned(),
        ("configured", _) => "`mtu` in [daemon] allows no more".to_owned(),
        _ => "as our own line does".to_owned(),
    };
    let outside = if *dont_fragment { "" } else { "; larger ones may be fragmented on the way" };
    (Colour::Dim, format!("carries packets of {mtu} bytes: the path takes {path_mtu}, {known}{outside}"))
}

/// What the peer did not let it carry.
fn narrowed(child: &ConfiguredChild) -> Option<(Colour, String)> {
    let ConfiguredChild { name, left_out_local, left_out_remote, .. } = child;
    let sides = [("ours", left_out_local), ("the peer's", left_out_remote)];
    let sides = sides.into_iter().filter(|(_, networks)| !networks.is_empty());
    let sides: Vec<_> = sides.map(|(whose, networks)| format!("{} of {whose}", networks.join(" "))).collect();
    let line = format!(
        "{name} carries less than is configured, since the peer asks for or allows less; left out: {}",
        sides.join(", ")
    );
    (!sides.is_empty()).then_some((Colour::Yellow, line))
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
    let checked = ike.peer_revocation_checked.map_or(0, Timestamp::as_millis) / 1000;
    let ago = time((now.as_millis() / 1000).saturating_sub(checked));
    let known = match ike.peer_revocation.as_deref() {
        None => "revocation is not asked about".to_owned(),
        Some("good") => format!("not revoked, asked {ago} ago"),
        Some(_) => format!("nobody says whether it was revoked, asked {ago} ago"),
    };
    Some((Colour::Dim, format!("the peer's certificate is of `{subject}`: {known}")))
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
    let renew = "have it renewed, put the new one into the same file, and `sekisho reload`";
    let ours = (tunnel.certificate_expires, tunnel.certificate_days_left, "our certificate", renew);
    let (expires, left) = (tunnel.peer_certificate_expires, tunnel.peer_certificate_days_left);
    let theirs = (expires, left, "the peer's certificate", "the peer needs a new one");
    let warned = i64::try_from(EXPIRY_WARNING.as_secs() / 86_400).unwrap_or_default();
    let mut remarks = Vec::new();
    for (expires, left, whose, advice) in [ours, theirs] {
        let (Some(expires), Some(left)) = (expires, left) else { continue };
        let text = expires.to_string();
        let date = text.split('T').next().unwrap_or_default();
        remarks.push(match left {
            ..0 => (Colour::Red, format!("{whose} expired on {date}: {advice}")),
            _ if left <= warned => {
                (Colour::Yellow, format!("{whose} expires in {left} days, on {date}: {advice}"))
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

/// As in the JSON.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Up => "up",
        State::Connecting => "connecting",
        State::Idle => "idle",
        State::Backoff => "backoff",
        State::Waiting => "waiting",
        State::AdminDown => "admin_down",
    }
}

fn colour(state: State) -> Colour {
    match state {
        State::Up => Colour::Green,
        State::Connecting | State::AdminDown => Colour::Yellow,
        State::Backoff => Colour::Red,
        State::Idle | State::Waiting => Colour::Dim,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STATUS: &str = include_str!("../../tests/status.json");

    #[test]
    fn every_tunnel_is_shown_and_why_it_is_down() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let shown = show(&Output::new(true), &status, Timestamp::from_unix(1_763_761_750));
        assert_eq!(shown, include_str!("../../tests/status.txt"));
    }

    #[test]
    fn what_packets_are_not_exchanged_many_at_a_time_is_said_with_the_reason() {
        let offloads = |configured: &str, tcp, udp, refused: &[&str]| Offloads {
            configured: configured.to_owned(),
            tcp,
            udp,
            refused: refused.iter().map(|&reason| reason.to_owned()).collect(),
        };
        assert_eq!(missing(&offloads("auto", true, true, &[])), None);
        assert_eq!(missing(&offloads("off", false, false, &[])).unwrap(), "Offloads: off, as configured\n");
        let older = offloads("auto", true, false, &["TUNSETOFFLOAD (CSUM, USO4): Invalid argument"]);
        let told = "Offloads: TCP alone\n  TUNSETOFFLOAD (CSUM, USO4): Invalid argument\n";
        assert_eq!(missing(&older).unwrap(), told);
        let refused = offloads("auto", true, true, &["the device refused joined packets (EINVAL) 1 times"]);
        assert!(missing(&refused).unwrap().contains("EINVAL"));
    }

    #[test]
    fn the_documented_json_is_what_we_write() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(STATUS).unwrap());
    }
}
