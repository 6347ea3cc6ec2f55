//! Tunnels whose ends prove themselves by certificates and keys (RFC 7427, RFC 4945, RFC 7670), and those that do not
//! come up, each for its own reason.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension, ExtendedKeyUsagePurpose, KeyPair};
use sekisho_ike::config::{Connection, LocalAuth, Remote, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, EndReason};
use sekisho_ike::pki::{Credential, Pin, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::sim::{Conditions, Rogue, RogueServer, Side, World, connection, connection_pair, run_seeds};
use sekisho_ike::wire::{AuthMethod, EspSpi, ExchangeType, Notify, NotifyType, Payload};

use crate::made::{Made, NOW, ca, dns, leaf, root};
use crate::responder::{List, Reply, sequence, tlv};
use crate::{MINUTE, SECOND, patient};

pub const RESPONDER: &str = "http://ocsp.clinic.example/";
pub const LIST: &str = "http://crl.clinic.example/root.crl";

/// A root, an authority below it, and what both ends have of it.
pub struct Pki {
    root: Made,
    intermediate: Made,
}

/// Ed25519: its signatures are a function of the message, so that a seed replays.
pub fn ed25519() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

pub fn host(name: &str) -> CertificateParams {
    let mut params = leaf(name);
    params.subject_alt_names = vec![dns(&format!("{name}.example"))];
    params
}

impl Pki {
    pub fn new() -> Self {
        let root = root(ca("Root"));
        let intermediate = root.issue(ca("Issuing"));
        Self { root, intermediate }
    }

    pub fn trust(&self) -> Trust {
        Trust { revocation: RevocationPolicy::Off, ..self.root.trusted() }
    }

    /// With the intermediate certificate in its chain.
    fn credential(&self, made: &Made) -> Credential {
        let chain = vec![made.certificate.clone(), self.intermediate.certificate.clone()];
        Credential::new(made.signing_key(), chain).unwrap()
    }

    pub fn issue(&self, params: CertificateParams) -> Credential {
        self.credential(&self.intermediate.issue_for(params, ed25519()))
    }
}

pub fn signs(connection: &mut Connection, credential: Credential, trust: Trust) {
    connection.local_auth = LocalAuth::Signature(Arc::new(credential));
    connection.remote_auth = RemoteAuth::Signature(Arc::new(trust));
}

pub fn world(seed: u64, conditions: Conditions) -> World {
    let mut world = World::new(seed, conditions);
    world.wall = NOW;
    world
}

pub fn configure(world: &mut World, a: Connection, b: Connection) {
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
}

/// Both ends by certificates below the same root, changed before they start.
fn start_with(
    seed: u64,
    conditions: Conditions,
    change: impl FnOnce(&Pki, &mut Connection, &mut Connection),
) -> World {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    change(&pki, &mut a, &mut b);
    let mut world = world(seed, conditions);
    configure(&mut world, a, b);
    world
}

#[test]
fn certificates_below_an_intermediate_authority_prove_both_ends() {
    let mut world = start_with(1, Conditions::GOOD, |_, _, _| {});
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    assert_eq!(world.link.sent, 4, "no exchange more than with a key");
    for (side, peer) in [(Side::A, "CN=b"), (Side::B, "CN=a")] {
        let proof = world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof;
        assert_eq!(proof.method, "Ed25519");
        assert!(proof.certificate.unwrap().subject().to_string().ends_with(peer));
        assert_eq!(proof.not_after, Some(2_208_988_800), "2040-01-01");
        assert_eq!(proof.note, None);
    }
}

#[test]
fn a_bad_line_and_slow_arithmetic_delay_certificates_and_no_more() {
    run_seeds(200, |seed| {
        let mut world = start_with(seed, Conditions::bad(0.25), |_, a, b| patient(a, b));
        for side in [Side::A, Side::B] {
            world.host(side).desk.work_time = Duration::from_millis(seed % 3 * 200);
        }
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        world.run_for(MINUTE);
        // The early rekey may be on its way still.
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert_eq!(world.a.failures, [], "A");
        assert_eq!(world.b.failures, [], "B");
    });
}

/// "There is no requirement that the initiator and responder sign with the same cryptographic algorithms. The choice of
/// cryptographic algorithms depends on the type of key each has" (RFC 7296 §2.15).
#[test]
fn each_kind_of_key_proves_an_end_and_the_other_may_have_another() {
    let pki = Pki::new();
    let rsa = |name: &str| {
        let der = crate::fixtures::pem(name);
        KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_RSA_SHA256).unwrap()
    };
    let p384 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let keys: [(&str, &dyn Fn() -> KeyPair); 4] = [
        ("Ed25519", &ed25519),
        ("ECDSA with SHA-256", &crate::made::key),
        ("ECDSA with SHA-384", &p384),
        ("RSASSA-PSS with SHA-256", &|| rsa("rsa.pkcs8.pem")),
    ];
    for (of_a, key_a) in keys {
        for (of_b, key_b) in keys {
            let (mut a, mut b) = connection_pair();
            let made =
                |name: &str, key: KeyPair| pki.credential(&pki.intermediate.issue_for(host(name), key));
            signs(&mut a, made("a", key_a()), pki.trust());
            signs(&mut b, made("b", key_b()), pki.trust());
            let mut world = world(1, Conditions::GOOD);
            configure(&mut world, a, b);
            assert!(world.run_until(MINUTE, |w| w.is_up()), "{of_a} {of_b}: {:?}", world.b.failures);
            let method = |world: &mut World, side| {
                world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof.method
            };
            assert_eq!(
                (method(&mut world, Side::B), method(&mut world, Side::A)),
                (of_a.into(), of_b.into())
            );
        }
    }
}

