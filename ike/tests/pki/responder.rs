//! Revocation lists and OCSP responses made on the spot, right ones and wrong ones.

use rcgen::{KeyPair, SigningKey as _};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use sekisho_ike::pki::{Certificate, Crl, HashAlgorithm, OcspResponse, Scheme};

use crate::made::Made;

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | u8::try_from(bytes.len()).unwrap());
            out.extend(bytes);
        }
    }
    out.extend(content);
    out
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn time(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

/// An extension: OID in DER, critical or not, content.
pub fn extension(oid: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    sequence(&[&tlv(6, oid), &critical, &tlv(4, content)])
}

/// Content, algorithm, signature by a P-256 key.
fn signed(content: &[u8], key: &KeyPair, behind: &[u8]) -> Vec<u8> {
    let signature = [&[0], &key.sign(content).unwrap()[..]].concat();
    sequence(&[content, &Scheme::Ecdsa(HashAlgorithm::Sha256).to_der(), &tlv(3, &signature), behind])
}

/// A revocation list, to be changed before it is made.
#[derive(Clone)]
pub struct List {
    pub this_update: &'static str,
    pub next_update: Option<&'static str>,
    pub entries: Vec<Vec<u8>>,
    pub extensions: Vec<Vec<u8>>,
}

impl List {
    pub fn new() -> Self {
        let next_update = Some("20300108000000Z");
        Self { this_update: "20291225000000Z", next_update, entries: Vec::new(), extensions: Vec::new() }
    }

    pub fn revoking(certificate: &Certificate) -> Self {
        let mut list = Self::new();
        list.revoke(certificate.serial(), Some(1));
        list
    }

    pub fn revoke(&mut self, serial: &[u8], reason: Option<u8>) {
        // CRLReason, 2.5.29.21.
        let reason = reason.map(|code| sequence(&[&extension(&[0x55, 0x1d, 21], false, &[10, 1, code])]));
        let since = time("20291224123456Z");
        self.entries.push(sequence(&[&tlv(2, serial), &since, &reason.unwrap_or_default()]));
    }

    pub fn der(&self, issuer: &Made) -> Vec<u8> {
        self.der_by(issuer.certificate.subject().der(), issuer.issuer.key())
    }

    pub fn der_by(&self, issuer: &[u8], key: &KeyPair) -> Vec<u8> {
        let algorithm = Scheme::Ecdsa(HashAlgorithm::Sha256).to_der();
        let next_update = self.next_update.map(time).unwrap_or_default();
        let entries = if self.entries.is_empty() { Vec::new() } else { tlv(0x30, &self.entries.concat()) };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &tlv(0x30, &self.extensions.concat()))
        };
        let content = sequence(&[
            &[2, 1, 1],
            &algorithm,
            issuer,
            &time(self.this_update),
            &next_update,
            &entries,
            &extensions,
        ]);
        signed(&content, key, &[])
    }

    pub fn by(&self, issuer: &Made) -> Crl {
        Crl::from_der(&self.der(issuer)).expect("a list")
    }
}

/// An OCSP response about one certificate, to be changed before it is made.
#[derive(Clone)]
pub struct Reply {
    pub sha256: bool,
    pub status: Vec<u8>,
    pub this_update: &'static str,
    pub next_update: Option<&'static str>,
    pub single_extensions: Vec<u8>,
    pub extensions: Vec<u8>,
    /// The responder says who it is by its key's hash, not its name.
    pub by_key: bool,
    /// Certificates sent along.
    pub certificates: Vec<Certificate>,
}

impl Reply {
    pub fn good() -> Self {
        Self {
            sha256: false,
            status: tlv(0x80, &[]),
            this_update: "20291231000000Z",
            next_update: Some("20300102000000Z"),
            single_extensions: Vec::new(),
            extensions: Vec::new(),
            by_key: false,
            certificates: Vec::new(),
        }
    }

    pub fn revoked() -> Self {
        let since = time("20291224123456Z");
        Self { status: tlv(0xa1, &[since, tlv(0xa0, &[10, 1, 4])].concat()), ..Self::good() }
    }

    pub fn unknown() -> Self {
        Self { status: tlv(0x82, &[]), ..Self::good() }
    }

    /// What stands in the response about the certificate that `issuer` issued.
    pub fn single(&self, about: &Certificate, issuer: &Certificate) -> Vec<u8> {
        let (algorithm, oid): (_, &[u8]) = if self.sha256 {
            (&SHA256, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1])
        } else {
            (&SHA1_FOR_LEGACY_USE_ONLY, &[0x2b, 14, 3, 2, 26])
        };
        let hash = |bytes: &[u8]| tlv(4, digest(algorithm, bytes).as_ref());
        // All keys here are P-256: the point is the last 65 bytes.
        let spki = issuer.public_key().unwrap().spki_der();
        let id = sequence(&[
            &sequence(&[&tlv(6, oid), &[5, 0]]),
            &hash(about.issuer().der()),
            &hash(&spki[spki.len() - 65..]),
            &tlv(2, about.serial()),
        ]);
        let next_update = self.next_update.map(|text| tlv(0xa0, &time(text))).unwrap_or_default();
        sequence(&[&id, &self.status, &time(self.this_update), &next_update, &self.single_extensions])
    }

    /// About a certificate, signed by `signer`.
    pub fn der(&self, about: &Certificate, issuer: &Certificate, signer: &Made) -> Vec<u8> {
        self.der_with(&[self.single(about, issuer)], signer)
    }

    pub fn der_with(&self, singles: &[Vec<u8>], signer: &Made) -> Vec<u8> {
        let spki = signer.certificate.public_key().unwrap().spki_der();
        let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &spki[spki.len() - 65..]);
        let responder = if self.by_key {
            tlv(0xa2, &tlv(4, key_hash.as_ref()))
        } else {
            tlv(0xa1, signer.certificate.subject().der())
        };
        let content = sequence(&[
            &responder,
            &time("20300101000000Z"),
            &tlv(0x30, &singles.concat()),
            &self.extensions,
        ]);
        let certificates: Vec<u8> = self.certificates.iter().flat_map(|c| c.der().to_vec()).collect();
        let behind = if certificates.is_empty() { Vec::new() } else { tlv(0xa0, &tlv(0x30, &certificates)) };
        let basic = signed(&content, signer.issuer.key(), &behind);
        // id-pkix-ocsp-basic
        let bytes = sequence(&[&tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]), &tlv(4, &basic)]);
        sequence(&[&[10, 1, 0], &tlv(0xa0, &bytes)])
    }

    pub fn by(&self, about: &Certificate, issuer: &Certificate, signer: &Made) -> OcspResponse {
        OcspResponse::from_der(&self.der(about, issuer, signer)).expect("a response")
    }
}
