//! `sekisho status`: every configured tunnel in a line, and below it why it is down.

use super::Daemon;
use super::output::{Colour, Done, Output, bytes, details, table, time};
use crate::api::{Failed, Request, State, Status, Timestamp, Tunnel};

pub(super) const EXAMPLES: &str = "Examples:\n  sekisho status\n  sekisho status --json | jq '.tunnels[] | select(.state != \"up\") | .name'\n\nStates: up; connecting; backoff (the last try failed, another follows by itself); waiting (the peer starts it); admin_down (by `sekisho down`).";

pub(super) fn run(daemon: &Daemon, output: &Output) -> Done {
    let data = daemon.ask(&Request::Status)?;
    output.answer(data, |status| show(output, status, Timestamp::now()))
}

fn show(output: &Output, status: &Status, now: Timestamp) -> String {
    let Status { version, pid, uptime_s, interface, mtu, tunnels, drops } = status;
    let mut text = format!(
        "sekishod {version} on {interface} (MTU {mtu}), running for {}, process {pid}\n\n",
        time(*uptime_s)
    );
    if tunnels.is_empty() {
        text.push_str("No tunnel is configured.\n");
    }
    let title = ["TUNNEL", "STATE", "PEER", "SUITE", "AGE", "REKEY", "IN", "OUT"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(title).chain(tunnels.iter().map(row)).collect();
    let painted = |y: usize, x: usize, cell: String| match (y.checked_sub(1).and_then(|y| tunnels.get(y)), x)
    {
        (None, _) => output.paint(Colour::Dim, &cell),
        (Some(tunnel), 1) => output.paint(colour(tunnel.state), &cell),
        _ => cell,
    };
    let mut lines = table(&rows, painted).into_iter();
    let title = lines.next().filter(|_| !tunnels.is_empty());
    text.extend(title.map(|title| title + "\n"));
    for (line, tunnel) in lines.zip(tunnels) {
        text.push_str(&format!("{line}\n{}", remarks(output, tunnel, now)));
    }
    let dropped: Vec<_> =
        drops.iter().filter(|(_, n)| **n > 0).map(|(why, n)| format!("{why} {n}")).collect();
    if !dropped.is_empty() {
        text.push_str(&format!("\nDropped: {}\n", dropped.join(", ")));
    }
    text
}

fn row(tunnel: &Tunnel) -> [String; 8] {
    let none = || "-".to_owned();
    let peer = match tunnel.remote {
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
        tunnel.ike.as_ref().map_or_else(none, |ike| time(ike.age_s)),
        rekey.map_or_else(none, time),
        bytes(tunnel.bytes_in),
        bytes(tunnel.bytes_out),
    ]
}

/// What a line of the table cannot say.
fn remarks(output: &Output, tunnel: &Tunnel, now: Timestamp) -> String {
    let mut text = String::new();
    let mut remark = |colour, line: &str| text.push_str(&format!("    {}\n", output.paint(colour, line)));
    if let Some(Failed { at, diagnosis }) = &tunnel.last_failure {
        let ago = (now.as_millis() / 1000).saturating_sub(*at);
        let details = details(diagnosis, "\n      ");
        remark(Colour::Red, &format!("{} ago: {}{details}", time(ago), diagnosis.summary));
    }
    let attempts = tunnel.attempts;
    match (tunnel.state, tunnel.next_try_in_s) {
        (State::AdminDown, _) => {
            let line = format!("taken down by an operator; `sekisho up {}` allows it again", tunnel.name);
            remark(Colour::Yellow, &line);
        }
        (State::Waiting, None) => remark(Colour::Dim, "waits for the peer, which starts this tunnel"),
        (State::Up, _) => {}
        (_, Some(wait)) => {
            remark(Colour::Yellow, &format!("attempts so far: {attempts}, next try in {}", time(wait)));
        }
        (_, None) if attempts > 0 => remark(Colour::Yellow, &format!("attempts so far: {attempts}")),
        _ => {}
    }
    if tunnel.state == State::Up && !tunnel.children.iter().any(|child| child.sending) {
        remark(Colour::Red, "no Child SA: no traffic passes");
    }
    if tunnel.weak_psk {
        remark(Colour::Yellow, "its pre-shared key is weak (allow_weak_psk): replace it");
    }
    text
}

/// As in the JSON.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Up => "up",
        State::Connecting => "connecting",
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
        State::Waiting => Colour::Dim,
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
    fn the_documented_json_is_what_we_write() {
        let status: Status = serde_json::from_str(STATUS).unwrap();
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(STATUS).unwrap());
    }
}
