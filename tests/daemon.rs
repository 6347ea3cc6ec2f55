//! The daemon as a process: what it leaves when it dies, what it may do, what it says when it cannot start. Each test
//! in a network namespace of its own (root needed).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod namespace;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use namespace::{Line, PROTECTED, assert_closed, in_namespace, routes, run, send};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sekisho::api::{Client, Fact, Reloaded, Reply, Request, State, Status};
use tempfile::TempDir;

/// Who may use nothing.
const NOBODY: u32 = 65_534;

#[test]
fn a_killed_daemon_leaves_what_it_protected_closed_and_the_next_one_adopts_it() {
    in_namespace(|| async {
        let line = Line::new();
        let site = Site::new();
        let mut daemon = site.start();
        assert!(routes().contains("10.0.0.0/16 dev sekisho0 table 7296 proto 94"), "{}", routes());
        assert_closed(&line);

        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
        let left = routes();
        assert!(!left.contains("sekisho0"), "the device is gone: {left}");
        for blackhole in ["blackhole 10.0.0.0/16 table", "blackhole 2001:db8:5::/48 dev lo table"] {
            assert!(left.contains(blackhole), "{left}");
        }
        assert_closed(&line);

        let again = site.start();
        assert!(routes().contains("10.0.0.0/16 dev sekisho0 table 7296"), "{}", routes());
        again.stop();
        assert_closed(&line);
    });
}

#[test]
fn no_start_stop_crash_or_reload_opens_a_window() {
    in_namespace(|| async {
        let _line = Line::new();
        run("nft add table inet watch");
        run("nft add chain inet watch out { type filter hook postrouting priority 0 ; }");
        run("nft add rule inet watch out oifname wan ip daddr 10.0.0.0/16 counter");
        run("nft add rule inet watch out oifname wan ip6 daddr 2001:db8:5::/48 counter");
        for address in PROTECTED {
            assert!(send(address, b"marker"), "nothing protects yet");
        }
        assert_eq!(counted(), [1, 1], "the counters see what leaves in clear");

        let site = Site::new();
        let ended = AtomicBool::new(false);
        assert!(site.run(&["--protect-only"]).0);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while !ended.load(Ordering::Relaxed) {
                    for address in PROTECTED {
                        // The TUN takes some, the blackhole refuses the others.
                        send(address, b"marker");
                        sent += 1;
                    }
                }
                sent
            });
            for _ in 0..3 {
                let mut daemon = site.start();
                kill(daemon.pid(), Signal::SIGHUP).unwrap();
                daemon.wait_until("READY=1");
                daemon.child.kill().unwrap();
                daemon.child.wait().unwrap();
                site.start().stop();
            }
            ended.store(true, Ordering::Relaxed);
            assert!(sender.join().unwrap() > 100, "there was traffic all the while");
        });
        assert_eq!(counted(), [1, 1], "{}", routes());
    });
}

#[test]
fn a_boot_with_a_broken_configuration_blocks_what_the_last_good_one_protected() {
    let site = Arc::new(Site::new());
    let broken = "[tunnel.centre]\nremot = 1\n";
    let before = Arc::clone(&site);
    in_namespace(move || async move {
        let _line = Line::new();
        let good = fs::read_to_string(before.config()).unwrap();
        fs::write(before.config(), broken).unwrap();
        before.refuses(&["--protect-only"], &["remot"]);
        assert!(!routes().contains("blackhole"), "there was no good one yet: {}", routes());
        fs::write(before.config(), good).unwrap();
        assert!(before.run(&["--protect-only"]).0);
        fs::write(before.config(), broken).unwrap();
    });
    // Another namespace: the kernel has forgotten everything, as at a boot.
    in_namespace(move || async move {
        let line = Line::new();
        assert!(PROTECTED.iter().all(|address| line.carries(address)), "nothing protects yet");
        site.refuses(
            &["--protect-only"],
            &["remot", "what the last good configuration protected is blocked"],
        );
        assert_closed(&line);
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        assert!(String::from_utf8_lossy(&tables.stdout).contains("sekisho_"), "nothing guards: {tables:?}");
    });
}

#[test]
fn a_running_daemon_holds_no_privilege_but_that_over_the_network() {
    in_namespace(|| async {
        let site = Site::new();
        let daemon = site.start();
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let tasks: Vec<_> =
            tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap()).collect();
        assert!(tasks.len() >= 3, "control and two data threads");
        for status in tasks {
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
                assert_eq!(line(set), "0000000000001000", "{set} is CAP_NET_ADMIN");
            }
            assert_eq!(line("NoNewPrivs:"), "1");
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core dumps");
        daemon.stop();
    });
}

