//! Whether another program has the UDP ports of IKE.

use std::collections::BTreeSet;
use std::fs;

use super::machine::{Finding, Machine, Severity};
use crate::config::Config;

/// Ports that are taken, each with the process that has it if that can be found; not those of sekishod itself.
pub(super) fn taken(machine: &Machine, config: &Config, daemon: Option<u32>) -> Vec<Finding> {
    let ports = [config.daemon.ike_port, config.daemon.nat_port];
    let mut found = BTreeSet::new();
    for table in ["proc/net/udp", "proc/net/udp6"] {
        for (port, inode) in sockets(&machine.text(table)).filter(|(port, _)| ports.contains(port)) {
            let owner = owner(machine, inode);
            if !owner.is_sekishod(daemon) {
                found.insert((port, owner));
            }
        }
    }
    found.into_iter().map(|(port, owner)| owner.finding(port)).collect()
}

/// Local port and inode of each socket in a table such as `/proc/net/udp`.
fn sockets(table: &str) -> impl Iterator<Item = (u16, u64)> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        // After the local address: peer, state, queues, timer, retransmits, user, timeout, inode.
        let inode = fields.nth(7)?;
        Some((u16::from_str_radix(port, 16).ok()?, inode.parse().ok()?))
    })
}

/// The process that has a socket, if we may see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner(Option<(u32, String)>);

fn owner(machine: &Machine, inode: u64) -> Owner {
    let link = format!("socket:[{inode}]");
    let processes = fs::read_dir(machine.path("proc")).into_iter().flatten().flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_it = |pid: &u32| {
        let descriptors =
            fs::read_dir(machine.path(&format!("proc/{pid}/fd"))).into_iter().flatten().flatten();
        descriptors
            .into_iter()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link.as_str()))
    };
    Owner(pids.find(has_it).map(|pid| (pid, machine.text(&format!("proc/{pid}/comm")))))
}

impl Owner {
    fn is_sekishod(&self, daemon: Option<u32>) -> bool {
        self.0.as_ref().is_some_and(|(pid, name)| name == "sekishod" || daemon == Some(*pid))
            // Without privileges the owner of the running daemon's sockets cannot be seen.
            || self.0.is_none() && daemon.is_some()
    }

    fn finding(self, port: u16) -> Finding {
        let (what, remedy) = match self.0 {
            Some((pid, name)) => {
                let stop = match name.as_str() {
                    "charon" | "charon-systemd" => {
                        "`systemctl disable --now strongswan strongswan-starter`".to_owned()
                    }
                    "pluto" => "`systemctl disable --now ipsec`".to_owned(),
                    "iked" => "`systemctl disable --now iked`".to_owned(),
                    "racoon" => "`systemctl disable --now racoon`".to_owned(),
                    _ => format!("stop process {pid}"),
                };
                (format!("UDP port {port} is taken by {name} (process {pid})"), stop)
            }
            None => (
                format!("UDP port {port} is taken by another program"),
                format!("find it as root with `ss -ulpn 'sport = :{port}'` and stop it"),
            ),
        };
        Finding { severity: Severity::Error, code: "port_taken", what, remedy }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::super::machine::tests::{config, machine};
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 00000000:01F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 0
  124: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4343 2 0000000000000000 0
";

    #[test]
    fn another_ike_daemon_is_named_and_ours_is_not() {
        let config = config("local_networks = [\"10.17.0.1\"]\nremote_networks = [\"10.0.0.0/16\"]");
        let found = |name: &str, seen: bool, daemon: Option<u32>| {
            let root = machine(&[
                ("proc/net/udp", TABLE),
                ("proc/77/comm", &format!("{name}\n")),
                ("proc/77/fd/0", ""),
            ]);
            if seen {
                symlink("socket:[4242]", root.path().join("proc/77/fd/9")).unwrap();
            }
            taken(&Machine::at(root.path()), &config, daemon).into_iter().map(|f| f.what).collect::<Vec<_>>()
        };
        assert_eq!(found("charon", true, None), ["UDP port 500 is taken by charon (process 77)"]);
        assert_eq!(found("charon", true, Some(5)), ["UDP port 500 is taken by charon (process 77)"]);
        assert!(found("sekishod", true, None).is_empty());
        assert!(found("demo", true, Some(77)).is_empty());
        assert_eq!(found("x", false, None), ["UDP port 500 is taken by another program"]);
        assert!(found("x", false, Some(77)).is_empty());
    }
}
