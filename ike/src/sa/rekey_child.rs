//! New Child SAs and the rekey of old ones, make before break (RFC 7296 §1.3.1, §1.3.3, §2.8).
//!
//! The initiator of a rekey sends on the new SA as soon as it has the answer, and deletes the old one. Its responder
//! can receive on the new one before it answers, and sends on it from the first packet on it, or from the DELETE of
//! the old one: only then has the initiator shown that it can receive.

use super::child_exchange::{Asked, ChildRefusal, PendingChild, accept, refused_there};
use super::child_sa::{ChildPlace, ChildSa};
use super::collision::{Collision, lowest_nonce, ours_goes};
use super::context::Context;
use super::crossing::{ChildActivity, Verdict, new_child, rekey_child};
use super::ike_sa::Exchange;
use super::offloaded::Answer;
use super::share::{Share, Tried, other_group};
use super::tasks::Task;
use super::tunnel::Tunnel;
use crate::config::Child;
use crate::diagnose::{self, Negotiated, Standing};
use crate::diagnosis::{Diagnosis, DiagnosisKind};
use crate::event::{ChildSaId, EndReason};
use crate::exchange::{ChildOffer, ChildRequest, CreateChildResponse, KeyExchangeData, Protected};
use crate::keys::Nonces;
use crate::limits;
use crate::suite::Group;
use crate::wire::{ChildSpi, EspSpi, ExchangeType, IkeSpi, NotifyType};
use crate::work::Agreement;

impl Tunnel {
    /// Answers a peer's request for a new Child SA or a rekey.
    pub(super) fn answer_child(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        request: &ChildRequest,
        agreement: Option<Agreement>,
    ) -> Answer {
        let old = match self.to_be_rekeyed(spi, request.rekeys) {
            Ok(old) => old,
            Err(refusal) => {
                let not_found = request.rekeys.filter(|_| refusal == NotifyType::CHILD_SA_NOT_FOUND);
                let not_found = not_found.map(|spi| Answer::Now(CreateChildResponse::NotFound(spi)));
                return not_found.unwrap_or(Answer::error(refusal));
            }
        };
        let connection = self.connection().clone();
        // What stands without an address goes on without one.
        let asks = request.configuration.as_ref().filter(|_| old.is_none() || !connection.pools.is_empty());
        // Before its networks are judged, and the same again where they are judged twice.
        let configuration = match asks.map(|asks| self.assign(ctx, asks)).transpose() {
            Ok(given) => given,
            Err(refusal) => return Answer::error(refusal),
        };
        let old = old.and_then(|id| self.children.get(&id)).map(|c| (c.index, c.id));
        let asked = Asked {
            offer: &request.offer,
            key_exchange: request.key_exchange.as_ref(),
            rekeys: old,
            exchange: ExchangeType::CREATE_CHILD_SA,
            peer: self.remote_id(),
            path: self.path,
        };
        match accept(ctx, &connection, &self.addresses, &asked, agreement) {
            Ok((agreed, answer, key_exchange)) => {
                let nonce = ctx.nonce();
                let nonces = Nonces { initiator: &request.nonce, responder: &nonce };
                let new = match self.install(ctx, spi, agreed, nonces) {
                    Ok(new) => new,
                    Err(diagnosis) => return self.refuse(NotifyType::TEMPORARY_FAILURE, diagnosis),
                };
                self.settle_as_responder(ctx, spi, old.map(|(_, id)| id), new, nonces);
                Answer::Now(CreateChildResponse::Child { configuration, answer, nonce, key_exchange })
            }
            Err(ChildRefusal::Compute(group)) => Answer::Compute(group),
            Err(ChildRefusal::InvalidKe(group)) => {
                Answer::Now(CreateChildResponse::InvalidKe(group.number()))
            }
            Err(ChildRefusal::Error(kind, diagnosis)) => {
                if let Some((index, _)) = old.filter(|_| diagnosis.kind == DiagnosisKind::PfsMismatch) {
                    self.pfs_refused_here(index, &diagnosis);
                }
                self.refuse(kind, *diagnosis)
            }
        }
    }