/// A peer that knows nothing of RFC 7427 gets, and makes, RSA's own method with SHA-2.
#[test]
fn a_peer_of_old_signs_with_rsa_and_is_signed_to() {
    let pki = Pki::new();
    let der = crate::fixtures::pem("rsa.pkcs8.pem");
    let rsa = |name| {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_RSA_SHA256);
        pki.credential(&pki.intermediate.issue_for(host(name), key.unwrap()))
    };
    for hashes in [false, true] {
        let (mut a, mut b) = connection_pair();
        signs(&mut a, rsa("a"), pki.trust());
        signs(&mut b, rsa("b"), pki.trust());
        let mut world = world(1, Conditions::GOOD);
        world.configure(Side::B, vec![b]);
        let mut peer = Rogue::new(a, "198.51.100.66:4500".parse().unwrap(), 1);
        peer.hashes = hashes;
        assert!(peer.connect(&mut world, EspSpi(0x1000)), "{:?}", world.b.failures);
        let method = peer.answered.iter().find_map(|payload| match payload {
            Payload::Auth(auth) => Some(auth.method),
            _ => None,
        });
        let expected = if hashes { AuthMethod::DIGITAL_SIGNATURE } else { AuthMethod::RSA_SIGNATURE };
        assert_eq!(method, Some(expected), "what B signs with");
        let theirs = world.b.status().into_tunnel().unwrap().ike_sa.remote_proof.method;
        assert_eq!(theirs.contains("PKCS1"), !hashes, "what the peer signed with: {theirs}");
    }
}