#[test]
fn a_daemon_whose_device_was_removed_ends_with_the_reason_and_leaves_all_closed() {
    in_namespace(|| async {
        let line = Line::new();
        let site = Site::new();
        let mut daemon = site.start();
        run("ip link delete sekisho0");
        assert_eq!(daemon.child.wait().unwrap().code(), Some(1));
        let log = fs::read_to_string(site.0.path().join("sa.jsonl")).unwrap();
        assert!(log.lines().any(|line| line.contains("stopping") && line.contains("was removed")), "{log}");
        assert_closed(&line);
        site.start().stop();
    });
}

/// The reasons that `docs/drops.md` explains.
fn documented_drops() -> BTreeSet<String> {
    let lines = include_str!("../docs/drops.md").lines();
    let words = lines.filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    words.map(|(word, _)| word.to_owned()).collect()
}

#[test]
fn the_control_socket_answers_and_a_reload_takes_over_only_what_is_good() {
    in_namespace(|| async {
        let _line = Line::new();
        let site = Site::new();
        let daemon = site.start();
        let status: Status = site.ask(&Request::Status).into_data().unwrap();
        assert_eq!((status.pid, status.interface.as_str()), (daemon.child.id(), "sekisho0"));
        assert_eq!(status.mtu, 1390, "1454 on the line, less IPv4, UDP, ESP, IV and ICV, in whole words");
        assert_eq!(status.tunnels.len(), 1);
        assert_eq!(status.tunnels[0].name, "centre");
        assert_ne!(status.tunnels[0].state, State::Up);
        assert_eq!(status.drops.into_keys().collect::<BTreeSet<_>>(), documented_drops());

        let good = fs::read_to_string(site.config()).unwrap();
        let bad = good.replace("remote_id", "remote_di").replace("local_id", "local_di");
        fs::write(site.config(), bad).unwrap();
        let refused = site.ask(&Request::Reload);
        let Reply::Failed(failure) = &refused else { panic!("{refused:?}") };
        assert!(failure.error.contains("remote_di"), "{failure:?}");
        let told = failure.problems.iter().find(|problem| problem.message.contains("`remote_di`"));
        let told = told.map(|problem| (problem.line > 1, problem.column, problem.help.as_str()));
        assert_eq!(told, Some((true, 1, "did you mean `remote_id`?")), "{failure:?}");
        let status: Status = site.ask(&Request::Status).into_data().unwrap();
        assert_eq!(status.tunnels.len(), 1, "the old one stays in force");
        let kept = status.reload_refused.expect("told until the next one is good").reason;
        let events = Client::connect(&site.0.path().join("control.sock"))
            .unwrap()
            .events(false, sekisho::api::Wanted::default())
            .unwrap();
        let reasons: Vec<String> = events
            .filter_map(|event| match event.unwrap().1?.fact {
                Fact::ConfigRefused { reason, .. } => Some(reason),
                _ => None,
            })
            .collect();
        let [reason] = reasons.as_slice() else { panic!("{reasons:?}") };
        assert!(reason.lines().count() == 1 && reason.contains(" more)"), "{reason}");
        assert_eq!(kept, *reason);

        let other = good.replace("10.0.0.0/16", "10.99.0.0/16").replace("ike_port = 500", "ike_port = 501");
        fs::write(site.config(), other).unwrap();
        let reloaded: Reloaded = site.ask(&Request::Reload).into_data().unwrap();
        assert_eq!(
            (reloaded.changed, reloaded.restart_needed),
            (vec!["centre".into()], vec!["ike_port".into()])
        );
        let status: Status = site.ask(&Request::Status).into_data().unwrap();
        assert_eq!(status.reload_refused, None);
        let table = routes();
        assert!(table.contains("10.99.0.0/16 dev sekisho0"), "{table}");
        assert!(table.contains("blackhole 10.0.0.0/16"), "what left the configuration stays closed: {table}");
        assert!(!table.contains("10.0.0.0/16 dev sekisho0"), "{table}");

        fs::write(site.config(), good.replace("10.0.0.0/16", "192.0.0.0/16")).unwrap();
        let reloaded: Reloaded = site.ask(&Request::Reload).into_data().unwrap();
        let taken = "192.0.2.2/24 of wan lies in the peer's network 192.0.0.0/16 (tunnel `centre`): ";
        assert!(
            reloaded.warnings.iter().any(|warning| warning.starts_with(taken)),
            "{:?}",
            reloaded.warnings
        );
        let cut_off = || site.ask(&Request::Status).into_data::<Status>().unwrap().tunnels.remove(0).cut_off;
        assert_eq!(cut_off(), ["192.0.2.2/24 of wan"], "told as long as it lasts");
        fs::write(site.config(), &good).unwrap();
        let reloaded: Reloaded = site.ask(&Request::Reload).into_data().unwrap();
        assert!(!reloaded.warnings.iter().any(|warning| warning.starts_with(taken)), "{reloaded:?}");
        assert_eq!(cut_off(), [""; 0]);
        daemon.stop();
    });
}

