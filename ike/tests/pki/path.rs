//! One rule of a path a test; each `PathError` is produced by one of them.

use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyUsagePurpose as Usage, date_time_ymd,
};
use sekisho_ike::pki::{PathError, Trust, Utc, trust};

use crate::fixtures;
use crate::made::{self, Made, NOW, ca, leaf, root};

/// A root, an intermediate authority and a peer, changed by the test.
struct Chain {
    root: rcgen::CertificateParams,
    intermediate: rcgen::CertificateParams,
    leaf: rcgen::CertificateParams,
}

impl Chain {
    fn new() -> Self {
        Self { root: ca("Root"), intermediate: ca("Branch"), leaf: leaf("clinic-17") }
    }

    fn judge(self) -> Result<usize, PathError> {
        let root = root(self.root);
        let intermediate = root.issue(self.intermediate);
        let leaf = intermediate.issue(self.leaf);
        let path = trust(&leaf.certificate, &[intermediate.certificate], &root.trusted(), NOW)?;
        assert_eq!(path.end_entity(), Some(&leaf.certificate));
        assert_eq!(Ok(path.public_key()), leaf.certificate.public_key());
        assert!(!path.is_pinned());
        Ok(path.certificates().len())
    }
}

fn refused(change: impl FnOnce(&mut Chain)) -> PathError {
    let mut chain = Chain::new();
    change(&mut chain);
    chain.judge().expect_err("the change breaks a rule")
}

fn accepted(change: impl FnOnce(&mut Chain)) {
    let mut chain = Chain::new();
    change(&mut chain);
    assert_eq!(chain.judge(), Ok(3));
}

const LEAF: &str = "C=JP, O=Clinic, CN=clinic-17";
const BRANCH: &str = "C=JP, O=Clinic, CN=Branch";
const ROOT: &str = "C=JP, O=Clinic, CN=Root";

#[test]
fn a_sound_chain_is_trusted() {
    accepted(|_| {});
}

#[test]
fn every_certificate_is_to_be_valid_today() {
    let past = date_time_ymd(2029, 12, 31);
    let future = date_time_ymd(2030, 1, 2);
    let (not_after, not_before, now) = (Utc(1_893_369_600), Utc(1_893_542_400), Utc(NOW));
    let (leaf, branch, root) = (LEAF.to_owned(), BRANCH.to_owned(), ROOT.to_owned());
    assert_eq!(
        refused(|c| c.leaf.not_after = past),
        PathError::Expired { subject: leaf.clone(), not_after, now }
    );
    assert_eq!(
        refused(|c| c.leaf.not_before = future),
        PathError::NotYetValid { subject: leaf, not_before, now }
    );
    assert_eq!(
        refused(|c| c.intermediate.not_after = past),
        PathError::Expired { subject: branch.clone(), not_after, now }
    );
    assert_eq!(
        refused(|c| c.intermediate.not_before = future),
        PathError::NotYetValid { subject: branch, not_before, now }
    );
    assert_eq!(
        refused(|c| c.root.not_after = past),
        PathError::AnchorExpired { subject: root.clone(), not_after, now }
    );
    assert_eq!(
        refused(|c| c.root.not_before = future),
        PathError::AnchorNotYetValid { subject: root, not_before, now }
    );
    // The last second counts, the one after it does not.
    accepted(|c| c.leaf.not_after = date_time_ymd(2030, 1, 1));
    accepted(|c| c.leaf.not_before = date_time_ymd(2030, 1, 1));
}

