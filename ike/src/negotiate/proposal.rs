//! Proposals: what we offer, what we choose of an offer, and whether an answer is one we offered
//! (RFC 7296 §2.7, §3.3).

use super::transform::NONE;
pub use super::transform::{describe, describe_group, describe_ours};
use crate::suite::{
    Aead, Cbc, Ciphers, Esn, EspProposal, EspSuite, Group, IkeProposal, IkeSuite, Integrity, Prf, Protection,
};
use crate::wire::{Proposal, ProtocolId, Transform, TransformType};

/// What was chosen, and the proposal that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<S> {
    /// The algorithms.
    pub suite: S,
    /// The SPI of the one who offered it.
    pub peer_spi: Vec<u8>,
    /// The answer; its SPI is still the offer's.
    answer: Proposal,
}

impl<S> Choice<S> {
    /// The answer, with our SPI.
    pub fn answer(mut self, spi: &[u8]) -> Proposal {
        self.answer.spi = spi.to_vec();
        self.answer
    }
}

/// The SA payload that offers these proposals. `spi` is empty for `IKE_SA_INIT`.
pub fn offer_ike(proposals: &[IkeProposal], spi: &[u8]) -> Vec<Proposal> {
    number(
        proposals.iter().map(|p| {
            let prfs = p.prfs.iter().map(|p| p.transform());
            let groups = p.groups.iter().map(|g| g.transform());
            (ProtocolId::IKE, ciphers(&p.ciphers).into_iter().chain(prfs).chain(groups).collect())
        }),
        spi,
    )
}

/// The SA payload that offers these proposals. Without `key_exchange` no groups are named: `IKE_AUTH` has none.
pub fn offer_esp(proposals: &[EspProposal], spi: &[u8], key_exchange: bool) -> Vec<Proposal> {
    number(
        proposals.iter().map(|p| {
            let groups = p.groups.iter().map(|g| g.transform());
            let declined = p.pfs_may_be_declined.then_some(Transform::new(TransformType::KE, NONE));
            let groups = groups.chain(declined).filter(|_| key_exchange);
            let esn = p.esn.iter().map(|e| e.transform());
            (ProtocolId::ESP, ciphers(&p.ciphers).into_iter().chain(groups).chain(esn).collect())
        }),
        spi,
    )
}

/// Ciphers, and the integrity algorithms of those that need one. For the others none is named: RFC 5282 §8 allows that
/// or NONE, and RFC 7296 §3.3 prefers it.
fn ciphers(ciphers: &Ciphers) -> Vec<Transform> {
    match ciphers {
        Ciphers::Aead(aeads) => aeads.iter().map(|a| a.transform()).collect(),
        Ciphers::Cbc(ciphers, integrities) => {
            let ciphers = ciphers.iter().map(|c| c.transform());
            ciphers.chain(integrities.iter().map(|i| i.transform())).collect()
        }
    }
}

fn number(proposals: impl Iterator<Item = (ProtocolId, Vec<Transform>)>, spi: &[u8]) -> Vec<Proposal> {
    (1..=u8::MAX)
        .zip(proposals)
        .map(|(number, (protocol, transforms))| Proposal { number, protocol, spi: spi.to_vec(), transforms })
        .collect()
}

/// Chooses from a peer's offer for an IKE SA: our first proposal that fits any of theirs. Of the groups, the one
/// whose public value the peer sent (`sent`) is taken if both name it, which saves a round trip.
pub fn choose_ike(offer: &[Proposal], ours: &[IkeProposal], sent: Option<u16>) -> Option<Choice<IkeSuite>> {
    first_fit(offer, ours, ProtocolId::IKE, |proposal, ours| {
        let mut fit = Fit::new(proposal, &ours.ciphers, &[TransformType::PRF, TransformType::KE]);
        let protection = fit.take_protection(&ours.ciphers)?;
        let prf = fit.take(&ours.prfs, Prf::transform)?;
        let group = fit.take(&prefer(&ours.groups, sent), Group::transform)?;
        Some((IkeSuite { protection, prf, group }, fit.finish()?))
    })
}

/// Chooses from a peer's offer for a Child SA, as [`choose_ike`]. Without `key_exchange` (in `IKE_AUTH`) groups
/// are left aside on both sides.
pub fn choose_esp(
    offer: &[Proposal],
    ours: &[EspProposal],
    sent: Option<u16>,
    key_exchange: bool,
) -> Option<Choice<EspSuite>> {
    first_fit(offer, ours, ProtocolId::ESP, |proposal, ours| {
        let with_groups = key_exchange && !ours.groups.is_empty();
        let known = [TransformType::ESN, TransformType::KE];
        let mut fit = Fit::new(proposal, &ours.ciphers, if with_groups { &known } else { &known[..1] });
        if !key_exchange {
            fit.leave_aside(TransformType::KE);
        }
        let protection = fit.take_protection(&ours.ciphers)?;
        let group = if with_groups { fit.take_group(ours, sent).ok()? } else { None };
        let esn = fit.take(&ours.esn, Esn::transform)?;
        Some((EspSuite { protection, group, esn }, fit.finish()?))
    })
}

/// Checks the answer to our offer for an IKE SA: one proposal, one transform of each type, each as we offered it.
pub fn accept_ike(answer: &[Proposal], ours: &[IkeProposal]) -> Option<Choice<IkeSuite>> {
    choose_ike(single(answer)?, numbered(answer, ours)?, None)
}

