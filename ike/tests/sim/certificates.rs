//! Tunnels whose ends prove themselves by certificates and keys (RFC 7427, RFC 4945, RFC 7670), and those that do not
//! come up, each for its own reason.

mod refusals;
mod revocation;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use sekisho_ike::config::{Connection, LocalAuth, RemoteAuth};
use sekisho_ike::event::Command;
use sekisho_ike::pki::{Credential, Pin, RevocationPolicy, SigningKey, Trust};
use sekisho_ike::sim::{Conditions, Rogue, Side, World, connection_pair, run_seeds};
use sekisho_ike::wire::{AuthMethod, EspSpi, Payload};

use crate::made::{Made, NOW, ca, dns, leaf, root};
use crate::{MINUTE, SECOND, patient};

pub use revocation::{credential, good, revocable, revoked};

pub const RESPONDER: &str = "http://ocsp.clinic.example/";
pub const LIST: &str = "http://crl.clinic.example/root.crl";

/// A root, an authority below it, and what both ends have of it.
pub struct Pki {
    root: Made,
    intermediate: Made,
}

/// Ed25519: its signatures are a function of the message, so that a seed replays.
pub fn ed25519() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

pub fn host(name: &str) -> CertificateParams {
    let mut params = leaf(name);
    params.subject_alt_names = vec![dns(&format!("{name}.example"))];
    params
}

impl Pki {
    pub fn new() -> Self {
        let root = root(ca("Root"));
        let intermediate = root.issue(ca("Issuing"));
        Self { root, intermediate }
    }

    pub fn trust(&self) -> Trust {
        Trust { revocation: RevocationPolicy::Off, ..self.root.trusted() }
    }

    /// With the intermediate certificate in its chain.
    fn credential(&self, made: &Made) -> Credential {
        let chain = vec![made.certificate.clone(), self.intermediate.certificate.clone()];
        Credential::new(made.signing_key(), chain).unwrap()
    }

    pub fn issue(&self, params: CertificateParams) -> Credential {
        self.credential(&self.intermediate.issue_for(params, ed25519()))
    }
}

pub fn signs(connection: &mut Connection, credential: Credential, trust: Trust) {
    connection.local_auth = LocalAuth::Signature(Arc::new(credential));
    connection.remote_auth = RemoteAuth::Signature(Arc::new(trust));
}

pub fn world(seed: u64, conditions: Conditions) -> World {
    let mut world = World::new(seed, conditions);
    world.wall = NOW;
    world
}

pub fn configure(world: &mut World, a: Connection, b: Connection) {
    world.configure(Side::B, vec![b]);
    world.configure(Side::A, vec![a]);
}

/// Both ends by certificates below the same root, changed before they start.
fn start_with(
    seed: u64,
    conditions: Conditions,
    change: impl FnOnce(&Pki, &mut Connection, &mut Connection),
) -> World {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    change(&pki, &mut a, &mut b);
    let mut world = world(seed, conditions);
    configure(&mut world, a, b);
    world
}

#[test]
fn certificates_below_an_intermediate_authority_prove_both_ends() {
    let mut world = start_with(1, Conditions::GOOD, |_, _, _| {});
    assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    assert_eq!(world.link.sent, 4, "no exchange more than with a key");
    for (side, peer) in [(Side::A, "CN=b"), (Side::B, "CN=a")] {
        let proof = world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof;
        assert_eq!(proof.method, "Ed25519");
        assert!(proof.certificate.unwrap().subject().to_string().ends_with(peer));
        assert_eq!(proof.not_after, Some(2_208_988_800), "2040-01-01");
        assert_eq!(proof.note, None);
    }
}

