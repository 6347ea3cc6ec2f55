//! CERT and CERTREQ payloads (RFC 7296 §3.6, §3.7; RFC 4806; RFC 7670).
//!
//! "Hash and URL" (12, 13) is neither asked for nor looked at, knowingly against RFC 7296 §3.6 ("MUST be capable of being
//! configured"): it would have us fetch from an URL that a peer sent before anything about the peer is known.

use super::{
    Certificate, CertificateError, Credential, Pin, PublicKey, PublicKeyError, RevocationPolicy, Trust,
};
use crate::limits;
use crate::wire::CertEncoding;

/// What a peer's CERT payloads hold, bounded and parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// RFC 7296 §1.2: "the first certificate provided MUST contain the public key used to verify the AUTH field".
    pub end_entity: Option<Certificate>,
    /// The others, in order; those that we could not read are left out.
    pub others: Vec<Certificate>,
    /// A raw public key (encoding 15).
    pub raw_key: Option<PublicKey>,
    /// OCSP responses (encoding 14), DER.
    pub ocsp_responses: Vec<Vec<u8>>,
    /// What was left out and why, for the diagnosis.
    pub ignored: Vec<String>,
}

/// Why CERT payloads are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferedError {
    /// More than we look at.
    #[error("the peer sent more than {max} certificates", max = limits::CERTIFICATES)]
    TooManyCertificates,
    /// More bytes than we look at.
    #[error("the peer's certificates have more than {max} bytes", max = limits::CERTIFICATES_TOTAL)]
    TooLarge,
    /// The first certificate cannot be read.
    #[error("the peer's certificate cannot be read: {0}")]
    EndEntity(#[from] CertificateError),
    /// The raw public key cannot be used.
    #[error("the peer's raw public key cannot be used: {0}")]
    RawKey(#[from] PublicKeyError),
}

impl Offered {
    /// The encodings that are looked at.
    pub const ENCODINGS: [CertEncoding; 3] =
        [CertEncoding::X509_SIGNATURE, CertEncoding::RAW_PUBLIC_KEY, CertEncoding::OCSP_CONTENT];

    /// Reads a peer's CERT payloads, in order: encoding and data of each.
    ///
    /// # Errors
    /// [`OfferedError`].
    pub fn read<'a>(
        payloads: impl IntoIterator<Item = (CertEncoding, &'a [u8])>,
    ) -> Result<Self, OfferedError> {
        let mut offered = Self::default();
        let (mut bytes, mut certificates) = (0usize, 0usize);
        for (encoding, data) in payloads {
            bytes = bytes.saturating_add(data.len());
            if bytes > limits::CERTIFICATES_TOTAL {
                return Err(OfferedError::TooLarge);
            }
            match encoding {
                CertEncoding::X509_SIGNATURE => {
                    certificates += 1;
                    if certificates > limits::CERTIFICATES {
                        return Err(OfferedError::TooManyCertificates);
                    }
                    offered.certificate(data)?;
                }
                CertEncoding::RAW_PUBLIC_KEY if offered.raw_key.is_none() => {
                    offered.raw_key = Some(PublicKey::from_spki_der(data)?);
                }
                CertEncoding::OCSP_CONTENT if offered.ocsp_responses.len() < limits::STAPLED_RESPONSES => {
                    offered.ocsp_responses.push(data.to_vec());
                }
                other => offered.ignored.push(format!("a CERT payload of encoding {other}")),
            }
        }
        Ok(offered)
    }

    fn certificate(&mut self, data: &[u8]) -> Result<(), OfferedError> {
        match (Certificate::from_der(data), &self.end_entity) {
            (Ok(first), None) => self.end_entity = Some(first),
            (Err(error), None) => return Err(error.into()),
            (Ok(other), Some(_)) => self.others.push(other),
            (Err(error), Some(_)) => self.ignored.push(error.to_string()),
        }
        Ok(())
    }
}

/// Our CERTREQ payloads, encoding and data of each: the authorities by their keys' hashes, raw keys if any is pinned, and
/// OCSP responses if revocation matters.
pub fn cert_requests(trust: &Trust) -> Vec<(CertEncoding, Vec<u8>)> {
    let mut requests = Vec::new();
    let pinned = |wanted: fn(&Pin) -> bool| trust.pinned.iter().any(wanted);
    if !trust.anchors.is_empty() || pinned(|pin| matches!(pin, Pin::Certificate(_))) {
        let authorities = trust.anchors.iter().take(limits::CERTREQ_HASHES);
        requests.push((CertEncoding::X509_SIGNATURE, authorities.flat_map(Certificate::key_hash).collect()));
    }
    // There is no authority to name for these (RFC 7670).
    if pinned(|pin| matches!(pin, Pin::Key(_))) {
        requests.push((CertEncoding::RAW_PUBLIC_KEY, Vec::new()));
    }
    // Without hashes: any responder that the certificate's issuer designates (RFC 4806).
    if !trust.anchors.is_empty() && trust.revocation != RevocationPolicy::Off {
        requests.push((CertEncoding::OCSP_CONTENT, Vec::new()));
    }
    requests
}

/// Our CERT payloads for a peer's CERTREQ payloads, the end entity's first: the chain up to below the first authority that
/// the peer names, or the raw key if the peer can take nothing else.
pub fn cert_payloads(
    credential: &Credential,
    requests: &[(CertEncoding, Vec<u8>)],
) -> Vec<(CertEncoding, Vec<u8>)> {
    let wanted = Wanted::read(requests);
    let raw = credential.chain.is_empty() || (wanted.raw_key && !wanted.certificates);
    if raw {
        let key = credential.key.public_key().spki_der().to_vec();
        return vec![(CertEncoding::RAW_PUBLIC_KEY, key)];
    }
    let known = |certificate: &Certificate| wanted.authorities.contains(&certificate.key_hash());
    // The peer has its anchors: neither they nor anything above them is sent. The end entity's always is.
    let above = credential.chain.iter().skip(1).take_while(|certificate| !known(certificate));
    let sent =
        credential.chain.iter().take(1).chain(above.filter(|certificate| !certificate.is_self_issued()));
    sent.map(|certificate| (CertEncoding::X509_SIGNATURE, certificate.der().to_vec())).collect()
}

/// What a peer's CERTREQ payloads ask for.
#[derive(Default)]
struct Wanted {
    certificates: bool,
    raw_key: bool,
    authorities: Vec<[u8; 20]>,
}

impl Wanted {
    fn read(requests: &[(CertEncoding, Vec<u8>)]) -> Self {
        let mut wanted = Self::default();
        for (encoding, data) in requests {
            match *encoding {
                CertEncoding::X509_SIGNATURE => {
                    wanted.certificates = true;
                    let room = limits::CERTREQ_HASHES.saturating_sub(wanted.authorities.len());
                    wanted.authorities.extend(data.as_chunks::<20>().0.iter().take(room));
                }
                CertEncoding::RAW_PUBLIC_KEY => wanted.raw_key = true,
                _ => {}
            }
        }
        wanted
    }
}
