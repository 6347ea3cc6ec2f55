//! What is made of all that is known about revocation.

use rcgen::{CrlDistributionPoint, CustomExtension};
use sekisho_ike::pki::{
    Answer, Assessment, Certificate, Crl, Evidence, Fetch, FetchKind, OcspResponse, Pin, RevocationError,
    RevocationPolicy, Revoked, Trust, TrustedPath, Utc, assess, assess_until, trust,
};

use crate::fixtures;
use crate::made::{Made, NOW, ca, leaf, root};
use crate::responder::{List, Reply, extension, sequence, tlv};

const RESPONDER: &str = "http://ocsp.clinic.example/";
const LIST: &str = "http://crl.clinic.example/root.crl";

/// A peer below a root, with both an OCSP responder and a list named in its certificate.
pub struct Peer {
    pub root: Made,
    pub leaf: Made,
}

impl Peer {
    pub fn new() -> Self {
        Self::with(&[LIST], &[RESPONDER])
    }

    fn with(lists: &[&str], responders: &[&str]) -> Self {
        let root = root(ca("Root"));
        let mut params = leaf("clinic-17");
        let point = |url: &&str| CrlDistributionPoint { uris: vec![(*url).to_owned()] };
        params.crl_distribution_points = lists.iter().map(point).collect();
        // authorityInfoAccess { { id-ad-ocsp, [6] url } .. }
        let description =
            |url: &&str| sequence(&[&tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]), &tlv(0x86, url.as_bytes())]);
        let descriptions: Vec<u8> = responders.iter().flat_map(description).collect();
        if !descriptions.is_empty() {
            let access =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tlv(0x30, &descriptions));
            params.custom_extensions = vec![access];
        }
        let leaf = root.issue(params);
        Self { root, leaf }
    }

    pub fn trust(&self, revocation: RevocationPolicy) -> Trust {
        Trust { revocation, ..self.root.trusted() }
    }

    pub fn path(&self) -> TrustedPath {
        trust(&self.leaf.certificate, &[], &self.root.trusted(), NOW).expect("a path")
    }

    pub fn assess(&self, evidence: &Evidence) -> Assessment {
        assess(&self.path(), &self.trust(RevocationPolicy::Strict), evidence, NOW)
    }

    pub fn assess_list(&self, crl: Crl) -> Assessment {
        let trust = Trust { crls: vec![crl], ..self.trust(RevocationPolicy::Strict) };
        assess(&self.path(), &trust, &Evidence::default(), NOW)
    }

    pub fn assess_stapled(&self, der: Vec<u8>) -> Assessment {
        self.assess(&Evidence { stapled: vec![der], ..Evidence::default() })
    }

    pub fn good(&self) -> OcspResponse {
        Reply::good().by(&self.leaf.certificate, &self.root.certificate, &self.root)
    }

    pub fn revoked(&self) -> OcspResponse {
        Reply::revoked().by(&self.leaf.certificate, &self.root.certificate, &self.root)
    }

    /// What is to be fetched as long as nothing is known.
    pub fn fetches(&self) -> Vec<Fetch> {
        let Assessment::Unknown { missing, .. } = self.assess(&Evidence::default()) else {
            panic!("unknown")
        };
        missing
    }
}

fn fetched(answers: Vec<Answer>) -> Evidence {
    Evidence { answers, ..Evidence::default() }
}

fn revoked(reason: &'static str, source: &str) -> Assessment {
    Assessment::Revoked(Revoked {
        subject: "C=JP, O=Clinic, CN=clinic-17".into(),
        since: Utc(1_892_810_096),
        reason,
        source: source.into(),
    })
}

pub fn reasons(assessment: &Assessment) -> Vec<String> {
    match assessment {
        Assessment::Unknown { reasons, .. } => reasons.clone(),
        other => panic!("{other:?}"),
    }
}

