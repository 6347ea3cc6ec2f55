//! Setting a connection up and keeping it up: resolve, try each path, wait, and so on for ever.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::managed::{Managed, Pursuit, Wanted};
use super::schedule::Owner;
use super::{Endpoint, deadline};
use crate::config::{Childless, Connection, Name, Retry};
use crate::diagnose;
use crate::diagnosis::{Diagnosis, DiagnosisKind};
use crate::event::{CommandError, DeadlineReason, EndReason, JobId, JobKind, Trigger, TunnelId};
use crate::path::Path;
use crate::sa::{Asking, Attempt, AttemptStep, JobOwner};
use crate::time::Now;
use crate::wire::IkeSpi;

impl Endpoint {
    /// Begins an attempt, unless one is under way or nothing is to be done.
    pub(super) fn pursue(&mut self, now: Now, name: &Name) {
        let Some(managed) = self.connections.get(name) else { return };
        let busy = matches!(managed.pursuit, Pursuit::Resolving { .. } | Pursuit::Trying { .. });
        if self.stopping || managed.admin_down || busy || !managed.tunnels.is_empty() {
            return;
        }
        // What was asked for on demand and failed is asked for again, or not.
        if managed.to_start().is_empty() && !managed.wanted.bare {
            return self.set_pursuit(name, Pursuit::Idle);
        }
        let hosts = managed.hosts();
        self.resolve_next(now, name, hosts, None);
    }

    /// The line came back: no need to wait any longer.
    pub(super) fn pursue_at_once(&mut self, now: Now, name: &Name) {
        if let Some(Managed { pursuit: Pursuit::BackOff { .. }, .. }) = self.connections.get(name) {
            self.pursue(now, name);
        }
    }

