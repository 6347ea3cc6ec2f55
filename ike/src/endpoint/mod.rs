//! Many tunnels behind one set of ports: the demultiplexer, and the poll contract.

mod completion;
mod configuration;
mod connections;
mod duplicates;
mod inbound;
mod managed;
mod near_misses;
mod pools;
mod proven;
mod pursuit;
mod schedule;
mod stapling;
mod status;
mod strangers;
mod unread;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use connections::Connections;
use schedule::{Owner, Schedule};
use strangers::Strangers;

use crate::config::{EndpointConfig, Name};
use crate::crypto::Provider;
use crate::diagnosis::Diagnosis;
use crate::event::{
    ChildSaId, Command, CommandError, Deadline, DeadlineReason, EndReason, Event, Job, Transmit, TunnelId,
};
use crate::path::Path;
use crate::random::SecureRandom;
use crate::sa::{Attempt, Context, DropReason, Ids, Output, Pools, SpiPool, Staples, Task, Tunnel};
use crate::spi_allocator::SpiAllocator;
use crate::time::{Instant, Now};
use crate::wire::IkeSpi;

/// The poll contract. After each `handle_*`, the driver drains, in this order: `poll_event` (and acts on each),
/// `poll_job`, `poll_transmit`, and then asks `poll_timeout`. Events come first because a Child SA must be able
/// to receive before the message leaves that lets the peer send.
pub struct Endpoint {
    core: Core,
    connections: Connections,
    attempts: BTreeMap<IkeSpi, Attempt>,
    strangers: Strangers,
    tunnels: BTreeMap<TunnelId, Box<Tunnel>>,
    tunnel_by_spi: BTreeMap<IkeSpi, TunnelId>,
    schedule: Schedule,
    stopping: bool,
}

/// What every step needs, apart from what it works on.
struct Core {
    config: EndpointConfig,
    random: Box<dyn SecureRandom>,
    provider: Provider,
    spis: SpiPool,
    pools: Pools,
    ids: Ids,
    output: Output,
    staples: Staples,
    review_ordered: Option<Now>,
}

impl Core {
    fn context(&mut self, now: Now) -> Context<'_> {
        Context {
            now,
            random: &mut *self.random,
            provider: &self.provider,
            config: &self.config,
            spis: &mut self.spis,
            pools: &mut self.pools,
            ids: &mut self.ids,
            output: &mut self.output,
            staples: &self.staples,
            review_ordered: self.review_ordered,
        }
    }
}

impl Endpoint {
    /// An endpoint with nothing configured.
    pub fn new(config: EndpointConfig, random: Box<dyn SecureRandom>, spis: Box<dyn SpiAllocator>) -> Self {
        let core = Core {
            config,
            random,
            provider: Provider::ring(),
            spis: SpiPool::new(spis),
            pools: Pools::default(),
            ids: Ids::default(),
            output: Output::default(),
            staples: Staples::default(),
            review_ordered: None,
        };
        Self {
            core,
            connections: Connections::default(),
            attempts: BTreeMap::new(),
            strangers: Strangers::default(),
            tunnels: BTreeMap::new(),
            tunnel_by_spi: BTreeMap::new(),
            schedule: Schedule::default(),
            stopping: false,
        }
    }

    /// The network spoke: one datagram, the non-ESP marker taken off.
    pub fn handle_datagram(&mut self, now: Now, path: Path, bytes: &[u8]) {
        self.receive(now, path, bytes);
        // What an attempt held that was refused just now.
        self.core.spis.reclaim();
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Now) {
        for owner in self.schedule.take_due(now.boot) {
            match owner {
                Owner::Attempt(spi) => {
                    if let Some(attempt) = self.attempts.remove(&spi) {
                        let step = attempt.handle_timeout(&mut self.core.context(now));
                        self.attempt_stepped(now, spi, step);
                    }
                }
                Owner::HalfOpen(spi) => self.half_open_expired(now, spi),
                Owner::Tunnel(id) => self.with_tunnel(now, id, Tunnel::handle_timeout),
                Owner::Connection(name) => self.pursue(now, &name),
                Owner::Staple(certificate) => self.ask_for_staple(now, certificate),
            }
        }
        self.core.spis.reclaim();
    }

