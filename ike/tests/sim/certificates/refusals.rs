//! Certificates that do not prove what they should, and what is said of them.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use sekisho_ike::config::{Connection, LocalAuth, Remote, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::pki::{Credential, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::sim::{Conditions, Rogue, RogueServer, Side, connection};
use sekisho_ike::wire::{EspSpi, Notify, NotifyType, Payload};

use super::{Pki, ed25519, host, start_with, world};
use crate::SECOND;
use crate::made::{NOW, ca, root};

/// What B says of A, whose credential is wrong.
fn refused(credential: impl FnOnce(&Pki) -> Credential) -> DiagnosisKind {
    refused_with(credential, |_, _| {})
}

fn refused_with(
    credential: impl FnOnce(&Pki) -> Credential,
    change: impl FnOnce(&Pki, &mut Connection),
) -> DiagnosisKind {
    let mut world = start_with(1, Conditions::GOOD, |pki, a, b| {
        a.local_auth = LocalAuth::Signature(Arc::new(credential(pki)));
        change(pki, b);
    });
    world.run_for(3 * SECOND);
    assert!(!world.is_up() && world.a.installed.is_empty() && world.b.installed.is_empty());
    let of_a = &world.a.failures.first().expect("A is told").kind;
    assert_eq!(*of_a, DiagnosisKind::AuthenticationFailed, "the notification says no more than that");
    world.b.failures.first().expect("B knows why").kind
}

#[test]
fn each_wrong_certificate_has_its_own_diagnosis() {
    let dates = |from: i32, to: i32| {
        let mut params = host("a");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params
    };
    assert_eq!(refused(|pki| pki.issue(dates(2020, 2029))), DiagnosisKind::CertificateExpired);
    assert_eq!(refused(|pki| pki.issue(dates(2031, 2040))), DiagnosisKind::CertificateNotYetValid);
    assert_eq!(refused(|pki| pki.issue(host("another"))), DiagnosisKind::CertificateName);
    assert_eq!(refused(|_| Pki::new().issue(host("a"))), DiagnosisKind::CertificateIssuer);
    let mut usage = host("a");
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    assert_eq!(refused(|pki| pki.issue(usage)), DiagnosisKind::CertificateUsage);
    let without_intermediate = |pki: &Pki| {
        let made = pki.intermediate.issue_for(host("a"), ed25519());
        Credential::new(made.signing_key(), vec![made.certificate]).unwrap()
    };
    assert_eq!(refused(without_intermediate), DiagnosisKind::CertificateIssuer);
    let another_key = |pki: &Pki| Credential {
        key: SigningKey::from_der(ed25519().serialized_der()).unwrap(),
        ..pki.issue(host("a"))
    };
    assert_eq!(refused(another_key), DiagnosisKind::SignatureWrong);
    let self_signed = root(host("a"));
    let alone = Credential::new(self_signed.signing_key(), vec![self_signed.certificate]).unwrap();
    assert_eq!(refused(|_| alone), DiagnosisKind::CertificateIssuer);
    let raw = Credential::new(SigningKey::from_der(ed25519().serialized_der()).unwrap(), vec![]).unwrap();
    assert_eq!(refused(|_| raw), DiagnosisKind::CertificateIssuer);
}

/// What no honest end would send.
struct Sent {
    credential: Credential,
    trust: Trust,
    change: fn(&mut Vec<Payload>),
    kind: DiagnosisKind,
}

fn certificates(payloads: &mut [Payload]) -> impl Iterator<Item = &mut Vec<u8>> {
    payloads.iter_mut().filter_map(|payload| match payload {
        Payload::Certificate { data, .. } => Some(data),
        _ => None,
    })
}

/// Of the end that is `name`, each with what is to be said of it.
fn wrongly_sent(name: &str) -> Vec<Sent> {
    let pki = Pki::new();
    let good = || pki.issue(host(name));
    let sent = |credential, change: fn(&mut Vec<Payload>), kind| Sent {
        credential,
        trust: pki.trust(),
        change,
        kind,
    };
    let copy = |key: &KeyPair| KeyPair::try_from(key.serialized_der()).unwrap();
    let (a, b) = (crate::made::key(), crate::made::key());
    let self_a = crate::made::root_with(ca("A"), copy(&a));
    let self_b = crate::made::root_with(ca("B"), copy(&b));
    let (a_by_b, b_by_a) = (self_b.issue_for(ca("A"), copy(&a)), self_a.issue_for(ca("B"), copy(&b)));
    let below = a_by_b.issue_for(host(name), ed25519());
    let chain = [&below, &a_by_b, &b_by_a].map(|made| made.certificate.clone()).into();
    let circle = Credential::new(below.signing_key(), chain).unwrap();
    let mut ahead = host(name);
    ahead.not_before += Duration::from_secs(NOW - 1_577_836_800 + 9 * 3600);
    let weak = |payloads: &mut Vec<Payload>| {
        certificates(payloads).for_each(|data| *data = crate::fixtures::pem("weak.pem"));
    };
    let below_fixtures = Trust {
        anchors: vec![crate::fixtures::certificate("root")],
        revocation: RevocationPolicy::Off,
        ..Trust::default()
    };
    vec![
        sent(
            good(),
            |p| certificates(p).for_each(|data| data.truncate(data.len() / 2)),
            DiagnosisKind::CertificateMalformed,
        ),
        sent(
            good(),
            |p| certificates(p).for_each(|data| data[4] ^= 0xff),
            DiagnosisKind::CertificateMalformed,
        ),
        sent(
            good(),
            |p| p.retain(|p| !matches!(p, Payload::Certificate { .. })),
            DiagnosisKind::CertificateMissing,
        ),
        sent(
            good(),
            |p| {
                let at = p.iter().position(|p| matches!(p, Payload::Certificate { .. })).unwrap();
                let first = p[at].clone();
                p.splice(at..at, std::iter::repeat_n(first, 15));
            },
            DiagnosisKind::CertificateTooLarge,
        ),
        sent(circle, |_| {}, DiagnosisKind::CertificateLoop),
        sent(pki.issue(ahead), |_| {}, DiagnosisKind::ClockSkew),
        Sent { trust: below_fixtures, ..sent(good(), weak, DiagnosisKind::CertificateWeak) },
    ]
}