#[test]
fn a_bad_line_and_slow_arithmetic_delay_certificates_and_no_more() {
    run_seeds(200, |seed| {
        let mut world = start_with(seed, Conditions::bad(0.25), |_, a, b| patient(a, b));
        for side in [Side::A, Side::B] {
            world.host(side).desk.work_time = Duration::from_millis(seed % 3 * 200);
        }
        assert!(world.run_until(10 * MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        world.run_for(MINUTE);
        // The early rekey may be on its way still.
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?}", world.disagreement());
        assert_eq!(world.a.failures, [], "A");
        assert_eq!(world.b.failures, [], "B");
    });
}

/// "There is no requirement that the initiator and responder sign with the same cryptographic algorithms. The choice of
/// cryptographic algorithms depends on the type of key each has" (RFC 7296 §2.15).
#[test]
fn each_kind_of_key_proves_an_end_and_the_other_may_have_another() {
    let pki = Pki::new();
    let rsa = |name: &str| {
        let der = crate::fixtures::pem(name);
        KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_RSA_SHA256).unwrap()
    };
    let p384 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let keys: [(&str, &dyn Fn() -> KeyPair); 4] = [
        ("Ed25519", &ed25519),
        ("ECDSA with SHA-256", &crate::made::key),
        ("ECDSA with SHA-384", &p384),
        ("RSASSA-PSS with SHA-256", &|| rsa("rsa.pkcs8.pem")),
    ];
    for (of_a, key_a) in keys {
        for (of_b, key_b) in keys {
            let (mut a, mut b) = connection_pair();
            let made =
                |name: &str, key: KeyPair| pki.credential(&pki.intermediate.issue_for(host(name), key));
            signs(&mut a, made("a", key_a()), pki.trust());
            signs(&mut b, made("b", key_b()), pki.trust());
            let mut world = world(1, Conditions::GOOD);
            configure(&mut world, a, b);
            assert!(world.run_until(MINUTE, |w| w.is_up()), "{of_a} {of_b}: {:?}", world.b.failures);
            let method = |world: &mut World, side| {
                world.host(side).status().into_tunnel().unwrap().ike_sa.remote_proof.method
            };
            assert_eq!(
                (method(&mut world, Side::B), method(&mut world, Side::A)),
                (of_a.into(), of_b.into())
            );
        }
    }
}

/// A peer that knows nothing of RFC 7427 gets, and makes, RSA's own method with SHA-2.
#[test]
fn a_peer_of_old_signs_with_rsa_and_is_signed_to() {
    let pki = Pki::new();
    let der = crate::fixtures::pem("rsa.pkcs8.pem");
    let rsa = |name| {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &rcgen::PKCS_RSA_SHA256);
        pki.credential(&pki.intermediate.issue_for(host(name), key.unwrap()))
    };
    for hashes in [false, true] {
        let (mut a, mut b) = connection_pair();
        signs(&mut a, rsa("a"), pki.trust());
        signs(&mut b, rsa("b"), pki.trust());
        let mut world = world(1, Conditions::GOOD);
        world.configure(Side::B, vec![b]);
        let mut peer = Rogue::new(a, "198.51.100.66:4500".parse().unwrap(), 1);
        peer.hashes = hashes;
        assert!(peer.connect(&mut world, EspSpi(0x1000)), "{:?}", world.b.failures);
        let method = peer.answered.iter().find_map(|payload| match payload {
            Payload::Auth(auth) => Some(auth.method),
            _ => None,
        });
        let expected = if hashes { AuthMethod::DIGITAL_SIGNATURE } else { AuthMethod::RSA_SIGNATURE };
        assert_eq!(method, Some(expected), "what B signs with");
        let theirs = world.b.status().into_tunnel().unwrap().ike_sa.remote_proof.method;
        assert_eq!(theirs.contains("PKCS1"), !hashes, "what the peer signed with: {theirs}");
    }
}

