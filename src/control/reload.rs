//! Reading the configuration again: a bad one is refused and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use sekisho_ike::config::{Connection, Name, RemoteAuth};
use sekisho_ike::event::Command;
use sekisho_ike::pki::RevocationPolicy;

use crate::api::{Failure, Freed, Problem, ReloadRefused, Reloaded, Reply, Timestamp};
use crate::config::{self, Config, Daemon, local_to};
use crate::telemetry::Fact;

use super::{Control, cut_off, last_good, now};

impl Control {
    /// What a start takes is taken here too, or a tunnel whose certificate has expired would keep all others from being changed.
    /// New prefixes are protected before the endpoint hears of them; tunnels that did not change keep their SAs.
    pub(super) async fn reload(&mut self) -> Reply {
        let source = self.config.source.clone();
        let new = match config::load_to_start(&source) {
            Ok(new) => new,
            Err(error) => {
                let problems = error.errors.iter().map(problem).collect();
                return self.refuse(Failure { problems, ..Failure::new(error.to_string()) }, error.summary());
            }
        };
        let mtu = match self.out.routing.configure(&new).await {
            Ok(mtu) => mtu,
            Err(error) => return self.refuse(Failure::new(error.to_string()), error.to_string()),
        };
        if let Some(mtu) = mtu {
            self.out.data.set_mtu(mtu);
        }
        last_good::keep(&Config { daemon: in_force(&self.config.daemon, &new.daemon), ..new.clone() });
        let mut reloaded = difference(&self.config, &new);
        let netlink = self.out.routing.netlink().clone();
        self.cut_off = cut_off::look(netlink, &new).await;
        reloaded.warnings.extend(cut_off::lines(&new, &self.cut_off));
        self.restart_needed.clone_from(&reloaded.restart_needed);
        self.pending.changed(now().boot, &reloaded.from_next_sa);
        self.reload_refused = None;
        self.ask_anew();
        self.configure(&new);
        self.record(Fact::ConfigLoaded {
            source: source.display().to_string(),
            tunnels: new.connections.len(),
            warnings: reloaded.warnings.clone(),
        });
        // What needs a restart stays as it was, also for the next comparison.
        let daemon = in_force(&self.config.daemon, &new.daemon);
        self.config = Config { daemon, ..new };
        self.limit_all_paths();
        let stale = self.out.routing.stale();
        reloaded.stale = stale.iter().copied().collect();
        let blocked =
            |c: &Arc<Connection>| (c.name.to_string(), local_to(&c.children, stale).collect::<Vec<_>>());
        let blocked = self.config.connections.iter().map(blocked);
        reloaded.blocked_local = blocked.filter(|(_, networks)| !networks.is_empty()).collect();
        Reply::done(&reloaded)
    }

    /// Somebody may have been revoked since all was asked: that is what an operator reloads for who has published a list.
    pub(super) fn ask_anew(&mut self) {
        self.jobs.ask_anew();
        self.command(Command::ReviewPeers);
    }

    /// What is blocked and no tunnel covers any more.
    pub(super) async fn free(&mut self, networks: &[IpNet]) -> Reply {
        let (free, mtu) = match self.out.routing.free(&self.config, networks).await {
            Ok(done) => done,
            Err(why) => return Reply::failed(why),
        };
        if let Some(mtu) = mtu {
            self.out.data.set_mtu(mtu);
        }
        let prefixes: Vec<IpNet> = free.into_iter().collect();
        if !prefixes.is_empty() {
            self.record(Fact::NetworksFreed { networks: prefixes.clone() });
        }
        Reply::done(&Freed { prefixes })
    }

    /// The operator hears all of it, the record keeps one line.
    fn refuse(&mut self, failure: Failure, reason: String) -> Reply {
        let source = self.config.source.display().to_string();
        self.reload_refused = Some(ReloadRefused { at: Timestamp::now(), reason: reason.clone() });
        self.record(Fact::ConfigRefused { source, reason });
        Reply::Failed(Box::new(failure))
    }
}

fn problem(found: &config::Problem) -> Problem {
    let config::Problem { message, place, help } = found.clone();
    Problem { line: place.line, column: place.column, message, help }
}

/// What of `[daemon]` can change while the daemon runs: at once, or for SAs set up from now on.
fn in_force(old: &Daemon, new: &Daemon) -> Daemon {
    let Daemon { mtu, replay_window, copy_dscp, dscp, ecn, clamp_mss, refuse_clear_text, .. } = *new;
    Daemon { mtu, replay_window, copy_dscp, dscp, ecn, clamp_mss, refuse_clear_text, ..old.clone() }
}

