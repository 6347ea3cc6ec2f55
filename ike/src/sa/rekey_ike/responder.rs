//! The peer's rekey of the IKE SA: whether it may be, what is chosen of it, and what becomes of ours if both cross
//! (RFC 7296 §2.25.2).

use super::{Agreed, ike_spi};
use crate::diagnose;
use crate::diagnosis::Diagnosis;
use crate::exchange::{CreateChildResponse, IkeRequest, KeyExchangeData};
use crate::keys::{Nonces, Spis};
use crate::limits;
use crate::negotiate::proposal::{Choice, choose_ike};
use crate::sa::collision::{Collision, lowest_nonce};
use crate::sa::context::Context;
use crate::sa::crossing::{Verdict, rekey_ike};
use crate::sa::ike_sa::{Exchange, Place};
use crate::sa::offloaded::Answer;
use crate::sa::tunnel::Tunnel;
use crate::secret::Secret;
use crate::suite::{Group, IkeSuite};
use crate::wire::{ExchangeType, IkeSpi, NotifyType};
use crate::work::Agreement;

/// Why there is no new IKE SA (yet), and what the peer is told.
enum IkeRefusal {
    /// It is to try again with this group.
    InvalidKe(Group),
    /// Nobody yet: our half of the key exchange is to be computed first.
    Compute(Group),
    /// It comes at the wrong time.
    Untimely(NotifyType),
    /// For good.
    Error(NotifyType, Box<Diagnosis>),
}

impl IkeRefusal {
    fn error(kind: NotifyType, diagnosis: Diagnosis) -> Self {
        Self::Error(kind, Box::new(diagnosis))
    }
}

impl Tunnel {
    /// Answers a peer's rekey of the IKE SA.
    pub(in crate::sa) fn answer_rekey_ike(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        request: &IkeRequest,
        agreement: Option<Agreement>,
    ) -> Answer {
        match self.accept_rekey_ike(ctx, spi, request, agreement) {
            Ok(answer) => Answer::Now(CreateChildResponse::Ike(answer)),
            Err(IkeRefusal::InvalidKe(group)) => Answer::Now(CreateChildResponse::InvalidKe(group.number())),
            Err(IkeRefusal::Compute(group)) => Answer::Compute(group),
            Err(IkeRefusal::Untimely(kind)) => Answer::error(kind),
            Err(IkeRefusal::Error(kind, diagnosis)) => self.refuse(kind, diagnosis.of_ike_rekey()),
        }
    }

    fn accept_rekey_ike(
        &mut self,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        request: &IkeRequest,
        agreement: Option<Agreement>,
    ) -> Result<IkeRequest, IkeRefusal> {
        self.may_be_rekeyed(spi)?;
        let (spi_i, choice) = self.choose_of(request)?;
        let group = choice.suite.group;
        let (data, shared) = result_of(agreement, group)?;
        let (lease, nonce) = (ctx.spis.ike(ctx.random), ctx.nonce());
        let new = lease.spi();
        let agreed = Agreed {
            suite: choice.suite,
            spis: Spis { initiator: spi_i, responder: new },
            nonces: Nonces { initiator: &request.nonce, responder: &nonce },
            shared,
            initiator: false,
            place: Place::Successor { until: self.redundant_until(ctx) },
            lease,
        };
        let added = self.add_ike_sa(ctx, spi, agreed);
        added.map_err(|diagnosis| IkeRefusal::error(NotifyType::TEMPORARY_FAILURE, diagnosis))?;
        self.settle_ike_as_responder(ctx, spi, new, &request.nonce, &nonce);
        Ok(IkeRequest {
            proposals: vec![choice.answer(&new.0)],
            nonce,
            key_exchange: KeyExchangeData { group: group.number(), data },
        })
    }

    /// Whether the peer may rekey this IKE SA now.
    fn may_be_rekeyed(&self, spi: IkeSpi) -> Result<(), IkeRefusal> {
        let verdict = self.ike_sas.get(&spi).map_or(Verdict::TemporaryFailure, |sa| rekey_ike(sa.activity()));
        match verdict {
            Verdict::TemporaryFailure | Verdict::ChildSaNotFound => {
                Err(IkeRefusal::Untimely(NotifyType::TEMPORARY_FAILURE))
            }
            _ if spi != self.current => Err(IkeRefusal::Untimely(NotifyType::TEMPORARY_FAILURE)),
            _ if self.ike_sas.len() >= limits::IKE_SAS => {
                Err(IkeRefusal::Untimely(NotifyType::NO_ADDITIONAL_SAS))
            }
            Verdict::Proceed | Verdict::Collide => Ok(()),
        }
    }

    /// The peer's new SPI, and what is chosen of its proposals.
    fn choose_of(&self, request: &IkeRequest) -> Result<(IkeSpi, Choice<IkeSuite>), IkeRefusal> {
        let (offered, ours) = (&request.proposals, &self.connection().proposals);
        let sent = request.key_exchange.group;
        let choice = choose_ike(offered, ours, Some(sent));
        let Some((spi_i, choice)) = choice.and_then(|c| Some((ike_spi(&c.peer_spi)?, c))) else {
            let diagnosis = diagnose::no_ike_proposal_here(offered, ours, ExchangeType::CREATE_CHILD_SA);
            return Err(IkeRefusal::error(NotifyType::NO_PROPOSAL_CHOSEN, diagnosis));
        };
        if choice.suite.group.number() != sent {
            return Err(IkeRefusal::InvalidKe(choice.suite.group));
        }
        Ok((spi_i, choice))
    }

    /// The peer's rekey made `new`. If ours is on its way too, its answer decides; else `new` is the successor.
    fn settle_ike_as_responder(
        &mut self,
        ctx: &Context<'_>,
        old: IkeSpi,
        new: IkeSpi,
        nonce_i: &[u8],
        nonce_r: &[u8],
    ) {
        let outstanding = self.ike_sas.get_mut(&old).and_then(|old| old.window.outstanding_mut());
        if let Some(Exchange::RekeyIke { collision, .. }) = outstanding.map(|o| &mut o.exchange) {
            *collision = Some(Collision { theirs: new, lowest_nonce: lowest_nonce(nonce_i, nonce_r) });
        } else {
            self.replaced_by_peers(ctx, old, new);
        }
    }
}

/// Our public value and the shared secret, once they are computed in this group.
fn result_of(agreement: Option<Agreement>, group: Group) -> Result<(Vec<u8>, Secret), IkeRefusal> {
    let agreement = agreement.filter(|a| a.group == group).ok_or(IkeRefusal::Compute(group))?;
    agreement.result.map_err(|error| {
        let diagnosis = diagnose::malformed(ExchangeType::CREATE_CHILD_SA, &error.to_string());
        IkeRefusal::error(NotifyType::INVALID_SYNTAX, diagnosis)
    })
}
