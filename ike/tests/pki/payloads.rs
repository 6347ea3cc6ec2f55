//! CERT and CERTREQ payloads.

use sekisho_ike::pki::{
    Certificate, Credential, CredentialError, Offered, OfferedError, Pin, PublicKey, RevocationPolicy,
    SigningKey, Trust, cert_payloads, cert_requests,
};
use sekisho_ike::wire::CertEncoding;

use crate::fixtures::{key, pem};
use crate::made::{Made, ca, leaf, root};

fn read(payloads: &[(CertEncoding, Vec<u8>)]) -> Result<Offered, OfferedError> {
    Offered::read(payloads.iter().map(|(encoding, data)| (*encoding, data.as_slice())))
}

fn x509(certificate: &Certificate) -> (CertEncoding, Vec<u8>) {
    (CertEncoding::X509_SIGNATURE, certificate.der().to_vec())
}

struct Chain {
    root: Made,
    branch: Made,
    leaf: Made,
}

impl Chain {
    fn new() -> Self {
        let root = root(ca("Root"));
        let branch = root.issue(ca("Branch"));
        let leaf = branch.issue(leaf("clinic-17"));
        Self { root, branch, leaf }
    }

    fn certificates(&self) -> Vec<Certificate> {
        [&self.leaf, &self.branch, &self.root].map(|made| made.certificate.clone()).to_vec()
    }

    fn credential(&self) -> Credential {
        Credential::new(self.leaf.signing_key(), self.certificates()).unwrap()
    }
}

fn raw() -> Credential {
    Credential::new(key("P-256.pkcs8"), Vec::new()).unwrap()
}

/// A CERTREQ of these authorities.
fn request(authorities: &[&Made]) -> Vec<(CertEncoding, Vec<u8>)> {
    let hashes = authorities.iter().flat_map(|made| made.certificate.key_hash()).collect();
    vec![(CertEncoding::X509_SIGNATURE, hashes)]
}

#[test]
fn the_first_certificate_is_the_peers() {
    let chain = Chain::new();
    let payloads: Vec<_> = chain.certificates().iter().map(x509).collect();
    let offered = read(&payloads).unwrap();
    assert_eq!(offered.end_entity, Some(chain.leaf.certificate.clone()));
    assert_eq!(offered.others, chain.certificates()[1..]);
    assert_eq!((offered.raw_key, offered.ignored.len()), (None, 0));
}

#[test]
fn a_broken_first_certificate_is_an_error_and_another_one_is_left_out() {
    let chain = Chain::new();
    let broken = (CertEncoding::X509_SIGNATURE, vec![0x30, 0]);
    assert!(matches!(read(std::slice::from_ref(&broken)), Err(OfferedError::EndEntity(_))));
    let offered = read(&[x509(&chain.leaf.certificate), broken, x509(&chain.branch.certificate)]).unwrap();
    assert_eq!(offered.others, [chain.branch.certificate]);
    assert_eq!(offered.ignored, ["the certificate is malformed: no X.509 certificate as DER"]);
}

#[test]
fn raw_keys_and_ocsp_responses_are_taken() {
    let spki = pem("ed25519.public.pem");
    let offered = read(&[
        (CertEncoding::RAW_PUBLIC_KEY, spki.clone()),
        (CertEncoding::OCSP_CONTENT, vec![1, 2, 3]),
        (CertEncoding::RAW_PUBLIC_KEY, spki.clone()),
    ])
    .unwrap();
    assert_eq!(offered.raw_key, Some(PublicKey::from_spki_der(&spki).unwrap()));
    assert_eq!(offered.ocsp_responses, [vec![1, 2, 3]]);
    assert_eq!(offered.ignored, ["a CERT payload of encoding RAW_PUBLIC_KEY"]);
    let weak = read(&[(CertEncoding::RAW_PUBLIC_KEY, pem("secp256k1.public.pem"))]);
    assert!(matches!(weak, Err(OfferedError::RawKey(_))));
}

/// Rule 6 again: what would make us fetch from a peer's URL before anything is known about the peer is not looked at.
#[test]
fn hash_and_url_is_ignored() {
    let url = [&[0; 20][..], b"http://evil.example/"].concat();
    for encoding in [CertEncoding::HASH_AND_URL, CertEncoding::HASH_AND_URL_BUNDLE, CertEncoding(200)] {
        let offered = read(&[(encoding, url.clone())]).unwrap();
        assert_eq!(offered.ignored, [format!("a CERT payload of encoding {encoding}")]);
        assert_eq!(Offered { ignored: Vec::new(), ..offered }, Offered::default());
    }
}

