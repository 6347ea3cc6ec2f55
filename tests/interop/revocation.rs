//! Certificates that were revoked: lists from a web server and from files, and a real OCSP responder.

use std::time::Duration;

use crate::certificates::{Parties, host};
use crate::lab::{
    Authority, End, Entity, KeyKind, Mute, Proof, Request, Responder, Sekisho, Site, Web, both_ways,
    transfer, wait_for,
};
use crate::refusals::assert_diagnosis;

/// Both ends with certificates that say where their revocation can be asked; the peer's, too.
fn parties<'a>(
    site: &'a Site,
    end: End,
    root: &Authority,
    say: impl Fn(&mut Request),
) -> (Parties<'a>, Entity) {
    let mut requests = [end, end.other()].map(|end| Request::of(host(end), KeyKind::P256));
    say(&mut requests[1]);
    let mut parties = Parties::new(site, end, root, &requests[0], &requests[1]);
    let Proof::Certificate(peer) = &parties.theirs.proof else { panic!("a certificate") };
    let peer = peer.entity.clone();
    parties.ours.revocation = "strict";
    (parties, peer)
}

fn listed(request: &mut Request) {
    request.crl_url = Some(Web::url("root.crl"));
}

fn answered(request: &mut Request) {
    request.ocsp_url = Some(Responder::url());
}

#[test]
fn a_list_says_that_the_peer_is_good_and_serves_after_a_restart_while_there_is_no_newer_one() {
    let site = Site::new("revocation_list_good");
    let root = Authority::root("Root");
    let web = Web::start(&site);
    web.put("root.crl", root.crl(&[], 30));
    let (parties, _) = parties(&site, End::A, &root, listed);
    let (mut sekisho, strongswan) = parties.succeed();
    assert_eq!(web.asked(), ["/root.crl"]);

    // The server has nothing any more.
    sekisho.stop();
    strongswan.await_down();
    web.put("root.crl", b"gone".to_vec());
    sekisho.restart();
    sekisho.await_up();
    assert_eq!(web.asked(), ["/root.crl", "/root.crl"], "a start asks anew");
}

#[test]
fn a_list_revokes_the_peer_in_both_roles() {
    for (name, end) in [("revocation_list_initiate", End::A), ("revocation_list_respond", End::B)] {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let web = Web::start(&site);
        let (mut parties, peer) = parties(&site, end, &root, listed);
        web.put("root.crl", root.crl(&[&peer], 30));
        // Whoever is known to be revoked does not pass with the soft policy either.
        parties.ours.revocation = "soft";
        parties.refuse("certificate_revoked");
    }
}

#[test]
fn a_list_from_a_file_revokes_the_peer() {
    let site = Site::new("revocation_file");
    let root = Authority::root("Root");
    let (mut parties, peer) = parties(&site, End::A, &root, |_| {});
    parties.ours.crls = vec![root.crl(&[&peer], 30)];
    parties.refuse("certificate_revoked");
}

#[test]
fn a_list_from_a_file_satisfies_the_strict_policy() {
    let site = Site::new("revocation_file_good");
    let root = Authority::root("Root");
    let (mut parties, _) = parties(&site, End::B, &root, |_| {});
    parties.ours.crls = vec![root.crl(&[], 30)];
    parties.succeed();
}

#[test]
fn a_responder_says_that_the_peer_is_good_in_both_roles() {
    for (name, end) in [("revocation_ocsp_good_initiate", End::A), ("revocation_ocsp_good_respond", End::B)] {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let (parties, peer) = parties(&site, end, &root, answered);
        let responder = Responder::start(&site, &root, &[&peer], &[]);
        parties.succeed();
        assert!(responder.asked() >= 1, "the responder was asked");
    }
}

#[test]
fn a_responder_revokes_the_peer_in_both_roles() {
    for (name, end) in [("revocation_ocsp_initiate", End::A), ("revocation_ocsp_respond", End::B)] {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let (parties, peer) = parties(&site, end, &root, answered);
        let _responder = Responder::start(&site, &root, &[], &[&peer]);
        parties.refuse("certificate_revoked");
    }
}

