//! What operators ask over the control socket.

use std::time::Duration;

use sekisho_ike::config::Name;
use sekisho_ike::event::{Command, CommandError, ConnectionStatus};
use tokio::sync::oneshot;

use crate::api::{Reply, Request, Sas, Status, Tunnel, What};

use super::status::{self, Counted};
use super::waiting::Goal;
use super::{Control, now};

/// How long `down` waits for the peer to answer the DELETE.
const DOWN: u64 = 10;

impl Control {
    pub(super) async fn request(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Request::Up { tunnel, timeout_s } => {
                let name = Name::from(tunnel.as_str());
                return self.start(Command::Up(name.clone()), name, Goal::Up, timeout_s, reply);
            }
            Request::Down { tunnel } => {
                let name = Name::from(tunnel.as_str());
                return self.start(Command::Down(name.clone()), name, Goal::Down, DOWN, reply);
            }
            Request::Rekey { tunnel, what, timeout_s } => {
                let name = Name::from(tunnel.as_str());
                let (command, goal) = self.rekey(&name, what);
                return self.start(command, name, goal, timeout_s, reply);
            }
            Request::Status => Reply::done(&self.status()),
            Request::Sas => {
                Reply::done(&Sas { tunnels: self.tunnels().filter(|tunnel| tunnel.ike.is_some()).collect() })
            }
            Request::Reload => self.reload().await,
            Request::Events { .. } => Reply::failed("events are streamed by the control socket itself"),
        };
        // A client that hung up meanwhile needs no answer.
        let _ = reply.send(answer);
    }

    fn start(
        &mut self,
        command: Command,
        name: Name,
        goal: Goal,
        timeout_s: u64,
        reply: oneshot::Sender<Reply>,
    ) {
        let now = now();
        match self.endpoint.handle_command(now, command) {
            Ok(()) => {
                let wait = Duration::from_secs(timeout_s.min(Request::MAX_WAIT));
                self.waiting.add(name, goal, now.boot + wait, reply);
            }
            Err(error) => {
                let _ = reply.send(Reply::failed(self.explain(&error)));
            }
        }
    }

    fn explain(&self, error: &CommandError) -> String {
        let CommandError::Unknown(_) = error else { return error.to_string() };
        let names: Vec<&str> =
            self.config.connections.iter().map(|connection| connection.name.as_str()).collect();
        format!("{error}; configured are: {}", names.join(", "))
    }

    fn rekey(&self, name: &Name, what: What) -> (Command, Goal) {
        if what == What::Ike {
            return (Command::RekeyIke(name.clone()), Goal::Ike);
        }
        let status = self.endpoint.status().into_iter().find(|status| status.connection.name == *name);
        let children =
            status.and_then(ConnectionStatus::into_tunnel).map(|tunnel| tunnel.children).unwrap_or_default();
        let old = children.into_iter().filter(|child| child.sending).map(|child| child.id).collect();
        (Command::RekeyChildren(name.clone()), Goal::Children { old, then_ike: what == What::Both })
    }

    fn status(&self) -> Status {
        let mut drops: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        let own = [("ike_not_sent", self.unsent), ("failure_not_recorded", self.strangers.unrecorded())];
        for (reason, count) in self.out.data.drops().into_iter().chain(self.endpoint.drops()).chain(own) {
            *drops.entry(reason.to_owned()).or_default() += count;
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: now().boot.since(self.started).as_secs(),
            interface: self.config.daemon.interface.clone(),
            mtu: self.out.routing.mtu().into(),
            tunnels: self.tunnels().collect(),
            drops,
            pools: self.endpoint.pools().into_iter().map(Into::into).collect(),
            stale: self.out.routing.stale().iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn tunnel(&self, name: &Name) -> Option<Tunnel> {
        self.tunnels().find(|tunnel| tunnel.name == name.as_str())
    }

    fn tunnels(&self) -> impl Iterator<Item = Tunnel> {
        let now = now();
        self.endpoint.status().into_iter().map(move |status| {
            let counted = Counted { live: &|child_sa| self.usage(child_sa), ended: self.books.ended() };
            status::tunnel(now, &status, &self.config, &counted)
        })
    }
}
