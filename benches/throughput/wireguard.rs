//! A WireGuard in user space at both ends: boringtun, gotatun, wireguard-go. They are told what to do over the same
//! control socket (wireguard.com/xplatform), each with a `/run` of its own, since its name is fixed there.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::lab::{End, Process, Site, wait_for};

const INTERFACE: &str = "wg0";
/// What WireGuard sets by itself: an IPv6 header and its own fit into 1,500.
const MTU: u32 = 1_420;
const PORT: u16 = 51_820;
/// Private and public keys: no secret.
const KEYS: [[&str; 2]; 2] = [
    [
        "1111111111111111111111111111111111111111111111111111111111111111",
        "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13",
    ],
    [
        "2222222222222222222222222222222222222222222222222222222222222222",
        "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20",
    ],
];

/// One end.
pub struct WireGuard {
    process: Process,
    directory: TempDir,
}

/// How a program is started, its name left out.
#[derive(Clone, Copy)]
pub struct Program {
    pub arguments: &'static str,
}

impl WireGuard {
    /// Both ends of a tunnel between the gateways' networks.
    pub fn pair(site: &Site, program: &Path, how: Program) -> [Self; 2] {
        [End::A, End::B].map(|end| Self::start(site, end, program, how))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn start(site: &Site, end: End, program: &Path, how: Program) -> Self {
        let directory = tempfile::tempdir().expect("make a directory for WireGuard");
        let path = directory.path();
        fs::create_dir_all(path.join("run/wireguard")).expect("make WireGuard's /run");
        let gateway = site.side(end);
        let mut command = gateway.namespace.command("unshare");
        command.args(["--mount", "sh", "-c"]);
        command.arg(format!(
            "mount --bind {}/run /run && exec {} {} {INTERFACE}",
            path.display(),
            program.display(),
            how.arguments
        ));
        let process = Process::start(&mut command, &path.join("log"));
        let mut wireguard = Self { process, directory };
        wireguard.configure(site, end);
        gateway.namespace.ip(&format!("link set {INTERFACE} mtu {MTU} up"));
        for network in site.side(end.other()).networks {
            gateway.namespace.ip(&format!("route add {network} dev {INTERFACE}"));
        }
        wireguard
    }

    fn configure(&mut self, site: &Site, end: End) {
        let (ours, theirs) = if end == End::A { (KEYS[0], KEYS[1]) } else { (KEYS[1], KEYS[0]) };
        let there = site.side(end.other());
        let [v4, v6] = there.networks;
        let text = format!(
            "set=1\nprivate_key={}\nlisten_port={PORT}\npublic_key={}\nendpoint={}:{PORT}\nallowed_ip={v4}\nallowed_ip={v6}\n\n",
            ours[0], theirs[1], there.outside[0]
        );
        let mut socket = self.control();
        socket.write_all(text.as_bytes()).expect("configure WireGuard");
        let mut answer = [0; 64];
        let length = socket.read(&mut answer).expect("WireGuard's answer");
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains("errno=0"), "WireGuard refused its configuration: {answer}\n{}", self.log());
    }

    fn control(&mut self) -> UnixStream {
        let socket: PathBuf = self.directory.path().join("run/wireguard").join(format!("{INTERFACE}.sock"));
        let found = wait_for(Duration::from_secs(10), "WireGuard to open its control socket", || {
            if let Some(status) = self.process.ended() {
                panic!("WireGuard ended at its start: {status}\n{}", self.log());
            }
            UnixStream::connect(&socket).ok()
        });
        found.set_read_timeout(Some(Duration::from_secs(5))).expect("set a time-out");
        found
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}