    /// Its certificates changed: what is under way with the old ones, or waits because of them, begins anew.
    pub(super) fn pursue_anew(&mut self, now: Now, name: &Name) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        if matches!(managed.pursuit, Pursuit::Idle) || !managed.tunnels.is_empty() {
            return;
        }
        managed.attempts = 0;
        managed.failures.last = None;
        self.abandon_attempt(name);
        self.pursue(now, name);
    }

    /// Asks the shell for paths to the first of these hosts; without any left, waits.
    fn resolve_next(
        &mut self,
        now: Now,
        name: &Name,
        mut hosts: VecDeque<String>,
        failure: Option<Diagnosis>,
    ) {
        let Some(host) = hosts.pop_front() else { return self.back_off(now, name, failure) };
        let kind = JobKind::Resolve { connection: name.clone(), host: host.clone() };
        let job = self.core.context(now).job(JobOwner::Connection(name.clone()), kind);
        self.set_pursuit(name, Pursuit::Resolving { job, host, hosts });
    }

    /// Asks the shell which address of ours leads to the peer now.
    pub(super) fn check_path(&mut self, now: Now, id: TunnelId) {
        let Some(tunnel) = self.tunnels.get(&id).filter(|t| t.ended().is_none()) else { return };
        let (connection, host) = (tunnel.connection().name.clone(), tunnel.path.remote_ip().to_string());
        let kind = JobKind::Resolve { connection, host };
        self.core.context(now).job(JobOwner::Path(id), kind);
    }

    /// The address of ours that leads to the peer is known, if there is a way at all: without one there is nothing to
    /// change, for it may come back, or the probe finds the peer dead.
    pub(super) fn path_checked(&mut self, now: Now, id: TunnelId, result: &Result<Vec<Path>, String>) {
        let first = result.as_ref().ok().and_then(|paths| paths.first());
        if let Some(local) = first.map(|path| path.local.ip()) {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.move_to(ctx, local));
        }
    }

    /// Paths to a host of this connection are known, or that there is none.
    pub(super) fn resolved(&mut self, now: Now, job: JobId, name: &Name, result: Result<Vec<Path>, String>) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        if !matches!(&managed.pursuit, Pursuit::Resolving { job: asked, .. } if *asked == job) {
            return;
        }
        let Pursuit::Resolving { host, hosts, .. } = std::mem::replace(&mut managed.pursuit, Pursuit::Idle)
        else {
            return;
        };
        match result {
            Ok(paths) => self.try_next(now, name, paths.into(), hosts, None),
            Err(reason) => self.resolve_next(now, name, hosts, Some(diagnose::unreachable(&host, &reason))),
        }
    }

    /// Tries the first of these paths; without any left, the next host.
    fn try_next(
        &mut self,
        now: Now,
        name: &Name,
        mut paths: VecDeque<Path>,
        hosts: VecDeque<String>,
        failure: Option<Diagnosis>,
    ) {
        let Some(path) = paths.pop_front() else { return self.resolve_next(now, name, hosts, failure) };
        let Some(managed) = self.connections.get(name) else { return };
        let (config, children) = (managed.config.clone(), managed.to_start());
        let packets = managed.wanted.children.clone();
        // INITIAL_CONTACT says that we have no other SA with this peer.
        let initial_contact = managed.tunnels.is_empty();
        let last = managed.last_time.given.clone();
        let mut others = self.connections.networks_of_others(&config);
        others.extend(self.core.pools.selectors().cloned());
        let asking = Asking { others, ends: self.ends_of_others(&config), last };
        let ctx = &mut self.core.context(now);
        match Attempt::begin(ctx, config, path, (children, packets), asking, initial_contact) {
            Ok(attempt) => {
                self.set_pursuit(name, Pursuit::Trying { attempt: attempt.spi(), paths, hosts });
                self.keep_attempt(attempt);
            }
            Err(diagnosis) => self.back_off(now, name, Some(diagnosis)),
        }
    }

    /// Where the tunnels and attempts of other connections are or, by the configuration, will be, outside: if one of these
    /// became an address of this machine, their messages would not leave it any more.
    fn ends_of_others(&self, connection: &Connection) -> Vec<IpAddr> {
        if !connection.internal_address.is_asked() {
            return Vec::new();
        }
        let standing = self.tunnels.values().filter(|tunnel| tunnel.connection().name != connection.name);
        let paths = standing.map(|tunnel| tunnel.path).chain(self.attempts.values().map(Attempt::path));
        let ends = paths.flat_map(|path| [path.remote_ip(), path.local.ip()]);
        ends.chain(self.connections.hosts_of_others(connection)).collect()
    }

    fn keep_attempt(&mut self, attempt: Attempt) {
        let next = deadline(attempt.next_deadline(), DeadlineReason::Retransmit);
        self.schedule.set(Owner::Attempt(attempt.spi()), Some(next));
        self.attempts.insert(attempt.spi(), attempt);
    }

    /// What a message or a deadline made of an attempt.
    pub(super) fn attempt_stepped(&mut self, now: Now, spi: IkeSpi, step: AttemptStep) {
        if !matches!(step, AttemptStep::Pending(_)) {
            self.schedule.set(Owner::Attempt(spi), None);
        }
        match step {
            AttemptStep::Pending(attempt) => self.keep_attempt(attempt),
            AttemptStep::Established(tunnel) => {
                let name = tunnel.connection().name.clone();
                self.set_pursuit(&name, Pursuit::Idle);
                if let Some(managed) = self.connections.get_mut(&name) {
                    managed.last_time.given = tunnel.given_addresses().to_vec();
                }
                self.established(now, *tunnel, false);
            }
            AttemptStep::Failed(diagnosis) => self.attempt_failed(now, spi, *diagnosis),
        }
    }

    fn attempt_failed(&mut self, now: Now, spi: IkeSpi, diagnosis: Diagnosis) {
        let name = self.connections.iter().find(|m| m.trying() == Some(spi)).map(|m| m.config.name.clone());
        let Some(name) = name else { return };
        let Some(managed) = self.connections.get_mut(&name) else { return };
        let Pursuit::Trying { paths, hosts, .. } = std::mem::replace(&mut managed.pursuit, Pursuit::Idle)
        else {
            return;
        };
        // The peer set one up meanwhile.
        if !managed.tunnels.is_empty() {
            return;
        }
        // Only silence is a reason to try elsewhere: who answers has decided.
        if is_silence(diagnosis.kind) {
            self.try_next(now, &name, paths, hosts, Some(diagnosis));
        } else {
            self.back_off(now, &name, Some(diagnosis));
        }
    }

    fn back_off(&mut self, now: Now, name: &Name, failure: Option<Diagnosis>) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        managed.attempts = managed.attempts.saturating_add(1);
        // What was asked for on demand is asked for again by the next packet, which waits like everything else.
        managed.wanted = Wanted::default();
        let (keep_up, attempts, retry) =
            (managed.is_ours_to_keep_up(), managed.attempts, managed.config.retry);
        let waits = keep_up || managed.is_on_demand();
        let remote = managed.hosts().iter().find_map(|h| h.parse().ok());
        let until = waits.then(|| {
            let ctx = &mut self.core.context(now);
            now.boot + ctx.jitter(wait(retry, attempts))
        });
        if let Some(diagnosis) = failure {
            self.failed(now, Some(name), remote, diagnosis, until.filter(|_| keep_up));
        }
        let pursuit = until.map_or(Pursuit::Idle, |until| Pursuit::BackOff { until });
        self.set_pursuit(name, pursuit);
    }

    fn set_pursuit(&mut self, name: &Name, pursuit: Pursuit) {
        let next = match pursuit {
            Pursuit::BackOff { until } => Some(deadline(until, DeadlineReason::Retry)),
            _ => None,
        };
        if let Some(managed) = self.connections.get_mut(name) {
            managed.pursuit = pursuit;
            self.schedule.set(Owner::Connection(name.clone()), next);
        }
    }

    /// A tunnel has ended: what is ours to keep up is set up anew.
    pub(super) fn tunnel_lost(&mut self, now: Now, id: TunnelId, name: &Name) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        if !managed.tunnels.has(id) {
            return;
        }
        managed.forget(id);
        let idle = matches!(managed.pursuit, Pursuit::Idle);
        if managed.tunnels.is_empty() && idle && managed.is_ours_to_keep_up() && !self.stopping {
            let first = managed.config.retry.first;
            let wait = self.core.context(now).between(first / 2, first);
            self.set_pursuit(name, Pursuit::BackOff { until: now.boot + wait });
        }
    }

    /// Stops what is under way for a connection and deletes what stands.
    pub(super) fn take_down(&mut self, now: Now, name: &Name, reason: &EndReason) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        let tunnels = std::mem::take(&mut managed.tunnels);
        managed.proven.forget_peers();
        managed.wanted = Wanted::default();
        self.abandon_attempt(name);
        for id in tunnels.ids() {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.delete(ctx, reason.clone()));
        }
    }

    /// Forgets the attempt that is under way, and any wait.
    pub(super) fn abandon_attempt(&mut self, name: &Name) {
        if let Some(spi) = self.connections.get(name).and_then(Managed::trying) {
            self.attempts.remove(&spi);
            self.schedule.set(Owner::Attempt(spi), None);
        }
        self.set_pursuit(name, Pursuit::Idle);
        self.core.spis.reclaim();
    }

    /// `sekisho up`: sets it up now, and allows it again after a `down`.
    pub(super) fn up(&mut self, now: Now, name: &Name) -> Result<(), CommandError> {
        if self.stopping {
            return Err(CommandError::Stopping);
        }
        let managed = self.connections.get_mut(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        let was_down = std::mem::take(&mut managed.admin_down);
        if managed.failures.last.as_ref().is_some_and(|last| last.diagnosis.kind == DiagnosisKind::AdminDown)
        {
            managed.failures.last = None;
        }
        let children = 0..managed.config.children.len();
        let children: Vec<_> = children.filter(|index| managed.config.may_start(*index)).collect();
        if let Some(id) = managed.tunnels.newest() {
            if managed.config.initiate {
                self.with_tunnel(now, id, |tunnel, ctx| {
                    children.into_iter().for_each(|index| tunnel.acquire(ctx, index, None));
                });
            }
            return Ok(());
        }
        let nothing = children.is_empty() && managed.config.childless == Childless::Never;
        if managed.hosts().is_empty() || nothing {
            // Allowed again, which is all that can be done from here.
            return if was_down { Ok(()) } else { Err(CommandError::CannotInitiate(name.clone())) };
        }
        managed.wanted.bare = children.is_empty();
        for index in children {
            managed.wanted.children.entry(index).or_default();
        }
        self.pursue(now, name);
        Ok(())
    }

    /// The data path has a packet for a child and no SA.
    pub(super) fn acquire(
        &mut self,
        now: Now,
        name: &Name,
        child: &Name,
        packet: Option<Box<Trigger>>,
    ) -> Result<(), CommandError> {
        if self.stopping {
            return Err(CommandError::Stopping);
        }
        let managed = self.connections.get_mut(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        let index = managed.config.children.iter().position(|c| c.name == *child);
        let index = index.ok_or_else(|| CommandError::UnknownChild(name.clone(), child.clone()))?;
        if managed.admin_down {
            return Err(CommandError::AdminDown(name.clone()));
        }
        if !managed.config.initiate || !managed.config.may_start(index) {
            return Err(CommandError::OnlyAnswered(name.clone(), child.clone()));
        }
        if let Some(id) = managed.tunnels.newest() {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.acquire(ctx, index, packet));
            return Ok(());
        }
        if managed.hosts().is_empty() {
            return Err(CommandError::CannotInitiate(name.clone()));
        }
        let wanted = managed.wanted.children.entry(index).or_default();
        *wanted = wanted.take().or(packet);
        // An attempt on its way takes it along, a wait is kept.
        if matches!(managed.pursuit, Pursuit::Idle) {
            self.pursue(now, name);
        }
        Ok(())
    }

    /// A tunnel stands: what was asked for meanwhile is set up on it, and what the peer leaves out of what we keep up.
    pub(super) fn start_children(&mut self, now: Now, name: &Name) {
        let Some(managed) = self.connections.get_mut(name) else { return };
        let Some(id) = managed.tunnels.newest() else { return };
        let wanted = std::mem::take(&mut managed.wanted).children;
        self.with_tunnel(now, id, |tunnel, ctx| {
            for (index, packet) in wanted {
                if !tunnel.was_refused(index) {
                    tunnel.acquire(ctx, index, packet);
                }
            }
            tunnel.keep_children_up(ctx);
        });
    }

    /// `sekisho down`: deletes, does not retry, and refuses the peer.
    pub(super) fn down(&mut self, now: Now, name: &Name) -> Result<(), CommandError> {
        let managed = self.connections.get_mut(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        managed.admin_down = true;
        managed.failures.last = None;
        self.take_down(now, name, &EndReason::DeletedHere);
        Ok(())
    }
}

/// Whether nobody said no.
fn is_silence(kind: DiagnosisKind) -> bool {
    use DiagnosisKind as Kind;
    matches!(kind, Kind::NoAnswer | Kind::NotSent | Kind::NatPortFiltered | Kind::FragmentsLost)
}

/// The wait after this many failures, without jitter.
fn wait(retry: Retry, attempts: u32) -> std::time::Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    retry.first.saturating_mul(1 << doublings).min(retry.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_a_second_to_a_minute() {
        let waits: Vec<u64> = (1..=9).map(|n| wait(Retry::default(), n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