/// A responder that does not know the certificate says nothing good of it; the list does.
#[test]
fn where_the_responder_does_not_know_the_list_is_asked() {
    let site = Site::new("revocation_both");
    let root = Authority::root("Root");
    let web = Web::start(&site);
    web.put("root.crl", root.crl(&[], 30));
    let (parties, _) = parties(&site, End::A, &root, |request| {
        listed(request);
        answered(request);
    });
    let responder = Responder::start(&site, &root, &[], &[]);
    parties.succeed();
    assert!(responder.asked() >= 1, "the responder was asked first");
    assert_eq!(web.asked(), ["/root.crl"]);
}

#[test]
fn a_server_that_hangs_refuses_by_the_strict_policy() {
    let site = Site::new("revocation_mute_strict");
    let root = Authority::root("Root");
    let _mute = Mute::start(&site);
    let (parties, _) = parties(&site, End::A, &root, listed);
    let (sekisho, _strongswan) = parties.start();
    let failure = sekisho.await_failure();
    assert_diagnosis(&failure, "revocation_unknown", "here");
    let why = failure["summary"].as_str().unwrap();
    assert!(why.contains("did not answer within 5 s"), "{why}");
}

#[test]
fn a_server_that_hangs_lets_pass_by_the_soft_policy() {
    let site = Site::new("revocation_mute_soft");
    let root = Authority::root("Root");
    let _mute = Mute::start(&site);
    let (mut parties, _) = parties(&site, End::A, &root, listed);
    parties.ours.revocation = "soft";
    let (sekisho, _strongswan) = parties.succeed();
    let tunnel = sekisho.tunnel();
    let note = tunnel["ike"]["peer_auth_note"].as_str().unwrap();
    assert!(note.contains("did not answer within 5 s"), "{note}");
}

#[test]
fn without_a_place_to_ask_the_strict_policy_refuses() {
    let site = Site::new("revocation_nowhere");
    let root = Authority::root("Root");
    let (parties, _) = parties(&site, End::B, &root, |_| {});
    parties.refuse("revocation_unknown");
}

/// Everything goes through the tunnel, and until it is up nowhere: what is fetched to set it up goes out all the same,
/// since its socket carries our mark.
#[test]
fn a_tunnel_of_everything_does_not_swallow_what_is_fetched_for_it() {
    let site = Site::new("revocation_everything");
    let root = Authority::root("Root");
    let web = Web::start(&site);
    web.put("root.crl", root.crl(&[], 30));
    let (mut parties, _) = parties(&site, End::A, &root, listed);
    parties.ours.remote_networks = vec!["0.0.0.0/0".to_owned()];
    parties.ours.local_networks.truncate(1);
    parties.theirs.local_networks = vec!["0.0.0.0/0".to_owned()];
    parties.theirs.remote_networks.truncate(1);
    let (sekisho, _strongswan) = parties.start();
    sekisho.await_up();
    assert_eq!(web.asked(), ["/root.crl"]);
    transfer((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]), 100);
}

/// RFC 4806: the hub reaches no responder, the clinic does, and sends along what it says. (strongSwan of Debian neither
/// sends nor asks for it.) Until the clinic has it, the hub refuses.
#[test]
fn what_only_the_owner_can_ask_goes_along_with_its_certificate() {
    for good in [true, false] {
        let site = Site::new("revocation_stapled");
        let root = Authority::root("Root");
        let mut clinic = Request::of(host(End::A), KeyKind::P256);
        answered(&mut clinic);
        let hub = Request::of(host(End::B), KeyKind::P256);
        let mut parties = Parties::new(&site, End::A, &root, &clinic, &hub);
        parties.ours.revocation = "off";
        parties.theirs.revocation = "strict";
        parties.theirs.remote = None;
        let Proof::Certificate(own) = &parties.ours.proof else { panic!("a certificate") };
        let own = own.entity.clone();
        let known: &[&Entity] = if good { &[&own] } else { &[] };
        let responder = Responder::start(&site, &root, known, &[]);
        site.b.namespace.ip(&format!("route add unreachable {}/32", Responder::address()));
        let b = Sekisho::start(&site.b, &parties.theirs);
        let a = Sekisho::start(&site.a, &parties.ours);
        if good {
            a.await_up();
            let tunnel = b.await_up();
            assert_eq!(tunnel["ike"]["peer_auth_note"], serde_json::Value::Null, "{tunnel}");
        } else {
            assert_diagnosis(&b.await_failure(), "revocation_unknown", "here");
        }
        assert!(responder.asked() >= 1, "the owner asked");
    }
}

