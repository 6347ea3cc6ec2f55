//! The rekey of the IKE SA (RFC 7296 §1.3.2, §2.8.2). The Child SAs belong to the tunnel, not to one of its IKE SAs,
//! so there is nothing to inherit.

mod responder;

use super::collision::{Collision, lowest_nonce, ours_goes};
use super::context::Context;
use super::ike_sa::{Channel, Exchange, IkeSa, NewIkeSa, Place};
use super::share::{Share, Tried, other_group};
use super::spis::IkeSpiLease;
use super::tasks::{Queued, Task};
use super::tunnel::Tunnel;
use super::window::Window;
use crate::diagnose::{self, Negotiated};
use crate::diagnosis::Diagnosis;
use crate::event::Event;
use crate::exchange::{CreateChildRequest, CreateChildResponse, IkeRequest, Protected};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::limits;
use crate::negotiate::proposal::{accept_ike, offer_ike};
use crate::secret::Secret;
use crate::suite::{Group, IkeSuite};
use crate::wire::{ExchangeType, IkeSpi, NotifyType};

/// What we keep while our rekey of the IKE SA is on its way.
pub(crate) struct PendingIke {
    lease: IkeSpiLease,
    nonce: Vec<u8>,
    pub(super) share: Share,
    /// The peer asked for the group of its key exchange.
    regrouped: bool,
}

impl std::fmt::Debug for PendingIke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingIke").field("spi", &self.lease).finish_non_exhaustive()
    }
}

/// What both ends have agreed on.
struct Agreed<'a> {
    lease: IkeSpiLease,
    suite: IkeSuite,
    spis: Spis,
    nonces: Nonces<'a>,
    shared: Secret,
    initiator: bool,
    place: Place,
}

impl Tunnel {
    pub(super) fn start_rekey_ike(&mut self, ctx: &mut Context<'_>, queued: Queued) {
        let connection = self.connection().clone();
        let (put_off, regrouped) = (queued.put_off, queued.group.is_some());
        let Some(share) = queued.into_share() else { return };
        if let Some(ike_sa) = self.ike_sas.get_mut(&self.current) {
            ike_sa.rekey_at = None;
        }
        let pending = PendingIke { lease: ctx.spis.ike(ctx.random), nonce: ctx.nonce(), share, regrouped };
        let request = CreateChildRequest::Ike(IkeRequest {
            proposals: offer_ike(&connection.proposals, &pending.lease.spi().0),
            nonce: pending.nonce.clone(),
            key_exchange: pending.share.to_wire(),
        });
        let exchange = Exchange::RekeyIke { pending: Box::new(pending), collision: None, put_off };
        self.send_request(ctx, self.current, ExchangeType::CREATE_CHILD_SA, &request.write(), exchange);
    }

    /// The answer to our rekey of the IKE SA.
    pub(super) fn rekey_ike_answered(
        &mut self,
        ctx: &mut Context<'_>,
        old: IkeSpi,
        pending: PendingIke,
        collision: Option<Collision<IkeSpi>>,
        put_off: u32,
        response: Protected<CreateChildResponse>,
    ) -> Result<(), Diagnosis> {
        let response = response.into_inner();
        let concluded = self.conclude_rekey_ike(ctx, old, pending, collision, put_off, response);
        concluded.map_err(Diagnosis::of_ike_rekey)
    }

    fn conclude_rekey_ike(
        &mut self,
        ctx: &mut Context<'_>,
        old: IkeSpi,
        pending: PendingIke,
        collision: Option<Collision<IkeSpi>>,
        put_off: u32,
        response: CreateChildResponse,
    ) -> Result<(), Diagnosis> {
        let collision = collision.filter(|c| self.ike_sas.contains_key(&c.theirs));
        match (response, collision) {
            (CreateChildResponse::Ike(answer), collision) => {
                let nonce_i = pending.nonce.clone();
                let new = self.complete_rekey_ike(ctx, old, pending, &answer)?;
                let lowest = lowest_nonce(&nonce_i, &answer.nonce);
                match collision {
                    // The tunnel has ended meanwhile: the peer is told on the new IKE SA too.
                    _ if self.ended().is_some() => self.delete_ike_sa(ctx, new),
                    Some(collision) if ours_goes(&lowest, &collision) => {
                        self.replaced_by_peers(ctx, old, collision.theirs);
                        self.delete_ike_sa(ctx, new);
                    }
                    _ => {
                        self.promote(ctx, new);
                        self.delete_ike_sa(ctx, old);
                    }
                }
                Ok(())
            }
            (_, Some(collision)) => {
                self.replaced_by_peers(ctx, old, collision.theirs);
                Ok(())
            }
            (refusal, None) => self.ike_not_rekeyed(ctx, &pending, put_off, &refusal),
        }
    }

    fn replaced_by_peers(&mut self, ctx: &Context<'_>, old: IkeSpi, new: IkeSpi) {
        let until = self.redundant_until(ctx);
        if let Some(old) = self.ike_sas.get_mut(&old) {
            old.place = Place::Replaced { by: new, until };
        }
    }

    fn delete_ike_sa(&mut self, ctx: &Context<'_>, spi: IkeSpi) {
        if let Some(ike_sa) = self.ike_sas.get_mut(&spi) {
            ike_sa.place = Place::Deleting;
            ike_sa.rekey_at = None;
            self.tasks.push(ctx, Task::DeleteIke(spi));
        }
    }

