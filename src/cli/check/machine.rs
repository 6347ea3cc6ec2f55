//! Whether a machine is fit for a configuration: what would stop the daemon or its traffic, and the remedy.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use sekisho_ike::config::{Connection, Remote};
use sekisho_ike::negotiate::TrafficSelector;
use serde::Serialize;

use super::{bridges, networks, ports};
use crate::config::{Config, Daemon};

/// Something about the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Whether the daemon could start at all.
    pub(super) severity: Severity,
    /// A stable word.
    pub(super) code: &'static str,
    /// What is the matter.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// The daemon cannot start.
    Error,
    /// It can, but something will not work.
    Warning,
}

/// A machine, by the root of its file system.
pub(super) struct Machine(PathBuf);

impl Machine {
    pub(super) fn this() -> Self {
        Self("/".into())
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// Everything that a configuration would stumble over. `daemon`: the process that answers at the control socket.
    pub(super) fn look(&self, config: &Config, daemon: Option<u32>) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.tun());
        findings.extend(ports::taken(self, config, daemon));
        if daemon.is_none() {
            findings.extend(self.capabilities());
        }
        findings.extend(self.control_group(config));
        findings.extend(self.forwarding(config));
        findings.extend(self.reverse_path_filter(config));
        findings.extend(networks::absent(self, config));
        findings.extend(bridges::shown(self, config));
        findings
    }

    /// A path below the root.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A file's text without its last newline; empty if it cannot be read.
    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default().trim_end().to_owned()
    }

    fn tun(&self) -> Option<Finding> {
        let there =
            fs::metadata(self.path("dev/net/tun")).is_ok_and(|about| about.file_type().is_char_device());
        (!there).then(|| Finding {
            severity: Severity::Error,
            code: "no_tun",
            what: "there is no /dev/net/tun".to_owned(),
            remedy: "`modprobe tun`; in a container, pass the device in (--device /dev/net/tun)".to_owned(),
        })
    }

    /// Without the group only root may use the command line. The one that is meant where none is named may well be missing.
    fn control_group(&self, config: &Config) -> Option<Finding> {
        let name = &config.daemon.control_group;
        if name.is_empty() || *name == Daemon::default().control_group || self.has_group(name) {
            return None;
        }
        Some(Finding {
            severity: Severity::Warning,
            code: "no_control_group",
            what: format!(
                "there is no group `{name}` (`control_group`): only root can use the control socket"
            ),
            remedy: format!("`groupadd --system {name}`, or correct the name"),
        })
    }

    /// In the file or, on this machine, wherever else groups come from.
    fn has_group(&self, name: &str) -> bool {
        let listed = self.text("etc/group").lines().any(|line| line.split(':').next() == Some(name));
        let known = || nix::unistd::Group::from_name(name).is_ok_and(|group| group.is_some());
        listed || self.0 == Path::new("/") && known()
    }

    fn capabilities(&self) -> Option<Finding> {
        const NEEDED: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_NET_BIND_SERVICE", 10)];
        let status = self.text("proc/self/status");
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
        let missing: Vec<_> =
            NEEDED.iter().filter(|(_, bit)| effective >> bit & 1 == 0).map(|(name, _)| *name).collect();
        (!missing.is_empty()).then(|| Finding {
            severity: Severity::Warning,
            code: "missing_capability",
            what: format!("you lack {}, which sekishod needs", missing.join(" and ")),
            remedy: "start it as root or by its systemd unit".to_owned(),
        })
    }

    fn forwarding(&self, config: &Config) -> Vec<Finding> {
        let families = [
            (true, "IPv4", "net/ipv4/ip_forward", "net.ipv4.ip_forward"),
            (false, "IPv6", "net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"),
        ];
        let off = families.into_iter().filter(|(ipv4, _, path, _)| {
            needs_forwarding(config, *ipv4) && self.text(&format!("proc/sys/{path}")) == "0"
        });
        off.map(|(_, family, _, name)| Finding {
            severity: Severity::Warning,
            code: "forwarding_off",
            what: format!("{family} forwarding is off: packets of the hosts behind us go nowhere"),
            remedy: format!(
                "`sysctl -w {name}=1`, and the line `{name} = 1` in /etc/sysctl.d/90-sekisho.conf"
            ),
        })
        .collect()
    }

    /// Strict filtering looks up the way back by our routes. Where those lead to the tunnel for the peer's own address,
    /// the peer's packets are dropped as they come in.
    fn reverse_path_filter(&self, config: &Config) -> Option<Finding> {
        let swallowed = config.connections.iter().find(|connection| selects_its_peer(connection))?;
        let mode = |name: &str| self.text(&format!("proc/sys/net/ipv4/conf/{name}/rp_filter"));
        let marked = |name: &str| self.text(&format!("proc/sys/net/ipv4/conf/{name}/src_valid_mark")) == "1";
        let all = mode("all");
        let interfaces = fs::read_dir(self.path("proc/sys/net/ipv4/conf")).ok()?;
        let names = interfaces.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let own = [config.daemon.interface.as_str(), "lo", "all", "default"];
        // The kernel takes the larger of the two; 2 is loose.
        let strict = |name: &String| mode(name).max(all.clone()) == "1" && !marked(name) && !marked("all");
        let mut strict: Vec<_> = names.filter(|name| !own.contains(&name.as_str())).filter(strict).collect();
        strict.sort();
        (!strict.is_empty()).then(|| Finding {
            severity: Severity::Warning,
            code: "rp_filter_strict",
            what: format!(
                "rp_filter is strict on {}, and the networks of tunnel `{}` hold its peer's own address: the peer's packets would be dropped",
                strict.join(", "),
                swallowed.name
            ),
            remedy: "`sysctl -w net.ipv4.conf.all.rp_filter=2`, and the same in /etc/sysctl.d/90-sekisho.conf".to_owned(),
        })
    }
}

