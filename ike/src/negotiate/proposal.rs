//! Proposals: what we offer, what we choose of an offer, and whether an answer is one we offered
//! (RFC 7296 §2.7, §3.3).

use crate::suite::{Cipher, Esn, EspProposal, EspSuite, Group, IkeProposal, IkeSuite, Prf};
use crate::wire::{Proposal, ProtocolId, Transform, TransformType};

const ENCR_AES_GCM_16: u16 = 20;
const INTEG_NONE: u16 = 0;
const KE_NONE: u16 = 0;

impl Cipher {
    fn transform(self) -> Transform {
        let bits = match self {
            Self::Aes256Gcm16 => 256,
            Self::Aes128Gcm16 => 128,
        };
        Transform { key_length: Some(bits), ..Transform::new(TransformType::ENCR, ENCR_AES_GCM_16) }
    }
}

impl Prf {
    fn transform(self) -> Transform {
        let id = match self {
            Self::HmacSha256 => 5,
            Self::HmacSha384 => 6,
            Self::HmacSha512 => 7,
        };
        Transform::new(TransformType::PRF, id)
    }
}

impl Group {
    /// Its number in the registry of key exchange methods.
    pub const fn number(self) -> u16 {
        match self {
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::P256 => 19,
            Self::P384 => 20,
            Self::X25519 => 31,
        }
    }

    /// The group with this number, if we implement it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.number() == number)
    }

    fn transform(self) -> Transform {
        Transform::new(TransformType::KE, self.number())
    }
}

impl Esn {
    fn transform(self) -> Transform {
        Transform::new(TransformType::ESN, u16::from(self == Self::Extended))
    }
}

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
            let ciphers = p.ciphers.iter().map(|c| c.transform());
            let prfs = p.prfs.iter().map(|p| p.transform());
            let groups = p.groups.iter().map(|g| g.transform());
            (ProtocolId::IKE, ciphers.chain(prfs).chain(groups).collect())
        }),
        spi,
    )
}

/// The SA payload that offers these proposals. Without `key_exchange` no groups are named: `IKE_AUTH` has none.
pub fn offer_esp(proposals: &[EspProposal], spi: &[u8], key_exchange: bool) -> Vec<Proposal> {
    number(
        proposals.iter().map(|p| {
            let ciphers = p.ciphers.iter().map(|c| c.transform());
            let groups = p.groups.iter().filter(|_| key_exchange).map(|g| g.transform());
            let esn = p.esn.iter().map(|e| e.transform());
            (ProtocolId::ESP, ciphers.chain(groups).chain(esn).collect())
        }),
        spi,
    )
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
        let mut fit = Fit::new(proposal, &[TransformType::ENCR, TransformType::PRF, TransformType::KE]);
        let cipher = fit.take(&ours.ciphers, Cipher::transform)?;
        let prf = fit.take(&ours.prfs, Prf::transform)?;
        let group = fit.take(&prefer(&ours.groups, sent), Group::transform)?;
        Some((IkeSuite { cipher, prf, group }, fit.finish()?))
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
        let known: &[_] = if key_exchange && !ours.groups.is_empty() {
            &[TransformType::ENCR, TransformType::KE, TransformType::ESN]
        } else {
            &[TransformType::ENCR, TransformType::ESN]
        };
        let mut fit = Fit::new(proposal, known);
        if !key_exchange {
            fit.leave_aside(TransformType::KE);
        }
        let cipher = fit.take(&ours.ciphers, Cipher::transform)?;
        let group = if known.contains(&TransformType::KE) {
            Some(fit.take(&prefer(&ours.groups, sent), Group::transform)?)
        } else {
            None
        };
        let esn = fit.take(&ours.esn, Esn::transform)?;
        Some((EspSuite { cipher, group, esn }, fit.finish()?))
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

/// One proposal while its transforms are being chosen.
struct Fit<'a> {
    offered: Vec<&'a Transform>,
    chosen: Vec<Transform>,
}