#[test]
fn one_end_may_sign_and_the_other_use_a_key() {
    for signer in [Side::A, Side::B] {
        let pki = Pki::new();
        let (mut a, mut b) = connection_pair();
        let (ours, theirs) = if signer == Side::A { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let name = if signer == Side::A { "a" } else { "b" };
        ours.local_auth = LocalAuth::Signature(Arc::new(pki.issue(host(name))));
        theirs.remote_auth = RemoteAuth::Signature(Arc::new(pki.trust()));
        let mut world = world(1, Conditions::GOOD);
        configure(&mut world, a, b);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    }
}

/// RFC 7670: no certificate at all, and a certificate that nobody else vouches for.
#[test]
fn pinned_keys_and_certificates_need_no_authority() {
    let key = || SigningKey::from_der(ed25519().serialized_der()).unwrap();
    let (key_a, key_b) = (key(), key());
    let alone = root(host("b"));
    for pin_certificate in [false, true] {
        let (mut a, mut b) = connection_pair();
        let raw = |key: &SigningKey| Credential::new(key.clone(), Vec::new()).unwrap();
        let (of_b, pin_b) = if pin_certificate {
            let chain = vec![alone.certificate.clone()];
            let pin = Pin::Certificate(alone.certificate.clone());
            (Credential::new(alone.signing_key(), chain).unwrap(), pin)
        } else {
            (raw(&key_b), Pin::Key(key_b.public_key().clone()))
        };
        let pinned = |pin| Trust { pinned: vec![pin], ..Trust::default() };
        signs(&mut a, raw(&key_a), pinned(pin_b));
        signs(&mut b, of_b, pinned(Pin::Key(key_a.public_key().clone())));
        let mut world = world(1, Conditions::GOOD);
        configure(&mut world, a, b);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    }
}

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

/// A certificate is renewed while the tunnel stands: nothing happens to it, and the next one is made with the new one.
#[test]
fn a_renewed_certificate_is_taken_up_without_touching_the_tunnel() {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    let mut world = world(1, Conditions::GOOD);
    configure(&mut world, a.clone(), b);
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    let spi = world.a.status().into_tunnel().unwrap().ike_sa.spi_i;
    let seen =
        |world: &World| world.b.status().into_tunnel().unwrap().ike_sa.remote_proof.certificate.unwrap();
    let old = seen(&world);

    signs(&mut a, pki.issue(host("a")), pki.trust());
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert_eq!(world.a.status().into_tunnel().unwrap().ike_sa.spi_i, spi, "the tunnel was not touched");
    world.command(Side::A, Command::RekeyIke("link".into())).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.disagreement(), None);
    assert!(world.a.ended.is_empty());

    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(SECOND);
    world.command(Side::A, Command::Up("link".into())).unwrap();
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    assert_ne!(seen(&world), old);
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

// ---- revocation -------------------------------------------------------------------------------------------------------

/// A below a root that both know, with a responder and a list in its certificate; B asks about it.
struct Asked {
    root: Made,
    a: Made,
    world: World,
}

/// One whose certificate says where its revocation can be asked.
pub fn revocable(name: &str) -> CertificateParams {
    let mut params = host(name);
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![LIST.to_owned()] }];
    let access = sequence(&[&tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]), &tlv(0x86, RESPONDER.as_bytes())]);
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tlv(0x30, &access))];
    params
}

/// Without its issuer's certificate.
pub fn credential(made: &Made) -> Credential {
    Credential::new(made.signing_key(), vec![made.certificate.clone()]).unwrap()
}

fn asked(policy: RevocationPolicy, prepare: impl FnOnce(&Made, &Made, &mut World)) -> Asked {
    let root = root(ca("Root"));
    let a = root.issue(revocable("a"));
    let b = root.issue(host("b"));
    let (mut of_a, mut of_b) = connection_pair();
    signs(&mut of_a, credential(&a), Trust { revocation: RevocationPolicy::Off, ..root.trusted() });
    signs(&mut of_b, credential(&b), Trust { revocation: policy, ..root.trusted() });
    let mut world = world(1, Conditions::GOOD);
    prepare(&root, &a, &mut world);
    configure(&mut world, of_a, of_b);
    Asked { root, a, world }
}

pub fn good(root: &Made, a: &Made) -> Vec<u8> {
    Reply::good().by(&a.certificate, &root.certificate, root).der().to_vec()
}

pub fn revoked(root: &Made, a: &Made) -> Vec<u8> {
    Reply::revoked().by(&a.certificate, &root.certificate, root).der().to_vec()
}

