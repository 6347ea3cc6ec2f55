//! The loop: one input, then the endpoint is drained; again.

use std::iter;
use std::time::Duration;

use sekisho_ike::config::Name;
use sekisho_ike::event::{ChildSaId, Command, Event, Payload, Transmit};
use sekisho_ike::{Instant, Transport};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::api::Reply;
use crate::config::Daemon;
use crate::data::{FromData, InnerView};
use crate::net::netlink::Change;
use crate::telemetry::Fact;

use super::apply::FollowUp;
use super::install::{self, ike_path};
use super::waiting::Settled;
use super::{Control, ICMP_BUDGET, Inputs, Order, cut_off, now};

/// Messages of the data path that are taken in one turn, so that timers and operators have theirs.
const BUDGET: usize = 64;
/// Between two looks at what nobody tells of: what the SAs carried, the guard, certificates.
const SECOND: Duration = Duration::from_secs(1);
/// The longest sleep, so that a suspend (which this clock does not count) delays no deadline for longer.
const NAP: Duration = Duration::from_secs(5);
/// How long DELETEs may take when the daemon ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// A NAT keepalive (RFC 3948 §2.3).
const KEEPALIVE: [u8; 1] = [0xff];

impl Control {
    /// Runs until an order to stop is carried out.
    ///
    /// # Errors
    /// If the data path died, with the reason: tunnels were deleted then, so that the peers know.
    pub async fn run(mut self, mut inputs: Inputs) -> Result<(), String> {
        let mut second = interval(SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.drain().await;
        while !self.is_finished() {
            let nap = self.nap();
            tokio::select! {
                Some(message) = inputs.data.recv() => {
                    self.receive(message);
                    let others = iter::from_fn(|| inputs.data.try_recv().ok());
                    others.take(BUDGET - 1).for_each(|message| self.receive(message));
                }
                Some((request, reply)) = inputs.requests.recv() => self.request(request, reply).await,
                Some(order) = inputs.orders.recv() => self.order(order).await,
                (job, completion) = self.jobs.next() => {
                    self.endpoint.handle_completion(now(), job, completion);
                }
                change = self.out.routing.next() => self.network(change).await,
                message = self.out.icmp.next(), if self.icmp_budget > 0 => self.hear_router(&message),
                _ = second.tick() => self.each_second(),
                () = sleep(nap) => {}
            }
            self.meet_deadline();
            self.drain().await;
        }
        self.out.data.shutdown();
        self.dead.map_or(Ok(()), Err)
    }

    /// What is done whether anything came in or not.
    fn each_second(&mut self) {
        self.icmp_budget = ICMP_BUDGET;
        self.out.routing.paths_mut().expire(now().boot);
        self.record_paths();
        self.tell_usage();
        self.tell_expiry();
        let Daemon { ike_port, nat_port, refuse_clear_text, .. } = self.config.daemon;
        self.out.routing.look_after_guard(&[ike_port, nat_port], refuse_clear_text);
    }

    /// Events first: a Child SA must be able to receive before the message leaves that lets the peer send.
    async fn drain(&mut self) {
        loop {
            let mut paths = Vec::new();
            loop {
                let mut follow_up = FollowUp::default();
                while let Some(event) = self.endpoint.poll_event() {
                    if let Event::AddressesAssigned(assignment) = &event
                        && assignment.inner.ours
                    {
                        self.take_addresses(assignment).await;
                    }
                    self.apply(event, &mut follow_up);
                }
                // Once for all of them: a thousand peers may have come back at once.
                self.out.data.publish();
                paths.append(&mut follow_up.paths);
                follow_up.failed.iter().for_each(|connection| self.abandon(connection));
                let went_on = self.settle();
                if follow_up.commands.is_empty() && !went_on {
                    break;
                }
                follow_up.commands.into_iter().for_each(|command| self.command(command));
            }
            self.drop_addresses().await;
            while let Some(job) = self.endpoint.poll_job() {
                self.jobs.start(job);
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                self.transmit(&transmit);
            }
            self.follow_paths(paths).await;
            if !self.spread_paths().await {
                break;
            }
        }
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let (local, remote, whole) = (transmit.path.local, transmit.path.remote, transmit.dont_fragment);
        let sockets = &self.out.sockets;
        let sent = match (&transmit.payload, transmit.path.transport) {
            (Payload::Ike(bytes), Transport::UdpEncap) => sockets.send_marked(local, remote, whole, bytes),
            (Payload::Ike(bytes), Transport::Udp) => sockets.send(local, remote, whole, bytes),
            (Payload::Keepalive, _) => sockets.send(local, remote, whole, &KEEPALIVE),
        };
        if let Err(error) = sent {
            self.unsent = self.unsent.saturating_add(1);
            self.endpoint.not_sent(transmit.path, &error.to_string());
            tracing::debug!(path = %transmit.path, %error, "not sent");
        }
    }

    fn receive(&mut self, message: FromData) {
        match message {
            FromData::Ike { path, bytes } => self.endpoint.handle_datagram(now(), ike_path(path), &bytes),
            FromData::FirstPacket(id) => self.command(Command::FirstPacket(ChildSaId(id))),
            FromData::Acquire(policy, first) => self.acquire(policy, first.as_ref()),
            FromData::Failed(what) => tracing::error!("{what}"),
            FromData::Dead(why) => {
                self.stop(format!("since {why}"));
                self.dead = Some(why);
            }
        }
    }

    /// Packets wait for this child.
    fn acquire(&mut self, policy: u64, first: Option<&InnerView>) {
        let Some((connection, child)) = self.policies.name(policy).cloned() else {
            return self.out.data.abandon(policy);
        };
        tracing::debug!(tunnel = %connection, %child, "a packet waits");
        let packet = first.and_then(install::trigger).map(Box::new);
        let command = Command::Acquire { connection, child, packet };
        if let Err(error) = self.endpoint.handle_command(now(), command) {
            tracing::debug!(%error, "packets wait in vain");
            self.out.data.abandon(policy);
        }
    }

    /// An attempt for this connection failed. For those of its children that are not being set up all the same, nothing need
    /// wait: the next packet asks again.
    fn abandon(&self, connection: &Name) {
        for (policy, child) in self.policies.of(connection) {
            if !self.endpoint.is_setting_up(connection, child) {
                self.out.data.abandon(policy);
            }
        }
    }

    fn tell_usage(&mut self) {
        let installed: Vec<ChildSaId> = self.books.installed().collect();
        for child_sa in installed {
            let usage = self.usage(child_sa);
            self.books.read(now().boot, child_sa, &usage);
            self.command(Command::Usage(child_sa, usage));
        }
    }

    /// Certificates that end soon are told of.
    fn tell_expiry(&mut self) {
        let now = now();
        if self.expiry.is_due(now.boot) {
            for fact in self.expiry.look(now, &self.endpoint.status()) {
                self.record(fact);
            }
        }
    }

    async fn network(&mut self, change: Change) {
        if let Some(mtu) = self.out.routing.repair().await {
            self.out.data.set_mtu(mtu);
        }
        if change == Change::Network {
            tracing::info!("a line, an address or a default route changed");
            self.command(Command::NetworkChanged);
            let netlink = self.out.routing.netlink().clone();
            self.cut_off = cut_off::look(netlink, &self.config).await;
        }
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Reload(reply) => {
                // A daemon that ends meanwhile needs no answer.
                let _ = reply.send(self.reload().await);
            }
            Order::Stop(reason) => self.stop(reason),
        }
    }

