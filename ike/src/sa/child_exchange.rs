//! The negotiation of one Child SA, from either side (RFC 7296 §1.2, §1.3.1, §2.9).

use super::addresses::{Addresses, Networks};
use super::context::Context;
use super::share::Share;
use super::spis::EspSpiLease;
use crate::config::{Child, Connection};
use crate::diagnose::{self, Standing};
use crate::diagnosis::Diagnosis;
use crate::event::{ChildSaId, TfcPadding, Trigger, Withheld};
use crate::exchange::{ChildOffer, ChildRequest, KeyExchangeData};
use crate::identity::Identity;
use crate::limits;
use crate::negotiate::narrow::{self, is_within, narrow};
use crate::negotiate::proposal::{accept_esp, choose_esp, offer_esp};
use crate::negotiate::{TrafficSelector, left_out};
use crate::path::Path;
use crate::secret::Secret;
use crate::suite::{EspProposal, EspSuite, Group};
use crate::wire::{ChildSpi, EspSpi, ExchangeType, NotifyType, WireSelector};
use crate::work::Agreement;

/// What we keep while our request for a Child SA is on its way.
pub(crate) struct PendingChild {
    pub(crate) index: usize,
    /// The one it is to replace.
    pub(crate) rekeys: Option<ChildSaId>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) share: Option<Share>,
    /// The peer asked for the group of its key exchange.
    pub(crate) regrouped: bool,
    /// The packet that asked for it.
    packet: Option<Box<Trigger>>,
    /// SPIs that the peer has deleted meanwhile and that we do not know: one may be of the answer on its way, which the
    /// DELETE has overtaken.
    deleted: Vec<EspSpi>,
    lease: EspSpiLease,
}

/// What both ends have agreed on.
#[derive(Debug)]
pub(crate) struct AgreedChild {
    pub(crate) index: usize,
    pub(crate) rekeys: Option<ChildSaId>,
    pub(crate) suite: EspSuite,
    pub(crate) lease: EspSpiLease,
    pub(crate) spi_out: EspSpi,
    pub(crate) local: Vec<TrafficSelector>,
    pub(crate) remote: Vec<TrafficSelector>,
    pub(crate) shared: Option<Secret>,
    /// It is made in `IKE_AUTH`.
    pub(crate) first: bool,
    /// We sent the request.
    pub(crate) initiator: bool,
    pub(crate) tfc_padding: TfcPadding,
    /// What the peer asked for besides.
    pub(crate) withheld: Option<Box<Withheld>>,
}

/// Why there is no Child SA (yet), and what the peer is told.
#[derive(Debug)]
pub(crate) enum ChildRefusal {
    /// It is to try again with this group.
    InvalidKe(Group),
    /// Nobody yet: our half of the key exchange is to be computed first.
    Compute(Group),
    /// For good.
    Error(NotifyType, Box<Diagnosis>),
}

impl ChildRefusal {
    pub(super) fn new(kind: NotifyType, diagnosis: Diagnosis) -> Self {
        Self::Error(kind, Box::new(diagnosis))
    }
}

impl std::fmt::Debug for PendingChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingChild")
            .field("index", &self.index)
            .field("rekeys", &self.rekeys)
            .finish_non_exhaustive()
    }
}

