//! Is the peer there, and where: probes, keepalives, and the peer's changing address (RFC 7296 §2.4, §2.23;
//! RFC 3948 §4).

use std::net::IpAddr;

use super::child_sa::{ChildPlace, Wear};
use super::context::Context;
use super::ike_sa::Place;
use super::tasks::Task;
use super::tunnel::Tunnel;
use crate::diagnose;
use crate::event::{ChildSaId, EndReason, Event, Usage};
use crate::path::Path;
use crate::time::Instant;
use crate::wire::IkeSpi;

impl Tunnel {
    /// An authentic, new message came in.
    pub(super) fn heard(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, path: Path) {
        self.last_heard = ctx.now.boot;
        self.follow(ctx, path);
        self.take_over(ctx, spi);
    }

    /// The same, and it was a request.
    pub(super) fn asked(&mut self, ctx: &mut Context<'_>, spi: IkeSpi, path: Path) {
        self.heard(ctx, spi, path);
        self.doubt(ctx, path);
    }

    /// It came from elsewhere than we send to, and we did not follow: a NAT may have appeared on the way, which loses what is
    /// sent to the old address while all that the peer asks is answered. So it is asked there; if it keeps silent, the tunnel
    /// is set up anew, and the NAT is seen. Not more often than in silence, or two ends that each seem to have moved would
    /// ask without end.
    fn doubt(&mut self, ctx: &mut Context<'_>, path: Path) {
        if path.remote != self.path.remote && self.doubt_from <= ctx.now.boot && self.ended().is_none() {
            self.doubt_from = ctx.now.boot + self.connection().liveness;
            self.tasks.push(ctx, Task::Probe);
        }
    }

    /// RFC 7296 §2.23: a host that is not behind a NAT "SHOULD send all packets to the IP address and port from the
    /// last valid authenticated packet", if the other end is behind one. Of an IKE message: ESP "can be used" as well, and is not,
    /// so a peer whose NAT forgets it is found again by its next probe, or ours.
    fn follow(&mut self, ctx: &mut Context<'_>, path: Path) {
        let moved = path.remote != self.path.remote && path.transport == self.path.transport;
        if moved && self.nat.there && !self.nat.here {
            self.path = path;
            self.forget_path_mtu();
            self.tell_path(ctx);
        }
    }

    fn tell_path(&self, ctx: &mut Context<'_>) {
        let (path, encapsulated) = (self.path, self.nat.encapsulates());
        ctx.output.event(Event::PathChanged { tunnel: self.id, path, encapsulated });
    }

    /// Our address changed. Where the peer takes us for one behind a NAT, since we force encapsulation or are behind one,
    /// it follows the next authentic message; so it is probed at once. Else it would send ESP to the old address for ever: the
    /// tunnel is set up anew, and NATs on the new way are seen.
    pub(crate) fn move_to(&mut self, ctx: &mut Context<'_>, local: IpAddr) {
        if self.ended().is_some() || local == self.path.local.ip() {
            return;
        }
        self.path.local.set_ip(local);
        self.forget_path_mtu();
        self.tell_path(ctx);
        if self.nat.here || self.nat.forced {
            self.probe(ctx);
        } else {
            let diagnosis =
                diagnose::local("our address changed, which a peer that sees no NAT does not follow");
            self.delete(ctx, EndReason::Failed(Box::new(diagnosis)));
        }
    }

    /// The peer uses the IKE SA that its rekey made: so it has it, and it carries our requests too from now on.
    fn take_over(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let replaced_by = self.current().and_then(|sa| match sa.place {
            Place::Replaced { by, .. } => Some(by),
            _ => None,
        });
        if replaced_by == Some(spi) {
            self.promote(ctx, spi);
        }
    }

    /// When the peer is to be probed, if nothing else asks it anything.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let current = self.current().filter(|sa| sa.place == Place::Current)?;
        let quiet = current.window.outstanding().is_none() && !self.tasks.contains(&Task::Probe);
        quiet.then(|| self.last_heard + self.connection().liveness)
    }

    pub(super) fn check_liveness(&mut self, ctx: &mut Context<'_>) {
        if self.probe_at().is_some_and(|at| at <= ctx.now.boot) {
            self.tasks.push(ctx, Task::Probe);
        }
        if self.keepalive_at.is_some_and(|at| at <= ctx.now.boot) {
            ctx.output.keepalive(self.path);
            self.keepalive_at = Some(ctx.now.boot + self.connection().keepalive.interval);
        }
    }

    /// Asks the peer at once whether it is there: the network changed.
    pub(crate) fn probe(&mut self, ctx: &mut Context<'_>) {
        if self.ended().is_none() {
            self.tasks.push(ctx, Task::Probe);
            self.start_tasks(ctx);
        }
    }

    /// What a Child SA has carried until now: a sign of life, and wear.
    pub(crate) fn used(&mut self, ctx: &mut Context<'_>, id: ChildSaId, usage: Usage) {
        self.last_heard =
            usage.last_in.map_or(self.last_heard, |at| at.max(self.last_heard).min(ctx.now.boot));
        self.gone_on |= usage.packets_in > 0;
        let connection = self.connection().clone();
        let Some(child) = self.children.get_mut(&id) else { return };
        let Some(config) = connection.children.get(child.index) else { return };
        let (index, growing) = (child.index, child.meter.is_growing(&usage));
        let sent = child.meter.has_sent(&usage);
        let schedule = connection.retransmit.whole();
        let wear = child.meter.read(ctx.now.boot, usage, &config.lifetime, child.suite.esn, schedule);
        let now = ctx.now.boot;
        let may_ask = child.is_standing() && child.retry_at.is_none_or(|at| at <= now);
        match wear {
            Wear::Rekey if may_ask && child.rekey_at.take().is_some() => {
                self.tasks.push(ctx, Task::RekeyChild(id));
            }
            Wear::Fresh | Wear::Rekey => {}
            Wear::Spent => self.expire_child(ctx, id),
        }
        if sent {
            self.path_used(now, usage.last_in);
        }
        self.check_activity(ctx, id, index, growing);
        self.start_tasks(ctx);
    }

    /// A Child SA reached its hard limit: nothing more passes on it, whatever becomes of the DELETE.
    pub(super) fn expire_child(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        let Some(child) = self.children.get_mut(&id).filter(|c| !c.reported) else { return };
        child.reported = true;
        ctx.output.event(Event::Retired { child_sa: id, reason: EndReason::Expired });
        if child.is_standing() {
            child.place = ChildPlace::Deleting;
            let index = child.index;
            self.fail(diagnose::expired());
            if !self.has_child() {
                // Its rekeys came to nothing, so a new one would too: IKE_AUTH needs no agreement on a key exchange.
                return self.delete(ctx, EndReason::Expired);
            }
            // RFC 7296 §2.8 would have us close the IKE SA "and any associated Child SAs" here too. Knowingly not: the others stand
            // well, and carry traffic.
            self.tasks.push(ctx, Task::DeleteChild(id));
            self.try_child_later(ctx, &Task::CreateChild(index));
        }
    }
}
