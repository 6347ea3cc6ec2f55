//! What is offered, chosen and accepted.

use super::proposal::*;
use crate::suite::{Aead, Cbc, EspProposal, Group, IkeProposal, Integrity};
use crate::wire::{Proposal, ProtocolId, Transform, TransformType};

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
    assert_eq!(agree(all, "aes256gcm16-prfsha384-ecp384-x25519").unwrap(), "aes256gcm16-prfsha384-x25519");
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
        // Neither has a NONE that we know of.
        (TransformType::ESN, 0, false),
        (TransformType(13), 0, false),
    ] {
        offer[0].transforms.push(Transform::new(kind, id));
        let choice = choose_ike(&offer, &ike("aes256gcm16-prfsha256-x25519"), None);
        assert_eq!(choice.is_some(), fits, "{kind} {id}");
        offer[0].transforms.pop();
    }
    // However often it is offered, it is answered once (§2.7).
    offer[0].transforms.extend([Transform::new(TransformType::INTEG, 0); 200]);
    let answer = choose_ike(&offer, &ike("aes256gcm16-prfsha256-x25519"), None).unwrap().answer(&[]);
    assert_eq!(answer.transforms.iter().filter(|t| t.kind == TransformType::INTEG).count(), 1);
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

/// RFC 5282 §8: an authenticated cipher is offered without integrity algorithms or with NONE alone, and never beside
/// others.
#[test]
fn the_two_kinds_of_cipher_are_offered_and_chosen_apart() {
    let both = "aes256gcm16-prfsha384-x25519, aes256-aes128-sha512-sha256-prfsha256-modp2048";
    for proposal in offer_ike(&ike(both), &[]) {
        let aead = proposal.transforms.iter().any(|t| t.kind == TransformType::ENCR && t.id == 20);
        let integrity = proposal.transforms.iter().any(|t| t.kind == TransformType::INTEG);
        assert_eq!(aead, !integrity);
    }
    let cbc = "aes128-sha256-prfsha256-modp2048";
    assert_eq!(agree(both, cbc).unwrap(), cbc);
    assert_eq!(agree(cbc, both).unwrap(), cbc);
    assert_eq!(agree(both, both).unwrap(), "aes256gcm16-prfsha384-x25519");
    assert_eq!(
        agree(both, "aes256-sha256-sha512-prfsha256-modp2048").unwrap(),
        "aes256-sha256-prfsha256-modp2048"
    );
    assert_eq!(agree(both, "aes256-sha384-prfsha256-modp2048"), None);
    assert_eq!(agree("aes256gcm16-prfsha256-x25519", "aes256-sha256-prfsha256-x25519"), None);
}

/// A peer that puts both kinds into one proposal all the same is given either, whole.
#[test]
fn a_mixed_offer_yields_no_mixed_suite() {
    let mut offer = offer_ike(&ike("aes256-sha256-prfsha256-x25519"), &[]);
    offer[0].transforms.push(Aead::Aes256Gcm16.transform());
    let choose = |offer: &[Proposal], ours| Some(choose_ike(offer, &ike(ours), None)?.suite.to_string());
    let (cbc, aead) = ("aes256-sha256-prfsha256-x25519", "aes256gcm16-prfsha256-x25519");
    assert_eq!(choose(&offer, cbc).as_deref(), Some(cbc));
    assert_eq!(choose(&offer, aead), None, "its integrity algorithm cannot be left out");
    offer[0].transforms.push(Transform::new(TransformType::INTEG, 0));
    assert_eq!(choose(&offer, cbc).as_deref(), Some(cbc), "never NONE with CBC");
    assert_eq!(choose(&offer, aead).as_deref(), Some(aead));
    offer[0].transforms.retain(|t| t.kind != TransformType::INTEG);
    assert_eq!(choose(&offer, cbc), None, "CBC without integrity");
    offer[0].transforms.push(Transform::new(TransformType::INTEG, 0));
    assert_eq!(choose(&offer, cbc), None, "CBC with NONE");
}

