//! OCSP responses that lie, are old, or are about something else.

use rcgen::{ExtendedKeyUsagePurpose as Purpose, IsCa};
use sekisho_ike::pki::{
    Answer, Assessment, Credential, Evidence, Fetch, FetchKind, OcspError, OcspResponse, RevocationPolicy,
    Staple, Stapling, Trust, assess,
};
use sekisho_ike::wire::CertEncoding;

use crate::made::{Made, NOW, ca, leaf, named, root};
use crate::responder::{List, Reply, extension, sequence, tlv};
use crate::revocation::{Peer, reasons};

fn by_root(peer: &Peer, reply: &Reply) -> Assessment {
    peer.assess_stapled(reply.der(&peer.leaf.certificate, &peer.root.certificate, &peer.root))
}

fn why(assessment: &Assessment) -> String {
    let reason = reasons(assessment).join("; ");
    let prefix = "certificate `C=JP, O=Clinic, CN=clinic-17`: the OCSP response that the peer sent along: ";
    reason.strip_prefix(prefix).unwrap_or(&reason).to_owned()
}

#[test]
fn the_issuer_answers_by_name_or_key_with_either_hash() {
    let peer = Peer::new();
    for (sha256, by_key) in [(false, false), (false, true), (true, false), (true, true)] {
        let good = Reply { sha256, by_key, ..Reply::good() };
        assert_eq!(by_root(&peer, &good), Assessment::Good);
        let revoked = Reply { sha256, by_key, ..Reply::revoked() };
        assert!(matches!(by_root(&peer, &revoked), Assessment::Revoked(_)));
    }
    assert_eq!(why(&by_root(&peer, &Reply::unknown())), "the responder does not know the certificate");
}

#[test]
fn an_answer_has_its_time() {
    let peer = Peer::new();
    let told =
        |this_update, next_update| by_root(&peer, &Reply { this_update, next_update, ..Reply::good() });
    let stale = told("20291230000000Z", Some("20291231235400Z"));
    assert_eq!(why(&stale), "it was to be replaced by 2029-12-31 23:54:00 UTC");
    assert_eq!(told("20291230000000Z", Some("20291231235600Z")), Assessment::Good);
    let early = told("20300101000600Z", Some("20300102000000Z"));
    assert_eq!(why(&early), "it is not valid before 2030-01-01 00:06:00 UTC");
    assert_eq!(told("20300101000400Z", None), Assessment::Good);
    // Without an end it is believed for a day.
    assert_eq!(told("20291231010000Z", None), Assessment::Good);
    let old = told("20291230230000Z", None);
    assert_eq!(why(&old), "it was to be replaced by 2029-12-31 23:00:00 UTC");
}

#[test]
fn an_answer_about_another_certificate_says_nothing() {
    let peer = Peer::new();
    let other = peer.root.issue(leaf("clinic-18"));
    let about_other = Reply::good().der(&other.certificate, &peer.root.certificate, &peer.root);
    assert!(why(&peer.assess_stapled(about_other)).starts_with("nobody says"));
    // The same serial number of another authority of the same name: its key's hash is another.
    let namesake = root(ca("Root"));
    let about_namesake = Reply::good().der(&peer.leaf.certificate, &namesake.certificate, &peer.root);
    assert!(why(&peer.assess_stapled(about_namesake)).starts_with("nobody says"));
}

#[test]
fn an_answer_by_another_key_is_refused() {
    let peer = Peer::new();
    let namesake = root(ca("Root"));
    let by_namesake = Reply::good().der(&peer.leaf.certificate, &peer.root.certificate, &namesake);
    assert_eq!(why(&peer.assess_stapled(by_namesake)), "its signature is wrong");
    let stranger = root(ca("Stranger"));
    let by_stranger = Reply::good().der(&peer.leaf.certificate, &peer.root.certificate, &stranger);
    let refused = "its signer may not sign it: it is neither the issuer nor sent along";
    assert_eq!(why(&peer.assess_stapled(by_stranger)), refused);
    // The peer itself must not say that it is good.
    let by_peer = Reply { certificates: vec![peer.leaf.certificate.clone()], ..Reply::good() };
    let by_peer = by_peer.der(&peer.leaf.certificate, &peer.root.certificate, &peer.leaf);
    let refused = "its signer may not sign it: its certificate is not one for OCSP signing";
    assert_eq!(why(&peer.assess_stapled(by_peer)), refused);
}