/// Rule 6: nothing is fetched from a URL in a certificate before the certificate's path is trusted (CVE-2022-40617).
/// `assess` is the only maker of a `Fetch`, and it needs a `TrustedPath`, which only `trust` makes; a certificate whose
/// path is refused never gets so far.
#[test]
fn urls_come_from_trusted_paths_alone() {
    let peer = Peer::new();
    let fetches = peer.fetches();
    assert_eq!(fetches.len(), 2);
    assert_eq!(fetches[0].url, RESPONDER);
    assert!(matches!(fetches[0].kind, FetchKind::Ocsp { .. }));
    let (certificate, issuer) = (peer.leaf.certificate.clone(), peer.root.certificate.clone());
    assert_eq!(fetches[1], Fetch { url: LIST.into(), kind: FetchKind::Crl { certificate }, issuer });
    let stranger = root(ca("Other")).trusted();
    assert!(trust(&peer.leaf.certificate, &[], &stranger, NOW).is_err(), "no path, no URL");
}

#[test]
fn off_asks_nobody_and_pins_are_not_asked_about() {
    let peer = Peer::new();
    let off = peer.trust(RevocationPolicy::Off);
    assert_eq!(assess(&peer.path(), &off, &Evidence::default(), NOW), Assessment::Good);
    let pin = Pin::Certificate(peer.leaf.certificate.clone());
    let pinned = Trust { pinned: vec![pin], revocation: RevocationPolicy::Strict, ..Trust::default() };
    let path = trust(&peer.leaf.certificate, &[], &pinned, NOW).unwrap();
    assert_eq!(assess(&path, &pinned, &Evidence::default(), NOW), Assessment::Good);
}

