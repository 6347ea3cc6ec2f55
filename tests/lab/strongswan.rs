//! strongSwan with its ESP in user space (plugin kernel-libipsec): the everyday peer.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::namespace::Namespace;
use super::process::{Process, print_tail, run};
use super::proof;
use super::site::Gateway;
use super::tunnel::{Outer, Tunnel};
use super::wait::{wait_for, wait_until};

const CHARON: &str = "/usr/lib/ipsec/charon";
/// Metric of the routes behind all others.
const LAST: &str = "9999";

/// A charon in a gateway's namespace, with a `/run` of its own. Its log is printed when the test fails.
pub struct StrongSwan<'a> {
    namespace: &'a Namespace,
    directory: TempDir,
    charon: Process,
}

impl<'a> StrongSwan<'a> {
    /// Starts it with one connection and waits until that is loaded.
    pub fn start(gateway: &'a Gateway, tunnel: &Tunnel) -> Self {
        let directory = tempfile::tempdir().expect("make a directory for strongSwan");
        let path = directory.path();
        for sub in ["run", "swanctl"] {
            fs::create_dir(path.join(sub)).expect("make a directory for strongSwan");
        }
        let configuration = daemon_configuration(&path.display().to_string(), tunnel);
        fs::write(path.join("strongswan.conf"), configuration).expect("write strongswan.conf");
        keep_in(&gateway.namespace, tunnel);
        let charon = launch(&gateway.namespace, &directory);
        let mut peer = Self { namespace: &gateway.namespace, directory, charon };
        peer.await_vici();
        peer.load(tunnel);
        peer
    }

    /// Replaces its connection.
    pub fn load(&self, tunnel: &Tunnel) {
        let directory = self.directory.path().join("swanctl");
        let proofs = proof::of_strongswan(&directory, tunnel);
        let text = connection_configuration(tunnel, &proofs);
        fs::write(directory.join("swanctl.conf"), text).expect("write swanctl.conf");
        run(&mut self.command(&["--load-all", "--noprompt"]));
    }

    /// Sets the tunnel up from here; panics when that fails.
    pub fn initiate(&self) {
        run(&mut self.command(&["--initiate", "--child", Tunnel::NAME, "--timeout", "20"]));
    }

    /// Sets the tunnel up from here, and returns how that went.
    pub fn try_initiate(&self) -> Output {
        let mut command = self.command(&["--initiate", "--child", Tunnel::NAME, "--timeout", "20"]);
        command.output().expect("start swanctl")
    }

    /// Sets up one of several Child SAs from here; panics when that fails.
    pub fn initiate_child(&self, name: &str) {
        run(&mut self.command(&["--initiate", "--child", name, "--timeout", "20"]));
    }

    /// Replaces one of several Child SAs.
    pub fn rekey_child_named(&self, name: &str) {
        run(&mut self.command(&["--rekey", "--child", name]));
    }

    /// Deletes the tunnel and tells the peer.
    pub fn terminate(&self) {
        run(&mut self.command(&["--terminate", "--ike", Tunnel::NAME]));
    }

    /// Starts a rekey of the IKE SA and waits until the new one stands.
    pub fn rekey_ike(&self) {
        self.rekey("--ike", || self.ike_spis());
    }

    /// Starts a rekey of the Child SA and waits until the new one stands.
    pub fn rekey_child(&self) {
        self.rekey("--child", || self.child_spis());
    }

    /// Asks for a rekey of the Child SA, whatever comes of it.
    pub fn ask_rekey_child(&self) {
        let mut command = self.command(&["--rekey", "--child", Tunnel::NAME]);
        let _ = command.output().expect("start swanctl");
    }

    fn rekey(&self, what: &str, spis: impl Fn() -> Vec<String>) {
        let before = spis();
        assert_eq!(before.len(), 1, "one SA to rekey, not {before:?}");
        run(&mut self.command(&["--rekey", what, Tunnel::NAME]));
        wait_until(Duration::from_secs(20), "strongSwan to have rekeyed", || {
            let now = spis();
            now.len() == 1 && now != before
        });
    }

    /// Initiator SPIs of its established IKE SAs.
    pub fn ike_spis(&self) -> Vec<String> {
        let sas = self.list_sas();
        sas.lines()
            .filter(|line| line.contains(" ESTABLISHED,"))
            .filter_map(|line| {
                let (_, spis) = line.rsplit_once(", ")?;
                Some(spis.split_whitespace().next()?.trim_end_matches('*').trim_end_matches("_i").to_owned())
            })
            .collect()
    }

