//! Signatures and certificates, in both roles; and ends whose certificates do not do.

use crate::lab::{
    Authority, Belief, End, Entity, KeyKind, Outer, Own, Proof, Request, Sekisho, Site, StrongSwan, Tunnel,
    both_ways,
};
use crate::peers::assert_carries_tcp;
use crate::refusals::assert_diagnosis;

/// The host names of the two ends, which their certificates hold.
pub fn host(end: End) -> &'static str {
    match end {
        End::A => "clinic-17.example",
        End::B => "hub.example",
    }
}

/// Both ends, certified by one authority that both believe.
pub struct Parties<'a> {
    pub site: &'a Site,
    /// Where sekishod is; whoever is at a starts.
    pub end: End,
    pub ours: Tunnel,
    pub theirs: Tunnel,
}

impl<'a> Parties<'a> {
    /// `ours`, `theirs`: what is certified for each end.
    pub fn new(site: &'a Site, end: End, root: &Authority, ours: &Request, theirs: &Request) -> Self {
        let at = |end, request: &Request| Tunnel {
            proof: Proof::by(&root.issue(request)),
            belief: Belief::Authorities(vec![root.certificate.clone()]),
            ..Tunnel::at(site, end, Outer::V4)
        };
        let mut parties = Self { site, end, ours: at(end, ours), theirs: at(end.other(), theirs) };
        match end {
            End::A => parties.ours.initiate = true,
            End::B => parties.ours.remote = None,
        }
        parties
    }

    /// With good ECDSA certificates.
    pub fn good(site: &'a Site, end: End, root: &Authority) -> Self {
        let request = |end| Request::of(host(end), KeyKind::P256);
        Self::new(site, end, root, &request(end), &request(end.other()))
    }

    /// Starts both; strongSwan's attempt is made, whatever comes of it.
    pub fn start(&self) -> (Sekisho<'a>, StrongSwan<'a>) {
        let (here, there) = (self.site.side(self.end), self.site.side(self.end.other()));
        match self.end {
            End::A => {
                let strongswan = StrongSwan::start(there, &self.theirs);
                (Sekisho::start(here, &self.ours), strongswan)
            }
            End::B => {
                let sekisho = Sekisho::start(here, &self.ours);
                let strongswan = StrongSwan::start(there, &self.theirs);
                let said = strongswan.try_initiate();
                println!("strongSwan: {}", String::from_utf8_lossy(&said.stdout));
                (sekisho, strongswan)
            }
        }
    }

    /// Starts both, and the tunnel carries.
    pub fn succeed(&self) -> (Sekisho<'a>, StrongSwan<'a>) {
        let (sekisho, strongswan) = self.start();
        sekisho.await_up();
        strongswan.await_up();
        assert_carries_tcp(self.site, 100);
        (sekisho, strongswan)
    }

    /// Starts both, and we refuse the peer with this diagnosis.
    pub fn refuse(&self, kind: &str) {
        let (sekisho, strongswan) = self.start();
        assert_diagnosis(&sekisho.await_failure(), kind, "here");
        assert!(
            strongswan.child_spis().is_empty(),
            "strongSwan holds no Child SA: {}",
            strongswan.list_sas()
        );
    }
}

/// How both ends sign.
struct Method {
    kind: KeyKind,
    /// strongSwan's word for it in its configuration.
    configured: &'static str,
    /// And in its log.
    logged: &'static str,
    /// And ours.
    ours: &'static str,
    /// RSA with the older padding.
    pkcs1: bool,
    /// Without RFC 7427.
    old: bool,
}

/// Whatever fits the key: strongSwan has no other word for Ed25519.
const ANY: &str = "pubkey";

const RSA_PSS: Method = Method {
    kind: KeyKind::Rsa,
    configured: "rsa/pss-sha256",
    logged: "RSA_EMSA_PSS_SHA2_256_SALT_32",
    ours: "RSASSA-PSS with SHA-256",
    pkcs1: false,
    old: false,
};
const RSA_PKCS1: Method = Method {
    configured: "rsa-sha256",
    logged: "RSA_EMSA_PKCS1_SHA2_256",
    ours: "RSASSA-PKCS1-v1_5 with SHA-256",
    pkcs1: true,
    ..RSA_PSS
};
const P256: Method = Method {
    kind: KeyKind::P256,
    configured: "ecdsa-sha256",
    logged: "ECDSA_WITH_SHA256_DER",
    ours: "ECDSA with SHA-256",
    pkcs1: false,
    old: false,
};
const P384: Method = Method {
    kind: KeyKind::P384,
    configured: "ecdsa-sha384",
    logged: "ECDSA_WITH_SHA384_DER",
    ours: "ECDSA with SHA-384",
    ..P256
};
const ED25519: Method =
    Method { kind: KeyKind::Ed25519, configured: ANY, logged: "ED25519", ours: "Ed25519", ..P256 };
const P256_OLD: Method = Method {
    configured: ANY,
    logged: "ECDSA-256 signature",
    ours: "ECDSA (RFC 4754) with SHA-256",
    old: true,
    ..P256
};