#[test]
fn a_peer_can_send_only_so_much() {
    let certificate = Chain::new().leaf.certificate;
    assert!(read(&vec![x509(&certificate); 16]).is_ok());
    assert_eq!(read(&vec![x509(&certificate); 17]), Err(OfferedError::TooManyCertificates));
    let responses = vec![(CertEncoding::OCSP_CONTENT, vec![0; 6 * 1024]); 8];
    assert!(read(&responses).is_ok());
    let more = [&responses[..], &[x509(&certificate)]].concat();
    assert_eq!(read(&more), Err(OfferedError::TooLarge));
    let small = vec![(CertEncoding::OCSP_CONTENT, vec![0]); 9];
    assert_eq!(read(&small).unwrap().ocsp_responses.len(), 8);
    let huge = (CertEncoding::X509_SIGNATURE, [certificate.der(), &[0; 16 * 1024]].concat());
    assert!(matches!(read(&[huge]), Err(OfferedError::EndEntity(_))));
}

#[test]
fn we_ask_for_what_we_can_verify() {
    let root = root(ca("Root"));
    let hash = root.certificate.key_hash().to_vec();
    let ocsp = (CertEncoding::OCSP_CONTENT, Vec::new());
    let mut trust = root.trusted();
    assert_eq!(cert_requests(&trust), [(CertEncoding::X509_SIGNATURE, hash.clone()), ocsp]);
    trust.revocation = RevocationPolicy::Off;
    assert_eq!(cert_requests(&trust), [(CertEncoding::X509_SIGNATURE, hash)]);
    let pinned = |pin| Trust { pinned: vec![pin], ..Trust::default() };
    let key = Pin::Key(raw().key.public_key().clone());
    assert_eq!(cert_requests(&pinned(key)), [(CertEncoding::RAW_PUBLIC_KEY, Vec::new())]);
    let certificate = Pin::Certificate(root.certificate.clone());
    assert_eq!(cert_requests(&pinned(certificate)), [(CertEncoding::X509_SIGNATURE, Vec::new())]);
    assert_eq!(cert_requests(&Trust::default()), []);
}

/// RFC 7296 §3.7: "the SHA-1 hash of the Subject Public Key Info". By OpenSSL:
/// `openssl pkey -pubin -in rsa.public.pem -outform DER | openssl sha1`, of the fixture's leaf.
#[test]
fn the_hash_of_a_key_is_that_of_its_whole_info() {
    let spki = pem("rsa.public.pem");
    let expected = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &spki);
    assert_eq!(crate::fixtures::certificate("leaf").key_hash(), expected.as_ref());
}

#[test]
fn we_send_our_chain_up_to_what_the_peer_has() {
    let chain = Chain::new();
    let credential = chain.credential();
    let sent = |requests: &[(CertEncoding, Vec<u8>)]| cert_payloads(&credential, requests);
    let (leaf, branch) = (x509(&chain.leaf.certificate), x509(&chain.branch.certificate));
    // Never the root: whoever trusts it has it.
    assert_eq!(sent(&request(&[&chain.root])), [leaf.clone(), branch.clone()]);
    assert_eq!(sent(&[]), [leaf.clone(), branch]);
    assert_eq!(sent(&request(&[&chain.branch])), [leaf]);
    let key = chain.leaf.signing_key().public_key().spki_der().to_vec();
    let raw_key = [(CertEncoding::RAW_PUBLIC_KEY, key)];
    assert_eq!(sent(&[(CertEncoding::RAW_PUBLIC_KEY, Vec::new())]), raw_key);
    let both = [&request(&[&chain.root])[..], &[(CertEncoding::RAW_PUBLIC_KEY, Vec::new())]].concat();
    assert_eq!(sent(&both).len(), 2, "certificates, if the peer takes them");
    assert_eq!(cert_payloads(&raw(), &request(&[&chain.root]))[0].0, CertEncoding::RAW_PUBLIC_KEY);
}

#[test]
fn a_credential_is_checked_when_it_is_made() {
    let chain = Chain::new();
    let of =
        |key: SigningKey, certificates: Vec<Certificate>| Credential::new(key, certificates).unwrap_err();
    let error = of(key("P-256.pkcs8"), chain.certificates());
    assert_eq!(error, CredentialError::KeyMismatch("C=JP, O=Clinic, CN=clinic-17".into()));
    let mut disordered = chain.certificates();
    disordered.remove(1);
    let names = ["C=JP, O=Clinic, CN=clinic-17", "C=JP, O=Clinic, CN=Branch"].map(str::to_owned);
    let expected = CredentialError::Disorder(names[0].clone(), names[1].clone());
    assert_eq!(of(chain.leaf.signing_key(), disordered), expected);
    // The right name with another key is not the issuer.
    let namesake = Chain::new();
    let wrong = vec![chain.leaf.certificate.clone(), namesake.branch.certificate];
    assert_eq!(of(chain.leaf.signing_key(), wrong), expected);
}
