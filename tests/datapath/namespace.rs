//! Network namespaces without a name: they vanish with the test, whatever happens to it.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace of its own with `lo` up.
pub(crate) struct Namespace(File);

impl Namespace {
    pub(crate) fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the data path's tests make network namespaces and TUN devices: run them as root"
        );
        let file = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare(CLONE_NEWNET)");
            File::open("/proc/thread-self/ns/net").expect("the new namespace")
        });
        let namespace = Self(file.join().expect("the thread that made the namespace"));
        namespace.ip("link set lo up");
        namespace
    }

    /// Run something inside, on a thread of its own. Sockets and devices made there stay there.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("setns");
                inside()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Run `ip` with these words inside.
    pub(crate) fn ip(&self, words: &str) {
        let output =
            self.run(|| Command::new("ip").args(words.split(' ')).output().expect("ip (package iproute2)"));
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Wait until the kernel receives for an IPv6 address that was just added: a worker of its own makes the route, and on a
    /// busy machine waits its turn for it.
    pub(crate) fn settle(&self, address: IpAddr) {
        let IpAddr::V6(address) = address else { return };
        let destination = format!("{:032x}", address.to_bits());
        let give_up = Instant::now() + Duration::from_secs(10);
        let is_there = || {
            let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").expect("the routes");
            // Destination, its prefix in hexadecimal, …, flags (`RTF_LOCAL` is the highest), device.
            let is_local = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words[0] == destination && words[1] == "80" && words[8].starts_with('8')
            };
            routes.lines().any(is_local)
        };
        while !self.run(is_there) {
            assert!(Instant::now() < give_up, "no route for {address}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Write a setting under /proc/sys/net.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        self.run(|| fs::write(format!("/proc/sys/net/{name}"), value))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Lay a cable to another namespace: interface `name` at both ends, up, without addresses.
    pub(crate) fn cable(&self, name: &str, other: &Self) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add {name} type veth peer name {name} netns {there}"));
        for end in [self, other] {
            end.ip(&format!("link set {name} up"));
        }
    }
}
