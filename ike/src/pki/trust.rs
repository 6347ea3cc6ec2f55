//! What an engineer decides about certificates: who we are, and whom we believe.

use super::{Certificate, Crl, PublicKey, SigningKey};
use crate::limits;

/// What we prove ourselves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Signs for us.
    pub key: SigningKey,
    /// Our certificate and the intermediate ones above it, in order; empty for a raw public key (RFC 7670).
    pub chain: Vec<Certificate>,
    /// How an RSA key signs.
    pub rsa_padding: RsaPadding,
}

/// Why key and chain are no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The first certificate is of another key.
    #[error("the private key is not the one of certificate `{0}`")]
    KeyMismatch(String),
    /// A certificate is not followed by its issuer's.
    #[error("certificate `{0}` is not followed by its issuer's, `{1}`")]
    Disorder(String, String),
    /// More certificates than a peer takes.
    #[error("the chain has {0} certificates")]
    TooLong(usize),
}

impl Credential {
    /// A key with its certificates, the end entity's first and each followed by its issuer's; none for a raw public key.
    /// An anchor at the end does no harm: it is not sent.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn new(key: SigningKey, chain: Vec<Certificate>) -> Result<Self, CredentialError> {
        let name = |certificate: &Certificate| certificate.subject().to_string();
        if chain.len() > limits::CERTIFICATES {
            return Err(CredentialError::TooLong(chain.len()));
        }
        if let Some(first) = chain.first().filter(|first| !key.matches(first)) {
            return Err(CredentialError::KeyMismatch(name(first)));
        }
        for (certificate, next) in chain.iter().zip(chain.iter().skip(1)) {
            let signed = next.public_key().is_ok_and(|key| certificate.verify(key).is_ok());
            if certificate.issuer() != next.subject() || !signed {
                return Err(CredentialError::Disorder(name(certificate), certificate.issuer().to_string()));
            }
        }
        Ok(Self { key, chain, rsa_padding: RsaPadding::Pss })
    }
}

/// How an RSA key signs for a peer that announced RFC 7427.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RsaPadding {
    /// RSASSA-PSS, a MUST of RFC 8247.
    #[default]
    Pss,
    /// RSASSA-PKCS1-v1_5, for peers that know nothing else.
    Pkcs1,
}

/// Whom we believe in one connection.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Trust {
    /// Certification authorities.
    pub anchors: Vec<Certificate>,
    /// Certificates that a path may lead through if the peer does not send them.
    pub intermediates: Vec<Certificate>,
    /// Keys and certificates that are trusted themselves, whoever issued them. They stand for the peer of this one
    /// connection: a pinned peer is bound to whatever identity the connection expects.
    pub pinned: Vec<Pin>,
    /// Revocation lists from files.
    pub crls: Vec<Crl>,
    /// What is done if revocation cannot be found out.
    pub revocation: RevocationPolicy,
}

/// A peer that is known itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// By exactly this certificate; its dates count.
    Certificate(Certificate),
    /// By this key, sent raw (RFC 7670) or in any certificate.
    Key(PublicKey),
}

/// What is done if revocation cannot be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RevocationPolicy {
    /// The peer is refused.
    Strict,
    /// The peer passes, with a note; one that is known to be revoked never does.
    #[default]
    Soft,
    /// Nothing is asked.
    Off,
}
