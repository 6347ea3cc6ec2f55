//! `sekisho status`: every configured tunnel in a line, and below it why it is down.

mod remarks;

use super::Daemon;
use super::output::{Colour, Done, Output, bytes, table, time, wrapped};
use crate::api::{Failed, Offloads, Pool, Refused, ReloadRefused, Request, State, Status, Timestamp, Tunnel};
use remarks::remarks;
pub(super) use remarks::{is_probed_soon, packet_size};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho status\n  sekisho status --json | jq '.tunnels[] | select(.state != \"up\") | .name'\n\nStates: up; connecting; backoff (the last try failed, another follows by itself); idle (the next packet starts it); waiting (the peer starts it); admin_down (by `sekisho down`).";

/// Columns of a remark.
const WIDTH: usize = 112;

/// What is there to be dropped: nobody has to look for a cause.
const NO_LOSS: [&str; 2] = ["dummy", "keepalive"];

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    let data = daemon.ask(&Request::Status)?;
    output.answer(data, |status| show(output, status, Timestamp::now()))
}

fn show(output: &Output, status: &Status, now: Timestamp) -> String {
    let mut lines = vec![title(status), String::new()];
    lines.extend(missing(&status.offloads));
    lines.extend(status.unguarded.iter().flat_map(|gap| wrapped(&format!("warning: {gap}\n"), WIDTH, 2)));
    if status.tunnels.is_empty() {
        lines.push("No tunnel is configured.".to_owned());
    } else {
        lines.extend(tunnel_lines(output, &status.tunnels, now));
    }
    if !status.refused.is_empty() {
        lines.push(
            "\nRefused or not heard again, of no tunnel; `sekisho explain --peer ADDRESS` has all of it:"
                .to_owned(),
        );
        let refused = status.refused.iter().rev().map(|refused| refusal(refused, now));
        lines.extend(refused.flat_map(|refused| wrapped(&refused, WIDTH, 2)));
    }
    if !status.pools.is_empty() {
        lines.push(String::new());
        lines.extend(status.pools.iter().map(pool));
    }
    lines.extend(reloads(status, now));
    lines.extend(footnotes(status));
    lines.join("\n") + "\n"
}

fn title(status: &Status) -> String {
    let Status { version, pid, uptime_s, interface, mtu, workers, .. } = status;
    let workers = match workers {
        0 => String::new(),
        1 => ", 1 worker".to_owned(),
        _ => format!(", {workers} workers"),
    };
    let uptime = time(*uptime_s);
    format!("sekishod {version} on {interface} (MTU {mtu}){workers}, running for {uptime}, process {pid}")
}

/// In a line.
fn refusal(refused: &Refused, now: Timestamp) -> String {
    let Failed { at, diagnosis } = &refused.failed;
    let ago = time((now.as_millis() / 1000).saturating_sub(*at));
    let often = if refused.times > 1 { format!(", {} times", refused.times) } else { String::new() };
    format!("  {} {ago} ago{often}: {}", refused.remote, diagnosis.summary)
}

/// What of the configuration is not in force, and why.
fn reloads(status: &Status, now: Timestamp) -> Vec<String> {
    let refused = status.reload_refused.iter().map(|ReloadRefused { at, reason }| {
        let ago = time((now.as_millis() / 1000).saturating_sub(at.as_millis() / 1000));
        format!("\nThe last reload was refused {ago} ago, and what was in force before it stays so: {reason}")
    });
    let changed = [
        ("in force after a restart of sekishod", &status.restart_needed),
        ("in force from each tunnel's next SA on (`sekisho rekey NAME` makes one now)", &status.from_next_sa),
    ];
    let changed = changed.into_iter().filter(|(_, settings)| !settings.is_empty());
    let changed = changed.map(|(when, settings)| {
        format!("\nChanged in the configuration, and {when}: {}", settings.join(", "))
    });
    refused.chain(changed).collect()
}

/// What else is of all tunnels.
fn footnotes(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let local: Vec<&String> = status.tunnels.iter().flat_map(|tunnel| &tunnel.blocked_local).collect();
    let stale: Vec<_> = status.stale.iter().filter(|net| !local.contains(net)).map(String::as_str).collect();
    if !stale.is_empty() {
        let stale = stale.join(", ");
        lines.push(format!("\nRemoved from the configuration and still blocked: {stale} (`sekisho unprotect --stale` frees these, and they are reached in clear then)"));
    }
    let lost = status.drops.iter().filter(|(why, n)| **n > 0 && !NO_LOSS.contains(&why.as_str()));
    let dropped: Vec<_> = lost.map(|(why, n)| format!("{why} {n}")).collect();
    if !dropped.is_empty() {
        lines.push(format!("\nDropped: {}", dropped.join(", ")));
    }
    lines
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

    const STATUS: &str = include_str!("../../../tests/status.json");

    #[test]
    fn every_tunnel_is_shown_and_why_it_is_down() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let shown = show(&Output::new(true), &status, Timestamp::from_unix(1_763_761_750));
        assert_eq!(shown, include_str!("../../../tests/status.txt"));
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
    fn what_is_let_in_for_want_of_what_the_kernel_lacks_is_said_before_the_tunnels() {
        let mut status: Status = serde_json::from_str(STATUS).unwrap();
        status.unguarded = Some("what comes in clear is taken ".repeat(6) + "(`nft_socket`)");
        let shown = show(&Output::new(true), &status, Timestamp::from_unix(1_763_761_750));
        let (before, _) = shown.split_once("TUNNEL ").unwrap();
        assert!(
            before.contains("\n\nwarning: what comes in clear") && before.ends_with("(`nft_socket`)\n\n"),
            "{before}"
        );
        assert!(before.lines().all(|line| line.len() <= WIDTH), "{before}");
    }

    #[test]
    fn the_documented_json_is_what_we_write() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(STATUS).unwrap());
    }
}