    /// The Child SA that a request is to replace, if it is to replace one; `Err` if it comes at the wrong time.
    fn to_be_rekeyed(&self, spi: IkeSpi, rekeys: Option<ChildSpi>) -> Result<Option<ChildSaId>, NotifyType> {
        let ike_sa = self.ike_sas.get(&spi).ok_or(NotifyType::TEMPORARY_FAILURE)?;
        let (old, activity) = match rekeys {
            None => (None, None),
            // None of AH exists, and none is on its way.
            Some(ChildSpi::Ah(_)) => (None, Some(ChildActivity::Unknown)),
            Some(ChildSpi::Esp(spi_out)) => {
                let old = self.child_by_peer_spi(spi_out).map(|child| child.id);
                (old, Some(self.child_activity(old)))
            }
        };
        let ike = ike_sa.activity();
        let verdict = activity.map_or_else(|| new_child(ike), |child| rekey_child(ike, child));
        match verdict {
            Verdict::TemporaryFailure => Err(NotifyType::TEMPORARY_FAILURE),
            Verdict::ChildSaNotFound => Err(NotifyType::CHILD_SA_NOT_FOUND),
            _ if self.children.len() >= limits::CHILD_SAS => Err(NotifyType::NO_ADDITIONAL_SAS),
            Verdict::Proceed | Verdict::Collide => Ok(old),
        }
    }

    /// What becomes of the old Child SA once the peer's exchange has made a new one.
    fn settle_as_responder(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        old: Option<ChildSaId>,
        new: ChildSaId,
        nonces: Nonces<'_>,
    ) {
        let Some(old) = old else {
            self.note_twin(spi, new, nonces);
            // Nothing to take over from: what we send before the peer has our answer would be lost anyway.
            return self.send_on(ctx, new);
        };
        let outstanding = self.ike_sas.get_mut(&spi).and_then(|sa| sa.window.outstanding_mut());
        if let Some(Exchange::Child { pending, collision, .. }) = outstanding.map(|o| &mut o.exchange)
            && pending.rekeys == Some(old)
        {
            let lowest_nonce = lowest_nonce(nonces.initiator, nonces.responder);
            *collision = Some(Collision { theirs: new, lowest_nonce });
            return;
        }
        self.replaced_by_peer(ctx, old, new);
    }

    /// Both ends ask for the same child at once: one of the two goes, as after rekeys that collide.
    fn note_twin(&mut self, spi: IkeSpi, new: ChildSaId, nonces: Nonces<'_>) {
        let index = self.children.get(&new).map(|child| child.index);
        let outstanding = self.ike_sas.get_mut(&spi).and_then(|sa| sa.window.outstanding_mut());
        if let Some(Exchange::Child { pending, collision, .. }) = outstanding.map(|o| &mut o.exchange)
            && pending.rekeys.is_none()
            && Some(pending.index) == index
        {
            let lowest_nonce = lowest_nonce(nonces.initiator, nonces.responder);
            *collision = Some(Collision { theirs: new, lowest_nonce });
        }
    }

    /// The peer made `new` in place of `old` and is to delete `old`.
    fn replaced_by_peer(&mut self, ctx: &Context<'_>, old: ChildSaId, new: ChildSaId) {
        let until = self.redundant_until(ctx);
        if let Some(old) = self.children.get_mut(&old) {
            old.replaced_by = Some(new);
            old.rekey_at = None;
            if old.is_standing() {
                old.place = ChildPlace::Replaced { until };
            }
        }
    }

    /// The answer to our request for a new Child SA or a rekey.
    pub(super) fn child_answered(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        pending: PendingChild,
        collision: Option<Collision<ChildSaId>>,
        put_off: u32,
        response: Protected<CreateChildResponse>,
    ) -> Result<(), Diagnosis> {
        // What the peer's exchange made may be gone again by now, or replaced.
        let collision = collision.and_then(|c| Some(Collision { theirs: self.newest(c.theirs)?, ..c }));
        match (response.into_inner(), collision) {
            (CreateChildResponse::Child { answer, nonce, key_exchange, .. }, collision) => {
                self.child_made(ctx, spi, pending, collision, (answer, nonce, key_exchange))
            }
            // Ours failed, the peer's did not: what it made takes over.
            (_, Some(collision)) => {
                if let Some(old) = pending.rekeys {
                    self.replaced_by_peer(ctx, old, collision.theirs);
                }
                Ok(())
            }
            (refusal, None) => self.child_not_made(ctx, &pending, put_off, &refusal),
        }
    }