#[test]
fn one_end_may_sign_and_the_other_use_a_key() {
    for signer in [Side::A, Side::B] {
        let pki = Pki::new();
        let (mut a, mut b) = connection_pair();
        let (ours, theirs) = if signer == Side::A { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let name = if signer == Side::A { "a" } else { "b" };
        ours.local_auth = LocalAuth::Signature(Arc::new(pki.issue(host(name))));
        theirs.remote_auth = RemoteAuth::Signature(Arc::new(pki.trust()));
        let mut world = world(1, Conditions::GOOD);
        configure(&mut world, a, b);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    }
}

/// RFC 7670: no certificate at all, and a certificate that nobody else vouches for.
#[test]
fn pinned_keys_and_certificates_need_no_authority() {
    let key = || SigningKey::from_der(ed25519().serialized_der()).unwrap();
    let (key_a, key_b) = (key(), key());
    let alone = root(host("b"));
    for pin_certificate in [false, true] {
        let (mut a, mut b) = connection_pair();
        let raw = |key: &SigningKey| Credential::new(key.clone(), Vec::new()).unwrap();
        let (of_b, pin_b) = if pin_certificate {
            let chain = vec![alone.certificate.clone()];
            let pin = Pin::Certificate(alone.certificate.clone());
            (Credential::new(alone.signing_key(), chain).unwrap(), pin)
        } else {
            (raw(&key_b), Pin::Key(key_b.public_key().clone()))
        };
        let pinned = |pin| Trust { pinned: vec![pin], ..Trust::default() };
        signs(&mut a, raw(&key_a), pinned(pin_b));
        signs(&mut b, of_b, pinned(Pin::Key(key_a.public_key().clone())));
        let mut world = world(1, Conditions::GOOD);
        configure(&mut world, a, b);
        assert!(world.run_until(MINUTE, |w| w.is_up()), "{:?} {:?}", world.a.failures, world.b.failures);
    }
}

/// A certificate is renewed while the tunnel stands: nothing happens to it, and the next one is made with the new one.
#[test]
fn a_renewed_certificate_is_taken_up_without_touching_the_tunnel() {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    let mut world = world(1, Conditions::GOOD);
    configure(&mut world, a.clone(), b);
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    let spi = world.a.status().into_tunnel().unwrap().ike_sa.spi_i;
    let seen =
        |world: &World| world.b.status().into_tunnel().unwrap().ike_sa.remote_proof.certificate.unwrap();
    let old = seen(&world);

    signs(&mut a, pki.issue(host("a")), pki.trust());
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert_eq!(world.a.status().into_tunnel().unwrap().ike_sa.spi_i, spi, "the tunnel was not touched");
    world.command(Side::A, Command::RekeyIke("link".into())).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.disagreement(), None);
    assert!(world.a.ended.is_empty());

    world.command(Side::A, Command::Down("link".into())).unwrap();
    world.run_for(SECOND);
    world.command(Side::A, Command::Up("link".into())).unwrap();
    assert!(world.run_until(MINUTE, |w| w.is_up()));
    assert_ne!(seen(&world), old);
}

/// Whoever mends what a tunnel does not come up for need not wait for its next try, however long that would be.
#[test]
fn a_tunnel_that_waits_is_tried_at_once_when_its_certificates_change() {
    let pki = Pki::new();
    let stranger = || Pki::new();
    for (of_a, trust_of_a) in
        [(stranger().issue(host("a")), pki.trust()), (pki.issue(host("a")), stranger().trust())]
    {
        let (mut a, mut b) = connection_pair();
        signs(&mut a, of_a, trust_of_a);
        signs(&mut b, pki.issue(host("b")), pki.trust());
        let mut world = world(1, Conditions::GOOD);
        configure(&mut world, a.clone(), b);
        world.run_for(10 * MINUTE);
        let wait = |w: &mut World| w.a.status().next_try.is_some_and(|at| at.since(w.now) > 30 * SECOND);
        assert!(world.run_until(3 * MINUTE, wait), "{:?}", world.a.status());

        signs(&mut a, pki.issue(host("a")), pki.trust());
        world.configure(Side::A, vec![a]);
        assert_eq!(world.a.status().last_failure, None, "that was told of what is no more");
        assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.a.failures);
    }
}

/// The first message is not answered yet: the attempt would go on with the old certificate to its refusal.
#[test]
fn what_is_under_way_with_an_old_certificate_begins_anew() {
    let pki = Pki::new();
    let (mut a, mut b) = connection_pair();
    signs(&mut a, Pki::new().issue(host("a")), pki.trust());
    signs(&mut b, pki.issue(host("b")), pki.trust());
    let mut world = world(1, Conditions::GOOD);
    world.link.cut = true;
    configure(&mut world, a.clone(), b);
    world.run_for(2 * SECOND);
    world.link.cut = false;
    signs(&mut a, pki.issue(host("a")), pki.trust());
    world.configure(Side::A, vec![a.clone()]);
    assert!(world.run_until(SECOND, |w| w.is_up()), "{:?}", world.a.failures);
    assert!(world.a.failures.is_empty() && world.b.failures.is_empty());

    world.command(Side::A, Command::Down("link".into())).unwrap();
    signs(&mut a, pki.issue(host("a")), pki.trust());
    world.configure(Side::A, vec![a]);
    world.run_for(MINUTE);
    assert!(!world.is_up() && world.a.status().tunnels.is_empty(), "what was taken down stays down");
}
