//! Our daemon and our command line, as the shipped binaries.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::process::{Process, print_tail};
use super::proof;
use super::site::Gateway;
use super::tunnel::{Gives, Outer, Part, Tunnel, offloads};
use super::wait::{wait_for, wait_until};

const DAEMON: &str = env!("CARGO_BIN_EXE_sekishod");
const COMMAND_LINE: &str = env!("CARGO_BIN_EXE_sekisho");

/// A sekishod in a gateway's namespace, its files in a directory of its own. Its log is printed when the test fails.
pub struct Sekisho<'a> {
    namespace: &'a Namespace,
    directory: TempDir,
    daemon: Process,
    /// What is started, and its first arguments.
    program: Vec<OsString>,
}

impl<'a> Sekisho<'a> {
    /// Starts it with one tunnel and waits until it answers `status`.
    pub fn start(gateway: &'a Gateway, tunnel: &Tunnel) -> Self {
        Self::start_in(&gateway.namespace, tunnel)
    }

    /// The same with another program than the shipped daemon, named with its first arguments.
    pub fn start_program(gateway: &'a Gateway, tunnel: &Tunnel, program: Vec<OsString>) -> Self {
        let directory = tempfile::tempdir().expect("make a directory for sekisho");
        write_configuration(&directory, tunnel);
        Self::launched(&gateway.namespace, directory, program)
    }

    /// The same in any namespace.
    pub fn start_in(namespace: &'a Namespace, tunnel: &Tunnel) -> Self {
        let directory = tempfile::tempdir().expect("make a directory for sekisho");
        write_configuration(&directory, tunnel);
        Self::launched(namespace, directory, vec![DAEMON.into()])
    }

    /// The same with a configuration of the scenario's own, given the directory for its files. Its control socket must
    /// be `control.sock` in there.
    pub fn configured(namespace: &'a Namespace, configuration: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("make a directory for sekisho");
        let mut text = configuration(directory.path());
        if !offloads() && !text.contains("offloads =") {
            text = text.replacen("[daemon]\n", "[daemon]\noffloads = \"off\"\n", 1);
        }
        fs::write(configuration_file(&directory), text).expect("write sekisho.toml");
        Self::launched(namespace, directory, vec![DAEMON.into()])
    }

    fn launched(namespace: &'a Namespace, directory: TempDir, program: Vec<OsString>) -> Self {
        let daemon = launch(namespace, &directory, &program);
        let mut peer = Self { namespace, directory, daemon, program };
        peer.await_status();
        peer
    }

