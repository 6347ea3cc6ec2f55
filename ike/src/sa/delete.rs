//! The end of Child SAs and IKE SAs, from either side (RFC 7296 §1.4.1, §2.25).

use super::child_sa::ChildPlace;
use super::context::Context;
use super::dispatch::Afterwards;
use super::ike_sa::{Exchange, Place};
use super::tasks::Task;
use super::tunnel::Tunnel;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::{ChildSaId, EndReason, Event};
use crate::exchange::{Informational, Protected};
use crate::limits;
use crate::wire::{EspSpi, IkeSpi, NotifyType, Payload};

impl Tunnel {
    /// Answers an INFORMATIONAL request; an empty one is a probe of liveness, and one may ask for an address.
    pub(super) fn answer_informational(
        &mut self,
        ctx: &mut Context<'_>,
        request: Protected<Informational>,
    ) -> (Vec<Payload>, Afterwards) {
        let request = request.into_inner();
        if let Some(kind @ (NotifyType::AUTHENTICATION_FAILED | NotifyType::INVALID_SYNTAX)) = request.error {
            // RFC 7296 §2.21.2: the peer refuses us after the fact; it has dropped the IKE SA.
            self.fail(match kind {
                NotifyType::AUTHENTICATION_FAILED => {
                    diagnose::auth_refused_there(self.connection(), ctx.now.wall)
                }
                other => diagnose::refused_afterwards(other),
            });
            return (Vec::new(), Afterwards::IkeSaDeleted);
        }
        if request.delete_ike {
            return (Vec::new(), Afterwards::IkeSaDeleted);
        }
        let delete_esp = request.delete_esp.into_iter().filter_map(|s| self.child_deleted_by_peer(ctx, s));
        let mut answer = Informational { delete_esp: delete_esp.collect(), ..Informational::default() };
        if let Some(asks) = &request.asks {
            let may = self.may_rekey(ctx);
            match if may { self.assign(ctx, asks) } else { Err(NotifyType::TEMPORARY_FAILURE) } {
                Ok(reply) => answer.gives = Some(reply),
                Err(refusal) => answer.error = Some(refusal),
            }
        }
        (answer.write(), Afterwards::Nothing)
    }

    /// The peer deletes the Child SA that it receives on with this SPI. Returns our SPI of it for the answer, unless
    /// we are deleting it too or do not have it: then "it SHOULD reply without a Delete payload".
    fn child_deleted_by_peer(&mut self, ctx: &mut Context<'_>, spi_out: EspSpi) -> Option<EspSpi> {
        let Some(child) = self.child_by_peer_spi(spi_out) else {
            self.deleted_early(spi_out);
            return None;
        };
        let (id, spi_in) = (child.id, child.spi_in());
        let ours_too = self.deleting().contains(&id);
        // Its successor may be one whose making still crosses a rekey of ours.
        let successor = child.replaced_by.or_else(|| self.colliding_successor(id));
        if let Some(child) = self.children.get_mut(&id) {
            child.replaced_by = successor;
        }
        // The one that deletes the old has the new: it can receive on it. Switched before the old one stops, so that
        // no packet finds nothing to be sent on.
        if let Some(newer) = successor {
            self.send_on(ctx, newer);
        }
        self.child_deleted(ctx, id, &EndReason::DeletedByPeer);
        (!ours_too).then_some(spi_in)
    }

    /// The DELETE may have overtaken the answer that made the Child SA.
    fn deleted_early(&mut self, spi_out: EspSpi) {
        let outstanding = self.ike_sas.values_mut().filter_map(|sa| sa.window.outstanding_mut());
        for outstanding in outstanding {
            if let Exchange::Child { pending, .. } = &mut outstanding.exchange {
                pending.note_deleted(spi_out);
            }
        }
    }

    /// The Child SAs whose DELETE is on its way.
    fn deleting(&self) -> Vec<ChildSaId> {
        let outstanding = self.ike_sas.values().filter_map(|sa| sa.window.outstanding());
        let deleting = outstanding.filter_map(|o| match &o.exchange {
            Exchange::DeleteChildren(ids) => Some(ids.clone()),
            _ => None,
        });
        deleting.flatten().collect()
    }

    fn colliding_successor(&self, old: ChildSaId) -> Option<ChildSaId> {
        self.ike_sas.values().find_map(|sa| match &sa.window.outstanding()?.exchange {
            Exchange::Child { pending, collision, .. } if pending.rekeys == Some(old) => {
                Some(collision.as_ref()?.theirs)
            }
            _ => None,
        })
    }

