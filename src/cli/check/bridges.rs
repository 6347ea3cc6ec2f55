//! Whether the guard of protected networks (`net/guard`) would judge what bridges of this machine carry (SECURITY.md, "What is known to
//! be weak").

use std::fs;

use super::machine::{Finding, Machine, Severity};
use crate::config::{Config, protected};
use crate::net::netlink::is_everything;

/// Whether it is of IPv4, and what shows bridged frames of that family to the packet filter.
const SHOWN: [(bool, &str); 2] =
    [(true, "net.bridge.bridge-nf-call-iptables"), (false, "net.bridge.bridge-nf-call-ip6tables")];

/// Where a tunnel is for everything, what comes from the Internet in clear is refused, also what is for hosts on a bridge that have
/// another gateway.
pub(super) fn shown(machine: &Machine, config: &Config) -> Option<Finding> {
    let protected = protected(config);
    let tunnel = |ipv4: bool| {
        let whole = protected.iter().filter(|(net, _)| is_everything(net));
        whole.map(|(net, tunnel)| (net.addr().is_ipv4(), tunnel)).find(|(of, _)| *of == ipv4)
    };
    let is_set = |name: &str| machine.text(&format!("proc/sys/{}", name.replace('.', "/"))) == "1";
    let shown = SHOWN.into_iter().filter_map(|(ipv4, name)| Some((name, tunnel(ipv4)?.1)));
    let shown: Vec<_> = shown.filter(|(name, _)| is_set(name)).collect();
    let (bridges, (_, tunnel)) = (bridges(machine), shown.first()?);
    if bridges.is_empty() || !config.daemon.refuse_clear_text {
        return None;
    }
    let set = |between: &str, value: &str| {
        shown.iter().map(|(name, _)| format!("{name}{value}")).collect::<Vec<_>>().join(between)
    };
    Some(Finding {
        severity: Severity::Warning,
        code: "bridged_frames_judged",
        what: format!(
            "`br_netfilter` shows the packet filter what {} carries ({}), and tunnel `{tunnel}` is for everything: hosts there that have another gateway get no answers from the Internet",
            bridges.join(", "),
            set(", ", " is 1"),
        ),
        remedy: format!(
            "if there are such hosts, `sysctl -w {}`, and the same in /etc/sysctl.d/90-sekisho.conf",
            set(" ", "=0")
        ),
    })
}

/// The bridges of this machine.
fn bridges(machine: &Machine) -> Vec<String> {
    let interfaces = fs::read_dir(machine.path("sys/class/net")).into_iter().flatten().flatten();
    let bridges = interfaces.filter(|interface| interface.path().join("bridge").is_dir());
    let mut names: Vec<_> = bridges.filter_map(|bridge| bridge.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::machine::tests::{config, machine};
    use super::*;

    const BRIDGE: (&str, &str) = ("sys/class/net/br0/bridge/bridge_id", "8000.000000000000\n");
    const IPV4: (&str, &str) = ("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
    const IPV6: (&str, &str) = ("proc/sys/net/bridge/bridge-nf-call-ip6tables", "1\n");

    fn found(files: &[(&str, &str)], remote: &str, more: &str) -> Option<Finding> {
        let local = if remote.contains(':') { "2001:db8:17::/64" } else { "10.17.0.0/24" };
        let config =
            config(&format!("local_networks = [\"{local}\"]\nremote_networks = [\"{remote}\"]\n{more}"));
        let root = machine(files);
        shown(&Machine::at(root.path()), &config)
    }

    #[test]
    fn a_bridge_that_the_guard_would_see_is_pointed_out_where_a_tunnel_is_for_everything() {
        let both = [BRIDGE, IPV4, IPV6];
        let finding = found(&both, "0.0.0.0/0", "").unwrap();
        assert_eq!((finding.severity, finding.code), (Severity::Warning, "bridged_frames_judged"));
        assert!(
            finding.what.contains("what br0 carries") && finding.what.contains("tunnel `t`"),
            "{finding:?}"
        );
        assert!(finding.remedy.contains("`sysctl -w net.bridge.bridge-nf-call-iptables=0`"), "{finding:?}");
        let finding = found(&both, "::/0", "").unwrap();
        assert!(finding.remedy.contains("`sysctl -w net.bridge.bridge-nf-call-ip6tables=0`"), "{finding:?}");
        assert_eq!(
            found(&both, "10.0.0.0/8", ""),
            None,
            "what is in a tunnel's networks is refused for good reason"
        );
        assert_eq!(found(&[BRIDGE, IPV6], "0.0.0.0/0", ""), None, "the other family");
        assert_eq!(found(&[BRIDGE], "0.0.0.0/0", ""), None, "it is not loaded");
        assert_eq!(found(&[BRIDGE, (IPV4.0, "0\n")], "0.0.0.0/0", ""), None, "it is switched off");
        assert_eq!(found(&[IPV4], "0.0.0.0/0", ""), None, "there is no bridge");
        assert_eq!(
            found(&both, "0.0.0.0/0", "[daemon]\nrefuse_clear_text = false"),
            None,
            "nothing is judged"
        );
    }
}