#[test]
fn every_protection_and_group_has_its_numbers() {
    for (name, id, bits) in [
        ("aes256gcm16", 20, Some(256)),
        ("aes128gcm12", 19, Some(128)),
        ("aes256gcm8", 18, Some(256)),
        ("chacha20poly1305", 28, None),
    ] {
        let transform = name.parse::<Aead>().unwrap().transform();
        assert_eq!((transform.id, transform.key_length), (id, bits), "{name}");
    }
    for (name, id) in [("sha256", 12), ("sha384", 13), ("sha512", 14)] {
        assert_eq!(name.parse::<Integrity>().unwrap().transform().id, id, "{name}");
    }
    let cbc = Cbc::Aes128.transform();
    assert_eq!((cbc.id, cbc.key_length), (12, Some(128)));
    for (name, number) in
        [("modp2048", 14), ("modp3072", 15), ("modp4096", 16), ("ecp521", 21), ("x25519", 31)]
    {
        assert_eq!(name.parse::<Group>().unwrap().number(), number, "{name}");
        assert_eq!(Group::from_number(number), name.parse().ok());
    }
    for weak in [1, 2, 5, 22, 23, 24] {
        assert_eq!(Group::from_number(weak), None);
    }
}

/// RFC 7296 §3.3.5: `ChaCha20` has no key length attribute, and AES has one.
#[test]
fn key_lengths_belong_to_the_transform() {
    let ours = ike("chacha20poly1305-prfsha256-x25519");
    let mut offer = offer_ike(&ours, &[]);
    assert!(choose_ike(&offer, &ours, None).is_some());
    offer[0].transforms[0].key_length = Some(256);
    assert_eq!(choose_ike(&offer, &ours, None), None);
    let ours = ike("aes256-sha256-prfsha256-x25519");
    let mut offer = offer_ike(&ours, &[]);
    offer[0].transforms[0].key_length = None;
    assert_eq!(choose_ike(&offer, &ours, None), None);
}

fn esp_agree(theirs: &[Proposal], ours: &str, sent: Option<u16>) -> Option<(String, Vec<Transform>)> {
    let choice = choose_esp(theirs, &esp(ours), sent, true)?;
    Some((choice.suite.to_string(), choice.answer(&[1; 4]).transforms))
}

#[test]
fn perfect_forward_secrecy_is_given_up_only_where_the_word_allows_it() {
    let (strict, lenient, without) =
        ("aes256gcm16-x25519-noesn", "aes256gcm16-x25519-nopfs-noesn", "aes256gcm16-noesn");
    let offer = |text| offer_esp(&esp(text), &[1; 4], true);
    let groups = |text| {
        let ke =
            offer(text)[0].transforms.iter().filter(|t| t.kind == TransformType::KE).map(|t| t.id).collect();
        let ke: Vec<u16> = ke;
        ke
    };
    assert_eq!((groups(strict), groups(lenient), groups(without)), (vec![31], vec![31, 0], vec![]));
    let suite = |theirs, ours, sent| esp_agree(&offer(theirs), ours, sent).map(|(suite, _)| suite);
    let (with_pfs, no_pfs) = (Some("aes256gcm16-x25519-noesn".to_owned()), Some(without.to_owned()));
    for (theirs, ours, sent, agreed) in [
        (strict, strict, Some(31), &with_pfs),
        (without, strict, None, &None),
        (strict, without, Some(31), &None),
        // The word on our side.
        (without, lenient, None, &no_pfs),
        (strict, lenient, Some(31), &with_pfs),
        // On theirs.
        (lenient, without, Some(31), &no_pfs),
        (lenient, strict, Some(31), &with_pfs),
        (lenient, strict, None, &with_pfs),
        // On both: who sent a public value would rather have it used.
        (lenient, lenient, Some(31), &with_pfs),
        (lenient, lenient, None, &no_pfs),
        // Another group is still better than none.
        (lenient, lenient, Some(14), &with_pfs),
    ] {
        assert_eq!(&suite(theirs, ours, sent), agreed, "{theirs} / {ours} / {sent:?}");
    }
    let other_groups = "aes256gcm16-ecp384-nopfs-noesn";
    assert_eq!(suite(other_groups, lenient, Some(20)), no_pfs, "no group in common, and both can do without");
    assert_eq!(suite(other_groups, strict, Some(20)), None);
}