/// Single addresses are the machine's own; whole networks are behind it.
fn needs_forwarding(config: &Config, ipv4: bool) -> bool {
    let local = |connection: &Connection| {
        connection.children.iter().flat_map(|c| c.local.clone()).collect::<Vec<_>>()
    };
    let networks = config.connections.iter().flat_map(|connection| local(connection));
    networks.into_iter().any(|network| network.is_ipv4() == ipv4 && network.first() != network.last())
}

fn selects_its_peer(connection: &Connection) -> bool {
    let selects = |network: &TrafficSelector| match &connection.remote {
        _ if network.has_all_addresses() => true,
        Remote::Any => false,
        Remote::Hosts(hosts) => {
            hosts.iter().filter_map(|host| host.parse().ok()).any(|address| network.contains_address(address))
        }
    };
    connection.children.iter().flat_map(|child| &child.remote).any(selects)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use tempfile::TempDir;

    use super::*;

    /// A machine of plain files.
    pub(in super::super) fn machine(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    pub(in super::super) fn config(settings: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "[tunnel.t]\nlocal_id = \"a\"\nremote_id = \"b\"\npsk_file = \"psk\"\nremote = \"203.0.113.1\"\n{settings}\n"
        );
        let key = directory.path().join("psk");
        fs::write(&key, "0123456789abcdef").unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(directory.path().join("c.toml"), text).unwrap();
        crate::config::load(&directory.path().join("c.toml")).unwrap()
    }

    fn codes(root: &TempDir, config: &Config) -> Vec<(Severity, &'static str)> {
        Machine::at(root.path()).look(config, None).into_iter().map(|f| (f.severity, f.code)).collect()
    }

    #[test]
    fn a_bare_machine_lacks_a_tun_device_and_forwarding() {
        let root = machine(&[
            ("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n"),
            ("proc/sys/net/ipv4/ip_forward", "0\n"),
            ("proc/sys/net/ipv6/conf/all/forwarding", "0\n"),
        ]);
        let ipv4 = config("local_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.0.0.0/16\"]");
        let no_tun = (Severity::Error, "no_tun");
        assert_eq!(codes(&root, &ipv4), [no_tun, (Severity::Warning, "forwarding_off")]);
        let findings = Machine::at(root.path()).look(&ipv4, None);
        assert!(findings.iter().any(|f| f.remedy.contains("net.ipv4.ip_forward=1")), "{findings:?}");
        let host = config("local_networks = [\"10.17.0.1\"]\nremote_networks = [\"10.0.0.0/16\"]");
        assert_eq!(codes(&root, &host), [no_tun], "a single host forwards nothing");
        let ipv6 = config("local_networks = [\"2001:db8:17::/64\"]\nremote_networks = [\"2001:db8::/48\"]");
        let findings = Machine::at(root.path()).look(&ipv6, None);
        assert!(findings.iter().any(|f| f.remedy.contains("net.ipv6.conf.all.forwarding=1")), "{findings:?}");
    }

    #[test]
    fn a_control_group_that_does_not_exist_is_pointed_out() {
        let root = machine(&[("etc/group", "root:x:0:\nvpn-admins:x:990:\n")]);
        let networks = "local_networks = [\"10.17.0.1\"]\nremote_networks = [\"10.0.0.0/16\"]";
        for (settings, missing) in [
            ("", false),
            ("[daemon]\ncontrol_group = \"vpn-admins\"", false),
            ("[daemon]\ncontrol_group = \"vpn-admin\"", true),
            ("[daemon]\ncontrol_group = \"\"", false),
        ] {
            let codes = codes(&root, &config(&format!("{networks}\n{settings}")));
            assert_eq!(
                codes.contains(&(Severity::Warning, "no_control_group")),
                missing,
                "{settings}: {codes:?}"
            );
        }
    }

    #[test]
    fn a_user_without_privileges_is_told_which() {
        let root = machine(&[("proc/self/status", "CapEff:\t0000000000000400\n")]);
        let config = config("local_networks = [\"10.17.0.1\"]\nremote_networks = [\"10.0.0.0/16\"]");
        let findings = Machine::at(root.path()).look(&config, None);
        let found = findings.iter().find(|f| f.code == "missing_capability").unwrap();
        assert_eq!(found.what, "you lack CAP_NET_ADMIN, which sekishod needs");
        let running = Machine::at(root.path()).look(&config, Some(1));
        assert!(running.iter().all(|f| f.code != "missing_capability"), "a running daemon has them");
    }

    #[test]
    fn strict_filtering_matters_where_the_tunnel_holds_its_peer() {
        let conf = "proc/sys/net/ipv4/conf";
        let files = |all: &'static str, eth: &'static str| {
            [
                (format!("{conf}/all/rp_filter"), all),
                (format!("{conf}/eth0/rp_filter"), eth),
                (format!("{conf}/lo/rp_filter"), "1"),
            ]
        };
        let found = |all, eth, networks: &str| {
            let files = files(all, eth);
            let root = machine(&files.each_ref().map(|(path, text)| (path.as_str(), *text)));
            let config =
                config(&format!("local_networks = [\"10.17.0.1\"]\nremote_networks = [\"{networks}\"]"));
            codes(&root, &config).contains(&(Severity::Warning, "rp_filter_strict"))
        };
        assert!(found("1", "0", "0.0.0.0/0"));
        assert!(found("0", "1", "203.0.113.0/24"));
        assert!(!found("0", "0", "0.0.0.0/0"));
        assert!(!found("2", "1", "0.0.0.0/0"), "loose for all is loose");
        assert!(!found("1", "1", "10.0.0.0/16"), "the way back to the peer is the ordinary one");
    }
}