#[test]
fn a_responder_that_says_good_lets_a_strict_end_go_on() {
    let mut asked = asked(RevocationPolicy::Strict, |root, a, world| {
        world.b.desk.web.insert(RESPONDER.into(), good(root, a));
    });
    assert!(asked.world.run_until(MINUTE, |w| w.is_up()), "{:?}", asked.world.b.failures);
    assert_eq!(asked.world.b.desk.asked, [RESPONDER], "the list was not needed");
    let drops = asked.world.b.endpoint.drops();
    let again = drops.into_iter().find(|(code, _)| *code == "ike_in_progress").unwrap().1;
    assert!(again >= 1, "A asked again while B found out");
    assert_eq!((asked.world.a.ike_sas_made, asked.world.b.ike_sas_made), (1, 1));
}

#[test]
fn a_revoked_certificate_is_refused_whoever_says_so() {
    for policy in [RevocationPolicy::Strict, RevocationPolicy::Soft] {
        for by_list in [false, true] {
            let mut asked = asked(policy, |root, a, world| {
                let (url, body) = if by_list {
                    (LIST, List::revoking(&a.certificate).der(root))
                } else {
                    (RESPONDER, revoked(root, a))
                };
                world.b.desk.web.insert(url.into(), body);
            });
            asked.world.run_for(20 * SECOND);
            assert!(!asked.world.is_up());
            let failure = asked.world.b.failures.first().expect("a failure");
            assert_eq!(failure.kind, DiagnosisKind::CertificateRevoked);
            assert!(failure.summary.contains("2029-12-24"), "{failure}");
            let of_a = &asked.world.a.failures.first().expect("A is told").kind;
            assert_eq!(*of_a, DiagnosisKind::AuthenticationFailed, "and no more than that");
        }
    }
}

#[test]
fn where_nobody_answers_strict_refuses_and_soft_lets_pass_with_a_note() {
    let mut strict = asked(RevocationPolicy::Strict, |_, _, _| {}).world;
    strict.run_for(12 * SECOND);
    assert!(!strict.is_up());
    assert_eq!(strict.b.failures.first().unwrap().kind, DiagnosisKind::RevocationUnknown);
    assert_eq!(strict.b.desk.asked.iter().take(2).collect::<Vec<_>>(), [RESPONDER, LIST]);

    let mut soft = asked(RevocationPolicy::Soft, |_, _, _| {}).world;
    assert!(soft.run_until(MINUTE, |w| w.is_up()), "{:?}", soft.b.failures);
    let note = soft.b.status().into_tunnel().unwrap().ike_sa.remote_proof.note.expect("a note");
    assert!(note.contains(RESPONDER) && note.contains(LIST), "{note}");

    let mut off = asked(RevocationPolicy::Off, |_, _, _| {}).world;
    assert!(off.run_until(SECOND, |w| w.is_up()));
    assert!(off.b.desk.asked.is_empty());
}

/// A server that lies is as one that does not answer.
#[test]
fn an_answer_by_somebody_else_counts_for_nothing() {
    let mut asked = asked(RevocationPolicy::Strict, |root, a, world| {
        let stranger = crate::made::root(ca("Root"));
        let forged = Reply::good().by(&a.certificate, &root.certificate, &stranger).der().to_vec();
        world.b.desk.web.insert(RESPONDER.into(), forged);
        world.b.desk.web.insert(LIST.into(), b"not a list".to_vec());
    });
    asked.world.run_for(12 * SECOND);
    assert!(!asked.world.is_up());
    assert_eq!(asked.world.b.failures.first().unwrap().kind, DiagnosisKind::RevocationUnknown);
}

