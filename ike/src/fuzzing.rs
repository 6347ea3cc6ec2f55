//! The bodies of the fuzz targets; an ordinary test runs them over the corpus too.

#[cfg(feature = "sim")]
mod certified;
#[cfg(feature = "sim")]
mod conversation;

use std::collections::BTreeMap;

#[cfg(feature = "sim")]
pub use conversation::conversation;

use crate::crypto::Provider;
use crate::exchange::{
    AuthRequest, AuthResponse, CreateChildRequest, CreateChildResponse, Informational, InitRequest,
    InitResponse, OpenError, Protected, Reassembly,
};
use crate::identity::{Identity, binds};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::limits;
use crate::pki::{
    self, Answer, Assessment, Certificate, Credential, Crl, Evidence, Fetch, FetchKind, OcspResponse,
    Offered, Pin, RevocationPolicy, SigningKey, Trust, assess, cert_requests, trust, trust_key, verify,
};
use crate::secret::Secret;
use crate::suite::{Aead, Group, IkeSuite, Prf, Protection};
use crate::wire::{
    AuthMethod, Body, CertEncoding, Datagram, Encrypted, ExchangeType, FragmentPlace, Header, IkeSpi,
    Malformed, Payload, PayloadType, emit_clear, parse_chain, prepare_fragment,
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
    let sk = Encrypted { first, associated: &associated, sealed: &sealed, unsupported: None };
    let open = || Protected::open(&sk, &keys.1.initiator);
    read(open().ok(), AuthRequest::read);
    read(open().ok(), AuthResponse::read);
    read(open().ok(), CreateChildRequest::read);
    read(open().ok(), CreateChildResponse::read);
    read(open().ok(), Informational::read);
}

fn read<T>(opened: Option<Protected<Vec<Payload>>>, read: fn(Vec<Payload>) -> Result<T, Malformed>) {
    let _ = opened.map(|payloads| payloads.try_map(read).is_ok());
}

/// Fragments as a peer could send them, and a stranger: each is four bytes (number, total, flags, length) and its text.
/// What is gathered of them is held against a model of RFC 7383 §2.6.
pub fn fragments(data: &[u8]) {
    let Some((mut sealing, opening)) = known_keys().map(|keys| (keys.0.initiator, keys.1.initiator)) else {
        return;
    };
    let (mut reassembly, mut model) = (Reassembly::default(), Model::default());
    let mut rest = data;
    while let Some((&[number, total, flags, length], text)) = rest.split_first_chunk() {
        let (text, later) = text.split_at(text.len().min(usize::from(length)));
        rest = later;
        let place = FragmentPlace { number: number.into(), total: total.into() };
        let (first, message_id) = (PayloadType(flags & 0x3f), u32::from(flags >> 7));
        let forged = flags & 0x40 != 0;
        let header = fragment_header(message_id);
        // A flag that lengthens the text, for the bound of a whole message.
        let text = text.repeat(if length == 255 { 8 } else { 1 });
        let prepared = prepare_fragment(header, first, place, text.clone(), sealing.frame());
        let Ok(mut sealed) = sealing.seal(&prepared.0, prepared.1) else { return };
        sealed.last_mut().into_iter().for_each(|last| *last ^= u8::from(forged));
        let bytes = [prepared.0, sealed].concat();
        let Ok(datagram) = Datagram::parse(&bytes) else {
            assert!(number == 0 || number > total, "what is well formed parses");
            continue;
        };
        let Body::Fragment(fragment) = &datagram.body else { panic!("a fragment") };
        let result = reassembly.take(&datagram.header, &bytes, fragment, &opening);
        let result = result.map(|received| received.payloads.into_inner());
        let expected = model.take(message_id, place, first, text, forged);
        assert_eq!(result, expected, "fragment {number} of {total}");
        assert_eq!(reassembly.held(), model.held());
        let (pieces, bytes) = reassembly.held();
        assert!(pieces <= usize::from(limits::FRAGMENTS) && bytes <= limits::MESSAGE);
    }
}

fn fragment_header(message_id: u32) -> Header {
    Header {
        spi_i: IkeSpi([1; 8]),
        spi_r: IkeSpi([2; 8]),
        next_payload: PayloadType::NONE,
        exchange: ExchangeType::IKE_AUTH,
        from_initiator: true,
        response: false,
        message_id,
        length: 0,
    }
}

/// What a reassembly should do, as plainly as it can be said.
#[derive(Default)]
struct Model {
    message_id: u32,
    total: u16,
    pieces: BTreeMap<u16, (PayloadType, Vec<u8>)>,
}

