//! Name constraints (RFC 5280 §4.2.1.10).

use rcgen::{CertificateParams, CidrSubnet, DnType, GeneralSubtree, NameConstraints, SanType};
use sekisho_ike::pki::{PathError, trust};

use crate::made::{NOW, ca, dns, leaf, named, root};
use crate::responder::{sequence, tlv};

fn judge(constraints: NameConstraints, params: CertificateParams) -> Result<(), PathError> {
    let mut authority = ca("Branch");
    authority.name_constraints = Some(constraints);
    let root = root(ca("Root"));
    let branch = root.issue(authority);
    let leaf = branch.issue(params);
    trust(&leaf.certificate, &[branch.certificate], &root.trusted(), NOW).map(|_| ())
}

fn with_name(name: SanType) -> CertificateParams {
    let mut params = leaf("clinic-17");
    params.subject_alt_names = vec![name];
    params
}

/// Whether the subtree contains the name: then it is permitted by a permitted subtree, and forbidden by an excluded one.
fn check(subtree: &GeneralSubtree, name: &SanType, inside: bool) {
    let permitted = NameConstraints { permitted_subtrees: vec![subtree.clone()], excluded_subtrees: vec![] };
    let excluded = NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![subtree.clone()] };
    let judged = |constraints| match judge(constraints, with_name(name.clone())) {
        Ok(()) => true,
        Err(PathError::NameConstraint { .. }) => false,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(judged(permitted), inside, "permitted {subtree:?} {name:?}");
    assert_eq!(judged(excluded), !inside, "excluded {subtree:?} {name:?}");
}

fn email(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

#[test]
fn host_names() {
    let base = GeneralSubtree::DnsName("clinic.example".into());
    for (name, inside) in [
        ("clinic.example", true),
        ("a.clinic.example", true),
        ("a.b.Clinic.Example", true),
        ("notclinic.example", false),
        ("example", false),
        ("clinic.example.org", false),
    ] {
        check(&base, &dns(name), inside);
    }
    let below = GeneralSubtree::DnsName(".clinic.example".into());
    check(&below, &dns("a.clinic.example"), true);
    check(&below, &dns("clinic.example"), false);
    check(&GeneralSubtree::DnsName(String::new()), &dns("anything.example"), true);
}

#[test]
fn email_addresses() {
    let cases = [
        ("clinic.example", "a@clinic.example", true),
        ("clinic.example", "a@CLINIC.example", true),
        ("clinic.example", "a@x.clinic.example", false),
        (".clinic.example", "a@x.clinic.example", true),
        (".clinic.example", "a@clinic.example", false),
        ("a@clinic.example", "a@clinic.example", true),
        ("a@clinic.example", "b@clinic.example", false),
        ("a@clinic.example", "A@clinic.example", false),
    ];
    for (base, name, inside) in cases {
        check(&GeneralSubtree::Rfc822Name(base.into()), &email(name), inside);
    }
}

/// An empty constraint permits nothing for certain, and may exclude everything.
#[test]
fn an_empty_constraint_on_email_addresses_lets_none_pass() {
    let subtree = || vec![GeneralSubtree::Rfc822Name(String::new())];
    for (permitted_subtrees, excluded_subtrees) in [(subtree(), vec![]), (vec![], subtree())] {
        let constraints = NameConstraints { permitted_subtrees, excluded_subtrees };
        let error = judge(constraints.clone(), with_name(email("a@clinic.example")));
        assert!(matches!(error, Err(PathError::NameConstraint { .. })), "{error:?}");
        assert_eq!(judge(constraints, leaf("clinic-17")), Ok(()), "without an address it says nothing");
    }
}

#[test]
fn an_email_address_in_the_subject_is_bound_too() {
    let mut params = leaf("clinic-17");
    params.distinguished_name.push(DnType::from_oid(&[1, 2, 840, 113_549, 1, 9, 1]), "a@evil.example");
    let permitted = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::Rfc822Name("clinic.example".into())],
        excluded_subtrees: vec![],
    };
    assert!(
        matches!(judge(permitted, params), Err(PathError::NameConstraint { name, .. }) if name == "a@evil.example")
    );
}

#[test]
fn ip_addresses() {
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let v4 = GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([192, 0, 2, 0], 25));
    check(&v4, &ip("192.0.2.127"), true);
    check(&v4, &ip("192.0.2.128"), false);
    let v6 = GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix("2001:db8::".parse().unwrap(), 33));
    check(&v6, &ip("2001:db8:7fff::1"), true);
    check(&v6, &ip("2001:db8:8000::1"), false);
    // One family says nothing permitted about the other, so that is outside.
    check(&v4, &ip("2001:db8::1"), false);
}

#[test]
fn directory_names() {
    let under = |organization: &str| {
        let mut name = rcgen::DistinguishedName::new();
        name.push(DnType::CountryName, "JP");
        name.push(DnType::OrganizationName, organization);
        NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DirectoryName(name)],
            excluded_subtrees: vec![],
        }
    };
    assert_eq!(judge(under("Clinic"), leaf("clinic-17")), Ok(()));
    assert_eq!(judge(under("CLINIC"), leaf("clinic-17")), Ok(()));
    let error = judge(under("Clin"), leaf("clinic-17"));
    assert!(matches!(error, Err(PathError::NameConstraint { .. })), "{error:?}");
    let error = judge(under("Clinic"), named("Hospital", "clinic-17"));
    assert!(matches!(error, Err(PathError::NameConstraint { .. })), "{error:?}");
    let mut excluded = under("Clinic");
    std::mem::swap(&mut excluded.permitted_subtrees, &mut excluded.excluded_subtrees);
    assert!(judge(excluded.clone(), leaf("clinic-17")).is_err());
    assert_eq!(judge(excluded, named("Hospital", "clinic-17")), Ok(()));
}

#[test]
fn the_error_names_authority_and_name() {
    let only = |base: &str| NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(base.into())],
        excluded_subtrees: vec![],
    };
    insta::assert_snapshot!(judge(only("hospital.example"), leaf("clinic-17")).unwrap_err(), @"authority `C=JP, O=Clinic, CN=Branch` may not issue certificate `C=JP, O=Clinic, CN=clinic-17`: its name constraints forbid `clinic-17.example`");
    // Another kind of name is not bound.
    assert_eq!(judge(only("hospital.example"), with_name(email("a@clinic.example"))), Ok(()));
}

#[test]
fn uri_names_under_a_constraint_on_them_are_refused() {
    // permittedSubtrees [0] or excludedSubtrees [1] { GeneralSubtree { [6] "clinic.example" } }
    for kind in [0xa0, 0xa1] {
        let subtrees = tlv(kind, &sequence(&[&tlv(0x86, b"clinic.example")]));
        let mut authority = ca("Branch");
        authority.custom_extensions = vec![crate::made::critical(&[2, 5, 29, 30], sequence(&[&subtrees]))];
        let root = root(ca("Root"));
        let branch = root.issue(authority);
        let judged = |params| {
            let leaf = branch.issue(params);
            trust(&leaf.certificate, std::slice::from_ref(&branch.certificate), &root.trusted(), NOW)
                .map(|_| ())
        };
        let uri = with_name(SanType::URI("https://clinic.example/".try_into().unwrap()));
        assert!(matches!(judged(uri), Err(PathError::NameConstraint { .. })), "{kind:x}");
        assert_eq!(judged(leaf("clinic-17")), Ok(()));
    }
}
