//! A Child SA from what was agreed to the data path: it receives at once, and is sent on when its time has come (RFC 7296 §2.8).

use super::child_exchange::AgreedChild;
use super::child_sa::ChildSa;
use super::context::Context;
use super::ike_sa::lifetimes;
use super::tunnel::Tunnel;
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::event::{ChildSaId, ChildSaParameters, DirectionKeys, Event};
use crate::keys::Nonces;
use crate::wire::IkeSpi;

impl Tunnel {
    /// Makes a Child SA of what was agreed: from here on it can receive.
    pub(crate) fn install(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        agreed: AgreedChild,
        nonces: Nonces<'_>,
    ) -> Result<ChildSaId, Diagnosis> {
        let connection = self.connection().clone();
        let source = self
            .ike_sas
            .get(&spi)
            .ok_or_else(|| diagnose::local("the IKE SA of the new Child SA is gone"))?;
        let keymat = source.child_source.keymat(agreed.suite.protection, nonces, agreed.shared.as_ref());
        let keymat = keymat.map_err(|error| diagnose::local(&error.to_string()))?;
        let (outbound, inbound) = if agreed.initiator { keymat } else { (keymat.1, keymat.0) };
        let config = connection.children.get(agreed.index);
        let config =
            config.ok_or_else(|| diagnose::local("the configuration no longer has the new Child SA"))?;
        let (rekey_at, expires_at) = lifetimes(ctx, config.lifetime.time, &connection);
        let old = agreed.rekeys.and_then(|id| self.children.get(&id));
        // Who asks for no more than it has, has not forgotten what it wanted.
        let before = old.filter(|_| agreed.initiator).and_then(|old| old.withheld.clone());
        let withheld = agreed.withheld.or(before);
        let id = ctx.ids.child_sa();
        let parameters = Box::new(ChildSaParameters {
            id,
            tunnel: self.id,
            connection: connection.name.clone(),
            child: config.name.clone(),
            replaces: agreed.rekeys,
            remote_id: self.remote_id().clone(),
            suite: agreed.suite,
            inbound: DirectionKeys { spi: agreed.lease.spi(), keymat: inbound },
            outbound: DirectionKeys { spi: agreed.spi_out, keymat: outbound },
            local: agreed.local,
            remote: agreed.remote,
            path: self.path,
            encapsulated: self.nat.encapsulates(),
            established: ctx.now,
            expires_at,
            tfc_padding: agreed.tfc_padding,
            withheld,
        });
        let active_at = old.map_or(ctx.now.boot, |old| old.active_at);
        let child =
            ChildSa::new(&parameters, agreed.lease, (agreed.index, agreed.first), rekey_at, active_at);
        if connection.remote_id.exact().is_none() {
            ctx.output.claims.add(&parameters);
        }
        ctx.output.event(Event::InboundReady(parameters));
        self.starts.stands(child.index);
        self.refused_child = false;
        if !child.first {
            self.pfs_agreed(child.index);
        }
        self.children.insert(id, Box::new(child));
        Ok(id)
    }

    /// Sends on this Child SA from now on, and no longer on those it replaced.
    pub(crate) fn send_on(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        let Some(child) = self.children.get_mut(&id).filter(|c| !c.sending && c.is_standing()) else {
            return;
        };
        child.sending = true;
        let index = child.index;
        for old in self.children.values_mut().filter(|c| c.id != id && c.index == index) {
            old.sending = false;
        }
        ctx.output.event(Event::OutboundSwitch { child_sa: id });
    }

    /// The peer sends on this Child SA: so it can receive on it too.
    pub(crate) fn first_packet(&mut self, ctx: &mut Context<'_>, id: ChildSaId) {
        self.last_heard = ctx.now.boot;
        self.gone_on = true;
        if self.children.get(&id).is_some_and(|c| c.replaced_by.is_none()) {
            self.send_on(ctx, id);
        }
    }
}