fn signed(name: &'static str, end: End, method: &Method) {
    let site = Site::new(name);
    let root = Authority::root("Root");
    let request = |end| Request::of(host(end), method.kind);
    let mut parties = Parties::new(&site, end, &root, &request(end), &request(end.other()));
    if let Proof::Certificate(own) = &mut parties.ours.proof {
        own.pkcs1 = method.pkcs1;
    }
    parties.theirs.old_signatures = method.old;
    let demand = format!("ike:{}", method.configured);
    if method.configured != ANY {
        // "ike:", since the certificates are signed by the authority in a way of its own.
        parties.theirs.auth_methods = [Some(method.configured), Some(demand.leak())];
    }
    let (sekisho, strongswan) = parties.succeed();
    let tunnel = sekisho.tunnel();
    assert_eq!(tunnel["ike"]["peer_auth"], method.ours, "{tunnel}");
    for days_left in ["certificate_days_left", "peer_certificate_days_left"] {
        let days_left = tunnel[days_left].as_i64().unwrap();
        assert!((363..=365).contains(&days_left), "{tunnel}");
    }
    let log = strongswan.log();
    for who in [format!("'{}'", host(end)), format!("'{}' (myself)", host(end.other()))] {
        let proved = format!("authentication of {who} with {} successful", method.logged);
        assert!(log.contains(&proved), "{proved}\n{log}");
    }
}

#[test]
fn rsa_pss_when_we_initiate() {
    signed("certificates_rsa_pss_initiate", End::A, &RSA_PSS);
}

#[test]
fn rsa_pss_when_we_respond() {
    signed("certificates_rsa_pss_respond", End::B, &RSA_PSS);
}

#[test]
fn rsa_pkcs1_when_we_initiate() {
    signed("certificates_rsa_pkcs1_initiate", End::A, &RSA_PKCS1);
}

#[test]
fn rsa_pkcs1_when_we_respond() {
    signed("certificates_rsa_pkcs1_respond", End::B, &RSA_PKCS1);
}

#[test]
fn ecdsa_p256_when_we_initiate() {
    signed("certificates_p256_initiate", End::A, &P256);
}

#[test]
fn ecdsa_p256_when_we_respond() {
    signed("certificates_p256_respond", End::B, &P256);
}

#[test]
fn ecdsa_p384_when_we_initiate() {
    signed("certificates_p384_initiate", End::A, &P384);
}

#[test]
fn ecdsa_p384_when_we_respond() {
    signed("certificates_p384_respond", End::B, &P384);
}

#[test]
fn ed25519_when_we_initiate() {
    signed("certificates_ed25519_initiate", End::A, &ED25519);
}

#[test]
fn ed25519_when_we_respond() {
    signed("certificates_ed25519_respond", End::B, &ED25519);
}

/// RFC 4754's methods, for a peer without RFC 7427.
#[test]
fn ecdsa_of_old_when_we_initiate() {
    signed("certificates_old_initiate", End::A, &P256_OLD);
}

#[test]
fn ecdsa_of_old_when_we_respond() {
    signed("certificates_old_respond", End::B, &P256_OLD);
}

/// The tunnel stands in both roles, after a change to two ends with good certificates.
fn both_roles(names: [&'static str; 2], change: impl Fn(&mut Parties<'_>, &Authority)) {
    for (name, end) in names.into_iter().zip([End::A, End::B]) {
        let site = Site::new(name);
        let root = Authority::root("Root");
        let mut parties = Parties::good(&site, end, &root);
        change(&mut parties, &root);
        parties.succeed();
    }
}

impl Parties<'_> {
    /// Lets both ends speak of each other by these names.
    fn rename(&mut self, names: impl Fn(End) -> &'static str) {
        let (here, there) = (names(self.end), names(self.end.other()));
        (self.ours.local_id, self.ours.remote_id) = (here, there);
        (self.theirs.local_id, self.theirs.remote_id) = (there, here);
    }
}

#[test]
fn pre_shared_key_with_distinguished_names_in_both_roles() {
    both_roles(["certificates_psk_dn_initiate", "certificates_psk_dn_respond"], |parties, _| {
        for tunnel in [&mut parties.ours, &mut parties.theirs] {
            (tunnel.proof, tunnel.belief) = (Proof::Psk, Belief::Psk);
        }
        parties.rename(|end| match end {
            End::A => "C=JP, O=Lab, CN=clinic-17",
            End::B => "C=JP, O=Lab, CN=hub",
        });
    });
}

#[test]
fn certificates_with_distinguished_names_in_both_roles() {
    both_roles(["certificates_dn_initiate", "certificates_dn_respond"], |parties, _| {
        parties.rename(|end| match end {
            End::A => "C=JP, O=Lab, CN=clinic-17.example",
            End::B => "C=JP, O=Lab, CN=hub.example",
        });
    });
}

fn key_of(proof: &Proof) -> Entity {
    match proof {
        Proof::Certificate(own) => own.entity.clone(),
        _ => panic!("a certificate"),
    }
}

