//! What is said of networks that this machine is on and that a tunnel takes away.

use sekisho_ike::config::{Child, Connection, Name};

use super::policy;
use crate::config::{Config, prefixes, protected, remote_side};
use crate::net::netlink::{CutOff, Netlink, cut_off_by};
use crate::words::{self, GIVE_BACK};

/// What is the matter, and what to do. It may be meant, so nothing is refused for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// For the command line: what this machine's addresses say against a configuration; nothing where they cannot be read.
pub fn judge(config: &Config) -> Vec<Warning> {
    cut_off_by(&policy(config)).map(|found| in_words(config, &found)).unwrap_or_default()
}

/// The same for the daemon.
pub async fn look(netlink: Netlink, config: &Config) -> Vec<CutOff> {
    let found = netlink.cut_off(&policy(config)).await.inspect_err(|error| tracing::debug!(%error));
    let own = |found: &CutOff| found.interface == config.daemon.interface;
    found.unwrap_or_default().into_iter().filter(|found| !own(found)).collect()
}

/// In lines.
pub fn lines(config: &Config, found: &[CutOff]) -> Vec<String> {
    let found = in_words(config, found).into_iter();
    found.map(|Warning { what, remedy }| format!("{what} ({remedy})")).collect()
}

/// Those that this tunnel takes away, address and interface.
pub(super) fn by(config: &Config, found: &[CutOff], tunnel: &Connection) -> Vec<String> {
    let remote =
        |child: &Child| remote_side(config, tunnel, child).iter().flat_map(prefixes).collect::<Vec<_>>();
    let takes = |found: &&CutOff| tunnel.children.iter().flat_map(remote).any(|net| net == found.protected);
    found.iter().filter(takes).map(ToString::to_string).collect()
}

fn in_words(config: &Config, found: &[CutOff]) -> Vec<Warning> {
    let tunnels = protected(config);
    let own = |found: &&CutOff| found.interface != config.daemon.interface;
    let warning = |found: &CutOff| {
        let tunnel =
            tunnels.iter().find(|(net, _)| *net == found.protected).map(|(_, name): &(_, Name)| name);
        let of = tunnel.map_or_else(String::new, |tunnel| format!(" (tunnel `{tunnel}`)"));
        let within = format!("the peer's network {}{of}", found.protected);
        Warning { what: words::cut_off(&[found], &within), remedy: GIVE_BACK }
    };
    found.iter().filter(own).map(warning).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_tunnel_is_named_and_its_own_interface_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[tunnel.centre]\nlocal_id = \"a\"\nremote_id = \"b\"\npsk_file = \"psk\"\nremote = \"203.0.113.1\"\nlocal_networks = [\"10.17.0.0/24\"]\nremote_networks = [\"10.1.0.0/16\"]\n";
        let file = directory.path().join("sekisho.toml");
        std::fs::write(&file, text).unwrap();
        let psk = directory.path().join("psk");
        std::fs::write(&psk, "0123456789abcdef").unwrap();
        std::fs::set_permissions(&psk, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let config = crate::config::load(&file).unwrap();
        let on = |interface: &str| CutOff {
            protected: "10.1.0.0/16".parse().unwrap(),
            own: "10.1.0.5/24".parse().unwrap(),
            interface: interface.to_owned(),
        };
        let warnings = in_words(&config, &[on("eth1"), on("sekisho0")]);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        let centre = &config.connections[0];
        let elsewhere = CutOff { protected: "10.0.0.0/8".parse().unwrap(), ..on("eth1") };
        assert_eq!(by(&config, &[on("eth1"), elsewhere], centre), ["10.1.0.5/24 of eth1"]);
        assert_eq!(
            warning.what,
            "10.1.0.5/24 of eth1 lies in the peer's network 10.1.0.0/16 (tunnel `centre`): what is there is reached through the tunnel only"
        );
    }
}