impl PendingChild {
    /// Prepares a request; `share` is our half of its key exchange, if it has one.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        path: Path,
        index: usize,
        rekeys: Option<ChildSaId>,
        share: Option<Share>,
    ) -> Result<Self, Diagnosis> {
        let lease =
            ctx.spis.esp(path.remote, ctx.random).ok_or_else(|| diagnose::local("no ESP SPI is left"))?;
        let (nonce, packet, deleted) = (ctx.nonce(), None, Vec::new());
        Ok(Self { index, rekeys, nonce, share, regrouped: false, packet, deleted, lease })
    }

    /// The same for this packet.
    pub(crate) fn triggered_by(self, packet: Option<Box<Trigger>>) -> Self {
        Self { packet, ..self }
    }

    /// On what we would receive.
    pub(crate) fn spi_in(&self) -> EspSpi {
        self.lease.spi()
    }

    /// The peer has deleted a Child SA that we do not know.
    pub(crate) fn note_deleted(&mut self, spi_out: EspSpi) {
        if self.deleted.len() < limits::DELETED_EARLY {
            self.deleted.push(spi_out);
        }
    }

    /// Those.
    pub(crate) fn take_deleted(&mut self) -> Vec<EspSpi> {
        std::mem::take(&mut self.deleted)
    }

    /// What we would have; `key_exchange` is false in `IKE_AUTH`.
    pub(crate) fn offer(&self, config: &Child, networks: &Networks, key_exchange: bool) -> ChildOffer {
        let (local, remote) = match &self.packet {
            Some(packet) if !networks.local_is_given => packet.before(&networks.local, &networks.remote),
            _ => (networks.local.clone(), networks.remote.clone()),
        };
        ChildOffer {
            proposals: offer_esp(&config.proposals, &self.lease.spi().0.to_be_bytes(), key_exchange),
            ts_i: narrow::to_wire(&local),
            ts_r: narrow::to_wire(&remote),
            refuses_padding: false,
            later_fragments: networks.names_ports(),
        }
    }

    /// The request; `rekeys` is our inbound SPI of the one it is to replace.
    pub(crate) fn request(
        &self,
        config: &Child,
        networks: &Networks,
        rekeys: Option<EspSpi>,
    ) -> ChildRequest {
        ChildRequest {
            rekeys: rekeys.map(ChildSpi::Esp),
            configuration: None,
            offer: self.offer(config, networks, true),
            nonce: self.nonce.clone(),
            key_exchange: self.share.as_ref().map(Share::to_wire),
        }
    }

    /// Checks the peer's answer.
    pub(crate) fn complete(
        self,
        config: &Child,
        networks: &Networks,
        answer: &ChildOffer,
        key_exchange: Option<&KeyExchangeData>,
        exchange: ExchangeType,
    ) -> Result<AgreedChild, Diagnosis> {
        let bad = || diagnose::bad_answer(exchange);
        let with_ke = exchange == ExchangeType::CREATE_CHILD_SA;
        let choice = accept_esp(&answer.proposals, &config.proposals, with_ke).ok_or_else(bad)?;
        let spi_out = peer_spi(&choice.peer_spi).ok_or_else(bad)?;
        let shared = match (choice.suite.group, key_exchange, self.share) {
            (None, None, _) => None,
            (Some(group), Some(theirs), Some(ours))
                if ours.group() == group && theirs.group == group.number() =>
            {
                let shared = ours.into_secret().ok_or_else(bad)?;
                Some(shared.map_err(|e| diagnose::malformed(exchange, &e.to_string()))?)
            }
            _ => return Err(bad()),
        };
        let (answered, remote) = (narrow::from_wire(&answer.ts_i), narrow::from_wire(&answer.ts_r));
        let local = networks.narrow_given(&answered);
        if !is_within(&local, &networks.local) || !is_within(&remote, &networks.remote) {
            return Err(diagnose::selectors_widened(networks.sides(), (&answered, &remote), exchange));
        }
        Ok(AgreedChild {
            index: self.index,
            rekeys: self.rekeys,
            suite: choice.suite,
            lease: self.lease,
            spi_out,
            local,
            remote,
            shared,
            first: !with_ke,
            initiator: true,
            tfc_padding: tfc_padding(config, answer),
            withheld: None,
        })
    }
}

/// "This notification asserts that the sending endpoint will not accept packets that contain Traffic Flow Confidentiality
/// (TFC) padding" (RFC 7296 §1.3.1).
fn tfc_padding(config: &Child, peer: &ChildOffer) -> TfcPadding {
    match (config.tfc_padding, peer.refuses_padding) {
        (false, _) => TfcPadding::Off,
        (true, false) => TfcPadding::On,
        (true, true) => TfcPadding::Refused,
    }
}

fn peer_spi(spi: &[u8]) -> Option<EspSpi> {
    let spi = u32::from_be_bytes(spi.try_into().ok()?);
    (spi >= EspSpi::MIN).then_some(EspSpi(spi))
}

/// A peer's request, as far as a Child SA is concerned.
pub(crate) struct Asked<'a> {
    pub(crate) offer: &'a ChildOffer,
    pub(crate) key_exchange: Option<&'a KeyExchangeData>,
    /// The configured child of the one it replaces, and that one.
    pub(crate) rekeys: Option<(usize, ChildSaId)>,
    /// `IKE_AUTH` or `CREATE_CHILD_SA`.
    pub(crate) exchange: ExchangeType,
    /// Who asks.
    pub(crate) peer: &'a Identity,
    /// Which way.
    pub(crate) path: Path,
}

