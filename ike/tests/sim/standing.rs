//! Peers whose tunnels stand are judged again: by a new configuration, and as time passes.

use std::sync::Arc;
use std::time::Duration;

use sekisho_ike::config::{Connection, RemoteAuth};
use sekisho_ike::diagnosis::DiagnosisKind;
use sekisho_ike::event::{Command, EndReason, TunnelId};
use sekisho_ike::pki::{Credential, Pin, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::sim::{Conditions, Side, World, connection_pair};

use crate::certificates::{
    RESPONDER, configure, credential, ed25519, good, host, revocable, revoked, signs, world,
};
use crate::made::{Made, ca, root};
use crate::responder::{List, Reply};
use crate::{HOUR, MINUTE, SECOND};

const DAY: Duration = Duration::from_hours(24);
/// Until every standing peer was judged again at least once.
const REVIEWED: Duration = Duration::from_mins(70);

/// A and B with certificates below one root; `judge` is the end whose trust the tests change.
struct Ends {
    root: Made,
    /// The certificate of the other end.
    theirs: Made,
    judge: Side,
    connection: Connection,
    trust: Trust,
    world: World,
}

/// A tunnel that stands; the other end's certificate is made of this.
fn stands(
    judge: Side,
    policy: RevocationPolicy,
    params: impl FnOnce(&'static str) -> rcgen::CertificateParams,
    prepare: impl FnOnce(&Made, &Made, &mut World),
) -> Ends {
    let mut ends = begins(judge, policy, params, prepare);
    let world = &mut ends.world;
    assert!(world.run_until(20 * SECOND, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    ends
}

/// One that is about to be set up.
fn begins(
    judge: Side,
    policy: RevocationPolicy,
    params: impl FnOnce(&'static str) -> rcgen::CertificateParams,
    prepare: impl FnOnce(&Made, &Made, &mut World),
) -> Ends {
    let root = root(ca("Root"));
    let names = if judge == Side::A { ["a", "b"] } else { ["b", "a"] };
    let (ours, theirs) = (root.issue(host(names[0])), root.issue(params(names[1])));
    let (mut a, mut b) = connection_pair();
    let (here, there) = if judge == Side::A { (&mut a, &mut b) } else { (&mut b, &mut a) };
    let trust = Trust { revocation: policy, ..root.trusted() };
    signs(here, credential(&ours), trust.clone());
    signs(there, credential(&theirs), Trust { revocation: RevocationPolicy::Off, ..root.trusted() });
    let connection = here.clone();
    let mut world = world(1, Conditions::GOOD);
    world.host(judge).desk.fetch_time = SECOND;
    prepare(&root, &theirs, &mut world);
    configure(&mut world, a, b);
    Ends { root, theirs, judge, connection, trust, world }
}

impl Ends {
    fn tunnel(&mut self) -> Option<TunnelId> {
        Some(self.world.host(self.judge).status().into_tunnel()?.ike_sa.tunnel)
    }

    /// The judge believes this from now on.
    fn retrust(&mut self, trust: Trust) {
        self.connection.remote_auth = RemoteAuth::Signature(Arc::new(trust));
        self.world.configure(self.judge, vec![self.connection.clone()]);
    }

    /// Nothing has happened to the tunnel, and both ends agree on it.
    fn assert_untouched(&mut self, tunnel: Option<TunnelId>) {
        // A rekey may be under way.
        assert!(self.world.run_until(10 * SECOND, |w| w.is_up()), "{:?}", self.world.disagreement());
        assert_eq!(self.tunnel(), tunnel);
        assert_eq!((&*self.world.a.ended, &*self.world.b.ended), (&[][..], &[][..]));
    }

    /// The tunnel has ended for this reason, which was told, and the other end knows.
    fn assert_ended(&mut self, kind: DiagnosisKind) {
        let failure = self.world.host(self.judge).failures.first().expect("a failure").clone();
        assert_eq!(failure.kind, kind, "{failure}");
        let there = self.judge.other();
        assert_eq!(self.world.host(there).ended, [EndReason::DeletedByPeer]);
        assert_eq!(self.world.host(self.judge).ended, [EndReason::Failed(Box::new(failure))]);
        assert!(self.world.a.installed.is_empty() && self.world.b.installed.is_empty());
        assert_eq!(self.world.host(self.judge).spis_in_use(), 0);
    }
}

#[test]
fn a_list_that_is_about_others_leaves_a_standing_tunnel_alone() {
    for judge in [Side::A, Side::B] {
        let mut ends = stands(judge, RevocationPolicy::Soft, host, |_, _, _| {});
        let (tunnel, children) = (ends.tunnel(), ends.world.a.child_sas_made);
        ends.world.traffic = Some(Duration::from_millis(100));
        let other = ends.root.issue(host("other"));
        let crls = vec![List::revoking(&other.certificate).by(&ends.root)];
        ends.retrust(Trust { crls, revocation: RevocationPolicy::Strict, ..ends.trust.clone() });
        ends.world.run_for(5 * SECOND);
        ends.assert_untouched(tunnel);
        assert_eq!(ends.world.a.child_sas_made, children);
        assert_eq!((ends.world.a.refused, ends.world.b.refused), (0, 0));
        assert!(ends.world.a.received > 40 && ends.world.b.received > 40);
        let status = ends.world.host(judge).status();
        assert_eq!(*status.connection, ends.connection, "the new trust is in force");
        let revocation = status.into_tunnel().unwrap().ike_sa.remote_proof.revocation.expect("it was asked");
        assert!(revocation.good && revocation.until.is_some());
        ends.world.command(judge, Command::RekeyIke("link".into())).unwrap();
        ends.world.run_for(SECOND);
        ends.assert_untouched(tunnel);
    }
}

#[test]
fn a_list_that_revokes_a_standing_peer_ends_its_tunnel_and_keeps_it_out() {
    for judge in [Side::A, Side::B] {
        for policy in [RevocationPolicy::Soft, RevocationPolicy::Strict] {
            let mut ends = stands(judge, RevocationPolicy::Off, host, |_, _, _| {});
            let crls = vec![List::revoking(&ends.theirs.certificate).by(&ends.root)];
            ends.retrust(Trust { crls, revocation: policy, ..ends.trust.clone() });
            ends.world.run_for(SECOND / 4);
            ends.assert_ended(DiagnosisKind::CertificateRevoked);
            ends.world.run_for(MINUTE);
            assert!(!ends.world.is_up(), "and does not come back");
            assert!(ends.world.host(judge).failures.len() > 3, "though it is tried");
            ends.retrust(ends.trust.clone());
            assert!(ends.world.run_until(2 * MINUTE, |w| w.is_up()), "until it is believed again");
        }
    }
}

/// An authority is replaced by another: first both are believed, then the new one alone.
#[test]
fn whoever_is_not_vouched_for_any_more_is_out() {
    for judge in [Side::A, Side::B] {
        let mut ends = stands(judge, RevocationPolicy::Off, host, |_, _, _| {});
        let tunnel = ends.tunnel();
        let new = root(ca("New")).certificate;
        let both = Trust { anchors: vec![new.clone(), ends.root.certificate.clone()], ..ends.trust.clone() };
        ends.retrust(both);
        ends.world.run_for(MINUTE);
        ends.assert_untouched(tunnel);
        ends.retrust(Trust { anchors: vec![new], ..ends.trust.clone() });
        ends.world.run_for(SECOND / 4);
        ends.assert_ended(DiagnosisKind::CertificateIssuer);
    }
}

#[test]
fn a_pinned_key_stands_as_long_as_it_is_pinned() {
    let key = || SigningKey::from_der(ed25519().serialized_der()).unwrap();
    let (key_a, key_b, key_c) = (key(), key(), key());
    let (mut a, mut b) = connection_pair();
    let pins = |keys: &[&SigningKey]| Trust {
        pinned: keys.iter().map(|key| Pin::Key(key.public_key().clone())).collect(),
        ..Trust::default()
    };
    signs(&mut a, Credential::new(key_a.clone(), Vec::new()).unwrap(), pins(&[&key_b]));
    signs(&mut b, Credential::new(key_b, Vec::new()).unwrap(), pins(&[&key_a]));
    let mut world = world(1, Conditions::GOOD);
    configure(&mut world, a, b.clone());
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    for (keys, stays) in [(vec![&key_a, &key_c], true), (vec![&key_c], false)] {
        b.remote_auth = RemoteAuth::Signature(Arc::new(pins(&keys)));
        world.configure(Side::B, vec![b.clone()]);
        world.run_for(SECOND / 4);
        assert_eq!(world.b.ended.is_empty(), stays);
    }
    assert_eq!(world.b.failures[0].kind, DiagnosisKind::CertificateIssuer);
}

/// A second reload while the first one's judgement is on its way: the last word counts.
#[test]
fn the_last_of_two_reloads_counts() {
    for (late, good_at_last) in (0..30).flat_map(|late| [(late, true), (late, false)]) {
        let mut ends = stands(Side::B, RevocationPolicy::Soft, host, |_, _, _| {});
        let tunnel = ends.tunnel();
        let crls = vec![List::revoking(&ends.theirs.certificate).by(&ends.root)];
        let bad = Trust { crls, ..ends.trust.clone() };
        let fine = Trust { revocation: RevocationPolicy::Off, ..ends.trust.clone() };
        let (first, last) = if good_at_last { (bad, fine) } else { (fine, bad) };
        ends.world.b.desk.work_time = Duration::from_millis(20);
        let judged = ends.world.b.desk.count + 1;
        ends.retrust(first);
        assert!(ends.world.run_until(SECOND, |w| w.b.desk.count == judged));
        ends.world.run_for(Duration::from_millis(late));
        if !ends.world.b.ended.is_empty() {
            // That was too late.
            continue;
        }
        ends.retrust(last);
        ends.world.run_for(2 * SECOND);
        if good_at_last {
            ends.assert_untouched(tunnel);
        } else {
            ends.assert_ended(DiagnosisKind::CertificateRevoked);
        }
    }
}

/// The worker that judged a peer died: it is judged again.
#[test]
fn a_lost_judgement_is_made_again() {
    let mut ends = stands(Side::B, RevocationPolicy::Soft, host, |_, _, _| {});
    let lost = ends.world.b.desk.count;
    ends.world.b.desk.lose.insert(lost);
    let crls = vec![List::revoking(&ends.theirs.certificate).by(&ends.root)];
    ends.retrust(Trust { crls, ..ends.trust.clone() });
    ends.world.run_for(10 * SECOND);
    assert_eq!((ends.world.b.desk.count, &*ends.world.b.ended), (lost + 1, &[][..]));
    ends.world.run_for(MINUTE);
    ends.assert_ended(DiagnosisKind::CertificateRevoked);
}

#[test]
fn a_responder_that_revokes_a_standing_peer_ends_its_tunnel_within_the_hour() {
    for judge in [Side::A, Side::B] {
        for policy in [RevocationPolicy::Soft, RevocationPolicy::Strict] {
            let mut ends = stands(judge, policy, revocable, |root, theirs, world| {
                world.host(judge).desk.web.insert(RESPONDER.into(), good(root, theirs));
            });
            let tunnel = ends.tunnel();
            ends.world.run_for(3 * HOUR);
            ends.assert_untouched(tunnel);
            let asked = ends.world.host(judge).desk.asked.len();
            assert!((3..=5).contains(&asked), "asked {asked} times in three hours");
            let bad = revoked(&ends.root, &ends.theirs);
            ends.world.host(judge).desk.web.insert(RESPONDER.into(), bad);
            let here = |w: &mut World| !w.host(judge).ended.is_empty();
            assert!(ends.world.run_until(REVIEWED, here), "{policy:?}");
            ends.world.run_for(SECOND / 4);
            ends.assert_ended(DiagnosisKind::CertificateRevoked);
        }
    }
}

/// An operator has revoked it, published that, and does not want to wait.
#[test]
fn a_peer_that_was_revoked_is_out_at_once_when_all_is_to_be_asked_anew() {
    for judge in [Side::A, Side::B] {
        for policy in [RevocationPolicy::Soft, RevocationPolicy::Strict] {
            let mut ends = stands(judge, policy, revocable, |root, theirs, world| {
                world.host(judge).desk.web.insert(RESPONDER.into(), good(root, theirs));
            });
            let tunnel = ends.tunnel();
            ends.world.run_for(MINUTE);
            for asked in [2, 3] {
                ends.world.command(judge, Command::ReviewPeers).unwrap();
                ends.world.run_for(2 * SECOND);
                ends.assert_untouched(tunnel);
                assert_eq!(ends.world.host(judge).desk.asked.len(), asked);
            }
            let bad = revoked(&ends.root, &ends.theirs);
            ends.world.host(judge).desk.web.insert(RESPONDER.into(), bad);
            ends.world.command(judge, Command::ReviewPeers).unwrap();
            assert!(ends.world.run_until(2 * SECOND, |w| !w.host(judge).ended.is_empty()));
            ends.world.run_for(SECOND / 4);
            ends.assert_ended(DiagnosisKind::CertificateRevoked);
            ends.world.run_for(MINUTE);
            assert!(!ends.world.is_up(), "and does not come back");
        }
    }
}

/// The responder is away when the operator orders it: it is asked again soon, and then ever later.
#[test]
fn who_does_not_answer_when_all_is_to_be_asked_anew_is_asked_again_soon() {
    let judge = Side::B;
    let mut ends = stands(judge, RevocationPolicy::Soft, revocable, |root, theirs, world| {
        world.host(judge).desk.web.insert(RESPONDER.into(), good(root, theirs));
    });
    let tunnel = ends.tunnel();
    ends.world.host(judge).desk.web.clear();
    ends.world.command(judge, Command::ReviewPeers).unwrap();
    ends.world.host(judge).desk.asked.clear();
    ends.world.run_for(HOUR);
    ends.assert_untouched(tunnel);
    let asked = ends.world.host(judge).desk.asked.iter().filter(|url| *url == RESPONDER).count();
    assert!((8..=12).contains(&asked), "at 0, 1, 2, 4, 8, 16, 26, 36, 46 and 56 minutes or so: {asked}");

    ends.world.command(judge, Command::ReviewPeers).unwrap();
    ends.world.run_for(10 * SECOND);
    let bad = revoked(&ends.root, &ends.theirs);
    ends.world.host(judge).desk.web.insert(RESPONDER.into(), bad);
    assert!(ends.world.run_until(MINUTE + 15 * SECOND, |w| !w.host(judge).ended.is_empty()));
    ends.world.run_for(SECOND / 4);
    ends.assert_ended(DiagnosisKind::CertificateRevoked);
}

/// The answers that are on their way, to a review or to a negotiation, may have been given before it was revoked.
#[test]
fn an_answer_on_its_way_does_not_count_when_all_is_to_be_asked_anew() {
    for (judge, stands_already) in
        [Side::A, Side::B].into_iter().flat_map(|side| [(side, true), (side, false)])
    {
        let mut ends = begins(judge, RevocationPolicy::Strict, revocable, |root, theirs, world| {
            world.host(judge).desk.web.insert(RESPONDER.into(), good(root, theirs));
        });
        if stands_already {
            assert!(ends.world.run_until(20 * SECOND, |w| w.is_up()));
            ends.world.command(judge, Command::ReviewPeers).unwrap();
        }
        let asked = usize::from(stands_already) + 1;
        assert!(ends.world.run_until(20 * SECOND, |w| w.host(judge).desk.asked.len() == asked));
        let bad = revoked(&ends.root, &ends.theirs);
        ends.world.host(judge).desk.web.insert(RESPONDER.into(), bad);
        ends.world.command(judge, Command::ReviewPeers).unwrap();
        let here = |w: &mut World| !w.host(judge).failures.is_empty();
        assert!(ends.world.run_until(3 * SECOND, here), "{judge:?}");
        ends.world.run_for(SECOND / 4);
        ends.assert_ended(DiagnosisKind::CertificateRevoked);
    }
}

/// Whoever asks for a fleet at once would be refused, or bring the responder down.
#[test]
fn a_fleet_is_not_asked_about_all_at_once() {
    const PEERS: u32 = 100;
    let root = root(ca("Root"));
    let trust = |revocation| Trust { revocation, ..root.trusted() };
    let b = credential(&root.issue(host("b")));
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for n in 0..PEERS {
        let (mut a_side, mut b_side) = connection_pair();
        let name = format!("a{n}");
        let network = vec![format!("10.1.{n}.0/24").parse().unwrap()];
        let own = credential(&root.issue(revocable(&name)));
        for connection in [&mut a_side, &mut b_side] {
            connection.name = name.as_str().into();
        }
        a_side.local_id = format!("{name}.example").parse().unwrap();
        b_side.remote_id = a_side.local_id.clone().into();
        a_side.children[0].local = network.clone();
        b_side.children[0].remote = network;
        signs(&mut a_side, own, trust(RevocationPolicy::Off));
        signs(&mut b_side, b.clone(), trust(RevocationPolicy::Soft));
        of_a.push(a_side);
        of_b.push(b_side);
    }
    let mut world = world(1, Conditions::GOOD);
    world.b.desk.fetch_time = Duration::ZERO;
    world.configure(Side::B, of_b);
    world.configure(Side::A, of_a);
    let up = usize::try_from(PEERS).unwrap();
    assert!(world.run_until(MINUTE, |w| w.b.installed.len() == up), "{:?}", world.b.failures);
    world.b.desk.asked.clear();
    world.command(Side::B, Command::ReviewPeers).unwrap();
    let asked = |w: &World| w.b.desk.asked.iter().filter(|url| *url == RESPONDER).count();
    // 10 ms for each.
    let spread = Duration::from_millis(10) * PEERS;
    for (quarter, expected) in [(1, 10..40), (2, 30..70), (3, 60..90), (4, up..up + 1)] {
        world.run_for(spread / 4);
        assert!(expected.contains(&asked(&world)), "{} after {quarter} quarters", asked(&world));
    }
    // A second time, while half of the first one's answers are on their way: they count for nothing.
    world.b.desk.fetch_time = SECOND;
    world.command(Side::B, Command::ReviewPeers).unwrap();
    world.run_for(spread + SECOND / 2);
    world.b.desk.asked.clear();
    world.command(Side::B, Command::ReviewPeers).unwrap();
    // Nobody answers: before they are asked once more.
    world.run_for(50 * SECOND);
    assert_eq!((asked(&world), world.b.installed.len()), (up, up));
}

/// Nobody is asked about a peer that is not to be asked about.
#[test]
fn nobody_is_asked_about_peers_that_are_not_asked_about() {
    let mut ends = stands(Side::B, RevocationPolicy::Off, revocable, |_, _, _| {});
    let (tunnel, judged) = (ends.tunnel(), ends.world.b.desk.count);
    ends.world.command(Side::B, Command::ReviewPeers).unwrap();
    ends.world.run_for(5 * SECOND);
    ends.assert_untouched(tunnel);
    assert_eq!((ends.world.b.desk.asked.len(), ends.world.b.desk.count), (0, judged));
}

/// An answer that is good for ten minutes only is renewed by then.
#[test]
fn a_peer_is_judged_again_when_the_answer_about_it_ends() {
    let mut ends = stands(Side::B, RevocationPolicy::Soft, revocable, |root, theirs, world| {
        let short = Reply { next_update: Some("20300101003000Z"), ..Reply::good() };
        world.b.desk.web.insert(RESPONDER.into(), short.der(&theirs.certificate, &root.certificate, root));
    });
    ends.world.b.desk.web.insert(RESPONDER.into(), revoked(&ends.root, &ends.theirs));
    // NOW is midnight; the clock has run since 1000 s.
    ends.world.run_for(12 * MINUTE);
    assert!(ends.world.b.ended.is_empty());
    ends.world.run_for(2 * MINUTE);
    ends.assert_ended(DiagnosisKind::CertificateRevoked);
}

#[test]
fn silence_never_ends_a_standing_tunnel_under_the_soft_policy() {
    let mut ends = stands(Side::B, RevocationPolicy::Soft, revocable, |root, theirs, world| {
        world.b.desk.web.insert(RESPONDER.into(), good(root, theirs));
    });
    let tunnel = ends.tunnel();
    ends.world.b.desk.web.clear();
    ends.world.run_for(3 * DAY);
    ends.assert_untouched(tunnel);
    let proof = ends.world.b.status().into_tunnel().unwrap().ike_sa.remote_proof;
    assert!(proof.note.is_some_and(|note| note.contains(RESPONDER)));
    assert!(!proof.revocation.unwrap().good);
}

/// Under the strict one it does, hours after the last answer's end; a responder that comes back before that saves it.
#[test]
fn silence_ends_a_standing_tunnel_under_the_strict_policy_only_after_a_grace() {
    for comes_back in [false, true] {
        let mut ends = stands(Side::B, RevocationPolicy::Strict, revocable, |root, theirs, world| {
            world.b.desk.web.insert(RESPONDER.into(), good(root, theirs));
        });
        let tunnel = ends.tunnel();
        ends.world.b.desk.web.clear();
        // The answer is good until a day after NOW, and 1000 s have passed; then six hours.
        ends.world.run_for(29 * HOUR);
        ends.assert_untouched(tunnel);
        let ends_at = |ends: &Ends| ends.world.b.status().into_tunnel().unwrap().revocation_ends;
        let end = ends_at(&ends).expect("told beforehand");
        assert!((1..2 * HOUR.as_secs()).contains(&(end - ends.world.clock().wall)), "{end}");
        if comes_back {
            let newer = Reply { next_update: Some("20300105000000Z"), ..Reply::good() };
            let der = newer.der(&ends.theirs.certificate, &ends.root.certificate, &ends.root);
            ends.world.b.desk.web.insert(RESPONDER.into(), der);
        }
        ends.world.run_for(HOUR);
        if comes_back {
            ends.assert_untouched(tunnel);
            assert_eq!(ends.world.b.status().into_tunnel().unwrap().ike_sa.remote_proof.note, None);
            assert_eq!(ends_at(&ends), None);
        } else {
            assert!(ends.world.clock().wall > end);
            ends.assert_ended(DiagnosisKind::RevocationUnknown);
        }
    }
}

fn for_a_day(name: &'static str) -> rcgen::CertificateParams {
    let mut params = host(name);
    params.not_after = rcgen::date_time_ymd(2030, 1, 2);
    params
}

#[test]
fn a_certificate_that_expires_ends_the_tunnel_whatever_the_policy() {
    for judge in [Side::A, Side::B] {
        for policy in [RevocationPolicy::Off, RevocationPolicy::Soft] {
            let mut ends = stands(judge, policy, for_a_day, |_, _, _| {});
            let tunnel = ends.tunnel();
            let passed = ends.world.clock().wall - crate::made::NOW;
            ends.world.run_for(Duration::from_secs(DAY.as_secs() - passed - 1));
            ends.assert_untouched(tunnel);
            assert!(ends.world.run_until(5 * SECOND, |w| !w.host(judge).ended.is_empty()));
            ends.world.run_for(SECOND / 4);
            ends.assert_ended(DiagnosisKind::CertificateExpired);
        }
    }
}

/// Rule 15: time that jumps does not expire everything. A clock that was set is not believed against a tunnel that stands
/// before it has gone on from there for an hour; one that is set right again meanwhile never was.
#[test]
fn a_clock_that_jumps_ends_no_tunnel_and_one_that_stays_is_believed() {
    let years = 20 * 365 * 86_400;
    for stays in [false, true] {
        let mut ends = stands(Side::B, RevocationPolicy::Strict, revocable, |root, theirs, world| {
            let long = Reply { next_update: Some("20300201000000Z"), ..Reply::good() };
            world.b.desk.web.insert(RESPONDER.into(), long.der(&theirs.certificate, &root.certificate, root));
        });
        let tunnel = ends.tunnel();
        // Before everything was issued.
        ends.world.wall -= years;
        ends.world.run_for(REVIEWED);
        ends.world.wall += years;
        ends.world.run_for(REVIEWED);
        ends.assert_untouched(tunnel);
        // After everything has expired.
        ends.world.wall += years;
        ends.world.run_for(REVIEWED);
        ends.assert_untouched(tunnel);
        if stays {
            ends.world.run_for(2 * HOUR);
            // Both ends have that clock and see the other's certificate expired: whoever looks first ends it.
            let first =
                |world: &World| [&world.a, &world.b].map(|host| host.failures.first().map(|f| f.kind));
            assert!(
                first(&ends.world).contains(&Some(DiagnosisKind::CertificateExpired)),
                "{:?}",
                first(&ends.world)
            );
            assert!(ends.world.a.installed.is_empty() && ends.world.b.installed.is_empty());
        } else {
            ends.world.wall -= years;
            ends.world.run_for(DAY);
            ends.assert_untouched(tunnel);
        }
    }
}

/// Rule 15: a suspend moves both clocks; what has expired meanwhile has.
#[test]
fn a_suspend_is_no_jump() {
    for hours in [8, 30] {
        let mut ends = stands(Side::B, RevocationPolicy::Off, for_a_day, |_, _, _| {});
        let tunnel = ends.tunnel();
        ends.world.now = ends.world.now + hours * HOUR;
        ends.world.run_for(MINUTE);
        if hours == 8 {
            assert_eq!(ends.tunnel(), tunnel);
        } else {
            let failures = &ends.world.b.failures;
            assert!(
                failures.iter().any(|failure| failure.kind == DiagnosisKind::CertificateExpired),
                "{failures:?}"
            );
        }
    }
}