    /// An operator, the shell or the data path asks.
    ///
    /// # Errors
    /// [`CommandError`], if it cannot be done; nothing has changed then.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Configure(connections) => {
                connections.iter().try_for_each(|connection| connection.check())?;
                connections.iter().try_for_each(|connection| self.check_pools(connection))?;
                self.configure(now, connections);
            }
            Command::ConfigurePools(pools) => self.configure_pools(now, pools),
            Command::Up(name) => self.up(now, &name)?,
            Command::Down(name) => self.down(now, &name)?,
            Command::Acquire { connection, child, packet } => {
                self.acquire(now, &connection, &child, packet)?;
            }
            Command::RekeyIke(name) => {
                self.with_live(now, &name, |tunnel, ctx| tunnel.ask(ctx, Task::RekeyIke))?;
            }
            Command::RekeyChildren(name) => self.with_live(now, &name, |tunnel, ctx| {
                let children: Vec<_> = tunnel.standing_children().map(|c| c.id).collect();
                children.into_iter().for_each(|id| tunnel.rekey_by_order(ctx, id));
            })?,
            Command::RekeyChild(id) => {
                self.with_child(now, id, |tunnel, ctx| tunnel.ask(ctx, Task::RekeyChild(id)));
            }
            Command::DeleteChild(id) => {
                self.with_child(now, id, |tunnel, ctx| tunnel.ask(ctx, Task::EndChild(id)));
            }
            Command::FirstPacket(id) => self.with_child(now, id, |tunnel, ctx| tunnel.first_packet(ctx, id)),
            Command::Usage(id, usage) => self.with_child(now, id, |tunnel, ctx| tunnel.used(ctx, id, usage)),
            Command::LineCarries(id, mtu) => self.with_tunnel(now, id, |t, ctx| t.line_carries(ctx, mtu)),
            Command::PathTooNarrow(id, mtu) => {
                self.with_tunnel(now, id, |tunnel, ctx| tunnel.path_too_narrow(ctx, mtu));
            }
            Command::ReviewPeers => self.review_peers(now),
            Command::NetworkChanged => self.network_changed(now),
            Command::Shutdown => self.shut_down(now),
        }
        Ok(())
    }

    /// The shell could not send a datagram along this path: why, as a sentence's end for the operator.
    pub fn not_sent(&mut self, path: Path, why: &str) {
        let attempts = self.attempts.values_mut().filter(|attempt| attempt.path() == path);
        attempts.for_each(|attempt| attempt.not_sent(why));
    }

    /// Somebody on the way to this address and port says that what we send there from this port does not arrive: who and what, as a
    /// sentence's end for the operator. It may be a lie, and is told as one may be.
    pub fn told(&mut self, local_port: u16, remote: SocketAddr, what: &str) {
        let meant = |path: Path| path.remote == remote && path.local.port() == local_port;
        let attempts = self.attempts.values_mut().filter(|attempt| meant(attempt.path()));
        attempts.for_each(|attempt| attempt.told(what));
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.output.transmits.pop_front()
    }

    /// The next slow work to do elsewhere.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.core.output.jobs.pop_front()
    }

    /// The next fact for the shell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.output.events.pop_front()
    }

    /// The next deadline and its reason.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.schedule.next()
    }

    /// Datagrams dropped and answers refused, by reason (stable words).
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        self.core.output.drops()
    }

    /// After [`Command::Shutdown`]: whether every DELETE was answered or given up.
    pub fn is_idle(&self) -> bool {
        self.stopping && !self.tunnels.values().any(|tunnel| tunnel.is_closing())
    }

    fn network_changed(&mut self, now: Now) {
        for name in self.connections.names() {
            self.pursue_at_once(now, &name);
        }
        for id in self.tunnels.keys().copied().collect::<Vec<_>>() {
            self.check_path(now, id);
            self.with_tunnel(now, id, Tunnel::probe);
        }
    }

    fn shut_down(&mut self, now: Now) {
        self.stopping = true;
        for name in self.connections.names() {
            self.take_down(now, &name, &EndReason::Shutdown);
        }
        self.strangers.dismiss();
        self.forget_staples();
    }

    fn with_child(&mut self, now: Now, id: ChildSaId, step: impl FnOnce(&mut Tunnel, &mut Context<'_>)) {
        if let Some(tunnel) = self.core.output.tunnel_of(id) {
            self.with_tunnel(now, tunnel, step);
        }
    }

    fn with_live(
        &mut self,
        now: Now,
        name: &Name,
        step: impl Fn(&mut Tunnel, &mut Context<'_>),
    ) -> Result<(), CommandError> {
        let managed = self.connections.get(name).ok_or_else(|| CommandError::Unknown(name.clone()))?;
        if managed.tunnels.is_empty() {
            return Err(CommandError::NotUp(name.clone()));
        }
        let tunnels: Vec<_> = managed.tunnels.ids().collect();
        tunnels.into_iter().for_each(|id| self.with_tunnel(now, id, &step));
        Ok(())
    }

    /// One step of a tunnel, and whatever follows from it.
    fn with_tunnel(&mut self, now: Now, id: TunnelId, step: impl FnOnce(&mut Tunnel, &mut Context<'_>)) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        step(tunnel, &mut self.core.context(now));
        self.tunnel_stepped(now, id);
    }

    /// Brings look-ups, schedule and connection up to date with a tunnel that was touched.
    fn tunnel_stepped(&mut self, now: Now, id: TunnelId) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        for spi in self.core.output.new_ike_spis.drain(..) {
            self.tunnel_by_spi.insert(spi, id);
        }
        let failure = tunnel.take_failure();
        let findings = tunnel.take_pfs_findings();
        let ended = tunnel.ended().is_some();
        let name = tunnel.connection().name.clone();
        let remote = tunnel.path.remote_ip();
        let (has_child, is_whole) = (tunnel.has_child(), tunnel.is_whole());
        self.schedule.set(Owner::Tunnel(id), tunnel.deadline());
        self.note_pfs(now, id, &name, remote, findings);
        let Some(tunnel) = self.tunnels.get(&id) else { return };
        if tunnel.is_gone() {
            self.tunnels.remove(&id);
        }
        for spi in self.core.spis.reclaim() {
            self.tunnel_by_spi.remove(&spi);
        }
        self.core.pools.reclaim();
        if has_child && let Some(managed) = self.connections.get_mut(&name) {
            managed.stands(remote, is_whole && failure.is_none());
        }
        if let Some(diagnosis) = failure {
            self.failed_in(now, (Some(&name), Some(id)), Some(remote), diagnosis, None);
        }
        if ended {
            self.tunnel_lost(now, id, &name);
        }
    }

    /// Tells the shell of a failure and keeps it for the status.
    fn failed(
        &mut self,
        now: Now,
        name: Option<&Name>,
        remote: Option<IpAddr>,
        diagnosis: Diagnosis,
        next_try: Option<Instant>,
    ) {
        self.failed_in(now, (name, None), remote, diagnosis, next_try);
    }

    /// The same in a tunnel that stands.
    fn failed_in(
        &mut self,
        now: Now,
        (name, tunnel): (Option<&Name>, Option<TunnelId>),
        remote: Option<IpAddr>,
        diagnosis: Diagnosis,
        next_try: Option<Instant>,
    ) {
        if let Some(managed) = name.and_then(|name| self.connections.get_mut(name)) {
            managed.failures.add(now.wall, diagnosis.clone());
        }
        self.core.output.event(Event::NegotiationFailed {
            connection: name.cloned(),
            tunnel,
            remote,
            diagnosis: Box::new(diagnosis),
            next_try,
        });
    }

    fn drop_datagram(&mut self, reason: DropReason) {
        self.core.output.drop(reason);
    }
}

/// A deadline of this kind.
fn deadline(at: Instant, reason: DeadlineReason) -> Deadline {
    Deadline { at, reason }
}

const _: fn() = || {
    fn send<T: Send>() {}
    send::<Endpoint>();
};
