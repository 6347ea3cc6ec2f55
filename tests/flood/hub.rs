//! The hub and the newcomer, both sekishods, and what is asked of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

use crate::PEERS;
use crate::crowd::Held;
use crate::ground::{self, Family, Ground};
use crate::lab::Sekisho;

/// Of all: the same key serves, since this is about work and not about secrets.
pub const PSK: &str = "0sq5iY2F0tKc9wJ4b0GkXo1u8nQm3ZrVtLh7eDsAyPfWE=";
/// What that stands for.
pub const KEY: &[u8] = b"q5iY2F0tKc9wJ4b0GkXo1u8nQm3ZrVtLh7eDsAyPfWE=";

/// With a tunnel for each honest peer and for the newcomer; it only answers.
pub fn start(ground: &Ground) -> Sekisho<'_> {
    Sekisho::configured(&ground.hub, |directory| {
        let mut text = daemon(directory, "info");
        for number in 1..=PEERS {
            let (name, network) = (format!("clinic-{number}"), format!("10.64.{number}.0/24"));
            text += &tunnel(&name, "any", ["hub", &name], ["10.128.0.0/16", &network]);
        }
        text + &tunnel("newcomer", "any", ["hub", "newcomer"], ["10.128.0.0/16", "10.65.0.0/24"])
    })
}

/// Knows the hub and waits to be told.
pub fn newcomer(ground: &Ground, family: Family) -> Sekisho<'_> {
    let remote = ground::hub(family).to_string();
    Sekisho::configured(&ground.newcomer, |directory| {
        daemon(directory, "debug")
            + &tunnel("newcomer", &remote, ["newcomer", "hub"], ["10.65.0.0/24", "10.128.0.0/16"])
    })
}

fn daemon(directory: &Path, log: &str) -> String {
    let mut file = std::fs::File::options();
    let mut key =
        file.write(true).create(true).truncate(true).mode(0o600).open(directory.join("all.psk")).unwrap();
    std::io::Write::write_all(&mut key, PSK.as_bytes()).unwrap();
    let directory = directory.display();
    format!(
        "[daemon]\ncontrol_socket = \"{directory}/control.sock\"\nstate_dir = \"{directory}/state\"\n\
         sa_log = \"{directory}/sa.jsonl\"\nlog = \"{log}\"\n"
    )
}

fn tunnel(name: &str, remote: &str, [we, they]: [&str; 2], [ours, theirs]: [&str; 2]) -> String {
    // The hub cannot call anybody; the newcomer calls when it is told to.
    let start = if remote == "any" { "listen" } else { "on-demand" };
    let mut text = String::new();
    write!(
        text,
        "\n[tunnel.{name}]\nlocal_id = \"{we}.example\"\nremote_id = \"{they}.example\"\nremote = \"{remote}\"\n\
         psk_file = \"all.psk\"\nstart = \"{start}\"\nliveness = \"2s\"\n\
         local_networks = [\"{ours}\"]\nremote_networks = [\"{theirs}\"]\n"
    )
    .unwrap();
    text
}

/// Has the newcomer set its tunnel up, and waits until it has.
pub fn up(newcomer: &Sekisho<'_>) {
    let tunnel = newcomer.json(&["up", "newcomer", "--timeout", "30"]);
    assert_eq!(tunnel["state"], "up", "{tunnel}");
}

/// No tunnel has ended at the hub, and none failed.
pub fn assert_nothing_lost(hub: &Sekisho<'_>) {
    // A stranger's failure is of no tunnel.
    let bad = |record: &Value| {
        record["event"] == "tunnel_down"
            || record["event"] == "negotiation_failed" && record["tunnel"].is_string()
    };
    let bad: Vec<_> = hub.sa_log().into_iter().filter(bad).collect();
    assert_eq!(bad, Vec::<Value>::new());
}

/// Whether the hub holds for each peer what that holds, and nothing else.
pub fn agrees(hub: &Sekisho<'_>, held: &BTreeMap<String, Held>) -> bool {
    let status = hub.json(&["status"]);
    status["tunnels"].as_array().expect("tunnels").iter().all(|tunnel| {
        // The newcomer says for itself that it is up.
        let held = held.get(tunnel["name"].as_str().expect("a name"));
        tunnel["state"] == "up" && held.is_none_or(|held| is_held(tunnel, held))
    })
}

fn is_held(tunnel: &Value, held: &Held) -> bool {
    let children = tunnel["children"].as_array().expect("children");
    let sending: Vec<_> = children.iter().filter(|child| child["sending"] == true).collect();
    let [child] = sending[..] else { return false };
    [&tunnel["ike"]["spi_i"], &tunnel["ike"]["spi_r"]] == [&held.ike[0], &held.ike[1]]
        && [&child["spi_in"], &child["spi_out"]] == [&held.child[1], &held.child[0]]
}