    fn complete_rekey_ike(
        &mut self,
        ctx: &mut Context<'_>,
        old: IkeSpi,
        pending: PendingIke,
        answer: &IkeRequest,
    ) -> Result<IkeSpi, Diagnosis> {
        let bad = || diagnose::bad_answer(ExchangeType::CREATE_CHILD_SA);
        let choice = accept_ike(&answer.proposals, &self.connection().proposals).ok_or_else(bad)?;
        let spi_r = ike_spi(&choice.peer_spi).ok_or_else(bad)?;
        if spi_r == pending.lease.spi() || answer.nonce == pending.nonce {
            return Err(diagnose::reflected(ExchangeType::CREATE_CHILD_SA));
        }
        let group = choice.suite.group;
        if group != pending.share.group() || answer.key_exchange.group != group.number() {
            return Err(bad());
        }
        let shared = pending.share.into_secret().ok_or_else(bad)?;
        let shared =
            shared.map_err(|e| diagnose::malformed(ExchangeType::CREATE_CHILD_SA, &e.to_string()))?;
        let new = pending.lease.spi();
        let agreed = Agreed {
            suite: choice.suite,
            spis: Spis { initiator: new, responder: spi_r },
            nonces: Nonces { initiator: &pending.nonce, responder: &answer.nonce },
            shared,
            initiator: true,
            place: Place::Successor { until: self.redundant_until(ctx) },
            lease: pending.lease,
        };
        self.add_ike_sa(ctx, old, agreed)?;
        Ok(new)
    }

    /// RFC 7296 §2.18: the keys come from the old `SK_d`, and the message ids start at zero again.
    fn add_ike_sa(
        &mut self,
        ctx: &mut Context<'_>,
        old: IkeSpi,
        agreed: Agreed<'_>,
    ) -> Result<(), Diagnosis> {
        let connection = self.connection().clone();
        let old =
            self.ike_sas.get(&old).ok_or_else(|| diagnose::local("the IKE SA to be rekeyed is gone"))?;
        let (source, fragmentation) = (&old.child_source, old.channel.fragmentation);
        let Agreed { lease, suite, spis, nonces, shared, initiator, place } = agreed;
        let keys = IkeKeys::derive_rekey(ctx.provider, source, suite, nonces, spis, &shared);
        let keys = keys.map_err(|error| diagnose::local(&error.to_string()))?;
        let (channel, others) = Channel::new(keys, spis, initiator, fragmentation);
        let window = Window::new(0, 0);
        let new = NewIkeSa { lease, channel, child_source: others.child, suite, nonces, window, place };
        let ike_sa = IkeSa::new(ctx, &connection, new);
        ctx.output.new_ike_spis.push(ike_sa.spi());
        self.ike_sas.insert(ike_sa.spi(), Box::new(ike_sa));
        Ok(())
    }

    /// This IKE SA carries the tunnel from now on.
    pub(super) fn promote(&mut self, ctx: &mut Context<'_>, spi: IkeSpi) {
        let Some(ike_sa) = self.ike_sas.get_mut(&spi) else { return };
        ike_sa.place = Place::Current;
        self.current = spi;
        if let Some(record) = self.record().filter(|_| self.ended().is_none()) {
            ctx.output.event(Event::IkeSaRekeyed(Box::new(record)));
        }
    }

    fn ike_not_rekeyed(
        &mut self,
        ctx: &mut Context<'_>,
        pending: &PendingIke,
        put_off: u32,
        refusal: &CreateChildResponse,
    ) -> Result<(), Diagnosis> {
        let connection = self.connection().clone();
        let diagnosis = match *refusal {
            CreateChildResponse::InvalidKe(wanted) => {
                let offered: Vec<Group> =
                    connection.proposals.iter().flat_map(|p| p.groups.clone()).collect();
                let tried = Tried { group: Some(pending.share.group()), too_often: pending.regrouped };
                let during = (Negotiated::IkeSa, ExchangeType::CREATE_CHILD_SA);
                match other_group(wanted, &offered, tried, during) {
                    Ok(group) => {
                        self.tasks.push_with_group(ctx, Task::RekeyIke, group);
                        return Ok(());
                    }
                    Err(diagnosis) => diagnosis,
                }
            }
            CreateChildResponse::Error(NotifyType::TEMPORARY_FAILURE) => {
                return self.put_off(ctx, Task::RekeyIke, put_off);
            }
            CreateChildResponse::Error(NotifyType::NO_PROPOSAL_CHOSEN) => {
                diagnose::no_ike_proposal_there(&connection.proposals, ExchangeType::CREATE_CHILD_SA)
            }
            CreateChildResponse::Error(kind) => diagnose::peer_error(ExchangeType::CREATE_CHILD_SA, kind),
            CreateChildResponse::Ike(_)
            | CreateChildResponse::Child { .. }
            | CreateChildResponse::NotFound(_) => {
                return Err(diagnose::bad_answer(ExchangeType::CREATE_CHILD_SA));
            }
        };
        self.fail(diagnosis.of_ike_rekey());
        self.try_ike_later(ctx);
        Ok(())
    }

    fn try_ike_later(&mut self, ctx: &mut Context<'_>) {
        let wait = ctx.between(limits::REKEY_RETRY, limits::REKEY_RETRY * 2);
        if let Some(ike_sa) = self.ike_sas.get_mut(&self.current) {
            ike_sa.rekey_at = Some(ctx.now.boot + wait);
        }
    }
}

fn ike_spi(spi: &[u8]) -> Option<IkeSpi> {
    let spi = IkeSpi(spi.try_into().ok()?);
    (spi != IkeSpi::ZERO).then_some(spi)
}