#[test]
fn a_network_that_a_tunnel_takes_away_is_told_of_as_the_addresses_change() {
    in_namespace(|| async {
        let _line = Line::new();
        let site = Site::new();
        let daemon = site.start();
        let cut_off = || site.ask(&Request::Status).into_data::<Status>().unwrap().tunnels.remove(0).cut_off;
        assert_eq!(cut_off(), [""; 0]);
        let (first, longer, ipv6) = ("10.0.5.1/24 of wan", "10.0.5.1/25 of wan", "2001:db8:5::1/64 of wan");
        for (change, expected) in [
            ("ip addr add 10.0.5.1/24 dev wan", &[first][..]),
            ("ip addr add 10.0.5.1/25 dev wan", &[first, longer]),
            ("ip addr del 10.0.5.1/24 dev wan", &[longer]),
            ("ip addr add 2001:db8:5::1/64 dev wan nodad", &[longer, ipv6]),
            // A network that is not on the way out stays local.
            ("ip -6 route del default", &[longer, ipv6]),
            ("ip route del default", &[]),
            ("ip route add default via 192.0.2.1 dev wan", &[longer, ipv6]),
            ("ip link delete wan", &[]),
        ] {
            run(change);
            // The kernel's word comes when it comes, and is waited for until no more follow.
            let deadline = Instant::now() + Duration::from_secs(20);
            while cut_off() != expected {
                assert!(Instant::now() < deadline, "after `{change}` it says {:?}", cut_off());
                thread::sleep(Duration::from_millis(20));
            }
        }
        daemon.stop();
    });
}