/// NONE and nothing say the same (RFC 7296 §3.3.3); an answer may be either, and only where NONE was offered.
#[test]
fn an_answer_may_decline_what_was_offered_as_optional() {
    let lenient = esp("aes256gcm16-x25519-nopfs-noesn");
    let (_, transforms) =
        esp_agree(&offer_esp(&lenient, &[1; 4], true), "aes256gcm16-noesn", Some(31)).unwrap();
    assert!(transforms.contains(&Transform::new(TransformType::KE, 0)), "one transform of each type");
    let answer =
        |transforms| [Proposal { number: 1, protocol: ProtocolId::ESP, spi: vec![1; 4], transforms }];
    let group =
        |answer: &[Proposal], ours: &[EspProposal]| accept_esp(answer, ours, true).map(|c| c.suite.group);
    let explicit = answer(transforms.clone());
    let silent = answer(transforms.into_iter().filter(|t| t.kind != TransformType::KE).collect());
    for declined in [explicit, silent] {
        assert_eq!(group(&declined, &lenient), Some(None));
        assert_eq!(group(&declined, &esp("aes256gcm16-x25519-noesn")), None, "PFS is not given up");
    }
    let kept = offer_esp(&esp("aes256gcm16-x25519-noesn"), &[1; 4], true);
    assert_eq!(group(&kept, &lenient), Some(Some(Group::X25519)));
}

#[test]
fn an_offer_is_described_in_the_words_of_the_configuration() {
    for text in [
        "aes256-aes128-sha256-sha512-prfsha256-modp4096-ecp521",
        "chacha20poly1305-aes128gcm8-prfsha512-x25519",
    ] {
        assert_eq!(describe(&offer_ike(&ike(text), &[])), text);
    }
    let text = "aes256-sha384-x25519-nopfs-noesn";
    assert_eq!(describe(&offer_esp(&esp(text), &[1; 4], true)), text);
    let transforms = [
        (TransformType::ENCR, 3),
        (TransformType::INTEG, 2),
        (TransformType::PRF, 2),
        (TransformType::KE, 2),
    ]
    .map(|(kind, id)| Transform::new(kind, id));
    let mut old =
        Proposal { number: 1, protocol: ProtocolId::IKE, spi: vec![], transforms: transforms.into() };
    assert_eq!(describe(std::slice::from_ref(&old)), "3des-sha1-prfsha1-modp1024");
    old.transforms = vec![
        Transform { key_length: Some(192), ..Transform::new(TransformType::ENCR, 12) },
        Transform::new(TransformType::INTEG, 0),
        Transform::new(TransformType::ENCR, 999),
    ];
    assert_eq!(describe(&[old]), "aes-cbc/192-nointeg-encr999");
}

/// Rule 2: a value from the wire may be one that only we use internally (CVE-2014-9221). There is none: each number is one
/// of an algorithm that we have, by its place in the registry, or of nothing.
#[test]
fn every_number_names_what_the_registry_says_or_nothing() {
    let ours: Vec<IkeProposal> = vec![IkeProposal::default()];
    let whole = offer_ike(&ours, &[]);
    let offered = |kind| {
        let all = whole.iter().flat_map(|proposal| &proposal.transforms);
        all.filter(|t| t.kind == kind).map(|t| t.id).collect::<std::collections::BTreeSet<_>>()
    };
    for kind in [TransformType::PRF, TransformType::KE] {
        let known = offered(kind);
        assert!(known.len() >= 3, "{known:?}");
        for id in 0..=u16::MAX {
            let mut offer = whole.clone();
            for proposal in &mut offer {
                proposal.transforms.retain(|transform| transform.kind != kind);
                proposal.transforms.push(Transform::new(kind, id));
            }
            let chosen = choose_ike(&offer, &ours, (kind == TransformType::KE).then_some(id));
            assert_eq!(chosen.is_some(), known.contains(&id), "{kind:?} {id}");
        }
    }
    for id in 0..=u16::MAX {
        let mut offer = whole.clone();
        offer.truncate(1);
        offer[0].transforms.retain(|transform| transform.kind != TransformType::ENCR);
        offer[0]
            .transforms
            .push(Transform { key_length: Some(256), ..Transform::new(TransformType::ENCR, id) });
        if choose_ike(&offer, &ours, None).is_some() {
            assert!(offered(TransformType::ENCR).contains(&id), "{id}");
        }
    }
}