/// Checks the answer to our offer for a Child SA.
pub fn accept_esp(answer: &[Proposal], ours: &[EspProposal], key_exchange: bool) -> Option<Choice<EspSuite>> {
    choose_esp(single(answer)?, numbered(answer, ours)?, None, key_exchange)
}

/// "The accepted cryptographic suite MUST contain exactly one transform of each type included in the proposal."
fn single(answer: &[Proposal]) -> Option<&[Proposal]> {
    let [proposal] = answer else { return None };
    let mut kinds: Vec<_> = proposal.transforms.iter().map(|t| t.kind).collect();
    kinds.sort_unstable();
    let count = kinds.len();
    kinds.dedup();
    (kinds.len() == count).then_some(answer)
}

/// The one of our proposals that the answer names by its number.
fn numbered<'a, P>(answer: &[Proposal], ours: &'a [P]) -> Option<&'a [P]> {
    let index = usize::from(answer.first()?.number.checked_sub(1)?);
    ours.get(index).map(std::slice::from_ref)
}

fn first_fit<P, S>(
    offer: &[Proposal],
    ours: &[P],
    protocol: ProtocolId,
    fit: impl Fn(&Proposal, &P) -> Option<(S, Vec<Transform>)>,
) -> Option<Choice<S>> {
    let of_protocol = || offer.iter().filter(|p| p.protocol == protocol);
    ours.iter().flat_map(|ours| of_protocol().map(move |theirs| (theirs, ours))).find_map(|(theirs, ours)| {
        let (suite, transforms) = fit(theirs, ours)?;
        let answer = Proposal { transforms, ..theirs.clone() };
        Some(Choice { suite, peer_spi: theirs.spi.clone(), answer })
    })
}

fn prefer(groups: &[Group], sent: Option<u16>) -> Vec<Group> {
    let mut groups = groups.to_vec();
    groups.sort_by_key(|group| Some(group.number()) != sent);
    groups
}

/// No transform of a type is acceptable to both.
struct Unfit;

/// One proposal while its transforms are being chosen.
struct Fit<'a> {
    offered: Vec<&'a Transform>,
    chosen: Vec<Transform>,
}

impl<'a> Fit<'a> {
    /// Types beyond the `known` ones can only be answered with NONE, if that is offered and the type has it: "If the responder
    /// receives a proposal that contains a Transform Type it does not understand …, it MUST consider this proposal
    /// unacceptable" (RFC 7296 §3.3.6), and what 0 means there is not known.
    fn new(proposal: &'a Proposal, ciphers: &Ciphers, known: &[TransformType]) -> Self {
        let mut fit = Self { offered: proposal.transforms.iter().collect(), chosen: Vec::new() };
        let integrity = matches!(ciphers, Ciphers::Cbc(..));
        let answered = |kind| match kind {
            TransformType::ENCR | TransformType::PRF => true,
            TransformType::INTEG => integrity,
            other => known.contains(&other),
        };
        let is_none = |t: &&Transform| t.id == NONE && t.kind.has_none();
        // "MUST contain exactly one transform of each type": what is found is left aside with all of its type.
        while let Some(none) = fit.offered.iter().copied().find(|t| is_none(t) && !answered(t.kind)) {
            fit.leave_aside(none.kind);
            fit.chosen.push(*none);
        }
        fit
    }

    fn leave_aside(&mut self, kind: TransformType) {
        self.offered.retain(|t| t.kind != kind);
    }

    /// The first of `ours` that is offered.
    fn take<A: Copy>(&mut self, ours: &[A], transform: impl Fn(A) -> Transform) -> Option<A> {
        let chosen = ours.iter().copied().find(|a| self.offered.contains(&&transform(*a)))?;
        self.leave_aside(transform(chosen).kind);
        self.chosen.push(transform(chosen));
        Some(chosen)
    }

    fn take_protection(&mut self, ours: &Ciphers) -> Option<Protection> {
        Some(match ours {
            Ciphers::Aead(aeads) => Protection::Aead(self.take(aeads, Aead::transform)?),
            Ciphers::Cbc(ciphers, integrities) => Protection::Cbc(
                self.take(ciphers, Cbc::transform)?,
                self.take(integrities, Integrity::transform)?,
            ),
        })
    }

    /// A group; or none, if both sides can do without. Who can but sent a public value would rather not.
    fn take_group(&mut self, ours: &EspProposal, sent: Option<u16>) -> Result<Option<Group>, Unfit> {
        let declined = |fit: &mut Self| ours.pfs_may_be_declined && fit.take_none(TransformType::KE);
        if sent.is_none() && declined(self) {
            return Ok(None);
        }
        let group = self.take(&prefer(&ours.groups, sent), Group::transform);
        if group.is_some() || declined(self) { Ok(group) } else { Err(Unfit) }
    }

    /// "No transform of this type": left out by the peer, or offered as NONE.
    fn take_none(&mut self, kind: TransformType) -> bool {
        let none = Transform::new(kind, NONE);
        if self.offered.contains(&&none) {
            self.leave_aside(kind);
            self.chosen.push(none);
            return true;
        }
        !self.offered.iter().any(|t| t.kind == kind)
    }

    /// The transforms of the answer, if a choice was made for every type of the proposal.
    fn finish(self) -> Option<Vec<Transform>> {
        self.offered.is_empty().then_some(self.chosen)
    }
}
