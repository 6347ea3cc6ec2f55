//! Proves the laboratory itself with two strongSwans: what its instruments report is what happened.

use crate::lab::{
    Authority, Belief, Capture, End, Entity, KeyKind, Outer, Own, Proof, Request, Responder, Site, Stream,
    StrongSwan, Tunnel, Web, both_ways, transfer,
};
use crate::peers::assert_carries_tcp;

#[test]
fn clear_text_is_seen_and_loss_is_counted() {
    let site = Site::new("lab_sees_clear_text");
    site.route_inner_networks_in_clear();
    let capture = Capture::start(&site);
    let tallies = both_ways(&site, 0, || {});
    let crossed = capture.finish();
    for tally in tallies {
        assert!(
            tally.sent >= 1000 && (tally.lost, tally.duplicated, tally.reordered) == (0, 0, 0),
            "{tally:?}"
        );
    }
    // Each datagram comes in at one port of the router and leaves at the other.
    assert!(crossed.marked >= 2 * (tallies[0].sent + tallies[1].sent), "{crossed:?}");
    assert!(crossed.inner >= crossed.marked && crossed.protected == 0 && crossed.missed == 0, "{crossed:?}");

    site.lose_percent(10);
    let (a, b) = ((&site.a.host, site.a.inside[1]), (&site.b.host, site.b.inside[1]));
    let stream = Stream::start(a, b, &site.marker());
    stream.await_more(2000);
    let tally = stream.finish();
    let share = tally.lost * 100 / tally.sent;
    assert!((5..=15).contains(&share), "about a tenth is lost: {tally:?}");
}

#[test]
fn strongswan_pair_over_ipv4() {
    strongswan_pair("lab_strongswan_ipv4", Outer::V4);
}

#[test]
fn strongswan_pair_over_ipv6() {
    strongswan_pair("lab_strongswan_ipv6", Outer::V6);
}

fn strongswan_pair(name: &'static str, outer: Outer) {
    let site = Site::new(name);
    let capture = Capture::start(&site);
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, outer));
    let b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, outer));
    a.initiate();
    b.await_up();

    let tallies = both_ways(&site, 0, || a.rekey_child());
    assert_eq!(tallies.map(|tally| tally.duplicated), [0, 0]);
    both_ways(&site, 1, || b.rekey_ike());
    let hosts = ((&site.a.host, site.a.inside[0]), (&site.b.host, site.b.inside[0]));
    println!("TCP: {:.0} Mb/s", transfer(hosts.0, hosts.1, 20_000));
    capture.finish().assert_no_clear_text();
}

#[test]
fn strongswan_pair_behind_nat() {
    let site = Site::new("lab_strongswan_nat");
    site.masquerade();
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let b = StrongSwan::start(&site.b, &Tunnel { remote: None, ..Tunnel::at(&site, End::B, Outer::V4) });
    a.initiate();
    b.await_up();
    both_ways(&site, 0, || {});
    assert!(
        b.list_sas().contains("203.0.113.1["),
        "the peer is seen at the router's address: {}",
        b.list_sas()
    );
}

#[test]
fn strongswan_pair_on_a_lossy_line() {
    let site = Site::new("lab_strongswan_loss");
    site.lose_percent(10);
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    a.initiate();
    b.rekey_child();
    a.rekey_ike();
    b.await_up();
    both_ways(&site, 0, || {});
}

#[test]
fn strongswan_returns_after_a_kill() {
    let site = Site::new("lab_strongswan_returns");
    let a = StrongSwan::start(&site.a, &Tunnel::at(&site, End::A, Outer::V4));
    let mut b = StrongSwan::start(&site.b, &Tunnel::at(&site, End::B, Outer::V4));
    a.initiate();
    b.await_up();
    b.kill();
    b.restart();
    b.initiate();
    b.await_up();
    assert_carries_tcp(&site, 100);
}