    /// The peer accepted our request: its answer, nonce and half of the key exchange. `Err` if it broke the protocol.
    fn child_made(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        mut pending: PendingChild,
        collision: Option<Collision<ChildSaId>>,
        (answer, nonce, key_exchange): (ChildOffer, Vec<u8>, Option<KeyExchangeData>),
    ) -> Result<(), Diagnosis> {
        let exchange = ExchangeType::CREATE_CHILD_SA;
        let connection = self.connection().clone();
        let Some(config) = connection.children.get(pending.index) else { return Ok(()) };
        let (rekeys, nonce_i, deleted) = (pending.rekeys, pending.nonce.clone(), pending.take_deleted());
        if nonce == nonce_i {
            return Err(diagnose::reflected(exchange));
        }
        let networks = self.addresses.networks(&connection, config);
        let agreed = pending.complete(config, &networks, &answer, key_exchange.as_ref(), exchange)?;
        let (peer, claims) = (self.remote_id(), &ctx.output.claims);
        if let Some(holder) = claims.holder(&connection, peer, &agreed.remote) {
            return Err(diagnose::network_taken(peer, holder, &agreed.remote));
        }
        let is_deleted = deleted.contains(&agreed.spi_out);
        let nonces = Nonces { initiator: &nonce_i, responder: &nonce };
        let new = self.install(ctx, spi, agreed, nonces)?;
        self.settle_as_initiator(ctx, rekeys, new, nonces, collision);
        if is_deleted {
            self.child_deleted(ctx, new, &EndReason::DeletedByPeer);
        }
        Ok(())
    }

    /// What becomes of the old Child SA once our exchange has made a new one.
    fn settle_as_initiator(
        &mut self,
        ctx: &mut Context<'_>,
        old: Option<ChildSaId>,
        new: ChildSaId,
        nonces: Nonces<'_>,
        collision: Option<Collision<ChildSaId>>,
    ) {
        match collision {
            Some(collision) if ours_goes(&lowest_nonce(nonces.initiator, nonces.responder), &collision) => {
                if let Some(old) = old {
                    self.replaced_by_peer(ctx, old, collision.theirs);
                }
                self.replaced_here(ctx, new, collision.theirs);
            }
            collision => {
                if let Some(collision) = collision {
                    self.replaced_by_peer(ctx, collision.theirs, new);
                }
                self.send_on(ctx, new);
                if let Some(old) = old {
                    self.replaced_here(ctx, old, new);
                }
            }
        }
    }

    /// `new` has taken the place of `old`, which is ours to delete.
    fn replaced_here(&mut self, ctx: &Context<'_>, old: ChildSaId, new: ChildSaId) {
        if let Some(old) =
            self.children.get_mut(&old).filter(|c| !matches!(c.place, ChildPlace::Retired { .. }))
        {
            old.replaced_by = Some(new);
            old.rekey_at = None;
            old.place = ChildPlace::Deleting;
            self.tasks.push(ctx, Task::DeleteChild(old.id));
        }
    }

    /// Our request for a Child SA made none.
    fn child_not_made(
        &mut self,
        ctx: &mut Context<'_>,
        pending: &PendingChild,
        put_off: u32,
        refusal: &CreateChildResponse,
    ) -> Result<(), Diagnosis> {
        let task = match pending.rekeys {
            Some(old) => Task::RekeyChild(old),
            None => Task::CreateChild(pending.index),
        };
        let connection = self.connection().clone();
        let Some(config) = connection.children.get(pending.index) else { return Ok(()) };
        let diagnosis = match (refusal, pending.rekeys) {
            (CreateChildResponse::InvalidKe(wanted), _) => match group_instead(config, pending, *wanted) {
                Ok(group) => {
                    self.tasks.push_with_group(ctx, task, group);
                    return Ok(());
                }
                Err(diagnosis) => diagnosis,
            },
            (CreateChildResponse::Error(NotifyType::TEMPORARY_FAILURE), _) => {
                return self.put_off(ctx, task, put_off);
            }
            // RFC 7296 §2.25: what the peer no longer has is deleted without a word.
            (CreateChildResponse::Error(NotifyType::CHILD_SA_NOT_FOUND), Some(old)) => {
                self.child_deleted(ctx, old, &EndReason::DeletedByPeer);
                return Ok(());
            }
            (CreateChildResponse::Error(kind), _) => {
                let networks = self.addresses.networks(&connection, config);
                let standing = self.standing(ctx, pending);
                refused_there(config, &networks, *kind, ExchangeType::CREATE_CHILD_SA, standing)
            }
            (
                CreateChildResponse::Ike(_)
                | CreateChildResponse::Child { .. }
                | CreateChildResponse::NotFound(_),
                _,
            ) => {
                return Err(diagnose::bad_answer(ExchangeType::CREATE_CHILD_SA));
            }
        };
        let was_to_be_found_out = pending.rekeys.is_some_and(|old| self.pfs_refused(old, &diagnosis));
        if !was_to_be_found_out {
            self.fail(diagnosis);
        }
        self.try_child_later(ctx, &task);
        Ok(())
    }

    /// What a rekey was to replace.
    fn standing(&self, ctx: &Context<'_>, pending: &PendingChild) -> Option<Standing> {
        let old = self.children.get(&pending.rekeys?)?;
        let left = old.expires_at.since(ctx.now.boot).as_secs();
        Some(Standing { suite: old.suite, until: ctx.now.wall.saturating_add(left) })
    }