    /// A Child SA has ended. One that was replaced still receives for a while what is on the way; another is gone at
    /// once.
    pub(super) fn child_deleted(&mut self, ctx: &mut Context<'_>, id: ChildSaId, reason: &EndReason) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.replaced_by.is_some() {
            if !matches!(child.place, ChildPlace::Retired { .. }) {
                child.place = ChildPlace::Retired { until: ctx.now.boot + limits::RETIRE_GRACE };
                if std::mem::take(&mut child.sending) {
                    ctx.output.event(Event::OutboundStop { child_sa: id });
                }
            }
            return;
        }
        let (index, sending) = (child.index, child.sending);
        // A peer may set up one child twice: the one that is left carries its traffic on.
        let twin = self.children.values().rfind(|c| c.id != id && c.index == index && c.is_standing());
        if let Some(twin) = twin.map(|c| c.id).filter(|_| sending) {
            self.send_on(ctx, twin);
        }
        if let Some(child) = self.children.remove(&id).filter(|c| !c.reported) {
            ctx.output.event(Event::Retired { child_sa: child.id, reason: reason.clone() });
        }
        if *reason != EndReason::DeletedHere {
            self.try_child_later(ctx, &Task::CreateChild(index));
        }
    }

    /// The peer deleted the IKE SA with this local SPI, and has our answer.
    pub(super) fn ike_sa_deleted_by_peer(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let successor = self.ike_sas.get(&spi).and_then(|sa| match (sa.place, sa.window.outstanding()) {
            (Place::Replaced { by, .. }, _) => Some(by),
            // "a request to close an IKE SA that it is currently rekeying, it SHOULD reply as usual, and forget its own
            // rekeying request": what the peer's own rekey made takes over.
            (_, Some(o)) => match &o.exchange {
                Exchange::RekeyIke { collision, .. } => collision.as_ref().map(|c| c.theirs),
                _ => None,
            },
            _ => None,
        });
        self.requeue_outstanding(ctx, spi);
        self.close_ike_sa(ctx, spi);
        if spi != self.current {
            return;
        }
        if let Some(successor) = successor.filter(|successor| self.ike_sas.contains_key(successor)) {
            self.promote(ctx, successor);
        } else {
            // Who was given no address or no Child SA has no use for it; why there was none is what counts.
            let useless = self.addresses.lacks_lease(self.connection())
                || (self.refused_child && self.children.is_empty());
            if self.ended().is_none() && !useless {
                let diagnosis = self.why_deleted(ctx);
                self.fail_unless_known(diagnosis);
            }
            self.end(ctx, EndReason::DeletedByPeer);
            self.leave_to_peer(ctx);
        }
    }

    /// A peer that is the initiator sees our proof last, when the tunnel stands for us already: if it goes at once, that may be
    /// why. Most say so (RFC 7296 §2.21.2), and one that went on with the tunnel has accepted it.
    fn why_deleted(&self, ctx: &Context<'_>) -> Diagnosis {
        let age = ctx.now.boot.since(self.origin.established);
        if self.origin.initiated || self.gone_on || age >= limits::DELETED_AT_ONCE {
            return diagnose::deleted_by_peer();
        }
        diagnose::deleted_at_once(self.connection(), age.as_secs(), ctx.now.wall)
    }

    /// The tunnel has ended by the peer's DELETE on one of its IKE SAs; it may send one on the others too.
    fn leave_to_peer(&mut self, ctx: &Context<'_>) {
        let until = ctx.now.boot + self.connection().retransmit.whole();
        for ike_sa in self.ike_sas.values_mut().filter(|sa| sa.place != Place::Deleting) {
            ike_sa.place = Place::Replaced { by: ike_sa.spi(), until };
            ike_sa.window.take();
        }
    }

    /// A request that will not be answered any more, because its IKE SA is gone, is asked again on the next one.
    fn requeue_outstanding(&mut self, ctx: &Context<'_>, spi: IkeSpi) {
        let exchange = self.ike_sas.get_mut(&spi).and_then(|sa| sa.window.take());
        match exchange {
            Some(Exchange::Child { pending, collision: None, .. }) => match pending.rekeys {
                Some(old) => self.tasks.push(ctx, Task::RekeyChild(old)),
                None => self.tasks.push(ctx, Task::CreateChild(pending.index)),
            },
            Some(Exchange::DeleteChildren(ids)) => {
                ids.into_iter().for_each(|id| self.tasks.push(ctx, Task::DeleteChild(id)));
            }
            _ => {}
        }
    }

    /// Our DELETE of this IKE SA was answered, or will never be.
    pub(super) fn ike_sa_deleted_here(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        self.close_ike_sa(ctx, spi);
        if spi == self.current {
            self.end(ctx, EndReason::DeletedHere);
        }
    }
}