    /// Runs `sekisho` with these arguments against this daemon.
    pub fn try_command(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments).output().expect("start sekisho")
    }

    /// The same, and it must succeed; returns the JSON that it prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.try_command(&[arguments, &["--json"]].concat());
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "sekisho {arguments:?}: {}\n{said}{complained}", output.status);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("sekisho {arguments:?}: {error}\n{said}"))
    }

    /// The only tunnel, as `status` shows it.
    pub fn tunnel(&self) -> Value {
        let status = self.json(&["status"]);
        let tunnels = status["tunnels"].as_array().expect("a list of tunnels");
        assert_eq!(tunnels.len(), 1, "one tunnel is configured: {status}");
        tunnels[0].clone()
    }

    /// Waits until the tunnel is up with exactly one Child SA, and returns it as `status` shows it.
    pub fn await_up(&self) -> Value {
        self.await_tunnel("the tunnel to be up with one Child SA", Duration::from_secs(30), |tunnel| {
            tunnel["state"] == "up" && children(tunnel) == 1
        })
    }

    /// Waits until the tunnel is up with another IKE SA than `before`, a former status.
    pub fn await_up_again(&self, before: &Value) -> Value {
        self.await_tunnel("the tunnel to be up again", Duration::from_secs(30), |tunnel| {
            tunnel["state"] == "up"
                && children(tunnel) == 1
                && tunnel["ike"]["spi_i"] != before["ike"]["spi_i"]
        })
    }

    /// Waits until the tunnel holds no SA, and returns it as `status` shows it.
    pub fn await_down(&self, limit: Duration) -> Value {
        self.await_tunnel("the tunnel to be down", limit, |tunnel| {
            tunnel["ike"].is_null() && children(tunnel) == 0
        })
    }

    /// Waits until the tunnel carries a failure, and returns that.
    pub fn await_failure(&self) -> Value {
        let failed = |tunnel: &Value| !tunnel["last_failure"].is_null();
        self.await_tunnel("a failure in status", Duration::from_secs(20), failed)["last_failure"].clone()
    }

    /// Waits until `events` tells of a failed negotiation, and returns that record. A peer that fails before it has
    /// said who it is belongs to no tunnel, so `status` cannot show it.
    pub fn await_failure_record(&self) -> Value {
        wait_for(Duration::from_secs(20), "a failed negotiation in `events`", || {
            let output = self.try_command(&["events", "--json"]);
            let records = String::from_utf8_lossy(&output.stdout).into_owned();
            let parsed =
                records.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record a line"));
            parsed.rev().find(|record| record["event"] == "negotiation_failed")
        })
    }

    /// Waits until the tunnel is as it is wanted, and returns it as `status` shows it.
    pub fn await_tunnel(&self, what: &str, limit: Duration, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(limit, what, || {
                last = self.tunnel();
                holds(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|panic| {
            eprintln!("the last status was {last:#}");
            std::panic::resume_unwind(panic)
        })
    }

    /// Rekeys the IKE SA, waits until that is done, and checks that the SA is another one.
    pub fn rekey_ike(&self) {
        let before = self.await_up()["ike"]["spi_i"].clone();
        self.json(&["rekey", Tunnel::NAME, "--ike"]);
        self.await_tunnel("one IKE SA, another than before", Duration::from_secs(20), |tunnel| {
            tunnel["ike"]["spi_i"].is_string() && tunnel["ike"]["spi_i"] != before && children(tunnel) == 1
        });
    }

    /// Rekeys the Child SA, waits until that is done, and checks that the SA is another one.
    pub fn rekey_child(&self) {
        let before = self.await_up()["children"][0]["spi_in"].clone();
        self.json(&["rekey", Tunnel::NAME, "--child"]);
        self.await_tunnel("one Child SA, another than before", Duration::from_secs(20), |tunnel| {
            children(tunnel) == 1 && tunnel["children"][0]["spi_in"] != before
        });
    }

    /// Writes another configuration, without telling the daemon.
    pub fn rewrite(&self, tunnel: &Tunnel) {
        write_configuration(&self.directory, tunnel);
    }

    /// The file that it reads.
    pub fn configuration(&self) -> PathBuf {
        configuration_file(&self.directory)
    }

    /// The SA log, a record a line.
    pub fn sa_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("sa.jsonl")).expect("read the SA log");
        text.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect()
    }

    /// The name servers that it was given and wrote down.
    pub fn resolv_conf(&self) -> Option<String> {
        fs::read_to_string(self.directory.path().join("state/resolv.conf")).ok()
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Memory that the daemon occupies, MiB.
    pub fn resident_mib(&self) -> f64 {
        let path = format!("/proc/{}/status", self.daemon.id());
        let status = fs::read_to_string(path).expect("read the daemon's status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
        let kib = line.trim().trim_end_matches(" kB").parse::<u32>().expect("a number of KiB");
        f64::from(kib) / 1024.0
    }

    /// Processor time that the daemon has used, seconds.
    pub fn processor_s(&self) -> f64 {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.daemon.id())).expect("read the daemon's times");
        // The name, in brackets, may hold anything; utime and stime are the 14th and 15th field of proc(5).
        let (_, fields) = stat.rsplit_once(')').expect("the end of its name");
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().expect("ticks"));
        f64::from(ticks.sum::<u32>()) / 100.0
    }

    /// Ends it in an orderly way (SIGTERM).
    pub fn stop(&mut self) {
        let status = self.daemon.terminate();
        assert!(status.success(), "sekishod ended with {status}");
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again with the configuration as it is now.
    pub fn restart(&mut self) {
        self.daemon = launch(self.namespace, &self.directory, &self.program);
        self.await_status();
    }

    fn await_status(&mut self) {
        let mut command = self.command();
        command.args(["status", "--json"]);
        let daemon = &mut self.daemon;
        wait_until(Duration::from_secs(10), "sekishod to answer `status`", || {
            if let Some(status) = daemon.ended() {
                panic!("sekishod ended at its start: {status}");
            }
            command.output().expect("start sekisho").status.success()
        });
    }

    fn command(&self) -> Command {
        let mut command = self.namespace.command(COMMAND_LINE);
        command.arg("--socket").arg(self.directory.path().join("control.sock")).stdin(Stdio::null());
        command
    }
}

impl Drop for Sekisho<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.directory.path().join("sekishod.log");
            print_tail(&format!("sekishod in {}", self.namespace.name), &log);
            let status = self.try_command(&["status", "--json"]).stdout;
            eprintln!("---- its status ----\n{}", String::from_utf8_lossy(&status));
        }
    }
}

