//! The bodies of the fuzz targets; an ordinary test runs them over the corpus too.

use crate::crypto::Provider;
use crate::exchange::{
    AuthRequest, AuthResponse, CreateChildRequest, CreateChildResponse, Informational, InitRequest,
    InitResponse, Protected,
};
use crate::identity::{Identity, binds};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::pki::{
    Answer, Certificate, Crl, Evidence, Fetch, FetchKind, OcspResponse, Offered, Pin, RevocationPolicy,
    Trust, assess, cert_requests, choose, trust, trust_key,
};
use crate::secret::Secret;
use crate::suite::{Aead, Group, IkeSuite, Prf, Protection};
use crate::wire::{
    Body, CertEncoding, Datagram, Encrypted, Header, IkeSpi, Malformed, Payload, PayloadType, emit_clear,
};

/// A datagram as it comes from the network: reading it never panics, and what we write of it reads back and writes
/// the same again.
pub fn message(data: &[u8]) {
    let Some((header, payloads)) = clear(data) else { return };
    let _ = InitRequest::read(payloads.clone());
    let _ = InitResponse::read(payloads.clone());
    let written = emit_clear(header, &payloads);
    let again = clear(&written).map(|(header, payloads)| emit_clear(header, &payloads));
    assert_eq!(Some(written), again, "what was written reads back");
}

fn clear(data: &[u8]) -> Option<(Header, Vec<Payload>)> {
    match Datagram::parse(data).ok()? {
        Datagram { header, body: Body::Clear(payloads), .. } => Some((header, payloads)),
        _ => None,
    }
}

/// A chain of payloads (the first byte is the type of the first) sealed with known keys, as a peer could: opened and
/// read as the message of every exchange.
pub fn payloads(data: &[u8]) {
    let Some((first, plaintext)) = data.split_first() else { return };
    let Some(keys) = known_keys() else { return };
    let associated = [0u8; 32];
    let mut sealing = keys.0.initiator;
    let Ok(sealed) = sealing.seal(&associated, plaintext.to_vec()) else { return };
    let first = PayloadType(*first);
    let open =
        || Protected::open(&Encrypted { first, associated: &associated, sealed: &sealed }, &keys.1.initiator);
    read(open().ok(), AuthRequest::read);
    read(open().ok(), AuthResponse::read);
    read(open().ok(), CreateChildRequest::read);
    read(open().ok(), CreateChildResponse::read);
    read(open().ok(), Informational::read);
}

fn read<T>(opened: Option<Protected<Vec<Payload>>>, read: fn(Vec<Payload>) -> Result<T, Malformed>) {
    let _ = opened.map(|payloads| payloads.try_map(read).is_ok());
}

/// The same keys for the one who seals and the one who opens.
fn known_keys() -> Option<(IkeKeys, IkeKeys)> {
    let protection = Protection::Aead(Aead::Aes128Gcm16);
    let suite = IkeSuite { protection, prf: Prf::HmacSha256, group: Group::X25519 };
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    let derive = || IkeKeys::derive(&Provider::ring(), suite, nonces, spis, &Secret::new(vec![3; 32])).ok();
    derive().zip(derive())
}

/// 2030-01-01, as in the tests' certificates.
const NOW: u64 = 1_893_456_000;

/// A peer's certificate: read, printed, judged against itself as authority and as pin, and its revocation asked about.
pub fn certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::from_der(data) else { return };
    assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
    let subject = certificate.subject();
    if let Ok(read) = subject.to_string().parse() {
        assert_eq!(*subject, read, "a name reads back");
    }
    for identity in certificate.identities() {
        assert_eq!(binds(&certificate, &identity), Ok(()));
        let wire = identity.to_wire();
        assert!(wire.data.len() > Identity::MAX_LENGTH || Identity::from_wire(&wire) == Some(identity));
    }
    let known = vec![certificate.clone()];
    let pinned = vec![Pin::Certificate(certificate.clone())];
    let revocation = RevocationPolicy::Strict;
    let by_itself =
        Trust { anchors: known.clone(), intermediates: known.clone(), revocation, ..Trust::default() };
    for trusted in [&by_itself, &Trust { pinned, ..by_itself.clone() }] {
        if let Ok(path) = trust(&certificate, &known, trusted, NOW) {
            let _ = assess(&path, trusted, &Evidence::default(), NOW);
        }
    }
}

/// A revocation list, about a certificate of its own issuer as far as one is at hand.
pub fn crl(data: &[u8]) {
    let Ok(crl) = Crl::from_der(data) else { return };
    assert_eq!(Crl::from_der(crl.der()).as_ref(), Ok(&crl));
    judge(Answer::Crl(Fetch { url: String::new(), kind: FetchKind::Crl }, crl));
}

/// An OCSP response, likewise.
pub fn ocsp_response(data: &[u8]) {
    let Ok(response) = OcspResponse::from_der(data) else { return };
    assert_eq!(OcspResponse::from_der(response.der()).as_ref(), Ok(&response));
    let request = Vec::new();
    judge(Answer::Ocsp(Fetch { url: String::new(), kind: FetchKind::Ocsp { request } }, response));
}

/// Judges a known path by an answer. The corpus holds answers about this path.
fn judge(answer: Answer) {
    let known = |der: &[u8]| Certificate::from_der(der).ok();
    let root = known(include_bytes!("../../fuzz/corpus/x509_certificate/root.der"));
    let leaf = known(include_bytes!("../../fuzz/corpus/x509_certificate/leaf.der"));
    let (Some(root), Some(leaf)) = (root, leaf) else { return };
    let trusted = Trust { anchors: vec![root], revocation: RevocationPolicy::Strict, ..Trust::default() };
    let Ok(path) = trust(&leaf, &[], &trusted, NOW) else { return };
    let _ = assess(&path, &trusted, &Evidence { answers: vec![answer], ..Evidence::default() }, NOW);
}

/// CERT and CERTREQ payloads: an encoding, a 16-bit length and so many bytes, again and again.
pub fn cert_payloads(data: &[u8]) {
    let mut payloads: Vec<(CertEncoding, &[u8])> = Vec::new();
    let mut rest = data;
    while let [encoding, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (body, behind) = tail.split_at(length);
        payloads.push((CertEncoding(*encoding), body));
        rest = behind;
    }
    let requests: Vec<_> = payloads.iter().map(|(encoding, body)| (*encoding, body.to_vec())).collect();
    let _ = choose(&[], &requests);
    let Ok(offered) = Offered::read(payloads) else { return };
    let anchors: Vec<Certificate> = offered.others.iter().chain(&offered.end_entity).cloned().collect();
    let trusted = Trust { anchors, ..Trust::default() };
    let _ = cert_requests(&trusted);
    if let Some(path) = offered.end_entity.and_then(|peer| trust(&peer, &offered.others, &trusted, NOW).ok())
    {
        let stapled = offered.ocsp_responses;
        let _ = assess(&path, &trusted, &Evidence { stapled, answers: Vec::new() }, NOW);
    }
    if let Some(key) = offered.raw_key {
        let trusted = Trust { pinned: vec![Pin::Key(key.clone())], ..Trust::default() };
        assert!(trust_key(&key, &trusted).is_ok());
    }
}