#[test]
fn what_keeps_it_from_starting_is_named_with_its_remedy() {
    in_namespace(|| async {
        let _line = Line::new();
        let site = Site::new();
        let daemon = site.start();
        site.refuses(&[], &["another sekishod runs already", &format!("process {}", daemon.child.id())]);
        daemon.stop();

        let holder = UdpSocket::bind("0.0.0.0:4500").unwrap();
        site.refuses(&[], &["4500"]);
        drop(holder);

        let good = fs::read_to_string(site.config()).unwrap();
        fs::write(site.config(), good.replace("sekisho0", "lo")).unwrap();
        site.refuses(&[], &["lo"]);
        fs::write(site.config(), good.replace("10.17.0.0/24", "10.17.0.1/24")).unwrap();
        site.refuses(&["--check"], &["10.17.0.1/24", "10.17.0.0/24", "sekisho.toml:"]);
        fs::write(site.config(), good).unwrap();
        fs::set_permissions(site.config(), PermissionsExt::from_mode(0o666)).unwrap();
        let checked = site.command(&["--check"]).output().unwrap();
        let said = String::from_utf8(checked.stdout).unwrap();
        assert!(
            checked.status.success() && said.contains("warning: the configuration may be changed"),
            "{said}"
        );
        assert!(said.ends_with("sekisho.toml is good; tunnels: 1\n"), "{said}");

        for file in ["", "sekisho.toml", "centre.psk"] {
            chown(site.0.path().join(file), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let output = site.command(&[]).uid(NOBODY).gid(NOBODY).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("CAP_NET_ADMIN") && why.contains("root"), "{why}");
        assert_eq!(site.command(&["--no-such-option"]).output().unwrap().status.code(), Some(2));
    });
}

#[test]
fn refused_strangers_leave_a_few_records_and_a_count() {
    in_namespace(|| async {
        let _line = Line::new();
        let site = Site::new();
        let answering = "[tunnel.anywhere]
local_id = \"hub.example\"
remote_id = \"clinic-18.example\"
psk_file = \"centre.psk\"
local_networks = [\"10.18.0.0/24\"]
remote_networks = [\"10.19.0.0/24\"]
";
        let config = fs::read_to_string(site.config()).unwrap();
        fs::write(site.config(), format!("{config}{answering}")).unwrap();
        let daemon = site.start();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let not_recorded = || {
            let status: Status = site.ask(&Request::Status).into_data().unwrap();
            ["ike_refusal_untold", "failure_not_recorded"]
                .map(|reason| status.drops.get(reason).copied().unwrap())
                .iter()
                .sum::<u64>()
        };
        // Asking in between gives the daemon time to take them.
        let flooded = (0..200).any(|number| {
            stranger.send_to(&refused_request(number), "127.0.0.1:500").unwrap();
            not_recorded() >= 150
        });
        assert!(flooded, "{}", not_recorded());
        daemon.stop();
        let log = fs::read_to_string(site.0.path().join("sa.jsonl")).unwrap();
        let recorded = log.lines().filter(|line| line.contains("127.0.0.1")).count();
        assert!((1..50).contains(&recorded), "{recorded} records:\n{log}");
    });
}

/// An `IKE_SA_INIT` request that offers nothing but what nobody should take: 3DES, SHA-1 and group 2.
fn refused_request(number: u8) -> Vec<u8> {
    let payload = |next: u8, body: &[u8]| {
        let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[next, 0][..], &length, body].concat()
    };
    let transform = |more: u8, kind: u8, id: u8| [more, 0, 0, 8, kind, 0, 0, id];
    let transforms = [transform(3, 1, 3), transform(3, 2, 2), transform(3, 3, 2), transform(0, 4, 2)];
    let proposal = [&[0, 0, 0, 40, 1, 1, 0, 4][..], transforms.as_flattened()].concat();
    let key_exchange = [&[0, 2, 0, 0][..], &[7; 128]].concat();
    let payloads = [payload(34, &proposal), payload(40, &key_exchange), payload(0, &[number; 32])].concat();
    let length = u32::try_from(28 + payloads.len()).unwrap().to_be_bytes();
    let spis = [1, 2, 3, 4, 5, 6, 7, number, 0, 0, 0, 0, 0, 0, 0, 0];
    [&spis[..], &[33, 0x20, 34, 0x08, 0, 0, 0, 0], &length, &payloads].concat()
}

/// A directory with a configuration, its key, and the daemon's state.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let here = directory.path().display();
        let config = format!(
            r#"
[daemon]
control_socket = "{here}/control.sock"
state_dir = "{here}"
sa_log = "{here}/sa.jsonl"
interface = "sekisho0"
ike_port = 500

[tunnel.centre]
local_id = "clinic-17.example"
remote_id = "hub.example"
remote = "203.0.113.1"
psk_file = "centre.psk"
local_networks = ["10.17.0.0/24", "2001:db8:17::/64"]
remote_networks = ["10.0.0.0/16", "2001:db8:5::/48"]
"#
        );
        let site = Self(directory);
        fs::write(site.config(), config).unwrap();
        let key = site.0.path().join("centre.psk");
        fs::write(&key, "correct horse battery staple").unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        site
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("sekisho.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekishod"));
        command.arg("--config").arg(self.config()).args(arguments).env_remove("JOURNAL_STREAM");
        command.env("STATE_DIRECTORY", self.0.path());
        command
    }

    /// Runs it to its end: whether it succeeded, and what it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let (started, why) = self.run(arguments);
        assert!(!started, "{why}");
        assert!(words.iter().all(|word| why.contains(word)), "{words:?} in: {why}");
    }

    /// Starts it, and waits until it says that it is ready.
    fn start(&self) -> Daemon {
        let path = self.0.path().join("notify.sock");
        let _ = fs::remove_file(&path);
        let notified = UnixDatagram::bind(&path).unwrap();
        notified.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let child = self.command(&[]).env("NOTIFY_SOCKET", &path).stderr(Stdio::inherit()).spawn().unwrap();
        let daemon = Daemon { child, notified };
        daemon.wait_until("READY=1");
        daemon
    }

    fn ask(&self, request: &Request) -> Reply {
        let socket: &Path = &self.0.path().join("control.sock");
        Client::connect(socket).unwrap().ask(request).unwrap()
    }
}

/// A running daemon, killed if its test fails.
struct Daemon {
    child: Child,
    notified: UnixDatagram,
}

impl Daemon {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Until it tells systemd (whose part the test plays) this.
    fn wait_until(&self, state: &str) {
        let mut said = [0; 256];
        loop {
            let length = self.notified.recv(&mut said).expect("the daemon says something within 20 seconds");
            if String::from_utf8_lossy(&said[..length]).lines().any(|line| line == state) {
                return;
            }
        }
    }

    fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        self.wait_until("STOPPING=1");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What left in clear, by address family.
fn counted() -> Vec<u64> {
    let rules = run("nft list chain inet watch out");
    let after = |line: &str| line.split("packets ").nth(1)?.split(' ').next()?.parse().ok();
    rules.lines().filter_map(after).collect()
}