/// A reload with a list that is about others costs a standing tunnel no packet; one that revokes the peer ends it, tells
/// the peer, and says why.
#[test]
fn a_reload_with_a_list_judges_the_standing_peer() {
    for (name, end) in [("revocation_reload_initiate", End::A), ("revocation_reload_respond", End::B)] {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let (mut parties, peer) = parties(&site, end, &root, |_| {});
        parties.ours.revocation = "soft";
        let (sekisho, strongswan) = parties.succeed();
        let before = sekisho.await_up();

        let other = root.issue(&Request::of("other.example", KeyKind::P256));
        parties.ours.crls = vec![root.crl(&[&other], 30)];
        parties.ours.revocation = "strict";
        sekisho.rewrite(&parties.ours);
        let tallies = both_ways(&site, 0, || {
            let reloaded = sekisho.json(&["reload"]);
            assert_eq!(reloaded["reviewed"][0], "centre", "{reloaded}");
            sekisho.await_tunnel("the peer to be found good", Duration::from_secs(10), |tunnel| {
                tunnel["ike"]["peer_revocation"] == "good"
            });
        });
        assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
        let after = sekisho.await_up();
        assert_eq!(after["ike"]["spi_i"], before["ike"]["spi_i"], "the IKE SA stays");
        assert_eq!(after["children"][0]["spi_in"], before["children"][0]["spi_in"], "and the Child SA");
        assert_eq!(after["ike"]["peer_certificate"], peer.subject);
        assert_eq!(strongswan.child_spis().len(), 1, "{}", strongswan.list_sas());

        parties.ours.crls = vec![root.crl(&[&other, &peer], 30)];
        sekisho.rewrite(&parties.ours);
        sekisho.json(&["reload"]);
        assert_diagnosis(&sekisho.await_failure(), "certificate_revoked", "here");
        strongswan.await_down();
    }
}

/// An operator revokes the peer, publishes the list and reloads: the list that was kept would do for an hour. Each reload asks
/// once; while the server has nothing, what was kept counts.
#[test]
fn a_reload_has_the_list_fetched_anew_and_judges_the_standing_peer_by_it() {
    for (name, end) in [("revocation_anew_initiate", End::A), ("revocation_anew_respond", End::B)] {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let web = Web::start(&site);
        web.put("root.crl", root.crl(&[], 30));
        let (mut parties, peer) = parties(&site, end, &root, listed);
        parties.ours.revocation = "soft";
        let (sekisho, strongswan) = parties.succeed();
        let before = sekisho.await_up();
        assert_eq!(web.asked().len(), 1);

        web.remove("root.crl");
        let tallies = both_ways(&site, 0, || {
            sekisho.json(&["reload"]);
            wait_for(Duration::from_secs(10), "the server to be asked", || {
                (web.asked().len() == 2).then_some(())
            });
        });
        assert_eq!(tallies.map(|tally| (tally.lost, tally.duplicated)), [(0, 0), (0, 0)]);
        let after = sekisho.await_up();
        assert_eq!(after["ike"]["spi_i"], before["ike"]["spi_i"], "the IKE SA stays");
        assert_eq!(
            after["ike"]["peer_revocation_checked"], before["ike"]["peer_revocation_checked"],
            "it is known by the list that was kept"
        );

        web.put("root.crl", root.crl(&[&peer], 30));
        assert_eq!(sekisho.json(&["reload"])["asked_anew"][0], "centre");
        assert_diagnosis(&sekisho.await_failure(), "certificate_revoked", "here");
        strongswan.await_down();
        assert_eq!(web.asked().len(), 3);
        if end == End::B {
            strongswan.try_initiate();
        }
        sekisho.await_down(Duration::from_secs(10));
        assert!(strongswan.child_spis().is_empty(), "{}", strongswan.list_sas());
        assert_eq!(web.asked().len(), 3, "whoever comes again is judged by the same list");
    }
}