#[test]
fn only_authorities_issue() {
    let error = refused(|c| c.intermediate.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(error, PathError::NotACa { subject: BRANCH.into() });
    let error = refused(|c| c.intermediate.is_ca = IsCa::NoCa);
    assert_eq!(error, PathError::NotACa { subject: BRANCH.into() });
    let error = refused(|c| c.root.is_ca = IsCa::NoCa);
    assert_eq!(error, PathError::NotACa { subject: ROOT.into() });
}

#[test]
fn an_authority_that_is_limited_in_depth_stays_so() {
    let limited = |length| IsCa::Ca(BasicConstraints::Constrained(length));
    accepted(|c| c.root.is_ca = limited(1));
    accepted(|c| c.intermediate.is_ca = limited(0));
    let error = refused(|c| c.root.is_ca = limited(0));
    assert_eq!(error, PathError::PathTooLong { subject: ROOT.into(), allowed: 0, found: 1 });
}

#[test]
fn key_usage_binds_where_it_is_present() {
    let wrong = |subject: &str, needed| PathError::WrongKeyUsage { subject: subject.into(), needed };
    let error = refused(|c| c.leaf.key_usages = vec![Usage::KeyEncipherment]);
    assert_eq!(error, wrong(LEAF, "digital signatures"));
    accepted(|c| c.leaf.key_usages = vec![Usage::ContentCommitment]);
    accepted(|c| c.leaf.key_usages = vec![]);
    let error = refused(|c| c.intermediate.key_usages = vec![Usage::CrlSign]);
    assert_eq!(error, wrong(BRANCH, "issuing certificates"));
    let error = refused(|c| c.root.key_usages = vec![Usage::CrlSign]);
    assert_eq!(error, wrong(ROOT, "issuing certificates"));
    accepted(|c| c.intermediate.key_usages = vec![]);
}

#[test]
fn extended_key_usage_is_for_ike_or_for_tls() {
    for purpose in [made::ipsec_ike(), Purpose::Any, Purpose::ServerAuth, Purpose::ClientAuth] {
        accepted(|c| c.leaf.extended_key_usages = vec![Purpose::CodeSigning, purpose.clone()]);
        accepted(|c| c.intermediate.extended_key_usages = vec![purpose.clone()]);
    }
    accepted(|c| c.leaf.extended_key_usages = vec![]);
    let wrong = |subject: &str, found: &str| PathError::WrongExtendedKeyUsage {
        subject: subject.into(),
        found: found.into(),
    };
    let error =
        refused(|c| c.leaf.extended_key_usages = vec![Purpose::CodeSigning, Purpose::EmailProtection]);
    assert_eq!(error, wrong(LEAF, "codeSigning, emailProtection"));
    let error = refused(|c| c.intermediate.extended_key_usages = vec![Purpose::EmailProtection]);
    assert_eq!(error, wrong(BRANCH, "emailProtection"));
}

#[test]
fn a_critical_extension_that_is_unknown_is_refused_wherever_it_stands() {
    // policyConstraints, which we do not process, and one that nobody knows.
    let unknown = || made::critical(&[2, 5, 29, 36], vec![0x30, 0]);
    let private = || made::critical(&[1, 3, 6, 1, 4, 1, 32473, 1], vec![5, 0]);
    let error = |subject: &str, extension: &str| PathError::UnknownCriticalExtension {
        subject: subject.into(),
        extension: extension.into(),
    };
    let found = refused(|c| c.leaf.custom_extensions = vec![private()]);
    assert_eq!(found, error(LEAF, "1.3.6.1.4.1.32473.1"));
    let found = refused(|c| c.intermediate.custom_extensions = vec![unknown()]);
    assert_eq!(found, error(BRANCH, "policyConstraints"));
    let found = refused(|c| c.root.custom_extensions = vec![unknown()]);
    assert_eq!(found, error(ROOT, "policyConstraints"));
    accepted(|c| {
        let mut harmless = private();
        harmless.set_criticality(false);
        // Policies bind nobody who asks for none.
        let policies = made::critical(&[2, 5, 29, 32], vec![0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0]);
        c.leaf.custom_extensions = vec![harmless, policies];
    });
}

#[test]
fn the_certificate_of_an_authority_is_no_peers() {
    let root = root(ca("Root"));
    let branch = root.issue(ca("Branch"));
    let error = trust(&branch.certificate, &[], &root.trusted(), NOW).expect_err("a CA");
    assert_eq!(error, PathError::CaAsEndEntity { subject: BRANCH.into() });
}

/// From here on the fixtures, of what `rcgen` does not make.
fn judge(leaf: &str) -> Result<usize, PathError> {
    let trust_in = Trust { anchors: vec![fixtures::certificate("root")], ..Trust::default() };
    trust(&fixtures::certificate(leaf), &[], &trust_in, NOW).map(|path| path.certificates().len())
}

#[test]
fn rsa_certificates_of_openssl_are_trusted() {
    for name in ["leaf", "pss", "sha512"] {
        assert_eq!(judge(name), Ok(2), "{name}");
    }
}

#[test]
fn weak_and_unknown_signatures_are_refused_by_name() {
    let subject = || LEAF.to_owned();
    let algorithm = "sha1WithRSAEncryption".to_owned();
    assert_eq!(judge("sha1"), Err(PathError::WeakSignature { subject: subject(), algorithm }));
    let algorithm = "RSASSA-PSS with SHA-256 and a salt of 64 bytes".to_owned();
    assert_eq!(judge("longsalt"), Err(PathError::UnsupportedSignature { subject: subject(), algorithm }));
}

#[test]
fn weak_and_unknown_keys_are_refused_wherever_they_stand() {
    let refused = |name: &str| judge(name).expect_err(name).to_string();
    assert_eq!(
        refused("weak"),
        "the key of certificate `C=JP, O=Clinic, CN=weak` is too weak: an RSA key of 1024 bits is too weak; \
         at least 2048 are needed"
    );
    assert!(matches!(judge("exponent"), Err(PathError::WeakKey { .. })));
    let PathError::UnsupportedKey { reason, .. } = judge("p521").expect_err("P-521") else { panic!() };
    assert_eq!(
        reason,
        "keys of type ECDSA P-521 are not supported; RSA, ECDSA P-256 and P-384, and Ed25519 are"
    );
    // As an authority's: the key decides before its signature does.
    let weak = fixtures::certificate("weak");
    let mut params = leaf("clinic-17");
    params.distinguished_name.push(rcgen::DnType::CommonName, "below");
    let forged = Made { certificate: weak.clone(), ..root(made::named("Clinic", "weak")) };
    let below = forged.issue(params);
    let trust_in = Trust { anchors: vec![weak], ..Trust::default() };
    let error = trust(&below.certificate, &[], &trust_in, NOW).expect_err("a weak anchor");
    assert!(matches!(error, PathError::WeakKey { .. }), "{error}");
}

#[test]
fn version_1_says_too_little() {
    assert_eq!(judge("version1"), Err(PathError::OldVersion { subject: LEAF.into(), version: 1 }));
}

#[test]
fn the_errors_are_sentences() {
    let leaf_expired = refused(|c| c.leaf.not_after = date_time_ymd(2029, 12, 31));
    insta::assert_snapshot!(leaf_expired, @"certificate `C=JP, O=Clinic, CN=clinic-17` expired on 2029-12-31 00:00:00 UTC; it is 2030-01-01 00:00:00 UTC here");
    let root_expired = refused(|c| c.root.not_after = date_time_ymd(2029, 12, 31));
    insta::assert_snapshot!(root_expired, @"the configured authority `C=JP, O=Clinic, CN=Root` expired on 2029-12-31 00:00:00 UTC; it is 2030-01-01 00:00:00 UTC here");
    let too_long = refused(|c| c.root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    insta::assert_snapshot!(too_long, @"authority `C=JP, O=Clinic, CN=Root` allows 0 authorities below it, and this path has 1");
    let purpose = refused(|c| c.leaf.extended_key_usages = vec![Purpose::CodeSigning]);
    insta::assert_snapshot!(purpose, @"the extended key usage of certificate `C=JP, O=Clinic, CN=clinic-17` (codeSigning) holds none of ipsecIKE, serverAuth, clientAuth and anyExtendedKeyUsage");
    let usage = refused(|c| c.leaf.key_usages = vec![Usage::KeyAgreement]);
    insta::assert_snapshot!(usage, @"the key usage of certificate `C=JP, O=Clinic, CN=clinic-17` does not allow digital signatures");
    insta::assert_snapshot!(judge("sha1").unwrap_err(), @"certificate `C=JP, O=Clinic, CN=clinic-17` is signed with sha1WithRSAEncryption, which is too weak");
}