fn difference(old: &Config, new: &Config) -> Reloaded {
    let by_name = |config: &Config| -> BTreeMap<Name, Arc<Connection>> {
        config.connections.iter().map(|connection| (connection.name.clone(), connection.clone())).collect()
    };
    let (before, after) = (by_name(old), by_name(new));
    let mut reloaded = Reloaded {
        restart_needed: restart_needed(&old.daemon, &new.daemon),
        from_next_sa: from_next_sa(&old.daemon, &new.daemon),
        warnings: new.warnings.iter().map(ToString::to_string).collect(),
        ..Reloaded::default()
    };
    for (name, connection) in &after {
        let list = match before.get(name) {
            None => &mut reloaded.added,
            Some(known) if known == connection => &mut reloaded.unchanged,
            Some(known) if known.is_renewed_by(connection) => &mut reloaded.renewed,
            Some(known) if known.is_retrusted_by(connection) => &mut reloaded.reviewed,
            Some(_) => &mut reloaded.changed,
        };
        list.push(name.to_string());
    }
    let asked = after.values().filter(|connection| is_asked_about(connection));
    reloaded.asked_anew = asked.map(|connection| connection.name.to_string()).collect();
    reloaded.removed =
        before.keys().filter(|name| !after.contains_key(name)).map(ToString::to_string).collect();
    for setting in &reloaded.restart_needed {
        tracing::warn!("[daemon] {setting} changed; it takes effect at the next start");
    }
    reloaded
}

/// Whether anybody is asked whether its peer's certificates were revoked: not of a key that is pinned or shared.
fn is_asked_about(connection: &Connection) -> bool {
    match &connection.remote_auth {
        RemoteAuth::Signature(trust) => {
            trust.revocation != RevocationPolicy::Off && !trust.anchors.is_empty()
        }
        RemoteAuth::Psk(_) => false,
    }
}

/// What was changed and is a matter of each SA's making. A tunnel whose own settings changed is set up anew anyway.
fn from_next_sa(old: &Daemon, new: &Daemon) -> Vec<String> {
    changed([
        ("replay_window", old.replay_window != new.replay_window),
        ("copy_dscp", old.copy_dscp != new.copy_dscp),
        ("dscp", old.dscp != new.dscp),
        ("ecn", old.ecn != new.ecn),
    ])
}

fn restart_needed(old: &Daemon, new: &Daemon) -> Vec<String> {
    changed([
        ("control_socket", old.control_socket != new.control_socket),
        ("control_group", old.control_group != new.control_group),
        ("state_dir", old.state_dir != new.state_dir),
        ("sa_log", old.sa_log != new.sa_log),
        ("log", old.log != new.log),
        ("interface", old.interface != new.interface),
        ("route_table", old.route_table != new.route_table),
        ("rule_priority", old.rule_priority != new.rule_priority),
        ("mark", old.mark != new.mark),
        ("ike_port", old.ike_port != new.ike_port),
        ("nat_port", old.nat_port != new.nat_port),
        ("cookie_threshold", old.cookie_threshold != new.cookie_threshold),
        ("workers", old.workers != new.workers),
        ("half_open_max", old.half_open_max != new.half_open_max),
        ("offloads", old.offloads != new.offloads),
    ])
}

fn changed<const N: usize>(settings: [(&str, bool); N]) -> Vec<String> {
    settings.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_effect_at_the_next_start_only_is_named_until_then() {
        let old = Daemon::default();
        let new = Daemon { ike_port: 501, mtu: Some(1300), replay_window: 64, ..old.clone() };
        assert_eq!(restart_needed(&old, &new), ["ike_port"]);
        let now = in_force(&old, &new);
        assert_eq!((now.ike_port, now.mtu, now.replay_window), (500, Some(1300), 64));
        assert_eq!(restart_needed(&now, &new), ["ike_port"], "still, at the next reload");
        assert_eq!(from_next_sa(&old, &new), ["replay_window"]);
        assert_eq!(from_next_sa(&now, &new), [""; 0], "told once");
        let marked = Daemon { copy_dscp: !old.copy_dscp, dscp: 46, ecn: !old.ecn, ..old.clone() };
        assert_eq!(from_next_sa(&old, &marked), ["copy_dscp", "dscp", "ecn"]);
    }
}