    fn stop(&mut self, reason: String) {
        self.record(Fact::DaemonStopping { reason });
        self.command(Command::Shutdown);
        self.end = Some(now().boot + FAREWELL);
    }

    /// Answers requests whose time has come, and carries others further: whether there were any of these.
    fn settle(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let mut went_on = false;
        for settled in self.waiting.settle(now().boot, |name| self.endpoint.status_for(name)) {
            match settled {
                Settled::NowIke(connection) => {
                    went_on = true;
                    let command = Command::RekeyIke(connection.clone());
                    if let Err(error) = self.endpoint.handle_command(now(), command) {
                        self.waiting.fail(&connection, &error.to_string());
                    }
                }
                Settled::Done(connection, reply) => self.answer_with_tunnel(&connection, reply),
            }
        }
        went_on
    }

    fn answer_with_tunnel(&self, connection: &Name, reply: oneshot::Sender<Reply>) {
        let answer = match self.tunnel(connection) {
            Some(tunnel) => Reply::done(&tunnel),
            None => Reply::failed(format!("no tunnel is named `{connection}`")),
        };
        // A client that hung up meanwhile needs no answer.
        let _ = reply.send(answer);
    }

    fn meet_deadline(&mut self) {
        let now = now();
        if self.endpoint.poll_timeout().is_some_and(|deadline| deadline.at <= now.boot) {
            self.endpoint.handle_timeout(now);
        }
    }

    fn nap(&self) -> Duration {
        let deadlines = [self.endpoint.poll_timeout().map(|d| d.at), self.waiting.deadline(), self.end];
        let now: Instant = now().boot;
        deadlines.into_iter().flatten().min().map_or(NAP, |next| next.since(now).min(NAP))
    }

    fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.endpoint.is_idle() || end <= now().boot)
    }
}