fn delegate(issuer: &Made, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Made {
    let mut params = named("Clinic", "Responder");
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![Purpose::OcspSigning];
    change(&mut params);
    issuer.issue(params)
}

#[test]
fn the_issuer_may_designate_a_responder() {
    let peer = Peer::new();
    let judge = |delegate: &Made, by_key: bool| {
        let reply = Reply { by_key, certificates: vec![delegate.certificate.clone()], ..Reply::good() };
        peer.assess_stapled(reply.der(&peer.leaf.certificate, &peer.root.certificate, delegate))
    };
    for by_key in [false, true] {
        assert_eq!(judge(&delegate(&peer.root, |_| {}), by_key), Assessment::Good);
    }
    let why = |delegate: &Made| {
        let reason = why(&judge(delegate, false));
        reason.strip_prefix("its signer may not sign it: ").unwrap_or(&reason).to_owned()
    };
    let past = delegate(&peer.root, |p| p.not_after = rcgen::date_time_ymd(2029, 1, 1));
    assert_eq!(why(&past), "its certificate is not valid now");
    let purpose = delegate(&peer.root, |p| p.extended_key_usages = vec![Purpose::ServerAuth, Purpose::Any]);
    assert_eq!(why(&purpose), "its certificate is not one for OCSP signing");
    let usage = delegate(&peer.root, |p| p.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement]);
    assert_eq!(why(&usage), "its key usage does not allow signatures");
    let critical = delegate(&peer.root, |p| {
        p.custom_extensions = vec![crate::made::critical(&[1, 3, 6, 1, 4, 1, 32473, 1], vec![5, 0])];
    });
    assert_eq!(why(&critical), "its certificate has an unknown critical extension");
    assert_eq!(why(&delegate(&root(ca("Other")), |_| {})), "its certificate is by another issuer");
    assert_eq!(why(&delegate(&root(ca("Root")), |_| {})), "its certificate is not signed by the issuer");
}

#[test]
fn critical_extensions_and_other_forms_are_refused() {
    let peer = Peer::new();
    let private = sequence(&[&extension(&[0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1], true, &[5, 0])]);
    let expected = "the OCSP response has the critical extension 1.3.6.1.4.1.32473.1, which is not supported";
    let refused = |reply: Reply| {
        let der = reply.der(&peer.leaf.certificate, &peer.root.certificate, &peer.root);
        OcspResponse::from_der(&der).expect_err("refused").to_string()
    };
    assert_eq!(refused(Reply { extensions: tlv(0xa1, &private), ..Reply::good() }), expected);
    assert_eq!(refused(Reply { single_extensions: tlv(0xa1, &private), ..Reply::good() }), expected);
    for (code, word) in [
        (1, "malformedRequest"),
        (2, "internalError"),
        (3, "tryLater"),
        (5, "sigRequired"),
        (6, "unauthorized"),
    ] {
        assert_eq!(OcspResponse::from_der(&[0x30, 3, 10, 1, code]), Err(OcspError::Refused(word)));
    }
    assert_eq!(OcspResponse::from_der(&[0x30, 3, 10, 1, 4]), Err(OcspError::Malformed("its status")));
    assert_eq!(OcspResponse::from_der(&[0x30, 3, 10, 1, 0]), Err(OcspError::Malformed("no answer in it")));
}

#[test]
fn of_two_answers_about_one_certificate_the_newer_counts() {
    let peer = Peer::new();
    let (certificate, issuer) = (&peer.leaf.certificate, &peer.root.certificate);
    let older = Reply { this_update: "20291230000000Z", ..Reply::good() };
    for singles in [[Reply::revoked(), older.clone()], [older, Reply::revoked()]] {
        let singles = singles.map(|reply| reply.single(certificate, issuer));
        let der = Reply::good().der_with(&singles, &peer.root);
        assert!(matches!(peer.assess_stapled(der), Assessment::Revoked(_)));
    }
}

#[test]
fn many_answers_in_one_response_are_too_many() {
    let peer = Peer::new();
    let single = Reply::good().single(&peer.leaf.certificate, &peer.root.certificate);
    let of =
        |count| OcspResponse::from_der(&Reply::good().der_with(&vec![single.clone(); count], &peer.root));
    assert!(of(64).is_ok());
    assert_eq!(of(65), Err(OcspError::Malformed("its version or length")));
}

/// A responder whose own certificate is on a list is not believed any more. (The list itself says that the peer is good, so
/// it shows where the responder says the contrary.)
#[test]
fn a_designated_responder_that_was_revoked_is_not_believed() {
    let peer = Peer::new();
    let delegate = delegate(&peer.root, |_| {});
    let other = peer.root.issue(leaf("other"));
    let reply = Reply { certificates: vec![delegate.certificate.clone()], ..Reply::revoked() };
    let der = reply.der(&peer.leaf.certificate, &peer.root.certificate, &delegate);
    for (listed, believed) in [(&other, true), (&delegate, false)] {
        let crl = List::revoking(&listed.certificate).by(&peer.root);
        let (certificate, issuer) = (peer.leaf.certificate.clone(), peer.root.certificate.clone());
        let fetch = Fetch { url: "http://other/".into(), kind: FetchKind::Crl { certificate }, issuer };
        let answers = vec![Answer::Crl(fetch, crl.clone(), NOW)];
        let fetched = Evidence { stapled: vec![der.clone()], answers };
        assert_eq!(matches!(peer.assess(&fetched), Assessment::Revoked(_)), believed);
        let configured = Trust { crls: vec![crl], ..peer.trust(RevocationPolicy::Strict) };
        let stapled = Evidence { stapled: vec![der.clone()], ..Evidence::default() };
        let assessment = assess(&peer.path(), &configured, &stapled, NOW);
        assert_eq!(matches!(assessment, Assessment::Revoked(_)), believed);
    }
}

