//! Peers whose revocation is asked about, and servers that answer, lie or hang.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension};
use sekisho_ike::config::{Connection, LocalAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, EndReason};
use sekisho_ike::pki::{Credential, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection, connection_pair};
use sekisho_ike::wire::{EspSpi, ExchangeType};

use super::{LIST, Pki, RESPONDER, configure, ed25519, host, signs, world};
use crate::made::{Made, ca, root};
use crate::responder::{List, Reply, sequence, tlv};
use crate::{MINUTE, SECOND};

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