#[test]
fn one_good_answer_is_enough() {
    let peer = Peer::new();
    let [ocsp, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    assert_eq!(peer.assess_stapled(peer.good().der().to_vec()), Assessment::Good);
    assert_eq!(peer.assess_list(List::new().by(&peer.root)), Assessment::Good);
    assert_eq!(peer.assess(&fetched(vec![Answer::Ocsp(ocsp.clone(), peer.good(), NOW)])), Assessment::Good);
    let by_list = Answer::Crl(list, List::new().by(&peer.root), NOW);
    assert_eq!(
        peer.assess(&fetched(vec![Answer::Failed(ocsp, "timed out".into()), by_list])),
        Assessment::Good
    );
}

/// An answer that was kept is as old as its fetch, whenever it is looked at; a list from a file was never asked for.
#[test]
fn what_is_known_is_known_since_it_was_fetched() {
    let peer = Peer::new();
    let [_, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    let kept = fetched(vec![Answer::Crl(list, List::new().by(&peer.root), NOW - 1800)]);
    let strict = peer.trust(RevocationPolicy::Strict);
    let asked = |trust: &Trust, evidence: &Evidence| {
        assess_until(&peer.path(), trust, evidence, NOW).1.expect("it is good").asked
    };
    assert_eq!(asked(&strict, &kept), Some(NOW - 1800));
    let from_a_file = Trust { crls: vec![List::new().by(&peer.root)], ..strict };
    assert_eq!(asked(&from_a_file, &Evidence::default()), None);
}

#[test]
fn one_revoked_answer_is_enough_and_outweighs_good_ones() {
    let peer = Peer::new();
    let [ocsp, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    let bad_list = || List::revoking(&peer.leaf.certificate).by(&peer.root);
    assert_eq!(peer.assess_list(bad_list()), revoked("keyCompromise", "the configured revocation list"));
    let by_ocsp = Answer::Ocsp(ocsp.clone(), peer.revoked(), NOW);
    let source = "the OCSP responder http://ocsp.clinic.example/";
    assert_eq!(peer.assess(&fetched(vec![by_ocsp])), revoked("superseded", source));
    let both = vec![Answer::Ocsp(ocsp, peer.good(), NOW), Answer::Crl(list, bad_list(), NOW)];
    let source = "the revocation list http://crl.clinic.example/root.crl";
    assert_eq!(peer.assess(&fetched(both)), revoked("keyCompromise", source));
    let mixed = Evidence { stapled: vec![peer.revoked().der().to_vec()], ..Evidence::default() };
    let trust = Trust { crls: vec![List::new().by(&peer.root)], ..peer.trust(RevocationPolicy::Soft) };
    let source = "the OCSP response that the peer sent along";
    assert_eq!(assess(&peer.path(), &trust, &mixed, NOW), revoked("superseded", source));
}

#[test]
fn the_newest_of_several_lists_counts() {
    let peer = Peer::new();
    let old = List { this_update: "20291220000000Z", ..List::revoking(&peer.leaf.certificate) };
    let crls = vec![old.by(&peer.root), List::new().by(&peer.root)];
    let trust = Trust { crls, ..peer.trust(RevocationPolicy::Strict) };
    assert_eq!(assess(&peer.path(), &trust, &Evidence::default(), NOW), Assessment::Good);
}

#[test]
fn what_was_tried_is_not_asked_again_and_is_told() {
    let peer = Peer::new();
    let [ocsp, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    let failed = |fetch: &Fetch, why: &str| Answer::Failed(fetch.clone(), why.into());
    let Assessment::Unknown { missing, reasons } = peer.assess(&fetched(vec![failed(&ocsp, "timed out")]))
    else {
        panic!("unknown")
    };
    assert_eq!(missing, std::slice::from_ref(&list));
    assert_eq!(
        reasons,
        ["certificate `C=JP, O=Clinic, CN=clinic-17`: http://ocsp.clinic.example/: timed out"]
    );
    let assessment =
        peer.assess(&fetched(vec![failed(&ocsp, "timed out"), Answer::read(list, b"<html>", NOW)]));
    let Assessment::Unknown { missing, .. } = &assessment else { panic!("unknown") };
    assert!(missing.is_empty());
    insta::assert_snapshot!(assessment.clone().decide(RevocationPolicy::Strict).unwrap_err(), @"revocation could not be checked, and the policy is `strict`: certificate `C=JP, O=Clinic, CN=clinic-17`: http://ocsp.clinic.example/: timed out, http://crl.clinic.example/root.crl: the revocation list is malformed: no revocation list as DER");
    insta::assert_snapshot!(assessment.decide(RevocationPolicy::Soft).unwrap().unwrap(), @"certificate `C=JP, O=Clinic, CN=clinic-17`: http://ocsp.clinic.example/: timed out, http://crl.clinic.example/root.crl: the revocation list is malformed: no revocation list as DER");
    let told = revoked("keyCompromise", "the configured revocation list").decide(RevocationPolicy::Soft);
    insta::assert_snapshot!(told.unwrap_err(), @"certificate `C=JP, O=Clinic, CN=clinic-17` was revoked on 2029-12-24 12:34:56 UTC (reason: keyCompromise), says the configured revocation list");
}

/// What may be kept: the word of whoever was asked, whatever it is, and nothing else.
#[test]
fn an_answer_is_vouched_for_by_its_issuer_and_about_what_was_asked() {
    let peer = Peer::new();
    let [ocsp, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    let why = |fetch: &Fetch, body: &[u8]| match Answer::read(fetch.clone(), body, NOW).vouched(NOW) {
        Answer::Failed(of, why) if of == *fetch => why,
        _ => String::new(),
    };
    let namesake = root(ca("Root"));
    let old = List { this_update: "20201225000000Z", next_update: Some("20210108000000Z"), ..List::new() };
    assert_eq!(why(&list, &List::revoking(&peer.leaf.certificate).der(&peer.root)), "");
    assert_eq!(why(&list, &old.der(&peer.root)), "", "how old it is does not matter here");
    assert_eq!(why(&list, &List::new().der(&namesake)), "its signature is wrong");
    assert_eq!(why(&list, &List::new().der(&root(ca("Other")))), "it is by another issuer");
    assert_eq!(why(&list, b"x"), "the revocation list is malformed: no revocation list as DER");
    // An issuing distribution point (2.5.29.28): [2] onlyContainsCACerts.
    let authorities_only = extension(&[0x55, 0x1d, 28], true, &sequence(&[&[0x82, 1, 0xff]]));
    let of_authorities = List { extensions: vec![authorities_only], ..List::new() };
    assert_eq!(why(&list, &of_authorities.der(&peer.root)), "it does not cover this certificate");

    let (leaf, issuer) = (&peer.leaf.certificate, &peer.root.certificate);
    for reply in [Reply::good(), Reply::revoked(), Reply::unknown()] {
        assert_eq!(why(&ocsp, &reply.der(leaf, issuer, &peer.root)), "");
    }
    assert_eq!(why(&ocsp, &Reply::good().der(leaf, issuer, &namesake)), "its signature is wrong");
    let other = peer.root.issue(crate::made::leaf("clinic-18"));
    let about_other = Reply::good().der(&other.certificate, issuer, &peer.root);
    assert_eq!(why(&ocsp, &about_other), "it is about another certificate");
}

#[test]
fn what_is_newer_and_valid_outdates_what_comes_later() {
    let peer = Peer::new();
    let [ocsp, list] = <[Fetch; 2]>::try_from(peer.fetches()).unwrap();
    let made = |this_update, next_update| {
        let crl = List { this_update, next_update: Some(next_update), ..List::new() }.by(&peer.root);
        let reply = Reply { this_update, next_update: Some(next_update), ..Reply::good() };
        let response = reply.by(&peer.leaf.certificate, &peer.root.certificate, &peer.root);
        [Answer::Crl(list.clone(), crl, NOW), Answer::Ocsp(ocsp.clone(), response, NOW)]
    };
    let old = made("20291230000000Z", "20300108000000Z");
    let new = made("20291231000000Z", "20300108000000Z");
    let ended = made("20291231000000Z", "20291231120000Z");
    let from_the_future = made("20350101000000Z", "20360101000000Z");
    for kind in 0..2 {
        assert!(new[kind].outdates(&old[kind], NOW));
        assert!(!old[kind].outdates(&new[kind], NOW));
        assert!(!new[kind].outdates(&new[kind], NOW));
        assert!(!ended[kind].outdates(&old[kind], NOW));
        assert!(!from_the_future[kind].outdates(&new[kind], NOW));
        assert!(old[kind].outdates(&ended[kind], NOW), "it says nothing any more");
        assert!(new[kind].outdates(&from_the_future[kind], NOW), "nor does this, as yet");
        let current = [&old, &new, &ended, &from_the_future].map(|answers| answers[kind].is_current(NOW));
        assert_eq!(current, [true, true, false, false]);
    }
}

#[test]
fn a_certificate_that_names_nobody_to_ask_is_unknown() {
    let peer = Peer::with(&[], &[]);
    let Assessment::Unknown { missing, reasons } = peer.assess(&Evidence::default()) else {
        panic!("unknown")
    };
    assert!(missing.is_empty());
    assert_eq!(reasons, ["nobody says whether certificate `C=JP, O=Clinic, CN=clinic-17` is revoked"]);
}

#[test]
fn only_plain_http_is_fetched_and_only_so_much_of_it() {
    let long = format!("http://long.example/{}", "x".repeat(2048));
    let lists = ["ldap://d.example/", "https://s.example/", "file:///etc/passwd", "http://a.example/", &long];
    let peer = Peer::with(&lists, &["HTTP://o.example/ x", "HTTP://o.example/"]);
    let urls: Vec<String> = peer.fetches().into_iter().map(|fetch| fetch.url).collect();
    // A fifth list is not looked at.
    assert_eq!(urls, ["HTTP://o.example/", "http://a.example/"]);
}

#[test]
fn lists_of_some_reasons_or_by_others_are_not_asked_for() {
    let named = |url: &str| tlv(0xa0, &tlv(0xa0, &tlv(0x86, url.as_bytes())));
    let point = |url: &str, more: &[u8]| sequence(&[&named(url), more]);
    let issuer = tlv(0xa2, &tlv(0xa4, &sequence(&[])));
    let points = [
        point("http://reasons.example/", &tlv(0x81, &[6, 0x40])),
        point("http://issuer.example/", &issuer),
        point("http://good.example/", &[]),
    ];
    let root = root(ca("Root"));
    let mut params = leaf("clinic-17");
    let extension = CustomExtension::from_oid_content(&[2, 5, 29, 31], tlv(0x30, &points.concat()));
    params.custom_extensions = vec![extension];
    let leaf = root.issue(params);
    let urls: Vec<String> = Peer { root, leaf }.fetches().into_iter().map(|fetch| fetch.url).collect();
    assert_eq!(urls, ["http://good.example/"]);
}

#[test]
fn every_certificate_of_the_path_is_asked_about_but_the_anchor() {
    let top = root(ca("Root"));
    let mut params = ca("Branch");
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![LIST.into()] }];
    let branch = top.issue(params);
    let leaf = branch.issue(leaf("clinic-17"));
    let path =
        trust(&leaf.certificate, std::slice::from_ref(&branch.certificate), &top.trusted(), NOW).unwrap();
    let judge = |crls: Vec<Crl>| {
        assess(
            &path,
            &Trust { crls, revocation: RevocationPolicy::Strict, ..top.trusted() },
            &Evidence::default(),
            NOW,
        )
    };
    let Assessment::Unknown { missing, reasons } = judge(vec![]) else { panic!("unknown") };
    let (certificate, issuer) = (branch.certificate.clone(), top.certificate.clone());
    assert_eq!(missing, [Fetch { url: LIST.into(), kind: FetchKind::Crl { certificate }, issuer }]);
    assert_eq!(reasons.len(), 2);
    let (by_root, by_branch) = (List::new().by(&top), List::new().by(&branch));
    assert_eq!(judge(vec![by_root.clone(), by_branch.clone()]), Assessment::Good);
    assert_eq!(reasons_len(&judge(vec![by_root])), 1);
    let branch_revoked = List::revoking(&branch.certificate).by(&top);
    let Assessment::Revoked(found) = judge(vec![branch_revoked, by_branch]) else { panic!("revoked") };
    assert_eq!(found.subject, "C=JP, O=Clinic, CN=Branch");
}

fn reasons_len(assessment: &Assessment) -> usize {
    reasons(assessment).len()
}

/// OpenSSL's list and answers about OpenSSL's certificates.
#[test]
fn openssl_is_understood() {
    let root = fixtures::certificate("root");
    let judge = |name: &str, crls: Vec<Crl>, stapled: Vec<Vec<u8>>| {
        let anchors = vec![root.clone()];
        let trust_in = Trust { anchors, crls, revocation: RevocationPolicy::Strict, ..Trust::default() };
        let path = trust(&fixtures::certificate(name), &[], &trust_in, NOW).unwrap();
        assess(&path, &trust_in, &Evidence { stapled, ..Evidence::default() }, NOW)
    };
    let crl = Crl::from_der(&fixtures::pem("root.crl.pem")).unwrap();
    assert_eq!((crl.len(), crl.issuer()), (1, root.subject()));
    assert_eq!(judge("leaf", vec![crl.clone()], vec![]), Assessment::Good);
    let reason = |assessment| match assessment {
        Assessment::Revoked(Revoked { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(judge("revoked", vec![crl], vec![])), "keyCompromise");
    for kind in ["ocsp", "delegated.ocsp"] {
        let answer = |name: &str| vec![fixtures::bytes(&format!("{name}.{kind}"))];
        assert_eq!(judge("leaf", vec![], answer("leaf")), Assessment::Good, "{kind}");
        assert_eq!(reason(judge("revoked", vec![], answer("revoked"))), "keyCompromise", "{kind}");
        assert_eq!(reasons_len(&judge("leaf", vec![], answer("revoked"))), 1, "{kind}");
    }
}

/// Byte for byte what `openssl ocsp` asks.
#[test]
fn our_request_is_openssls() {
    let anchors = vec![fixtures::certificate("root")];
    let trust_in = Trust { anchors, revocation: RevocationPolicy::Strict, ..Trust::default() };
    let certificate: Certificate = fixtures::certificate("leaf");
    let path = trust(&certificate, &[], &trust_in, NOW).unwrap();
    let Assessment::Unknown { missing, .. } = assess(&path, &trust_in, &Evidence::default(), NOW) else {
        panic!("unknown")
    };
    let request = fixtures::bytes("leaf.ocsp-request");
    let issuer = fixtures::certificate("root");
    let list = FetchKind::Crl { certificate: certificate.clone() };
    let expected = [(RESPONDER, FetchKind::Ocsp { request, certificate }), (LIST, list)]
        .map(|(url, kind)| Fetch { url: url.into(), kind, issuer: issuer.clone() });
    assert_eq!(missing, expected);
}

#[test]
fn strict_refuses_ignorance_and_soft_does_not() {
    let unknown = || Peer::new().assess(&Evidence::default());
    assert!(matches!(unknown().decide(RevocationPolicy::Strict), Err(RevocationError::Unknown(_))));
    assert!(matches!(unknown().decide(RevocationPolicy::Soft), Ok(Some(_))));
    assert_eq!(Assessment::Good.decide(RevocationPolicy::Strict), Ok(None));
}