/// `a` and `b` certified by authorities that the other believes; `change` is applied to both ends.
fn certified_pair(
    name: &'static str,
    change: impl Fn(&mut Tunnel, End, &Site),
    check: impl FnOnce(&StrongSwan<'_>, &StrongSwan<'_>, bool),
) {
    let site = Site::new(name);
    let [mut at_a, mut at_b] = [End::A, End::B].map(|end| Tunnel::at(&site, end, Outer::V4));
    change(&mut at_a, End::A, &site);
    change(&mut at_b, End::B, &site);
    let (a, b) = (StrongSwan::start(&site.a, &at_a), StrongSwan::start(&site.b, &at_b));
    let up = a.try_initiate().status.success();
    if up {
        b.await_up();
    }
    check(&a, &b, up);
}

#[test]
fn strongswan_pair_with_certificates_of_an_intermediate_authority() {
    let root = Authority::root("Root");
    let below = root.intermediate("Issuing");
    let hub = below.issue(&Request::of("hub.example", KeyKind::Rsa));
    let clinic = root.issue(&Request::of("clinic-17.example", KeyKind::P384));
    let change = |tunnel: &mut Tunnel, end, _: &Site| {
        tunnel.belief = Belief::Authorities(vec![root.certificate.clone()]);
        tunnel.proof = match end {
            End::A => Proof::by(&clinic),
            End::B => Own::new(&hub).below(&below),
        };
    };
    certified_pair("lab_certificates", change, |a, b, up| {
        assert!(up);
        let proved = "authentication of 'hub.example' with RSA_EMSA_PKCS1_SHA2_256 successful";
        assert!(a.log().contains(proved), "a checked b");
        assert!(
            b.log().contains("authentication of 'clinic-17.example' with ECDSA_WITH_SHA384_DER successful")
        );
    });
}

#[test]
fn strongswan_pair_refuses_who_is_revoked_by_a_list() {
    let site = Site::new("lab_crl");
    let root = Authority::root("Root");
    let url = Some(Web::url("root.crl"));
    let request = |host| Request { crl_url: url.clone(), ..Request::of(host, KeyKind::P256) };
    let (clinic, hub) = (root.issue(&request("clinic-17.example")), root.issue(&request("hub.example")));
    let web = Web::start(&site);
    let at = |end, own: &Entity| Tunnel {
        proof: Proof::by(own),
        belief: Belief::Authorities(vec![root.certificate.clone()]),
        revocation: "strict",
        ..Tunnel::at(&site, end, Outer::V4)
    };
    web.put("root.crl", root.crl(&[&clinic], 30));
    let a = StrongSwan::start(&site.a, &at(End::A, &clinic));
    let mut b = StrongSwan::start(&site.b, &at(End::B, &hub));
    assert!(!a.try_initiate().status.success());
    assert!(b.log().contains("certificate was revoked"), "{}", b.log());
    assert!(web.asked().contains(&"/root.crl".to_owned()));

    web.put("root.crl", root.crl(&[], 30));
    b.kill();
    b.restart();
    a.initiate();
    b.await_up();
}

#[test]
fn strongswan_pair_asks_the_responder() {
    let site = Site::new("lab_ocsp");
    let root = Authority::root("Root");
    let request = |host| Request { ocsp_url: Some(Responder::url()), ..Request::of(host, KeyKind::P256) };
    let (clinic, hub) = (root.issue(&request("clinic-17.example")), root.issue(&request("hub.example")));
    let at = |end, own: &Entity| Tunnel {
        proof: Proof::by(own),
        belief: Belief::Authorities(vec![root.certificate.clone()]),
        revocation: "strict",
        ..Tunnel::at(&site, end, Outer::V4)
    };
    let a = StrongSwan::start(&site.a, &at(End::A, &clinic));
    let mut b = StrongSwan::start(&site.b, &at(End::B, &hub));
    let responder = Responder::start(&site, &root, &[&hub], &[&clinic]);
    assert!(!a.try_initiate().status.success());
    assert!(b.log().contains("certificate was revoked"), "{}", b.log());
    assert!(responder.asked() >= 1, "the responder was asked");
    drop(responder);

    let _responder = Responder::start(&site, &root, &[&hub, &clinic], &[]);
    b.kill();
    b.restart();
    a.initiate();
    b.await_up();
    assert!(b.log().contains("certificate status is good"), "{}", b.log());
}
