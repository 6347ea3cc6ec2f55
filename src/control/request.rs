//! What operators ask over the control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sekisho_ike::Instant;
use sekisho_ike::config::{Child, Connection, Name, Start};
use sekisho_ike::event::{ChildSaId, ChildSaStatus, Command, CommandError, ConnectionStatus};
use tokio::sync::oneshot;

use crate::api::{Offloads, Reply, Request, Sas, Status, Tunnel, What};
use crate::net::guard;

use super::status::{self, Counted};
use super::waiting::Goal;
use super::{Control, now};

/// How long `down` waits for the peer to answer the DELETE.
const DOWN: u64 = 10;

/// What is commanded, and what the request waits for then.
type Step = (Vec<Command>, Goal);

/// The Child SAs that are sent on.
fn sending(status: &ConnectionStatus) -> impl Iterator<Item = &ChildSaStatus> {
    status.tunnels.iter().flat_map(|tunnel| &tunnel.children).filter(|child_sa| child_sa.sending)
}

impl Control {
    pub(super) async fn request(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Request::Up { tunnel, child, timeout_s } => {
                let name = Name::from(tunnel.as_str());
                let step = Ok(self.up(&name, child));
                return self.start(step, name, timeout_s, reply);
            }
            Request::Down { tunnel, child } => {
                let name = Name::from(tunnel.as_str());
                let step = match child {
                    Some(child) => self.child_down(&name, &Name::from(child.as_str())),
                    None => Ok((vec![Command::Down(name.clone())], Goal::Down)),
                };
                return self.start(step, name, DOWN, reply);
            }
            Request::Rekey { tunnel, child, what, timeout_s } => {
                let name = Name::from(tunnel.as_str());
                let step = match child {
                    Some(child) => self.rekey_child(&name, &Name::from(child.as_str())),
                    None => Ok(self.rekey(&name, what)),
                };
                return self.start(step, name, timeout_s, reply);
            }
            Request::Status => Reply::done(&self.status()),
            Request::Sas => {
                Reply::done(&Sas { tunnels: self.tunnels().filter(|tunnel| tunnel.ike.is_some()).collect() })
            }
            Request::Reload => self.reload().await,
            Request::Unprotect { networks } => self.free(&networks).await,
            Request::Events { .. } => Reply::failed("events are streamed by the control socket itself"),
        };
        // A client that hung up meanwhile needs no answer.
        let _ = reply.send(answer);
    }

    /// Commands the step, and lets the request wait for what comes of it.
    fn start(
        &mut self,
        step: Result<Step, String>,
        name: Name,
        timeout_s: u64,
        reply: oneshot::Sender<Reply>,
    ) {
        let now = now();
        let tunnels = self.connection(&name).map_or(0, |status| status.tunnels.len());
        let commanded = step.and_then(|(commands, goal)| {
            let mut each = commands.into_iter().map(|command| self.endpoint.handle_command(now, command));
            each.try_for_each(|done| done).map_err(|error| self.explain(&error))?;
            Ok(goal)
        });
        match commanded {
            Ok(goal) => {
                let wait = Duration::from_secs(timeout_s.min(Request::MAX_WAIT));
                self.waiting.add(name, (goal, tunnels), now.boot + wait, reply);
            }
            Err(error) => {
                let _ = reply.send(Reply::failed(error));
            }
        }
    }

    fn explain(&self, error: &CommandError) -> String {
        let CommandError::Unknown(_) = error else { return error.to_string() };
        let names: Vec<&str> =
            self.config.connections.iter().map(|connection| connection.name.as_str()).collect();
        format!("{error}; configured are: {}", names.join(", "))
    }

    fn connection(&self, name: &Name) -> Option<ConnectionStatus> {
        self.endpoint.status_for(name)
    }

    /// The whole tunnel, or one child of it.
    fn up(&self, name: &Name, child: Option<String>) -> Step {
        if let Some(child) = child {
            let child = Name::from(child.as_str());
            let command = Command::Acquire { connection: name.clone(), child: child.clone(), packet: None };
            return (vec![command], Goal::Up { children: vec![child] });
        }
        let status = self.connection(name);
        let ours = |connection: &Connection| {
            let ours = connection.children.iter().filter(|child| child.start != Start::Listen);
            ours.filter(|_| connection.initiate).map(|child| child.name.clone()).collect()
        };
        let children = status.map(|status| ours(&status.connection)).unwrap_or_default();
        (vec![Command::Up(name.clone())], Goal::Up { children })
    }

    /// The Child SAs that are sent on, of all tunnels.
    fn child_sas(
        &self,
        name: &Name,
        child: &Name,
    ) -> Result<(ConnectionStatus, BTreeSet<ChildSaId>), String> {
        let unknown = || self.explain(&CommandError::Unknown(name.clone()));
        let status = self.connection(name).ok_or_else(unknown)?;
        if !status.connection.children.iter().any(|configured| configured.name == *child) {
            return Err(self.explain(&CommandError::UnknownChild(name.clone(), child.clone())));
        }
        let ids = sending(&status).filter(|child_sa| child_sa.child == *child).map(|child_sa| child_sa.id);
        let ids: BTreeSet<ChildSaId> = ids.collect();
        if ids.is_empty() {
            return Err(format!("child `{child}` of tunnel `{name}` is not up"));
        }
        Ok((status, ids))
    }

    /// One child's SA goes; its tunnel stands.
    fn child_down(&self, name: &Name, child: &Name) -> Result<Step, String> {
        let (status, old) = self.child_sas(name, child)?;
        let always = |configured: &&Child| configured.name == *child && configured.start == Start::Always;
        if status.connection.initiate && status.connection.children.iter().any(|child| always(&child)) {
            return Err(format!(
                "child `{child}` of tunnel `{name}` is to stand always and would come back at once: take the whole tunnel down, or write start = \"on-demand\""
            ));
        }
        Ok((old.iter().copied().map(Command::DeleteChild).collect(), Goal::Gone { old }))
    }

    fn rekey_child(&self, name: &Name, child: &Name) -> Result<Step, String> {
        let (_, old) = self.child_sas(name, child)?;
        let commands = old.iter().copied().map(Command::RekeyChild).collect();
        Ok((commands, Goal::Children { old, then_ike: false }))
    }

    fn rekey(&self, name: &Name, what: What) -> Step {
        let status = self.connection(name);
        if what == What::Ike {
            let old = status.iter().flat_map(|status| &status.tunnels).map(|t| t.ike_sa.tunnel).collect();
            return (vec![Command::RekeyIke(name.clone())], Goal::Ike { old });
        }
        let old = status.iter().flat_map(sending).map(|child_sa| child_sa.id).collect();
        let goal = Goal::Children { old, then_ike: what == What::Both };
        (vec![Command::RekeyChildren(name.clone())], goal)
    }

    fn status(&self) -> Status {
        let mut drops = BTreeMap::<String, u64>::new();
        // Without a guard that is told of elsewhere.
        let in_clear = guard::dropped(&self.config.daemon.interface).unwrap_or_default();
        let own = [
            ("ike_not_sent", self.unsent),
            ("failure_not_recorded", self.strangers.unrecorded()),
            ("clear_text_refused", in_clear.packets),
            ("clear_fragments_refused", in_clear.fragments),
            ("icmp_queue_full", self.out.icmp.overflowed()),
        ];
        for (reason, count) in self.out.data.drops().into_iter().chain(self.endpoint.drops()).chain(own) {
            *drops.entry(reason.to_owned()).or_default() += count;
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: now().boot.since(self.started).as_secs(),
            interface: self.config.daemon.interface.clone(),
            mtu: self.out.routing.mtu().into(),
            workers: self.out.sockets.settings().workers.into(),
            restart_needed: self.restart_needed.clone(),
            from_next_sa: self.pending.of(self.oldest_child_sa()),
            reload_refused: self.reload_refused.clone(),
            offloads: self.offloads(),
            unguarded: self.out.routing.unguarded().map(str::to_owned),
            tunnels: self.tunnels().collect(),
            drops,
            pools: self.endpoint.pools().into_iter().map(Into::into).collect(),
            refused: self.endpoint.refusals(now()).into_iter().map(Into::into).collect(),
            begun: self.endpoint.begun(now()),
            stale: self.out.routing.stale().iter().map(ToString::to_string).collect(),
        }
    }

    /// When the oldest Child SA was set up that is sent on.
    fn oldest_child_sa(&self) -> Option<Instant> {
        let all = self.endpoint.status();
        all.iter().flat_map(sending).map(|child_sa| child_sa.established.boot).min()
    }

    fn offloads(&self) -> Offloads {
        let (granted, refused) = self.out.data.offloads();
        let configured = if self.config.daemon.offloads { "auto" } else { "off" };
        Offloads { configured: configured.to_owned(), tcp: granted.tcp(), udp: granted.udp(), refused }
    }

    pub(super) fn tunnel(&self, name: &Name) -> Option<Tunnel> {
        self.endpoint.status_for(name).map(|status| self.told(&status))
    }

    fn tunnels(&self) -> impl Iterator<Item = Tunnel> {
        self.endpoint.status().into_iter().map(|status| self.told(&status))
    }

    fn told(&self, status: &ConnectionStatus) -> Tunnel {
        let now = now();
        let counted = Counted {
            live: &|child_sa| self.usage(child_sa),
            ended: self.books.ended(),
            unanswered: &|child_sa, usage| self.books.unanswered(now.boot, child_sa, usage),
            packets: &|tunnel| self.packet_size(tunnel),
            stale: self.out.routing.stale(),
            cut_off: &self.cut_off,
        };
        status::tunnel(now, status, &self.config, &counted)
    }
}
