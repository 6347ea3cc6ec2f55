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

/// Of within the hour.
const LATELY: &str = "20300101001000Z";

impl Ends {
    /// A's own responder says that it is good, by an answer of this time.
    fn staples(&mut self, this_update: &'static str) {
        let reply = Reply { this_update, ..Reply::good() };
        let der = reply.der(&self.made[0].certificate, &self.root.certificate, &self.root);
        self.world.a.desk.web.insert(RESPONDER.into(), der);
    }

    fn command(&mut self, side: Side, command: Command) {
        self.world.command(side, command).unwrap();
        self.world.run_for(2 * SECOND);
    }

    fn revoked_at_b(&mut self) {
        let reply = Reply::revoked();
        let der = reply.der(&self.made[0].certificate, &self.root.certificate, &self.root);
        self.world.b.desk.web.insert(RESPONDER.into(), der);
    }

    /// A begins anew. Whether it is let in, and how often B asked.
    fn again(&mut self) -> (bool, usize) {
        self.command(Side::A, Command::Down("link".into()));
        let asked = self.world.b.desk.asked.len();
        self.world.command(Side::A, Command::Up("link".into())).unwrap();
        let up = self.world.run_until(5 * SECOND, |w| w.is_up());
        (up, self.world.b.desk.asked.len() - asked)
    }
}

/// A certificate that was revoked may come with an answer from before, as long as that is valid.
#[test]
fn what_is_older_than_an_hour_counts_where_nobody_answers() {
    for (made, asks) in [(LATELY, 0), ("20291231000000Z", 2)] {
        let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
        ends.staples(made);
        ends.world.b.desk.web.clear();
        ends.start();
        assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()), "{:?}", ends.world.b.failures);
        assert_eq!(ends.again(), (true, asks));
        ends.revoked_at_b();
        assert_eq!(ends.again().0, asks == 0);
    }
}

#[test]
fn what_was_made_before_all_was_to_be_asked_anew_counts_where_nobody_answers() {
    let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
    ends.staples(LATELY);
    ends.world.b.desk.web.clear();
    ends.start();
    assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()), "{:?}", ends.world.b.failures);
    ends.command(Side::B, Command::ReviewPeers);
    assert!(ends.world.is_up(), "{:?}", ends.world.b.failures);
    assert_eq!(ends.again(), (true, 2), "a responder and a list");
    // Whoever could not be asked is soon asked again.
    ends.revoked_at_b();
    let known = |w: &mut World| w.b.failures.last().unwrap().kind == DiagnosisKind::CertificateRevoked;
    assert!(ends.world.run_until(12 * MINUTE, known), "{:?}", ends.world.b.failures);
    assert!(!ends.again().0);
}

/// What is said of our own certificate is asked anew too: an operator who has mended the responder need not wait.
#[test]
fn our_own_is_asked_about_when_all_is_to_be_asked_anew() {
    let mut ends = ends([RevocationPolicy::Off, RevocationPolicy::Strict]);
    ends.world.a.desk.web.clear();
    ends.start();
    ends.world.run_for(MINUTE);
    assert!(!ends.world.is_up());
    ends.staples(LATELY);
    ends.command(Side::A, Command::ReviewPeers);
    assert!(ends.again().0);
}
