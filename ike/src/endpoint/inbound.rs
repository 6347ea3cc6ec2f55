//! What a datagram is for: a tunnel, an attempt, a half-open SA, or a first message.

use std::sync::Arc;

use super::schedule::Owner;
use super::strangers::{Request, Unadmitted};
use super::{Endpoint, deadline};
use crate::config::Connection;
use crate::diagnosis::Diagnosis;
use crate::event::DeadlineReason;
use crate::exchange::{InitRequest, InitResponse};
use crate::identity::Identity;
use crate::limits;
use crate::path::Path;
use crate::sa::{DropReason, HalfOpen, HalfOpenStep, InitOutcome, Refusal, Sender, Tunnel, answer_init};
use crate::time::Now;
use crate::wire::{Body, Datagram, ExchangeType, IkeSpi, Payload};

impl Endpoint {
    pub(super) fn receive(&mut self, now: Now, path: Path, bytes: &[u8]) {
        let datagram = match Datagram::parse(bytes) {
            Ok(datagram) => datagram,
            Err(error) => return self.receive_unread(now, path, bytes, error),
        };
        let header = datagram.header;
        if header.spi_r == IkeSpi::ZERO && header.from_initiator && !header.response {
            return self.receive_init(now, path, &datagram);
        }
        let spi = if header.from_initiator { header.spi_r } else { header.spi_i };
        if let Some(id) = self.tunnel_by_spi.get(&spi).copied() {
            self.with_tunnel(now, id, |tunnel, ctx| tunnel.handle_datagram(ctx, spi, path, &datagram));
        } else if let Some(attempt) = self.attempts.remove(&spi) {
            let step = attempt.handle_datagram(&mut self.core.context(now), path, &datagram);
            self.attempt_stepped(now, spi, step);
        } else if let Some(half_open) = self.strangers.take(spi) {
            self.connections.explain_if(self.strangers.allowances.proofs.is_left(now.boot));
            let ctx = &mut self.core.context(now);
            let step = half_open.handle_datagram(ctx, path, &datagram, &self.connections);
            self.half_open_stepped(now, path, step);
        } else {
            self.drop_datagram(DropReason::UnknownSpi);
        }
    }

    /// `IKE_SA_INIT` of a peer that wants a tunnel.
    fn receive_init(&mut self, now: Now, path: Path, datagram: &Datagram<'_>) {
        let payloads = match self.first_message(datagram) {
            Ok(payloads) => payloads,
            Err(reason) => return self.drop_datagram(reason),
        };
        if let Some(half_open) = self.strangers.made_by(datagram.bytes, path.remote) {
            return half_open.repeat_answer(&mut self.core.context(now), path);
        }
        let Ok(request) = InitRequest::read(payloads.to_vec()) else {
            return self.drop_datagram(DropReason::Malformed);
        };
        match self.admit(now, path, datagram, &request) {
            Ok(sender) => self.open(now, path, datagram, request, sender),
            Err(reason) => self.drop_datagram(reason),
        }
    }

    /// What a first message holds, if it is one, and not for nothing.
    fn first_message<'a>(&self, datagram: &'a Datagram<'_>) -> Result<&'a [Payload], DropReason> {
        if self.stopping {
            return Err(DropReason::Stopping);
        }
        let header = &datagram.header;
        let first = header.exchange == ExchangeType::IKE_SA_INIT && header.message_id == 0;
        let payloads = match &datagram.body {
            Body::Clear(payloads) if first && header.spi_i != IkeSpi::ZERO => payloads,
            _ => return Err(DropReason::UnexpectedExchange),
        };
        if self.tunnels.len() >= limits::TUNNELS {
            return Err(DropReason::HalfOpenLimit);
        }
        // Our own first message, sent back to us.
        if self.attempts.contains_key(&header.spi_i) || self.tunnel_by_spi.contains_key(&header.spi_i) {
            return Err(DropReason::Reflected);
        }
        Ok(payloads)
    }

    /// Whether this request may have our work, and what is known of its sender then. A cookie is asked for where it must bring one.
    fn admit(
        &mut self,
        now: Now,
        path: Path,
        datagram: &Datagram<'_>,
        request: &InitRequest,
    ) -> Result<Sender, DropReason> {
        let what = Request { remote: path.remote, spi_i: datagram.header.spi_i, nonce: &request.nonce };
        let sender = match self.strangers.admit(&mut self.core, now.boot, &what, request.cookie.as_deref()) {
            Ok(sender) => sender,
            Err(Unadmitted { reason, cookie }) => {
                if let Some(cookie) = cookie {
                    let ctx = &mut self.core.context(now);
                    answer_init(ctx, path, datagram, IkeSpi::ZERO, InitResponse::Cookie(cookie));
                }
                return Err(reason);
            }
        };
        // After the cookie, so that only who receives at its address learns to come again.
        if self.core.output.is_busy_with_strangers() {
            return Err(DropReason::Busy);
        }
        Ok(sender)
    }

