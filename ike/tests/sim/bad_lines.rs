//! What works on a good line works on one that loses, duplicates and reorders: whatever has messages or waits of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sekisho_ike::config::{Connection, EndpointConfig, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, EndReason};
use sekisho_ike::pki::{Crl, RevocationPolicy, Trust};
use sekisho_ike::sim::{Conditions, Side, World, connection_pair, run_seeds};

use crate::certificates::{LIST, RESPONDER, configure, credential, ed25519, good, revocable, signs, world};
use crate::made::{ca, root};
use crate::responder::List;
use crate::{MINUTE, SECOND, patient, start_with, up_with};

const SIDES: [Side; 2] = [Side::A, Side::B];

/// Rekeyed by either end under traffic; nothing is lost but what the line lost.
fn live(world: &mut World, seed: u64) {
    let side = SIDES[usize::try_from(seed % 2).unwrap()];
    let ended = (world.a.ended.clone(), world.b.ended.clone());
    world.traffic = Some(Duration::from_millis(100));
    for command in [Command::RekeyChildren("link".into()), Command::RekeyIke("link".into())] {
        let made = (world.a.child_sas_made, world.a.ike_sas_made);
        world.command(side, command).unwrap();
        world.run_for(MINUTE);
        assert!((world.a.child_sas_made, world.a.ike_sas_made) > made, "it was rekeyed");
    }
    world.traffic = None;
    world.run_for(MINUTE);
    assert_eq!(world.disagreement(), None);
    assert_eq!((world.a.refused, world.b.refused), (0, 0));
    assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));
    assert_eq!((world.a.ended.clone(), world.b.ended.clone()), ended, "the tunnel stands");
}

#[test]
fn a_cookie_is_asked_for_and_another_group_too() {
    run_seeds(100, |seed| {
        let config = EndpointConfig { cookie_threshold: 0, ..EndpointConfig::default() };
        let mut world = World::with_config(seed, Conditions::bad(0.2), config);
        let (mut a, mut b) = connection_pair();
        patient(&mut a, &mut b);
        if seed % 2 == 1 {
            b.proposals = vec!["aes256gcm16-prfsha384-ecp384".parse().unwrap()];
        }
        configure(&mut world, a, b);
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
        assert_eq!((&world.a.failures[..], &world.b.failures[..]), (&[][..], &[][..]));
    });
}

/// Both ends with certificates below one root, and what is said of these.
struct Certified {
    connections: [Connection; 2],
    trust: Trust,
    /// What the responder says of each.
    good: [Vec<u8>; 2],
    /// Lists that revoke nobody, and each of them.
    list: Vec<u8>,
    revoking: [Vec<u8>; 2],
}

/// Made once, since their keys are no function of a seed.
static CERTIFIED: LazyLock<Certified> = LazyLock::new(|| {
    let root = root(ca("Root"));
    let made = ["a", "b"].map(|name| root.issue_for(revocable(name), ed25519()));
    let trust = Trust { revocation: RevocationPolicy::Strict, ..root.trusted() };
    let (mut a, mut b) = connection_pair();
    patient(&mut a, &mut b);
    signs(&mut a, credential(&made[0]), trust.clone());
    signs(&mut b, credential(&made[1]), trust.clone());
    Certified {
        connections: [a, b],
        trust,
        good: made.each_ref().map(|made| good(&root, made)),
        list: List::new().der(&root),
        revoking: made.each_ref().map(|made| List::revoking(&made.certificate).der(&root)),
    }
});

/// What each end finds behind its URLs.
#[derive(Clone, Copy)]
enum Web {
    /// A responder that knows the peer's certificate.
    Responder,
    /// A list alone.
    List,
    /// A responder that knows its own certificate alone: what it says goes along with it.
    Own,
}

fn certified(seed: u64, web: Web) -> World {
    let Certified { connections: [a, b], good, list, .. } = &*CERTIFIED;
    let mut world = world(seed, Conditions::bad(0.2));
    for (own, side) in SIDES.into_iter().enumerate() {
        let desk = &mut world.host(side).desk;
        desk.fetch_time = 2 * SECOND;
        desk.work_time = Duration::from_millis(seed % 3 * 100);
        let (url, body) = match web {
            Web::Responder => (RESPONDER, &good[1 - own]),
            Web::List => (LIST, list),
            Web::Own => (RESPONDER, &good[own]),
        };
        desk.web.insert(url.into(), body.clone());
    }
    configure(&mut world, a.clone(), b.clone());
    assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    world
}