impl Model {
    fn take(
        &mut self,
        message_id: u32,
        place: FragmentPlace,
        first: PayloadType,
        text: Vec<u8>,
        forged: bool,
    ) -> Result<Vec<Payload>, OpenError> {
        let FragmentPlace { number, total } = place;
        let same = self.total > 0 && self.message_id == message_id;
        if same && (total < self.total || total == self.total && self.pieces.contains_key(&number)) {
            return Err(OpenError::Repeated);
        }
        if forged {
            return Err(OpenError::Forged);
        }
        if total > limits::FRAGMENTS {
            return Err(OpenError::TooLarge);
        }
        if !same || total > self.total {
            *self = Self { message_id, total, pieces: BTreeMap::new() };
        }
        if self.held().1 + text.len() > limits::MESSAGE {
            return Err(OpenError::TooLarge);
        }
        self.pieces.insert(number, (first, text));
        if self.pieces.len() < usize::from(total) {
            return Err(OpenError::Incomplete);
        }
        let pieces: Vec<_> = std::mem::take(self).pieces.into_values().collect();
        let first = pieces.first().map_or(PayloadType::NONE, |(first, _)| *first);
        let chain: Vec<u8> = pieces.into_iter().flat_map(|(_, text)| text).collect();
        parse_chain(first, &chain).map_err(OpenError::Malformed)
    }

    fn held(&self) -> (usize, usize) {
        (self.pieces.len(), self.pieces.values().map(|(_, text)| text.len()).sum())
    }
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
    judge(|issuer, certificate| {
        let kind = FetchKind::Crl { certificate };
        Answer::Crl(Fetch { url: String::new(), kind, issuer }, crl, NOW)
    });
}

/// An OCSP response, likewise.
pub fn ocsp_response(data: &[u8]) {
    let Ok(response) = OcspResponse::from_der(data) else { return };
    assert_eq!(OcspResponse::from_der(response.der()).as_ref(), Ok(&response));
    judge(|issuer, certificate| {
        let kind = FetchKind::Ocsp { request: Vec::new(), certificate };
        Answer::Ocsp(Fetch { url: String::new(), kind, issuer }, response, NOW)
    });
}

/// Judges a known path by an answer, of which issuer and certificate are given. The corpus holds answers about this path.
/// What would not be kept says nothing.
fn judge(answer: impl FnOnce(Certificate, Certificate) -> Answer) {
    let known = |der: &[u8]| Certificate::from_der(der).ok();
    let root = known(include_bytes!("../../fuzz/corpus/x509_certificate/root.der"));
    let leaf = known(include_bytes!("../../fuzz/corpus/x509_certificate/leaf.der"));
    let (Some(root), Some(leaf)) = (root, leaf) else { return };
    let answer = answer(root.clone(), leaf.clone());
    let trusted = Trust { anchors: vec![root], revocation: RevocationPolicy::Strict, ..Trust::default() };
    let Ok(path) = trust(&leaf, &[], &trusted, NOW) else { return };
    let judged =
        |answer| assess(&path, &trusted, &Evidence { answers: vec![answer], ..Evidence::default() }, NOW);
    let said = judged(answer.clone());
    if matches!(answer.vouched(NOW), Answer::Failed(..)) {
        assert!(matches!(said, Assessment::Unknown { .. }), "{said:?}");
    }
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
    // Ed25519 as PKCS#8; any key will do.
    let key = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &[7; 32]].concat();
    if let Ok(credential) = SigningKey::from_der(&key).map(|key| Credential::new(key, Vec::new())) {
        let sent = credential.map(|credential| pki::cert_payloads(&credential, &requests));
        assert_eq!(sent.map(|sent| sent.len()), Ok(1), "the raw key, whatever is asked for");
    }
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

/// The data of an AUTH payload, checked with keys of each kind that a peer may have: the first byte chooses the key, the
/// second is the method. Nobody can have signed it.
pub fn auth_payload(data: &[u8]) {
    let [key, method, data @ ..] = data else { return };
    let certificates: [&[u8]; 4] = [
        include_bytes!("../../fuzz/corpus/x509_certificate/root.der"),
        include_bytes!("../../fuzz/corpus/x509_certificate/leaf.der"),
        include_bytes!("../../fuzz/corpus/x509_certificate/pss.der"),
        include_bytes!("../../fuzz/corpus/x509_certificate/branch.der"),
    ];
    let Some(der) = certificates.get(usize::from(*key) % certificates.len()) else { return };
    let Ok(certificate) = Certificate::from_der(der) else { return };
    let Ok(key) = certificate.public_key() else { return };
    let verified = verify(key, b"what nobody has signed", AuthMethod(*method), data);
    assert!(verified.is_err(), "{verified:?}");
}
