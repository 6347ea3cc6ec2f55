//! From an event of the endpoint to its effects: the data path, the records, the requests that wait.

use std::net::IpAddr;

use sekisho_ike::config::Name;
use sekisho_ike::diagnosis::{Diagnosis, DiagnosisKind};
use sekisho_ike::event::{ChildSaId, ChildSaParameters, Command, Event, TunnelId, Usage};
use sekisho_ike::{Instant, Path};

use crate::data::{NewSa, SaUsage};
use crate::telemetry::Fact;

use super::install::{self, esp_path};
use super::path_mtu::OnPath;
use super::{Control, now};

/// What is left to do after the events of a drain.
#[derive(Debug, Default)]
pub(super) struct FollowUp {
    /// Commands for the endpoint.
    pub(super) commands: Vec<Command>,
    /// Tunnels whose paths came, changed or went: the MTU may follow.
    pub(super) paths: Vec<(TunnelId, PathChange)>,
    /// Connections that could not be set up, as a whole or a child of them.
    pub(super) failed: Vec<Name>,
}

/// What became of a tunnel's path.
#[derive(Clone, Copy, Debug)]
pub(super) enum PathChange {
    /// It is there.
    Up(Path, OnPath),
    /// It is another one.
    Moved(Path),
    /// By what the endpoint has found out, it carries so much; whether that has passed.
    Found(u16, bool),
    /// It is gone.
    Gone,
}

impl Control {
    pub(super) fn apply(&mut self, event: Event, follow_up: &mut FollowUp) {
        let replaced = match &event {
            Event::OutboundSwitch { child_sa } => self.books.replaces(*child_sa),
            _ => None,
        };
        self.waiting.observe(&event, replaced);
        if let Some(fact) = self.take_effect(event, follow_up) {
            self.record(fact);
        }
    }

    /// Has an event take its effect; what is to be recorded of it.
    fn take_effect(&mut self, event: Event, follow_up: &mut FollowUp) -> Option<Fact> {
        match event {
            Event::TunnelUp(sa) => {
                follow_up.paths.push((
                    sa.tunnel,
                    PathChange::Up(sa.path, OnPath::new(sa.dont_fragment, sa.fragmentation)),
                ));
                Some(self.books.tunnel_up(&sa))
            }
            Event::IkeSaRekeyed(sa) => Some(self.books.ike_sa_rekeyed(&sa)),
            Event::TunnelDown { tunnel, reason, .. } => {
                follow_up.paths.push((tunnel, PathChange::Gone));
                self.given.lost(tunnel);
                self.books.tunnel_down(tunnel, &reason)
            }
            Event::AddressesAssigned(assignment) => Some(Fact::AddressesAssigned((&*assignment).into())),
            Event::InboundReady(child) => self.install(&child, follow_up),
            Event::OutboundSwitch { child_sa } => {
                self.out.data.switch_outbound(child_sa.0);
                self.books.child_sending(child_sa)
            }
            Event::OutboundStop { child_sa } => {
                self.out.data.stop_outbound(child_sa.0);
                None
            }
            Event::Retired { child_sa, reason } => {
                let carried = self.out.data.remove(child_sa.0).map(usage).unwrap_or_default();
                self.books.child_down(child_sa, carried, &reason)
            }
            Event::PathChanged { tunnel, path, encapsulated } => {
                self.out.data.repath(tunnel.0, esp_path(path, encapsulated));
                follow_up.paths.push((tunnel, PathChange::Moved(path)));
                self.books.path_changed(tunnel, path)
            }
            Event::PathMtu { tunnel, mtu, proven } => {
                follow_up.paths.push((tunnel, PathChange::Found(mtu, proven)));
                None
            }
            Event::NegotiationFailed { connection, remote, diagnosis, next_try, .. } => {
                follow_up.failed.extend(connection.clone());
                self.negotiation_failed(connection, remote, &diagnosis, next_try)
            }
        }
    }

    fn negotiation_failed(
        &mut self,
        connection: Option<Name>,
        remote: Option<IpAddr>,
        diagnosis: &Diagnosis,
        next_try: Option<Instant>,
    ) -> Option<Fact> {
        if connection.is_none() && !self.strangers.may_record(now().boot) {
            return None;
        }
        // Nothing was negotiated: that the tunnel is down is told, and why `status` shows.
        if diagnosis.kind == DiagnosisKind::DeletedByPeer {
            return None;
        }
        Some(Fact::NegotiationFailed {
            tunnel: connection.map(|name| name.to_string()),
            remote: remote.map(|address| address.to_string()),
            diagnosis: diagnosis.into(),
            next_try_in_s: next_try.map(|at| at.since(now().boot).as_secs()),
        })
    }

    /// Makes the data path receive on a Child SA, or has it deleted if that is not possible.
    fn install(&mut self, child: &ChildSaParameters, follow_up: &mut FollowUp) -> Option<Fact> {
        match install::pair(child, &self.config.daemon) {
            Ok(pair) => {
                self.out.data.install(NewSa {
                    id: child.id.0,
                    tunnel: child.tunnel.0,
                    policy: self.policies.number(&child.connection, &child.child),
                    inbound: pair.inbound,
                    outbound: pair.outbound,
                    path: pair.path,
                });
                Some(self.books.child_up(child))
            }
            Err(error) => {
                tracing::error!(tunnel = %child.connection, child = %child.child, %error, "a Child SA cannot be used");
                follow_up.commands.push(Command::DeleteChild(child.id));
                None
            }
        }
    }

    pub(super) fn record(&self, fact: Fact) {
        self.out.telemetry.record(fact);
    }

    /// What a Child SA has carried until now.
    pub(super) fn usage(&self, child_sa: ChildSaId) -> Usage {
        self.out.data.usage(child_sa.0).map(usage).unwrap_or_default()
    }
}

fn usage(carried: SaUsage) -> Usage {
    let SaUsage { packets_in, packets_out, bytes_in, bytes_out, last_in } = carried;
    Usage { packets_in, packets_out, bytes_in, bytes_out, last_in: last_in.map(Instant::from_boot) }
}