    /// Inbound SPIs of its installed Child SAs.
    pub fn child_spis(&self) -> Vec<String> {
        let sas = self.list_sas();
        let mut installed = false;
        let mut spis = vec![];
        for line in sas.lines() {
            if line.contains("reqid ") {
                installed = line.contains(" INSTALLED,");
            } else if installed && let Some(rest) = line.trim_start().strip_prefix("in ") {
                spis.push(rest.trim_start().split([',', ' ']).next().unwrap_or_default().to_owned());
            }
        }
        spis
    }

    /// What `swanctl --list-sas` prints.
    pub fn list_sas(&self) -> String {
        run(&mut self.command(&["--list-sas"]))
    }

    /// Waits until it holds exactly one IKE SA with exactly one Child SA.
    pub fn await_up(&self) {
        wait_until(Duration::from_secs(30), "strongSwan to hold one IKE SA and one Child SA", || {
            self.ike_spis().len() == 1 && self.child_spis().len() == 1
        });
    }

    /// Waits until it holds no SA.
    pub fn await_down(&self) {
        wait_until(Duration::from_secs(15), "strongSwan to hold no SA", || self.list_sas().trim().is_empty());
    }

    /// The name servers that it was given and wrote down.
    pub fn resolv_conf(&self) -> String {
        fs::read_to_string(self.directory.path().join("resolv.conf")).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.charon.id()
    }

    /// What it has written into its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("charon.log")).expect("read charon's log")
    }

    /// Kills it as a power cut would: nothing is said to the peer.
    pub fn kill(&mut self) {
        self.charon.kill();
    }

    /// Starts it again after `kill`, with the connection it had.
    pub fn restart(&mut self) {
        self.charon.kill();
        // A killed charon leaves its pid file, and a second one refuses to start beside it.
        fs::remove_dir_all(self.directory.path().join("run")).expect("empty strongSwan's /run");
        fs::create_dir(self.directory.path().join("run")).expect("make strongSwan's /run");
        self.charon = launch(self.namespace, &self.directory);
        self.await_vici();
        run(&mut self.command(&["--load-all", "--noprompt"]));
    }

    fn await_vici(&mut self) {
        let socket = self.vici();
        let charon = &mut self.charon;
        wait_for(Duration::from_secs(10), "charon to open its control socket", || {
            if let Some(status) = charon.ended() {
                panic!("charon ended at its start: {status}");
            }
            UnixStream::connect(&socket).ok()
        });
    }

    fn vici(&self) -> PathBuf {
        self.directory.path().join("vici")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command("swanctl");
        command.args(arguments).arg("--uri").arg(format!("unix://{}", self.vici().display()));
        command.env("SWANCTL_DIR", self.directory.path().join("swanctl"));
        command.env("STRONGSWAN_CONF", self.directory.path().join("strongswan.conf"));
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for StrongSwan<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_tail(
                &format!("strongSwan in {}", self.namespace.name),
                &self.directory.path().join("charon.log"),
            );
        }
    }
}

/// For what it has no SA, strongSwan lets in clear: a connection's last words when the SA is gone. Its own routes to
/// what it protects are in a table that comes first.
fn keep_in(namespace: &Namespace, tunnel: &Tunnel) {
    let given = tunnel.gives.iter().flat_map(|gives| gives.addresses.iter().copied());
    for network in tunnel.remote_networks.iter().map(String::as_str).chain(given) {
        namespace.ip(&format!("route replace blackhole {network} metric {LAST}"));
    }
}

