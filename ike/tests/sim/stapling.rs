//! What a responder says of an end's own certificate goes along with its proof (RFC 4806), where the peer cannot ask.

use sekisho_ike::config::{Connection, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::Command;
use sekisho_ike::pki::{RevocationPolicy, Trust};
use sekisho_ike::sim::{Conditions, Side, World, connection_pair};

use crate::certificates::{RESPONDER, configure, credential, good, revocable, signs, world};
use crate::made::{Made, ca, root};
use crate::responder::Reply;
use crate::{HOUR, MINUTE, SECOND};

/// Two ends, each of which reaches only the responder that knows its own certificate.
struct Ends {
    root: Made,
    made: [Made; 2],
    connections: [Connection; 2],
    world: World,
}

/// `policies`: of A and of B.
fn ends(policies: [RevocationPolicy; 2]) -> Ends {
    let root = root(ca("Root"));
    let made = ["a", "b"].map(|name| root.issue(revocable(name)));
    let (mut a, mut b) = connection_pair();
    for ((connection, made), revocation) in [&mut a, &mut b].into_iter().zip(&made).zip(policies) {
        signs(connection, credential(made), Trust { revocation, ..root.trusted() });
    }
    let mut world = world(1, Conditions::GOOD);
    for (side, made) in [Side::A, Side::B].into_iter().zip(&made) {
        world.host(side).desk.fetch_time = SECOND;
        world.host(side).desk.web.insert(RESPONDER.into(), good(&root, made));
    }
    Ends { root, made, connections: [a, b], world }
}

impl Ends {
    fn start(&mut self) {
        let [a, b] = self.connections.clone();
        configure(&mut self.world, a, b);
    }
}

#[test]
fn what_only_the_owner_of_a_certificate_can_ask_goes_along_with_it_in_both_roles() {
    let mut ends = ends([RevocationPolicy::Strict; 2]);
    ends.start();
    let world = &mut ends.world;
    assert!(world.run_until(20 * SECOND, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    for side in [Side::A, Side::B] {
        let proof = world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof;
        assert_eq!(proof.note, None, "{side:?}");
    }
}

/// What says nothing good of us is no help: the peer is left to ask by itself.
#[test]
fn what_is_not_good_is_not_sent() {
    for reply in [Reply::revoked(), Reply::unknown()] {
        let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
        let der = reply.der(&ends.made[0].certificate, &ends.root.certificate, &ends.root);
        ends.world.a.desk.web.insert(RESPONDER.into(), der);
        ends.start();
        ends.world.run_for(MINUTE);
        assert!(!ends.world.is_up());
        let kinds = ends.world.b.failures.iter().map(|failure| failure.kind);
        assert!(
            kinds.clone().count() > 3
                && kinds.into_iter().all(|kind| kind == DiagnosisKind::RevocationUnknown)
        );
    }
}

/// A responder that hangs delays the owner of the certificate by nothing.
#[test]
fn no_negotiation_waits_for_it() {
    let mut ends = ends([RevocationPolicy::Off; 2]);
    for side in [Side::A, Side::B] {
        ends.world.host(side).desk.web.clear();
        ends.world.host(side).desk.fetch_time = 10 * SECOND;
    }
    ends.start();
    assert!(ends.world.run_until(SECOND, |w| w.is_up()));
    assert_eq!(
        (&*ends.world.a.desk.asked, &*ends.world.b.desk.asked),
        (&[RESPONDER.into()][..], &[RESPONDER.into()][..])
    );
}

/// The answer is renewed before it is old: a peer that comes hours later gets a current one. Where the responder is gone
/// meanwhile, an old one is not sent.
#[test]
fn it_is_kept_fresh_and_never_sent_old() {
    for gone in [false, true] {
        let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
        let about = |ends: &Ends, reply: &Reply| {
            reply.der(&ends.made[0].certificate, &ends.root.certificate, &ends.root)
        };
        let short = Reply { next_update: Some("20300101010000Z"), ..Reply::good() };
        let first = about(&ends, &short);
        ends.world.a.desk.web.insert(RESPONDER.into(), first);
        ends.start();
        assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()));
        if gone {
            ends.world.a.desk.web.clear();
        } else {
            let next = about(&ends, &Reply { this_update: "20300101000000Z", ..Reply::good() });
            ends.world.a.desk.web.insert(RESPONDER.into(), next);
        }
        ends.world.command(Side::A, Command::Down("link".into())).unwrap();
        ends.world.run_for(2 * HOUR);
        ends.world.command(Side::A, Command::Up("link".into())).unwrap();
        let up = ends.world.run_until(20 * SECOND, |w| w.is_up());
        assert_eq!(up, !gone, "{:?}", ends.world.b.failures);
        let asked = ends.world.a.desk.asked.len();
        assert!((2..=12).contains(&asked), "asked {asked} times in two hours");
    }
}

/// A certificate that is no longer ours is not asked about any more.
#[test]
fn a_renewed_certificate_is_asked_about_in_place_of_the_old_one() {
    let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
    ends.start();
    assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()));
    let renewed = ends.root.issue(revocable("a"));
    let RemoteAuth::Signature(trust) = &ends.connections[0].remote_auth else { panic!("a signature") };
    let trust = Trust::clone(trust);
    signs(&mut ends.connections[0], credential(&renewed), trust);
    ends.world.a.desk.web.insert(RESPONDER.into(), good(&ends.root, &renewed));
    ends.world.configure(Side::A, vec![ends.connections[0].clone()]);
    ends.world.run_for(5 * SECOND);
    ends.world.command(Side::A, Command::Down("link".into())).unwrap();
    ends.world.run_for(SECOND);
    ends.world.command(Side::A, Command::Up("link".into())).unwrap();
    assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()), "{:?}", ends.world.b.failures);
    assert_eq!(ends.world.a.desk.asked.len(), 2, "once for each");
}
