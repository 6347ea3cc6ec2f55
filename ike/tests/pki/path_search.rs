//! Finding the way to an anchor, and not getting lost.

use rcgen::KeyPair;
use sekisho_ike::pki::{Certificate, PathError, Trust, trust};

use crate::made::{Made, NOW, ca, key, leaf, root, root_with};

const LEAF: &str = "C=JP, O=Clinic, CN=clinic-17";

fn judge(leaf: &Made, offered: &[&Made], trust_in: &Trust) -> Result<Vec<Certificate>, PathError> {
    let offered: Vec<Certificate> = offered.iter().map(|made| made.certificate.clone()).collect();
    trust(&leaf.certificate, &offered, trust_in, NOW).map(|path| path.certificates().to_vec())
}

#[test]
fn intermediate_certificates_come_from_the_peer_in_any_order_or_from_the_configuration() {
    let root = root(ca("Root"));
    let first = root.issue(ca("First"));
    let second = first.issue(ca("Second"));
    let leaf = second.issue(leaf("clinic-17"));
    let whole: Vec<Certificate> =
        [&leaf, &second, &first, &root].map(|made| made.certificate.clone()).to_vec();
    let trusted = root.trusted();
    assert_eq!(judge(&leaf, &[&second, &first], &trusted).as_ref(), Ok(&whole));
    assert_eq!(judge(&leaf, &[&root, &first, &leaf, &second], &trusted).as_ref(), Ok(&whole));
    let configured = Trust { intermediates: vec![first.certificate.clone()], ..root.trusted() };
    assert_eq!(judge(&leaf, &[&second], &configured).as_ref(), Ok(&whole));
    // An intermediate authority may be the anchor.
    assert_eq!(judge(&leaf, &[&second, &first, &root], &second.trusted()), Ok(whole[..2].to_vec()));
}

#[test]
fn an_issuer_that_nobody_knows_is_named() {
    let root = root(ca("Root"));
    let branch = root.issue(ca("Branch"));
    let leaf = branch.issue(leaf("clinic-17"));
    let unknown = |subject: &str, issuer: &str| {
        Err(PathError::UnknownIssuer {
            subject: format!("C=JP, O=Clinic, CN={subject}"),
            issuer: format!("C=JP, O=Clinic, CN={issuer}"),
        })
    };
    let other = self::root(ca("Other"));
    assert_eq!(judge(&leaf, &[], &root.trusted()), unknown("clinic-17", "Branch"));
    // Farther up: what is missing is above the branch.
    assert_eq!(judge(&leaf, &[&branch], &other.trusted()), unknown("Branch", "Root"));
    let error = judge(&leaf, &[&branch, &root], &other.trusted());
    assert_eq!(error, Err(PathError::UnknownRoot { subject: "C=JP, O=Clinic, CN=Root".into() }));
}

#[test]
fn a_self_signed_peer_needs_a_pin() {
    let alone = root(leaf("clinic-17"));
    let error = judge(&alone, &[], &root(ca("Root")).trusted());
    assert_eq!(error, Err(PathError::SelfSigned { subject: LEAF.into() }));
}

#[test]
fn a_signature_by_another_key_of_the_same_name_is_refused() {
    let (real, fake) = (root(ca("Root")), root(ca("Root")));
    let leaf = fake.issue(leaf("clinic-17"));
    let bad = PathError::BadSignature { subject: LEAF.into(), issuer: "C=JP, O=Clinic, CN=Root".into() };
    assert_eq!(judge(&leaf, &[], &real.trusted()), Err(bad));
    // Both are known: the right one is found.
    let both =
        Trust { anchors: vec![real.certificate.clone(), fake.certificate.clone()], ..Trust::default() };
    assert_eq!(judge(&leaf, &[], &both).map(|path| path.len()), Ok(2));
}

#[test]
fn an_expired_certificate_of_an_authority_does_not_hide_its_renewed_one() {
    let root = root(ca("Root"));
    let key = key();
    let expired = {
        let mut params = ca("Branch");
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
        root.issue_for(params, KeyPair::try_from(key.serialized_der()).unwrap())
    };
    let renewed = root.issue_for(ca("Branch"), KeyPair::try_from(key.serialized_der()).unwrap());
    let leaf = renewed.issue(leaf("clinic-17"));
    let path = judge(&leaf, &[&expired, &renewed], &root.trusted()).expect("by way of the renewed one");
    assert_eq!(path[1], renewed.certificate);
    assert!(matches!(judge(&leaf, &[&expired], &root.trusted()), Err(PathError::Expired { .. })));
}

#[test]
fn a_circle_is_left() {
    let (a, b) = (key(), key());
    let copy = |key: &KeyPair| KeyPair::try_from(key.serialized_der()).unwrap();
    let (self_a, self_b) = (root_with(ca("A"), copy(&a)), root_with(ca("B"), copy(&b)));
    let (a_by_b, b_by_a) = (self_b.issue_for(ca("A"), copy(&a)), self_a.issue_for(ca("B"), copy(&b)));
    let leaf = a_by_b.issue(leaf("clinic-17"));
    let error = judge(&leaf, &[&a_by_b, &b_by_a], &root(ca("Root")).trusted());
    assert_eq!(error, Err(PathError::Loop { subject: "C=JP, O=Clinic, CN=B".into() }));
    // And does no harm where there is a way out.
    assert!(judge(&leaf, &[&a_by_b, &b_by_a], &self_b.trusted()).is_ok());
}