/// Each charon needs its own `/run`, so it gets a mount namespace in which that is a directory of its own.
fn launch(namespace: &Namespace, directory: &TempDir) -> Process {
    let path = directory.path();
    let mut command = namespace.command("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(format!("mount --bind {}/run /run && exec {CHARON}", path.display()));
    command.env("STRONGSWAN_CONF", path.join("strongswan.conf"));
    Process::start(&mut command, &path.join("charon.out"))
}

/// `openssl` comes first among the plugins: another GCM would be ten times slower.
fn daemon_configuration(directory: &str, tunnel: &Tunnel) -> String {
    let signature_authentication = if tunnel.old_signatures { "no" } else { "yes" };
    let fragment_size = tunnel.fragment_size;
    let cookies = tunnel.cookie_threshold.map_or(String::new(), |n| format!("cookie_threshold = {n}"));
    format!(
        "charon {{
  load_modular = no
  load = random nonce openssl curve25519 pem pkcs1 pkcs8 x509 revocation constraints pubkey curl kdf kernel-libipsec \
kernel-netlink socket-default vici resolve updown
  signature_authentication = {signature_authentication}
  retransmit_timeout = 0.4
  retransmit_base = 1.5
  retransmit_tries = 8
  fragment_size = {fragment_size}
  {cookies}
  plugins {{
    vici {{ socket = unix://{directory}/vici }}
    kernel-libipsec {{ allow_peer_ts = yes }}
    resolve {{ file = {directory}/resolv.conf }}
    kernel-netlink {{ fwmark = !0x42 }}
    socket-default {{ fwmark = 0x42 }}
  }}
  filelog {{
    file {{
      path = {directory}/charon.log
      time_format = %H:%M:%S
      flush_line = yes
      default = 1
    }}
  }}
}}
"
    )
}

fn connection_configuration(tunnel: &Tunnel, [prove, believe]: &[String; 2]) -> String {
    let remote = tunnel.remote.map_or("%any".to_owned(), |address| address.to_string());
    let children: String = match tunnel.parts.as_slice() {
        [] => child_configuration(tunnel, Tunnel::NAME, &tunnel.local_networks, &tunnel.remote_networks),
        parts => parts
            .iter()
            .map(|part| child_configuration(tunnel, part.name, &part.local_networks, &part.remote_networks))
            .collect(),
    };
    format!(
        "connections {{
  {name} {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    encap = yes
    fragmentation = yes
    mobike = no
{vips}    proposals = {ike}
    rekey_time = {ike_lifetime}
    over_time = 3600
    dpd_delay = {liveness}
    keyingtries = 0
    local {{
      {prove}
      id = \"{local_id}\"
    }}
    remote {{
      {believe}
      id = \"{remote_id}\"
    }}
    {options}
    children {{
{children}    }}
  }}
}}
{pools}secrets {{
  ike-1 {{
    id-1 = \"{local_id}\"
    id-2 = \"{remote_id}\"
    secret = {psk}
  }}
}}
",
        name = Tunnel::NAME,
        local = tunnel.local,
        ike = tunnel.ike_proposal,
        ike_lifetime = tunnel.ike_lifetime_s,
        liveness = tunnel.liveness_s,
        local_id = tunnel.local_id,
        remote_id = tunnel.remote_id,
        options = tunnel.options,
        vips = vips(tunnel),
        pools = pools(tunnel),
        psk = tunnel.psk,
    )
}

fn child_configuration(tunnel: &Tunnel, name: &str, local: &[String], remote: &[String]) -> String {
    let (start, close) = if tunnel.initiate { ("start", "start") } else { ("none", "none") };
    format!(
        "      {name} {{
        local_ts = {local_ts}
        remote_ts = {remote_ts}
        esp_proposals = {esp}
        rekey_time = {child_lifetime}
        life_time = {child_life}
        rand_time = 0
        start_action = {start}
        close_action = {close}
        dpd_action = clear
      }}
",
        local_ts = networks(local),
        remote_ts = networks(remote),
        esp = tunnel.esp_proposal,
        child_lifetime = tunnel.child_lifetime_s,
        child_life = tunnel.child_lifetime_s + 60,
    )
}

/// Where the configuration payload gives the address, `dynamic` stands for it.
fn networks(networks: &[String]) -> String {
    if networks.is_empty() { "dynamic".to_owned() } else { networks.join(",") }
}

/// The lines of a connection that ask for addresses, or say where those of its peers come from.
fn vips(tunnel: &Tunnel) -> String {
    let any = tunnel.asks.iter().map(|family| match family {
        Outer::V4 => "0.0.0.0",
        Outer::V6 => "::",
    });
    let any: Vec<_> = any.collect();
    let vips = (!any.is_empty()).then(|| format!("    vips = {}\n", any.join(",")));
    let names =
        (0..tunnel.gives.iter().flat_map(|gives| &gives.addresses).count()).map(|n| format!("pool{n}"));
    let names: Vec<_> = names.collect();
    let pools = (!names.is_empty()).then(|| format!("    pools = {}\n", names.join(",")));
    vips.into_iter().chain(pools).collect()
}

fn pools(tunnel: &Tunnel) -> String {
    let Some(gives) = &tunnel.gives else { return String::new() };
    let pool = |(number, range): (usize, &&str)| {
        let of_family = |server: &&&str| server.contains(':') == range.contains(':');
        let dns: Vec<_> = gives.dns.iter().filter(of_family).copied().collect();
        let dns = if dns.is_empty() { String::new() } else { format!("dns = {}", dns.join(",")) };
        format!("  pool{number} {{\n    addrs = {range}\n    {dns}\n  }}\n")
    };
    let pools: String = gives.addresses.iter().enumerate().map(pool).collect();
    format!("pools {{\n{pools}}}\n")
}
