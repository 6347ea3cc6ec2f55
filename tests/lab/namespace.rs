//! An anonymous network namespace that lives as long as its value.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, id};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns, unshare};

use serde_json::Value;

use super::process::run;

/// A network namespace without a name in the file system: the open file keeps it, and the kernel frees it with us.
pub struct Namespace {
    /// For messages only.
    pub name: &'static str,
    handle: File,
}

impl Namespace {
    /// A fresh one, its loopback up, without duplicate address detection (which would delay IPv6).
    pub fn new(name: &'static str) -> Self {
        let handle = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("the laboratory needs root: it makes network namespaces");
            File::open("/proc/thread-self/ns/net").expect("open the namespace just made")
        })
        .join()
        .expect("make a network namespace");
        let namespace = Self { name, handle };
        namespace.sysctl("ipv6/conf/default/accept_dad", "0");
        namespace.ip("link set dev lo up");
        namespace
    }

    /// A path to it that other processes can open while this value lives.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", id(), self.handle.as_raw_fd()).into()
    }

    /// A command that will run inside, and be killed when the calling thread ends.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display()));
        command.args(["setpriv", "--pdeathsig", "KILL", "--", program]);
        command
    }

    /// Runs a closure inside, on a thread of its own, and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                enter(&self.handle);
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let handle = self.handle.try_clone().expect("duplicate the handle of a namespace");
        thread::spawn(move || {
            enter(&handle);
            work()
        })
    }

    /// `ip` with these arguments, which must succeed.
    pub fn ip(&self, arguments: &str) -> String {
        run(self.command("ip").args(arguments.split_whitespace()))
    }

    /// Loads an nftables ruleset.
    pub fn nft(&self, ruleset: &str) {
        run(self.command("nft").arg(ruleset));
    }

    /// The nftables ruleset, as `nft` writes it.
    pub fn nft_list(&self) -> String {
        run(self.command("nft").args(["list", "ruleset"]))
    }

    /// What its kernel dropped for want of room, where it did: UDP sockets' buffers and devices' queues.
    pub fn kernel_drops(&self) -> Vec<String> {
        let sockets = run(self.command("nstat").args(["--json", "--zeros", "--ignore", "--noupdate"]));
        let sockets: Value = serde_json::from_str(&sockets).expect("nstat prints JSON");
        let devices: Value =
            serde_json::from_str(&self.ip("-json -statistics link")).expect("ip prints JSON");
        let mut drops = vec![];
        for counter in ["UdpRcvbufErrors", "Udp6RcvbufErrors"] {
            drops.push((counter.to_owned(), sockets["kernel"][counter].clone()));
        }
        for device in devices.as_array().into_iter().flatten() {
            for direction in ["rx", "tx"] {
                let name = format!("{} {direction}", device["ifname"]);
                drops.push((name, device["stats64"][direction]["dropped"].clone()));
            }
        }
        drops.retain(|(_, count)| count.as_u64() != Some(0));
        drops.into_iter().map(|(what, count)| format!("{} {what}: {count}", self.name)).collect()
    }

    /// Sets a value under `/proc/sys/net`, which shows the namespace of whoever looks.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("write {path}: {error}"));
    }
}

fn enter(handle: &File) {
    setns(handle, CloneFlags::CLONE_NEWNET).expect("enter a network namespace");
}