/// Answers a peer's request: what was agreed, the answer, and our public value if there was a key exchange, whose
/// `agreement` is computed after all else was found good.
pub(crate) fn accept(
    ctx: &mut Context<'_>,
    connection: &Connection,
    addresses: &Addresses,
    asked: &Asked<'_>,
    agreement: Option<Agreement>,
) -> Result<(AgreedChild, ChildOffer, Option<KeyExchangeData>), ChildRefusal> {
    // RFC 7296 §1.3.1: a responder that declines USE_TRANSPORT_MODE just leaves it out, and "the SA will be
    // established in tunnel mode"; a peer that cannot live with this deletes it.
    addresses.require(connection)?;
    let (index, local, remote) = fitting_child(connection, addresses, asked)?;
    if let Some(holder) = ctx.output.claims.holder(connection, asked.peer, &remote) {
        let diagnosis = diagnose::network_taken(asked.peer, holder, &remote);
        return Err(ChildRefusal::new(NotifyType::TS_UNACCEPTABLE, diagnosis));
    }
    let child = connection.children.get(index);
    let config = child.map_or(&[][..], |c| &c.proposals);
    let with_ke = asked.exchange == ExchangeType::CREATE_CHILD_SA;
    let sent = asked.key_exchange.map(|ke| ke.group);
    let choice = choose_esp(&asked.offer.proposals, config, sent, with_ke);
    let choice = choice.ok_or_else(|| no_proposal(asked, config))?;
    let spi_out = peer_spi(&choice.peer_spi).ok_or_else(|| no_proposal(asked, config))?;
    let (public, shared) = respond_key_exchange(choice.suite.group, asked, agreement)?;
    let no_spi = || ChildRefusal::new(NotifyType::NO_ADDITIONAL_SAS, diagnose::local("no ESP SPI is left"));
    let lease = ctx.spis.esp(asked.path.remote, ctx.random).ok_or_else(no_spi)?;
    let suite = choice.suite;
    let withheld = withheld(connection, asked.offer, (&local, &remote));
    let answer = ChildOffer {
        proposals: vec![choice.answer(&lease.spi().0.to_be_bytes())],
        ts_i: narrow::to_wire(&remote),
        ts_r: narrow::to_wire(&local),
        refuses_padding: false,
        // "It is enabled only if NON_FIRST_FRAGMENTS_ALSO notification is included in both the request proposing an SA and the
        // response accepting it" (RFC 7296 §1.3.1). We take them from everybody: see `sekisho-esp`'s `fragments`.
        later_fragments: asked.offer.later_fragments,
    };
    let agreed = AgreedChild {
        index,
        rekeys: asked.rekeys.map(|(_, id)| id),
        suite,
        lease,
        spi_out,
        local,
        remote,
        shared,
        first: !with_ke,
        initiator: false,
        tfc_padding: child.map_or(TfcPadding::Off, |child| tfc_padding(child, asked.offer)),
        withheld,
    };
    Ok((agreed, answer, public))
}

/// What of an offer is beyond these two sides, where both ends are to have the same configured.
fn withheld(
    connection: &Connection,
    offer: &ChildOffer,
    (local, remote): (&[TrafficSelector], &[TrafficSelector]),
) -> Option<Box<Withheld>> {
    if !connection.pools.is_empty() || connection.internal_address.is_asked() {
        return None;
    }
    let beyond =
        |asked: &[WireSelector], given: &[TrafficSelector]| left_out(&narrow::from_wire(asked), given);
    let withheld = Withheld { local: beyond(&offer.ts_r, local), remote: beyond(&offer.ts_i, remote) };
    (withheld != Withheld::default()).then(|| Box::new(withheld))
}

fn no_proposal(asked: &Asked<'_>, ours: &[EspProposal]) -> ChildRefusal {
    let diagnosis = diagnose::no_child_proposal_here(&asked.offer.proposals, ours, asked.exchange);
    ChildRefusal::new(NotifyType::NO_PROPOSAL_CHOSEN, diagnosis)
}

/// What is to be said of the peer's refusal of our request; `standing`: what it was to replace.
pub(crate) fn refused_there(
    config: &Child,
    networks: &Networks,
    kind: NotifyType,
    exchange: ExchangeType,
    standing: Option<Standing>,
) -> Diagnosis {
    match kind {
        NotifyType::NO_PROPOSAL_CHOSEN => {
            diagnose::no_child_proposal_there(&config.proposals, exchange, standing)
        }
        NotifyType::TS_UNACCEPTABLE => diagnose::selectors_there(&config.name, networks.sides(), exchange),
        NotifyType::SINGLE_PAIR_REQUIRED => diagnose::single_pair(&config.name, networks.sides(), exchange),
        kind => diagnose::peer_error(exchange, kind),
    }
}