fn children(tunnel: &Value) -> usize {
    tunnel["children"].as_array().map_or(0, Vec::len)
}

fn launch(namespace: &Namespace, directory: &TempDir, program: &[OsString]) -> Process {
    let (daemon, arguments) = program.split_first().expect("a program");
    let mut command = namespace.command(daemon.to_str().expect("a path in UTF-8"));
    command.args(arguments);
    command.arg("--config").arg(configuration_file(directory));
    // As systemd does: what is fetched is kept there.
    let kept = directory.path().join("kept");
    fs::create_dir_all(&kept).expect("make a directory for sekisho");
    command.env("STATE_DIRECTORY", kept);
    Process::start(&mut command, &directory.path().join("sekishod.log"))
}

fn configuration_file(directory: &TempDir) -> PathBuf {
    directory.path().join("sekisho.toml")
}

fn write_configuration(directory: &TempDir, tunnel: &Tunnel) {
    let proofs = proof::of_sekisho(directory.path(), tunnel);
    let text = configuration(&directory.path().display().to_string(), tunnel, &proofs);
    fs::write(configuration_file(directory), text).expect("write sekisho.toml");
}

fn configuration(directory: &str, tunnel: &Tunnel, proofs: &str) -> String {
    let cookies = tunnel.cookie_threshold.map_or(String::new(), |n| format!("cookie_threshold = {n}\n"));
    let remote = tunnel.remote.map_or("any".to_owned(), |address| address.to_string());
    let networks = match tunnel.parts.as_slice() {
        [] => networks(tunnel),
        _ => String::new(),
    };
    let start = match (tunnel.initiate, tunnel.settings.contains("start =")) {
        (_, true) => "",
        (true, false) => "start = \"always\"\n",
        (false, false) => "start = \"listen\"\n",
    };
    let children: String = tunnel.parts.iter().map(child).collect();
    format!(
        r#"[daemon]
control_socket = "{directory}/control.sock"
state_dir = "{directory}/state"
sa_log = "{directory}/sa.jsonl"
log = "debug"
offloads = "{offloads}"
{cookies}
[tunnel.{name}]
local_id = "{local_id}"
remote_id = "{remote_id}"
remote = "{remote}"
{proofs}{networks}ike_proposals = ["{ike}"]
esp_proposals = ["{esp}"]
ike_lifetime = "{ike_lifetime}s"
child_lifetime = "{child_lifetime}s"
liveness = "{liveness}s"
fragment_size = {fragment_size}
retransmit_first = "200ms"
retransmit_tries = 5
retry_first = "1s"
retry_max = "2s"
{start}{settings}
{children}{pool}{more}"#,
        name = Tunnel::NAME,
        offloads = if tunnel.offloads { "auto" } else { "off" },
        local_id = tunnel.local_id,
        remote_id = tunnel.remote_id,
        ike = tunnel.ike_proposal,
        esp = tunnel.esp_proposal,
        ike_lifetime = tunnel.ike_lifetime_s,
        child_lifetime = tunnel.child_lifetime_s,
        liveness = tunnel.liveness_s,
        fragment_size = tunnel.fragment_size,
        settings = tunnel.settings,
        pool = pool(tunnel),
        more = tunnel.more,
    )
}

fn listed(local: &[String], remote: &[String]) -> String {
    format!("local_networks = {local:?}\nremote_networks = {remote:?}\n")
}

fn child(part: &Part) -> String {
    let networks = listed(&part.local_networks, &part.remote_networks);
    format!("[[tunnel.{}.child]]\nname = \"{}\"\n{networks}{}\n", Tunnel::NAME, part.name, part.settings)
}

/// Networks, or what stands in their place.
fn networks(tunnel: &Tunnel) -> String {
    let families = tunnel.asks.iter().map(|family| match family {
        Outer::V4 => "ipv4",
        Outer::V6 => "ipv6",
    });
    let families: Vec<_> = families.collect();
    let local = if families.is_empty() {
        format!("local_networks = {:?}\n", tunnel.local_networks)
    } else {
        format!("internal_address = {families:?}\n")
    };
    let remote = if tunnel.gives.is_some() {
        "pool = \"office\"\n".to_owned()
    } else {
        format!("remote_networks = {:?}\n", tunnel.remote_networks)
    };
    local + &remote
}

fn pool(tunnel: &Tunnel) -> String {
    let pool =
        |gives: &Gives| format!("[pool.office]\naddresses = {:?}\ndns = {:?}\n", gives.addresses, gives.dns);
    tunnel.gives.as_ref().map(pool).unwrap_or_default()
}