    fn open(&mut self, now: Now, path: Path, datagram: &Datagram<'_>, request: InitRequest, sender: Sender) {
        // With nothing configured there is nobody to answer for.
        let Some(acceptable) = self.connections.acceptable(path.remote_ip()) else {
            return self.core.output.drop(DropReason::UnexpectedExchange);
        };
        let tell = self.strangers.allowances.first_messages.is_left(now.boot);
        match HalfOpen::open(&mut self.core.context(now), acceptable, path, datagram, request, tell) {
            InitOutcome::Opened(half_open) => self.keep(half_open.of(sender)),
            InitOutcome::Refused(None) if tell => {}
            InitOutcome::Refused(None) => self.core.output.drop(DropReason::RefusalUntold),
            InitOutcome::Refused(Some(diagnosis)) => {
                self.strangers.allowances.first_messages.take(now.boot);
                self.refused(now, path, (None, None), *diagnosis);
            }
        }
    }

    fn keep(&mut self, half_open: Box<HalfOpen>) {
        let expiry = deadline(half_open.expires_at(), DeadlineReason::HalfOpenExpiry);
        self.schedule.set(Owner::HalfOpen(half_open.spi()), Some(expiry));
        self.strangers.keep(half_open);
    }

    /// What a message or a finished job made of a half-open SA.
    pub(super) fn half_open_stepped(&mut self, now: Now, path: Path, step: HalfOpenStep) {
        match step {
            HalfOpenStep::Pending(half_open) => self.keep(half_open),
            HalfOpenStep::Refused { left, refusal } => {
                left.into_iter().for_each(|half_open| self.keep(half_open));
                self.proof_refused(now, path, refusal);
            }
            HalfOpenStep::Established { tunnel, initial_contact } => {
                for spi in tunnel.ike_spis() {
                    self.schedule.set(Owner::HalfOpen(spi), None);
                }
                self.established(now, *tunnel, initial_contact);
            }
        }
    }

    fn proof_refused(&mut self, now: Now, path: Path, refusal: Refusal) {
        let Refusal { connection, meant, rival, diagnosis, .. } = refusal;
        if let (Some(connection), Some(rival)) = (&connection, rival) {
            self.probe_all(now, connection, &rival);
        }
        if !self.strangers.allowances.proofs.take(now.boot) {
            return self.core.output.drop(DropReason::RefusalUntold);
        }
        self.refused(now, path, (connection, meant), *diagnosis);
    }

    /// A peer was refused for what stands: if that is dead, it is to be found out.
    fn probe_all(&mut self, now: Now, connection: &Connection, peer: &Identity) {
        let managed = self.connections.get(&connection.name);
        for id in managed.map_or_else(Vec::new, |managed| managed.tunnels.of(peer).collect()) {
            self.with_tunnel(now, id, Tunnel::probe);
        }
    }

    /// The connection was named, or is perhaps meant.
    fn refused(
        &mut self,
        now: Now,
        path: Path,
        (named, meant): (Option<Arc<Connection>>, Option<Arc<Connection>>),
        diagnosis: Diagnosis,
    ) {
        let remote = path.remote_ip();
        // Nobody proved anything, so this is for the operator's eyes alone: a tunnel that stands is not told of it.
        let guess = || self.connections.down_at(remote);
        let (named, meant) = (named.as_ref().map(|c| &c.name), meant.as_ref().map(|c| &c.name));
        let name = named.cloned().or_else(guess);
        self.strangers.supersede_refusals(&mut self.connections, remote, Some(&diagnosis), named);
        let kept = named.is_some() || self.note_near_misses(now, remote, name.as_ref(), meant, &diagnosis);
        if !kept {
            self.strangers.keep_refusal(now, remote, &diagnosis);
        }
        self.failed(now, name.as_ref(), Some(remote), diagnosis, None);
        if kept {
            let managed = name.as_ref().and_then(|name| self.connections.get_mut(name));
            if let Some(failure) = managed.and_then(|managed| managed.failures.last.as_mut()) {
                failure.from = Some(remote);
            }
            self.strangers.note_refusal(remote, &self.connections);
        }
    }

    /// A tunnel stands: it takes the place of others of its connection.
    pub(super) fn established(&mut self, now: Now, tunnel: Tunnel, initial_contact: bool) {
        let id = tunnel.id;
        let name = tunnel.connection().name.clone();
        self.tunnel_by_spi.extend(tunnel.ike_spis().map(|spi| (spi, id)));
        let peer = tunnel.remote_id().clone();
        self.strangers.supersede_refusals(&mut self.connections, tunnel.path.remote_ip(), None, None);
        self.tunnels.insert(id, Box::new(tunnel));
        if let Some(managed) = self.connections.get_mut(&name) {
            managed.tunnels.add(id, peer);
        }
        self.tunnel_stepped(now, id);
        // Ours may have been under way while the trust changed.
        if let Some(config) = self.connections.get(&name).map(|managed| Arc::clone(&managed.config)) {
            self.adopt(now, id, &config);
        }
        self.settle_duplicates(now, id, &name, initial_contact);
        self.start_children(now, &name);
        self.prove_pfs(now, id, &name);
    }
}