#[test]
fn two_strict_ends_find_out_about_each_other() {
    for (web, seeds) in [(Web::Responder, 60), (Web::List, 60)] {
        run_seeds(seeds, |seed| {
            let mut world = certified(seed, web);
            live(&mut world, seed);
            assert_eq!((&world.a.failures[..], &world.b.failures[..]), (&[][..], &[][..]));
        });
    }
}

/// The first attempt may come before there is anything to be sent along.
#[test]
fn what_goes_along_with_a_certificate_comes_through() {
    run_seeds(60, |seed| {
        let mut world = certified(seed, Web::Own);
        for side in SIDES {
            let proof = world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof;
            assert_eq!(proof.note, None, "{side:?}");
        }
        live(&mut world, seed);
    });
}

/// While a standing peer is judged again, its end rekeys, or ours does: it stays if it is good, and goes if it is not.
#[test]
fn a_review_and_a_rekey_cross() {
    run_seeds(60, |seed| {
        let Certified { connections, trust, list, revoking, .. } = &*CERTIFIED;
        let mut world = certified(seed, Web::Responder);
        let judge = usize::try_from(seed / 2 % 2).unwrap();
        let rekeys = SIDES[usize::try_from(seed % 2).unwrap()];
        let retrust = |world: &mut World, list: &[u8]| {
            let crls = vec![Crl::from_der(list).unwrap()];
            let trust = Trust { crls, ..trust.clone() };
            let remote_auth = RemoteAuth::Signature(Arc::new(trust));
            world.configure(SIDES[judge], vec![Connection { remote_auth, ..connections[judge].clone() }]);
        };
        world.traffic = Some(Duration::from_millis(100));
        for command in [Command::RekeyIke("link".into()), Command::RekeyChildren("link".into())] {
            world.command(rekeys, command).unwrap();
            world.run_for(Duration::from_millis(seed % 7 * 30));
            retrust(&mut world, list);
            world.run_for(MINUTE);
        }
        world.traffic = None;
        world.run_for(MINUTE);
        assert_eq!(world.disagreement(), None);
        assert_eq!((&*world.a.ended, &*world.b.ended), (&[][..], &[][..]));
        assert_eq!((world.a.received, world.b.received), (world.b.sent, world.a.sent));

        world.command(rekeys, Command::RekeyIke("link".into())).unwrap();
        world.run_for(Duration::from_millis(seed % 7 * 30));
        retrust(&mut world, &revoking[1 - judge]);
        world.run_for(2 * MINUTE);
        // The other end may have a new tunnel that its DELETE did not reach yet.
        assert!(world.host(SIDES[judge]).installed.is_empty());
        let ended = &world.host(SIDES[judge]).ended;
        let [EndReason::Failed(why)] = &ended[..] else { panic!("{ended:?}") };
        assert_eq!(why.kind, DiagnosisKind::CertificateRevoked, "{why}");
    });
}

#[test]
fn perfect_forward_secrecy_may_be_off() {
    run_seeds(100, |seed| {
        let words = ["aes256gcm16-x25519-nopfs-noesn", "aes256gcm16-noesn"];
        let [at_a, at_b] = if seed / 2 % 2 == 0 { words } else { [words[1], words[0]] };
        let mut world = up_with(seed, Conditions::bad(0.2), |a, b| {
            patient(a, b);
            a.children[0].proposals = vec![at_a.parse().unwrap()];
            b.children[0].proposals = vec![at_b.parse().unwrap()];
        });
        live(&mut world, seed);
        for side in SIDES {
            let child = world.host(side).status().into_tunnel().unwrap().children[0].suite.to_string();
            assert_eq!(child, "aes256gcm16-noesn");
        }
    });
}

#[test]
fn what_was_narrowed_stays_so() {
    run_seeds(100, |seed| {
        let mut world = start_with(seed, Conditions::bad(0.2), |a, b| {
            patient(a, b);
            a.children[0].remote = vec!["0.0.0.0/0".parse().unwrap()];
            b.children[0].local = vec!["192.168.2.0/25".parse().unwrap()];
        });
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        live(&mut world, seed);
        let child = |host: &sekisho_ike::sim::Host| host.status().into_tunnel().unwrap().children[0].clone();
        let text = |list: &[sekisho_ike::negotiate::TrafficSelector]| {
            list.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(&child(&world.a).remote), ["192.168.2.0/25"]);
        assert_eq!(text(&child(&world.b).local), ["192.168.2.0/25"]);
    });
}