/// Cut, spoilt, without, too many, in a circle, from the future, too weak: each is told for what it is here, and the peer
/// learns no more than that it was refused.
#[test]
fn what_no_honest_end_sends_has_its_diagnosis_too() {
    let refused = [Payload::Notify(Notify::new(NotifyType::AUTHENTICATION_FAILED, []))];
    for Sent { credential, trust, change, kind } in wrongly_sent("a") {
        let remote_auth = RemoteAuth::Signature(Arc::new(trust));
        let mut world = world(1, Conditions::GOOD);
        world.configure(Side::B, vec![Connection { remote_auth, ..connection(Side::B, false) }]);
        let local_auth = LocalAuth::Signature(Arc::new(credential));
        let claim = Connection { local_auth, ..connection(Side::A, true) };
        let mut rogue = Rogue::new(claim, "198.51.100.66:4500".parse().unwrap(), 1);
        let answer = rogue.connect_with(&mut world, EspSpi(0x1000), change);
        assert_eq!(answer.as_deref(), Some(&refused[..]), "{kind:?}");
        let [told] = &world.b.failures[..] else { panic!("{kind:?}: {:?}", world.b.failures) };
        assert_eq!(told.kind, kind, "{told}");
        assert!(world.b.installed.is_empty());
    }
}

#[test]
fn what_no_honest_responder_sends_has_its_diagnosis_too() {
    let refused = Payload::Notify(Notify::new(NotifyType::AUTHENTICATION_FAILED, []));
    for Sent { credential, trust, change, kind } in wrongly_sent("b") {
        let mut a = connection(Side::A, true);
        a.remote_auth = RemoteAuth::Signature(Arc::new(trust));
        a.remote = Remote::Hosts(vec!["10.0.0.66".to_owned()]);
        let mut world = world(1, Conditions::GOOD);
        world.configure(Side::A, vec![a]);
        let local_auth = LocalAuth::Signature(Arc::new(credential));
        let claim = Connection { local_auth, ..connection(Side::B, false) };
        let mut server = RogueServer::new(claim, "10.0.0.66".parse().unwrap(), 1);
        let ts_i = connection(Side::A, true).children[0].local.clone();
        let (_, said) = server.serve_with(&mut world, &ts_i, change);
        assert!(said.contains(&vec![refused.clone()]), "{kind:?}: {said:?}");
        let told = world.a.failures.first().unwrap_or_else(|| panic!("{kind:?} is told"));
        assert_eq!(told.kind, kind, "{told}");
        assert!(world.a.installed.is_empty());
    }
}

/// Whatever else may be behind a refusal.
#[test]
fn our_own_certificate_of_another_time_is_told_first() {
    for (years, why, what_to_do) in [
        ((2020, 2029), "expired on 2029-01-01", "renewed"),
        ((2039, 2049), "is not valid before 2039-01-01", "wait until then"),
    ] {
        let mut world = start_with(1, Conditions::GOOD, |pki, a, _| {
            let mut params = host("a");
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
            a.local_auth = LocalAuth::Signature(Arc::new(pki.issue(params)));
        });
        world.run_for(3 * SECOND);
        let told = world.a.failures.first().unwrap();
        assert_eq!(told.kind, DiagnosisKind::AuthenticationFailed);
        assert!(told.summary.starts_with("our own certificate `"), "{told}");
        assert!(told.summary.contains(why) && told.advice.contains(what_to_do), "{told}");
    }
}

/// Rule 3: what the connection demands of the peer is enforced before anything of ours that depends on it is sent.
#[test]
fn a_peer_that_may_not_use_a_key_cannot_and_the_other_way_round() {
    let mut world = start_with(1, Conditions::GOOD, |_, a, _| {
        let psk = || sekisho_ike::Secret::new(b"correct horse battery staple".to_vec());
        a.local_auth = LocalAuth::Psk(psk());
    });
    world.run_for(3 * SECOND);
    assert!(!world.is_up());
    assert_eq!(world.b.failures.first().unwrap().kind, DiagnosisKind::AuthenticationFailed);
    assert!(world.b.failures.first().unwrap().summary.contains("SHARED_KEY_MIC"));
}

/// The initiator finds out by itself that the responder is not whom it wants, and tells it so.
#[test]
fn a_responder_with_a_wrong_certificate_is_refused_by_the_initiator() {
    let mut world = start_with(1, Conditions::GOOD, |pki, _, b| {
        b.local_auth = LocalAuth::Signature(Arc::new(pki.issue(host("another"))));
    });
    world.run_for(3 * SECOND);
    assert!(world.a.installed.is_empty() && world.b.installed.is_empty());
    assert_eq!(world.a.failures.first().unwrap().kind, DiagnosisKind::CertificateName);
    assert!(!world.b.ended.is_empty(), "B had believed that the tunnel stood");
    let told = world.b.failures.first().unwrap();
    assert_eq!(told.kind, DiagnosisKind::AuthenticationFailed, "and not only that it was deleted: {told}");
    assert!(told.summary.contains("our certificate `"), "the one in question is named: {told}");
}