/// What a response makes to be sent along with the leaf's certificate.
fn staple(peer: &Peer, reply: &Reply, signer: &Made) -> Option<Staple> {
    let credential = Credential::new(peer.leaf.signing_key(), vec![peer.leaf.certificate.clone()]).unwrap();
    let stapling = Stapling::of(&credential, Some(&peer.root.trusted())).expect("a responder and an issuer");
    let [fetch] = <[_; 1]>::try_from(stapling.fetches()).unwrap();
    let der = reply.der(&peer.leaf.certificate, &peer.root.certificate, signer);
    stapling.judge(&Answer::read(fetch, &der, NOW), NOW)
}

/// RFC 4806 §3.1: the hashes in a CERTREQ name the responders that its sender trusts.
#[test]
fn a_response_goes_along_if_it_is_asked_for_and_its_signer_is_wanted() {
    let peer = Peer::new();
    let delegate = delegate(&peer.root, |_| {});
    let with = Reply { certificates: vec![delegate.certificate.clone()], ..Reply::good() };
    let by_delegate = staple(&peer, &with, &delegate).unwrap();
    let by_issuer = staple(&peer, &Reply::good(), &peer.root).unwrap();
    let other = root(ca("Other")).certificate.key_hash();
    let (of_root, of_delegate) = (peer.root.certificate.key_hash(), delegate.certificate.key_hash());
    let asks = |encoding, hashes: &[[u8; 20]]| vec![(encoding, hashes.concat())];
    let ocsp = |hashes: &[[u8; 20]]| asks(CertEncoding::OCSP_CONTENT, hashes);
    for (requests, [issuer, delegate]) in [
        (Vec::new(), [false, false]),
        (asks(CertEncoding::X509_SIGNATURE, &[of_root]), [false, false]),
        (ocsp(&[]), [true, true]),
        (ocsp(&[other]), [true, false]),
        (ocsp(&[other, of_delegate]), [true, true]),
        (ocsp(&[of_root]), [true, true]),
        ([asks(CertEncoding::X509_SIGNATURE, &[]), ocsp(&[])].concat(), [true, true]),
    ] {
        let sent = [&by_issuer, &by_delegate].map(|staple| staple.payload(&requests, NOW).is_some());
        assert_eq!(sent, [issuer, delegate], "{requests:?}");
    }
    let (encoding, der) = by_issuer.payload(&ocsp(&[]), NOW).unwrap();
    assert_eq!((encoding, peer.assess_stapled(der)), (CertEncoding::OCSP_CONTENT, Assessment::Good));
    assert!(by_issuer.payload(&ocsp(&[]), by_issuer.next_update()).is_some());
    assert!(by_issuer.payload(&ocsp(&[]), by_issuer.next_update() + 1).is_none(), "it is old");
}

#[test]
fn nothing_goes_along_that_a_peer_would_not_take() {
    let peer = Peer::new();
    let by_root = |reply: &Reply| staple(&peer, reply, &peer.root);
    for reply in [Reply::revoked(), Reply::unknown()] {
        assert_eq!(by_root(&reply), None);
    }
    assert_eq!(by_root(&Reply { next_update: Some("20291231120000Z"), ..Reply::good() }), None, "old");
    assert_eq!(staple(&peer, &Reply::good(), &root(ca("Root"))), None, "by a namesake");

    let alone = Credential::new(peer.leaf.signing_key(), vec![peer.leaf.certificate.clone()]).unwrap();
    assert_eq!(Stapling::of(&alone, None), None, "nobody could check an answer");
    assert_eq!(Stapling::of(&alone, Some(&root(ca("Root")).trusted())), None, "nor with a namesake's");
    let chain = vec![peer.leaf.certificate.clone(), peer.root.certificate.clone()];
    assert!(Stapling::of(&Credential::new(peer.leaf.signing_key(), chain).unwrap(), None).is_some());
    let silent = peer.root.issue(leaf("clinic-18"));
    let silent = Credential::new(silent.signing_key(), vec![silent.certificate]).unwrap();
    assert_eq!(Stapling::of(&silent, Some(&peer.root.trusted())), None, "its certificate names no responder");
}
