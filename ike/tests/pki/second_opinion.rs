//! Paths judged by `rustls-webpki` as well. What we trust, it trusts; what it trusts and we do not, we refuse by a rule
//! that it does not have.

use std::time::Duration;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, ExtendedKeyUsagePurpose as Purpose, GeneralSubtree,
    IsCa, KeyUsagePurpose as Usage, NameConstraints, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use sekisho_ike::pki::{Certificate, PathError, trust};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

use crate::made::{NOW, ca, dns, ipsec_ike, leaf, root};

/// Our policy for the extended key usage, in webpki's words.
struct ForIke;

impl ExtendedKeyUsageValidator for ForIke {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let accepted = [&[1, 3, 6, 1, 5, 5, 7, 3, 17][..], &[1, 3, 6, 1, 5, 5, 7, 3, 1], &[2, 5, 29, 37, 0]];
        let purposes: Vec<Vec<usize>> = purposes
            .map(|purpose| purpose.map(|purpose| purpose.to_decoded_oid()))
            .collect::<Result<_, _>>()?;
        let any = purposes.iter().any(|purpose| accepted.contains(&purpose.as_slice()));
        // Which error does not matter here.
        if any || purposes.is_empty() { Ok(()) } else { Err(Error::UnknownIssuer) }
    }
}

fn webpki(leaf: &Certificate, offered: &[Certificate], anchor: &Certificate) -> Result<(), Error> {
    let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let (leaf, anchor) = (der(leaf), der(anchor));
    let offered: Vec<_> = offered.iter().map(der).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let anchors = [anchor_from_trusted_cert(&anchor)?];
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(algorithms, &anchors, &offered, time, ForIke, None, None)
        .map(|_| ())
}

/// What webpki does not look at.
fn is_ours_alone(error: &PathError) -> bool {
    match error {
        PathError::AnchorExpired { .. }
        | PathError::AnchorNotYetValid { .. }
        | PathError::WrongKeyUsage { .. } => true,
        PathError::NotACa { subject } | PathError::PathTooLong { subject, .. } => {
            subject.ends_with("CN=Root")
        }
        _ => false,
    }
}

/// Changes of one certificate; most cases have few.
#[derive(Clone, Debug)]
struct Change {
    dates: u8,
    usage: u8,
    purpose: u8,
    ca: u8,
    names: u8,
}

impl Change {
    fn apply(&self, params: &mut CertificateParams) {
        match self.dates {
            0 => params.not_after = date_time_ymd(2029, 1, 1),
            1 => params.not_before = date_time_ymd(2031, 1, 1),
            _ => {}
        }
        match self.usage {
            0 => params.key_usages = vec![Usage::KeyAgreement],
            1 => params.key_usages = vec![],
            2 => params.key_usages = vec![Usage::DigitalSignature, Usage::KeyCertSign],
            _ => {}
        }
        match self.purpose {
            0 => params.extended_key_usages = vec![Purpose::CodeSigning],
            1 => params.extended_key_usages = vec![Purpose::EmailProtection, ipsec_ike()],
            2 => params.extended_key_usages = vec![Purpose::Any],
            3 => params.extended_key_usages = vec![],
            _ => {}
        }
        match self.ca {
            0 => params.is_ca = IsCa::NoCa,
            1 => params.is_ca = IsCa::ExplicitNoCa,
            2 => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
            3 => params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)),
            4 => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            _ => {}
        }
        if matches!(params.is_ca, IsCa::Ca(_)) {
            self.constrain(params);
        } else {
            self.name(params);
        }
    }

    fn constrain(&self, params: &mut CertificateParams) {
        let host = |name: &str| GeneralSubtree::DnsName(name.into());
        let subtrees = match self.names {
            0 => vec![host("example")],
            1 => vec![host("clinic.example")],
            2 => vec![GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([192, 0, 2, 0], 24))],
            3 => vec![host("other"), host("a.example")],
            _ => return,
        };
        let constraints = match self.dates % 2 {
            0 => NameConstraints { permitted_subtrees: subtrees, excluded_subtrees: vec![] },
            _ => NameConstraints { permitted_subtrees: vec![], excluded_subtrees: subtrees },
        };
        params.name_constraints = Some(constraints);
    }

    fn name(&self, params: &mut CertificateParams) {
        params.subject_alt_names = match self.names {
            0 => vec![dns("a.example")],
            1 => vec![dns("x.clinic.example"), SanType::IpAddress("192.0.2.1".parse().unwrap())],
            2 => vec![SanType::IpAddress("198.51.100.1".parse().unwrap())],
            3 => vec![dns("other.org")],
            _ => return,
        };
    }
}

fn change() -> impl Strategy<Value = Change> {
    // Most values change nothing.
    let one = 0u8..20;
    (one.clone(), one.clone(), one.clone(), 0u8..30, 0u8..8)
        .prop_map(|(dates, usage, purpose, ca, names)| Change { dates, usage, purpose, ca, names })
}

fn compare(changes: &[Change; 4], leave_out: bool) -> Result<bool, TestCaseError> {
    let mut params = [ca("Root"), ca("First"), ca("Second"), leaf("clinic-17")];
    for (params, change) in params.iter_mut().zip(changes) {
        change.apply(params);
    }
    let [top, first, second, leaf] = params;
    let top = root(top);
    let first = top.issue(first);
    let second = first.issue(second);
    let leaf = second.issue(leaf);
    let mut offered = vec![second.certificate, first.certificate];
    if leave_out {
        offered.pop();
    }
    let ours = trust(&leaf.certificate, &offered, &top.trusted(), NOW);
    let theirs = webpki(&leaf.certificate, &offered, &top.certificate);
    match (&ours, &theirs) {
        (Ok(_), Ok(())) | (Err(_), Err(_)) => {}
        (Err(ours), Ok(())) if is_ours_alone(ours) => {}
        _ => return Err(TestCaseError::fail(format!("we: {ours:?}, webpki: {theirs:?}"))),
    }
    Ok(ours.is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn webpki_agrees(changes in [change(), change(), change(), change()], leave_out in 0u8..20) {
        compare(&changes, leave_out == 0)?;
    }
}

#[test]
fn both_trust_a_sound_chain_and_one_with_constraints_that_hold() {
    let none = Change { dates: 9, usage: 9, purpose: 9, ca: 9, names: 9 };
    let changes = [none.clone(), Change { dates: 8, names: 0, ..none.clone() }, none.clone(), none];
    assert!(compare(&changes, false).unwrap());
    assert!(!compare(&changes, true).unwrap());
}