/// The configured child whose networks the peer asks for, and what of them we let pass (RFC 7296 §2.9).
fn fitting_child(
    connection: &Connection,
    addresses: &Addresses,
    asked: &Asked<'_>,
) -> Result<(usize, Vec<TrafficSelector>, Vec<TrafficSelector>), ChildRefusal> {
    let theirs = narrow::from_wire(&asked.offer.ts_i);
    let ours = narrow::from_wire(&asked.offer.ts_r);
    let networks: Vec<_> = connection.children.iter().map(|c| addresses.networks(connection, c)).collect();
    let wanted = |index| asked.rekeys.is_none_or(|(wanted, _)| wanted == index);
    let candidates = || networks.iter().enumerate().filter(|(index, _)| wanted(*index));
    let fits = candidates().filter_map(|(index, child)| {
        let (local, remote) = (narrow(&ours, &child.local), narrow(&theirs, &child.remote));
        (!local.is_empty() && !remote.is_empty()).then_some((index, local, remote))
    });
    // The child that loses least to narrowing: first one whose selectors the peer names exactly, then one that lets
    // all pass that the peer asks for, then the one with the least networks.
    // Before that one that holds what the peer asks for first, which may be its packet: "If the responder's policy allows it to
    // accept the first selector of TSi and TSr, then the responder MUST narrow the Traffic Selectors to a subset that includes
    // the initiator's first choices".
    let holds = |side: &[TrafficSelector], asked: &[TrafficSelector]| {
        asked.first().is_none_or(|first| side.iter().any(|selector| selector.contains(first)))
    };
    let loss = |(index, local, remote): &(usize, Vec<TrafficSelector>, Vec<TrafficSelector>)| {
        let first = holds(local, &ours) && holds(remote, &theirs);
        let exact = networks.get(*index).is_some_and(|c| c.local == *local && c.remote == *remote);
        (!first, !exact, *local != ours || *remote != theirs, networks.get(*index).map(room))
    };
    fits.min_by_key(loss).ok_or_else(|| {
        let children: Vec<_> = candidates().map(|(_, networks)| networks.sides()).collect();
        let diagnosis = diagnose::selectors_here((&ours, &theirs), &children, asked.exchange);
        ChildRefusal::new(NotifyType::TS_UNACCEPTABLE, diagnosis)
    })
}

/// How many pairs of addresses a child connects, by the order of magnitude.
fn room(child: &Networks) -> u32 {
    let addresses = |list: &[TrafficSelector]| list.iter().map(TrafficSelector::magnitude).max().unwrap_or(0);
    addresses(&child.local) + addresses(&child.remote)
}

fn respond_key_exchange(
    group: Option<Group>,
    asked: &Asked<'_>,
    agreement: Option<Agreement>,
) -> Result<(Option<KeyExchangeData>, Option<Secret>), ChildRefusal> {
    let Some(group) = group else { return Ok((None, None)) };
    if asked.key_exchange.is_none_or(|ke| ke.group != group.number()) {
        return Err(ChildRefusal::InvalidKe(group));
    }
    let agreement = agreement.filter(|a| a.group == group).ok_or(ChildRefusal::Compute(group))?;
    let (data, shared) = agreement.result.map_err(|error| {
        ChildRefusal::new(NotifyType::INVALID_SYNTAX, diagnose::malformed(asked.exchange, &error.to_string()))
    })?;
    Ok((Some(KeyExchangeData { group: group.number(), data }), Some(shared)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;

    #[test]
    fn a_peer_that_refuses_padding_gets_none() {
        let offer = |refuses_padding| {
            let (proposals, ts_i, ts_r) = (vec![], vec![], vec![]);
            ChildOffer { proposals, ts_i, ts_r, refuses_padding, later_fragments: false }
        };
        let child = |padding| Child { tfc_padding: padding, ..Child::new(Name::from("a"), vec![], vec![]) };
        assert_eq!(tfc_padding(&child(true), &offer(false)), TfcPadding::On);
        assert_eq!(tfc_padding(&child(true), &offer(true)), TfcPadding::Refused);
        assert_eq!(tfc_padding(&child(false), &offer(true)), TfcPadding::Off);
    }
}