#[test]
fn the_search_is_bounded_in_depth() {
    let top = root(ca("0"));
    let mut chain = vec![top.issue(ca("1"))];
    for depth in 2..=6 {
        chain.push(chain[depth - 2].issue(ca(&depth.to_string())));
    }
    let leaf = |above: &Made| above.issue(leaf("clinic-17"));
    let all: Vec<&Made> = chain.iter().collect();
    // Eight in all, the anchor included.
    assert_eq!(judge(&leaf(&chain[5]), &all, &top.trusted()).map(|path| path.len()), Ok(8));
    let one_more = chain[5].issue(ca("7"));
    let offered: Vec<&Made> = all.into_iter().chain([&one_more]).collect();
    let error = judge(&leaf(&one_more), &offered, &top.trusted());
    assert_eq!(error, Err(PathError::TooDeep { subject: LEAF.into() }));
}

#[test]
fn the_search_is_bounded_in_work() {
    // Authorities of one name, each certified by each other: more ways than anyone should walk.
    let keys: Vec<KeyPair> = (0..4).map(|_| key()).collect();
    let copy = |at: usize| KeyPair::try_from(keys[at].serialized_der()).unwrap();
    let authorities: Vec<Made> = (0..4).map(|at| root_with(ca("X"), copy(at))).collect();
    let mut crossed = Vec::new();
    for (by, authority) in authorities.iter().enumerate() {
        for of in (0..4).filter(|of| *of != by) {
            crossed.push(authority.issue_for(ca("X"), copy(of)));
        }
    }
    let leaf = authorities[0].issue(leaf("clinic-17"));
    let offered: Vec<&Made> = crossed.iter().collect();
    let error = judge(&leaf, &offered, &root(ca("Root")).trusted());
    assert_eq!(error, Err(PathError::TooManySignatures { subject: LEAF.into() }));
}

#[test]
fn sixteen_certificates_are_looked_at() {
    let root = root(ca("Root"));
    let leaf = root.issue(leaf("clinic-17"));
    let others: Vec<&Made> = std::iter::repeat_n(&leaf, 15).collect();
    assert!(judge(&leaf, &others, &root.trusted()).is_ok());
    let others: Vec<&Made> = std::iter::repeat_n(&leaf, 16).collect();
    assert_eq!(judge(&leaf, &others, &root.trusted()), Err(PathError::TooManyCertificates { found: 17 }));
}

#[test]
fn without_anything_configured_nobody_is_trusted() {
    let leaf = root(ca("Root")).issue(leaf("clinic-17"));
    assert_eq!(judge(&leaf, &[], &Trust::default()), Err(PathError::NoAnchors { subject: LEAF.into() }));
}

#[test]
fn a_circle_by_way_of_another_certificate_of_the_same_authority_is_one_too() {
    let (a, b) = (key(), key());
    let copy = |key: &KeyPair| KeyPair::try_from(key.serialized_der()).unwrap();
    let (self_a, self_b) = (root_with(ca("A"), copy(&a)), root_with(ca("B"), copy(&b)));
    let (a_by_b, b_by_a) = (self_b.issue_for(ca("A"), copy(&a)), self_a.issue_for(ca("B"), copy(&b)));
    let leaf = a_by_b.issue(leaf("clinic-17"));
    let error = judge(&leaf, &[&a_by_b, &b_by_a, &self_a], &root(ca("Root")).trusted()).unwrap_err();
    // By way of `a_by_b` the circle is longest; by way of `self_a` it ends at once.
    assert_eq!(error, PathError::Loop { subject: "C=JP, O=Clinic, CN=B".into() });
}

#[test]
fn the_key_identifier_finds_the_issuer_among_namesakes() {
    let namesakes: Vec<Made> = (0..70).map(|_| root(ca("Root"))).collect();
    let leaf = namesakes[69].issue(leaf("clinic-17"));
    let anchors = namesakes.iter().map(|made| made.certificate.clone()).collect();
    assert!(judge(&leaf, &[], &Trust { anchors, ..Trust::default() }).is_ok());
}

/// An authority with a new key, certified by its old one (RFC 5280 §3.2, RFC 4210 §4.4): subject and issuer are the same.
#[test]
fn a_self_issued_certificate_counts_neither_as_depth_nor_as_a_name() {
    let mut params = ca("Root");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let mut branches = rcgen::DistinguishedName::new();
    branches.push(rcgen::DnType::CountryName, "JP");
    branches.push(rcgen::DnType::OrganizationName, "Branches");
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DirectoryName(branches)],
        excluded_subtrees: vec![],
    });
    let old = root(params);
    let new = old.issue(ca("Root"));
    let leaf = new.issue(crate::made::named("Branches", "clinic-17"));
    assert_eq!(judge(&leaf, &[&new], &old.trusted()).map(|path| path.len()), Ok(3));
    // Not so the peer, though its name be that of its issuer.
    let alike = new.issue(crate::made::named("Clinic", "Root"));
    assert!(matches!(judge(&alike, &[&new], &old.trusted()), Err(PathError::NameConstraint { .. })));
}