    /// RFC 7296 §2.25: a peer that gets `TEMPORARY_FAILURE` "MUST NOT immediately retry the operation", tries again
    /// for some minutes, and then concludes "that its state and the peer's state are out of sync".
    pub(super) fn put_off(
        &mut self,
        ctx: &mut Context<'_>,
        task: Task,
        put_off: u32,
    ) -> Result<(), Diagnosis> {
        if put_off >= limits::TEMPORARY_FAILURES {
            return Err(diagnose::out_of_step(ExchangeType::CREATE_CHILD_SA));
        }
        let wait = ctx.between(limits::TEMPORARY_FAILURE_WAIT, limits::TEMPORARY_FAILURE_WAIT * 2);
        self.tasks.push_later(task, ctx.now.boot + wait, put_off + 1);
        Ok(())
    }

    /// After a refusal: a rekey is tried again when it is due and while the old one lives, a lost child is set up again if the tunnel
    /// is ours to keep up.
    pub(super) fn try_child_later(&mut self, ctx: &mut Context<'_>, task: &Task) {
        match task {
            Task::RekeyChild(id) => {
                let wait = ctx.between(limits::REKEY_RETRY, limits::REKEY_RETRY * 2);
                if let Some(child) = self.children.get_mut(id) {
                    // One that was asked for early is tried again when it is due.
                    let retry_at = ctx.now.boot + wait;
                    child.retry_at = Some(retry_at);
                    child.rekey_at = Some(child.due_at.max(retry_at));
                }
            }
            Task::CreateChild(index) => self.start_child_later(ctx, *index),
            _ => {}
        }
    }

    pub(super) fn child_by_peer_spi(&self, spi_out: EspSpi) -> Option<&ChildSa> {
        let retired = |c: &ChildSa| matches!(c.place, ChildPlace::Retired { .. });
        self.children.values().map(Box::as_ref).find(|c| c.spi_out == spi_out && !retired(c))
    }

    /// What we are doing with a Child SA, for [`super::crossing`].
    fn child_activity(&self, id: Option<ChildSaId>) -> ChildActivity {
        let Some(child) = id.and_then(|id| self.children.get(&id)) else {
            return if self.child_is_awaited() { ChildActivity::Awaited } else { ChildActivity::Unknown };
        };
        match child.place {
            ChildPlace::Retired { .. } => ChildActivity::Unknown,
            ChildPlace::Deleting => ChildActivity::Deleting,
            ChildPlace::Replaced { .. } => ChildActivity::Replaced,
            ChildPlace::Standing if self.rekeying_child() == Some(child.id) => ChildActivity::Rekeying,
            ChildPlace::Standing => ChildActivity::Idle,
        }
    }

    fn child_is_awaited(&self) -> bool {
        let outstanding = self.ike_sas.values().filter_map(|sa| sa.window.outstanding());
        outstanding.map(|o| &o.exchange).any(|exchange| matches!(exchange, Exchange::Child { .. }))
    }

    /// This Child SA, or the one that has replaced it by now.
    fn newest(&self, id: ChildSaId) -> Option<ChildSaId> {
        let mut newest = self.children.get(&id)?;
        // One is replaced by a younger one, so this ends.
        while let Some(newer) = newest.replaced_by.filter(|newer| *newer > newest.id)
            && let Some(child) = self.children.get(&newer)
        {
            newest = child;
        }
        Some(newest.id)
    }

    /// Whether the peer's rekey made this Child SA and it has not shown yet that it has our answer.
    pub(super) fn is_unconfirmed(&self, id: ChildSaId) -> bool {
        let replaced = |c: &ChildSa| matches!(c.place, ChildPlace::Replaced { .. });
        self.children.values().any(|old| old.replaced_by == Some(id) && replaced(old))
    }

    /// The Child SA whose rekey is on its way.
    fn rekeying_child(&self) -> Option<ChildSaId> {
        self.ike_sas.values().find_map(|sa| match &sa.window.outstanding()?.exchange {
            Exchange::Child { pending, .. } => pending.rekeys,
            _ => None,
        })
    }
}

/// The group to ask with again where the peer wants this one in place of the one that we sent.
fn group_instead(config: &Child, pending: &PendingChild, wanted: u16) -> Result<Group, Diagnosis> {
    let offered: Vec<Group> = config.proposals.iter().flat_map(|p| p.groups.clone()).collect();
    let group = pending.share.as_ref().map(Share::group);
    let tried = Tried { group, too_often: pending.regrouped };
    other_group(wanted, &offered, tried, (Negotiated::ChildSa, ExchangeType::CREATE_CHILD_SA))
}