impl<'a> Fit<'a> {
    /// Types beyond the `known` ones can only be answered with NONE, if that is offered.
    fn new(proposal: &'a Proposal, known: &[TransformType]) -> Self {
        let mut fit = Self { offered: proposal.transforms.iter().collect(), chosen: Vec::new() };
        let none = |t: &&Transform| {
            let none = t.id == if t.kind == TransformType::INTEG { INTEG_NONE } else { KE_NONE };
            none && t.kind != TransformType::ENCR && t.kind != TransformType::PRF && !known.contains(&t.kind)
        };
        for transform in fit.offered.clone().into_iter().filter(none) {
            fit.leave_aside(transform.kind);
            fit.chosen.push(*transform);
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

    /// The transforms of the answer, if a choice was made for every type of the proposal.
    fn finish(self) -> Option<Vec<Transform>> {
        self.offered.is_empty().then_some(self.chosen)
    }
}

/// An offer in the words of the configuration, as far as there are words, for a diagnosis.
pub fn describe(offer: &[Proposal]) -> String {
    let proposals = offer
        .iter()
        .map(|p| p.transforms.iter().copied().map(describe_transform).collect::<Vec<_>>().join("-"));
    let mut text = proposals.collect::<Vec<_>>().join(", ");
    if text.len() > crate::limits::DIAGNOSIS_QUOTE {
        text.truncate(crate::limits::DIAGNOSIS_QUOTE);
        text.push('…');
    }
    text
}

fn describe_transform(t: Transform) -> String {
    let ours = Cipher::ALL.iter().map(|c| (c.transform(), c.name()));
    let ours = ours.chain(Prf::ALL.iter().map(|p| (p.transform(), p.name())));
    let ours = ours.chain(Group::ALL.iter().map(|g| (g.transform(), g.name())));
    let mut ours = ours.chain(Esn::ALL.iter().map(|e| (e.transform(), e.name())));
    if let Some((_, name)) = ours.find(|(transform, _)| *transform == t) {
        return name.to_owned();
    }
    let name = match (t.kind, t.id) {
        (TransformType::ENCR, 3) => "3des",
        (TransformType::ENCR, 12) => "aes-cbc",
        (TransformType::ENCR, 13) => "aes-ctr",
        (TransformType::ENCR, 14..=16) => "aes-ccm",
        (TransformType::ENCR, 18) => "aes-gcm8",
        (TransformType::ENCR, 19) => "aes-gcm12",
        (TransformType::ENCR, 28) => "chacha20poly1305",
        (TransformType::PRF, 1) => "prfmd5",
        (TransformType::PRF, 2) => "prfsha1",
        (TransformType::INTEG, 1) => "md5",
        (TransformType::INTEG, 2) => "sha1",
        (TransformType::INTEG, 12) => "sha256",
        (TransformType::INTEG, 13) => "sha384",
        (TransformType::INTEG, 14) => "sha512",
        (TransformType::KE, 2) => "modp1024",
        (TransformType::KE, 5) => "modp1536",
        (TransformType::KE, 16) => "modp4096",
        (TransformType::KE, 21) => "ecp521",
        (kind, id) => return format!("{}{id}", kind.to_string().to_lowercase()),
    };
    match t.key_length {
        Some(bits) => format!("{name}/{bits}"),
        None => name.to_owned(),
    }
}

/// A list of our proposals in the words of the configuration.
pub fn describe_ours<P: std::fmt::Display>(proposals: &[P]) -> String {
    proposals.iter().map(P::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ike(text: &str) -> Vec<IkeProposal> {
        text.split(", ").map(|p| p.parse().unwrap()).collect()
    }

    fn esp(text: &str) -> Vec<EspProposal> {
        text.split(", ").map(|p| p.parse().unwrap()).collect()
    }

    fn agree(theirs: &str, ours: &str) -> Option<String> {
        let offer = offer_ike(&ike(theirs), &[]);
        let choice = choose_ike(&offer, &ike(ours), Some(31))?;
        let suite = choice.suite.to_string();
        let accepted = accept_ike(&[choice.answer(&[])], &ike(theirs)).expect("the peer offered it");
        assert_eq!(accepted.suite.to_string(), suite);
        Some(suite)
    }

    #[test]
    fn our_preference_decides_but_a_sent_key_exchange_saves_the_round_trip() {
        let all = "aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp384";
        assert_eq!(
            agree(all, "aes256gcm16-prfsha384-ecp384-x25519").unwrap(),
            "aes256gcm16-prfsha384-x25519"
        );
        assert_eq!(agree(all, "aes256gcm16-prfsha384-ecp384").unwrap(), "aes256gcm16-prfsha384-ecp384");
        assert_eq!(agree(all, "aes256gcm16-prfsha512-x25519"), None);
        let two = "aes256gcm16-prfsha256-modp2048, aes128gcm16-prfsha256-x25519";
        assert_eq!(agree(two, "aes128gcm16-prfsha256-x25519").unwrap(), "aes128gcm16-prfsha256-x25519");
    }

    #[test]
    fn the_first_child_has_no_key_exchange_and_later_ones_must_agree_on_it() {
        let ours = esp("aes256gcm16-x25519-noesn");
        let first = choose_esp(&offer_esp(&ours, &[0; 4], false), &ours, None, false).unwrap();
        assert_eq!(first.suite.group, None);
        let later = choose_esp(&offer_esp(&ours, &[0; 4], true), &ours, None, true).unwrap();
        assert_eq!(later.suite.group, Some(Group::X25519));
        let without = esp("aes256gcm16-noesn");
        assert_eq!(
            choose_esp(&offer_esp(&without, &[0; 4], true), &ours, None, true),
            None,
            "PFS is not given up"
        );
        assert_eq!(choose_esp(&offer_esp(&ours, &[0; 4], true), &without, None, true), None);
    }

    #[test]
    fn none_is_accepted_for_what_we_do_not_have_and_nothing_else_is() {
        let mut offer = offer_ike(&ike("aes256gcm16-prfsha256-x25519"), &[]);
        for (kind, id, fits) in [
            (TransformType::INTEG, 0, true),
            (TransformType::INTEG, 12, false),
            (TransformType::ADDKE1, 0, true),
            (TransformType::ADDKE1, 36, false),
        ] {
            offer[0].transforms.push(Transform::new(kind, id));
            let choice = choose_ike(&offer, &ike("aes256gcm16-prfsha256-x25519"), None);
            assert_eq!(choice.is_some(), fits, "{kind} {id}");
            offer[0].transforms.pop();
        }
    }

    #[test]
    fn an_answer_that_was_not_offered_is_refused() {
        let ours = ike("aes256gcm16-prfsha256-x25519");
        let good = offer_ike(&ours, &[]);
        assert!(accept_ike(&good, &ours).is_some());
        let mut other_number = good.clone();
        other_number[0].number = 2;
        assert_eq!(accept_ike(&other_number, &ours), None);
        let weaker = offer_ike(&ike("aes128gcm16-prfsha256-x25519"), &[]);
        assert_eq!(accept_ike(&weaker, &ours), None);
        let two = [good.clone(), good].concat();
        assert_eq!(accept_ike(&two, &ours), None);
        let doubled = offer_ike(&ike("aes256gcm16-aes128gcm16-prfsha256-x25519"), &[]);
        assert_eq!(accept_ike(&doubled, &ike("aes256gcm16-aes128gcm16-prfsha256-x25519")), None);
    }
}