/// Rule 6: nothing is fetched from a URL in a certificate before the certificate's path is trusted, nor
/// before its holder has shown that it has the key.
#[test]
fn nothing_is_fetched_for_a_path_that_is_not_trusted_or_a_signature_that_is_wrong() {
    let mut asked = asked(RevocationPolicy::Strict, |root, a, world| {
        world.b.desk.web.insert(RESPONDER.into(), good(root, a));
    });
    assert!(asked.world.run_until(MINUTE, |w| w.is_up()));
    let before = asked.world.b.desk.asked.len();
    let peer: SocketAddr = "10.0.0.66:4500".parse().unwrap();
    let claims = |key: SigningKey, chain: Vec<_>| Connection {
        local_auth: LocalAuth::Signature(Arc::new(Credential {
            key,
            chain,
            rsa_padding: sekisho_ike::pki::RsaPadding::Pss,
        })),
        ..connection(Side::A, true)
    };
    let stolen =
        claims(SigningKey::from_der(ed25519().serialized_der()).unwrap(), vec![asked.a.certificate.clone()]);
    let mut other_root = Pki::new().root;
    std::mem::swap(&mut other_root, &mut asked.root);
    let mut params = host("a");
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![LIST.to_owned()] }];
    let untrusted = asked.root.issue(params);
    let untrusted = claims(untrusted.signing_key(), vec![untrusted.certificate.clone()]);
    for (number, claim) in [stolen, untrusted].into_iter().enumerate() {
        let mut rogue = Rogue::new(claim, peer, number as u64);
        assert!(!rogue.connect(&mut asked.world, EspSpi(0x1234)));
    }
    assert_eq!(
        asked.world.b.desk.asked.len(),
        before,
        "asked for a stranger: {:?}",
        asked.world.b.desk.asked
    );
    assert!(asked.world.is_up(), "and the one that stands is not touched");
}

/// Rule 18 for revocation: a server that hangs costs the tunnel that needs it, and nobody else.
#[test]
fn a_server_that_hangs_costs_that_tunnel_only() {
    let mut asked = asked(RevocationPolicy::Strict, |_, _, world| {
        world.b.desk.fetch_time = 10 * SECOND;
    });
    let mut peer = by_key(&mut asked.world);
    asked.world.run_for(2 * SECOND);
    assert_eq!(asked.world.b.desk.asked, [RESPONDER], "B is finding out about A");
    assert!(peer.connect(&mut asked.world, EspSpi(0x1000)), "meanwhile another peer comes in");
    assert!(peer.ask(&mut asked.world, 0, ExchangeType::INFORMATIONAL, &[]).is_some(), "and is answered");
    assert!(!asked.world.b.ended.contains(&EndReason::PeerDead));
}

/// A second peer of B, which proves itself by a key.
fn by_key(world: &mut World) -> Rogue {
    let mut theirs = connection(Side::A, true);
    theirs.local_id = "c.example".parse().unwrap();
    let mut of_b = connection(Side::B, false);
    of_b.name = "other".into();
    of_b.remote_id = "c.example".parse().unwrap();
    of_b.children[0].remote = vec!["192.168.3.0/24".parse().unwrap()];
    theirs.children[0].local = vec!["192.168.3.0/24".parse().unwrap()];
    let mut connections: Vec<_> =
        world.b.endpoint.status().iter().map(|s| Arc::clone(&s.connection)).collect();
    connections.push(Arc::new(of_b));
    world.command(Side::B, Command::Configure(connections)).unwrap();
    Rogue::new(theirs, "10.0.0.3:4500".parse().unwrap(), 5)
}

/// A hub starts again while the responder hangs: hundreds wait for it, and who needs nothing of it comes in all the same.
#[test]
fn a_server_that_hangs_keeps_nobody_else_out() {
    let mut asked = asked(RevocationPolicy::Strict, |_, _, world| {
        world.b.desk.fetch_time = MINUTE;
    });
    let mut peer = by_key(&mut asked.world);
    let local_auth = LocalAuth::Signature(Arc::new(credential(&asked.a)));
    let claim = Connection { local_auth, ..connection(Side::A, true) };
    for number in 0..300_u16 {
        let [high, low] = number.to_be_bytes();
        let address = SocketAddr::from(([10, 8 + high, low, 1], 4500));
        let mut waits = Rogue::new(claim.clone(), address, number.into());
        assert_eq!(waits.connect_with(&mut asked.world, EspSpi(0x2000), |_| {}), None);
    }
    assert_eq!(asked.world.b.desk.asked.len(), 300, "B is finding out about each");
    assert!(peer.connect(&mut asked.world, EspSpi(0x1000)), "meanwhile another peer comes in");
}