/// Both ends know each other's key, and send no certificates (RFC 7670).
#[test]
fn raw_public_keys_in_both_roles() {
    both_roles(["certificates_raw_initiate", "certificates_raw_respond"], |parties, _| {
        let (ours, theirs) = (key_of(&parties.ours.proof), key_of(&parties.theirs.proof));
        parties.ours.belief = Belief::Key(theirs.public_key.clone());
        parties.theirs.belief = Belief::Key(ours.public_key.clone());
        parties.ours.proof = Proof::RawKey(Box::new(ours));
        parties.theirs.proof = Proof::RawKey(Box::new(theirs));
    });
}

/// Each end knows exactly the other's certificate, and no authority.
#[test]
fn pinned_certificates_in_both_roles() {
    both_roles(["certificates_pinned_initiate", "certificates_pinned_respond"], |parties, _| {
        let (ours, theirs) = (key_of(&parties.ours.proof), key_of(&parties.theirs.proof));
        parties.ours.belief = Belief::Certificate(theirs.certificate);
        parties.theirs.belief = Belief::Certificate(ours.certificate);
    });
}

#[test]
fn we_sign_and_the_peer_has_a_key_in_both_roles() {
    both_roles(["certificates_mixed_initiate", "certificates_mixed_respond"], |parties, _| {
        parties.ours.belief = Belief::Psk;
        parties.theirs.proof = Proof::Psk;
    });
}

#[test]
fn we_have_a_key_and_the_peer_signs_in_both_roles() {
    both_roles(["certificates_mixed_too_initiate", "certificates_mixed_too_respond"], |parties, _| {
        parties.ours.proof = Proof::Psk;
        parties.theirs.belief = Belief::Psk;
    });
}

/// Each side sends an intermediate authority's certificate, which the other does not have.
#[test]
fn intermediate_authorities_are_sent_by_both_sides_in_both_roles() {
    both_roles(["certificates_chain_initiate", "certificates_chain_respond"], |parties, root| {
        let certified = |name, end| {
            let below = root.intermediate(name);
            Own::new(&below.issue(&Request::of(host(end), KeyKind::P256))).below(&below)
        };
        parties.ours.proof = certified("Issuing 1", parties.end);
        parties.theirs.proof = certified("Issuing 2", parties.end.other());
    });
}

/// The key and its chain come out of one encrypted file, as a card office gives them.
#[test]
fn pkcs12_holds_our_certificate() {
    let site = Site::new("certificates_pkcs12");
    let root = Authority::root("Root");
    let below = root.intermediate("Issuing");
    let mut parties = Parties::good(&site, End::A, &root);
    let own = Own::new(&below.issue(&Request::of(host(End::A), KeyKind::Rsa)));
    parties.ours.proof = Own { bundled: true, ..own }.below(&below);
    parties.succeed();
}

/// A certificate that ends soon is told of. Its file is replaced: what stands goes on at both ends, no packet is lost, and what is set up
/// next uses the new one.
#[test]
fn a_renewed_certificate_is_taken_up_by_reload_without_losing_the_tunnel() {
    let site = Site::new("certificates_renewed");
    let root = Authority::root("Root");
    let ending = Request { valid: (-1, 10), ..Request::of(host(End::A), KeyKind::P256) };
    let theirs = Request::of(host(End::B), KeyKind::P256);
    let mut parties = Parties::new(&site, End::A, &root, &ending, &theirs);
    let (sekisho, strongswan) = parties.succeed();
    let before = sekisho.tunnel();
    let held = || (strongswan.ike_spis(), strongswan.child_spis());
    let there = held();
    let told = |command: &str| String::from_utf8(sekisho.try_command(&[command]).stdout).unwrap();
    assert!(told("status").contains("our certificate expires in "), "{}", told("status"));
    // Whole days, and some of the tenth has passed.
    let warns = |days| {
        let warning = format!(
            "centre: our certificate `C=JP, O=Lab, CN=clinic-17.example` expires in {days} days, on "
        );
        told("events").contains(&warning)
    };
    assert!(warns(9) || warns(10), "{}", told("events"));

    let renewed = Request { name: "clinic-17 renewed", ..Request::of(host(End::A), KeyKind::Ed25519) };
    parties.ours.proof = Proof::by(&root.issue(&renewed));
    sekisho.rewrite(&parties.ours);
    let tallies = both_ways(&site, 0, || {
        let reloaded = sekisho.json(&["reload"]);
        assert_eq!(reloaded["renewed"], serde_json::json!(["centre"]), "{reloaded}");
    });
    assert_eq!(tallies.map(|tally| tally.lost), [0, 0]);
    let after = sekisho.tunnel();
    for sa in ["ike", "children"] {
        let spi = |tunnel: &serde_json::Value| match sa {
            "ike" => tunnel["ike"]["spi_i"].clone(),
            _ => tunnel["children"][0]["spi_in"].clone(),
        };
        assert_eq!(spi(&before), spi(&after), "the {sa} SA is the one from before");
    }
    assert_eq!(held(), there, "and strongSwan's");
    assert_carries_tcp(&site, 100);

    strongswan.terminate();
    sekisho.await_up_again(&after);
    assert!(strongswan.log().contains("received end entity cert \"C=JP, O=Lab, CN=clinic-17 renewed\""));
}
