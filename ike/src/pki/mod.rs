//! Certificates and the keys in them (RFC 5280 as profiled by RFC 4945): parsing, signatures, paths, revocation.
//!
//! Everything here is pure, `Send` and `Sync`: it can run on a worker thread while other SAs are served. The order is
//! enforced by types: a signature is checked with the key of a [`TrustedPath`], which [`trust()`] alone makes, and what
//! may be fetched is learned from [`assess`], which takes one.

mod certificate;
mod check;
mod constraints;
mod crl;
mod crl_scope;
mod extensions;
mod fetch;
mod name;
mod name_text;
mod ocsp;
mod ocsp_der;
mod ocsp_id;
mod oid;
mod path;
mod path_error;
mod payload;
mod public_key;
mod revocation;
mod ring_signer;
mod scheme;
mod signature;
mod signed;
mod signing_key;
mod standing;
mod staple;
mod trust;
mod utc;
mod verification;

pub(crate) use check::quote;

pub use certificate::{Certificate, CertificateError};
pub use crl::{Crl, CrlError};
pub use extensions::SubjectAltName;
pub use fetch::{Answer, Fetch, FetchKind};
pub use name::{DistinguishedName, NameError};
pub use ocsp::{OcspError, OcspResponse};
pub use path::{TrustedPath, trust, trust_key};
pub use path_error::PathError;
pub use payload::{Offered, OfferedError, cert_payloads, cert_requests};
pub use public_key::{KeyKind, PublicKey, PublicKeyError};
pub use revocation::{Assessment, Evidence, Known, RevocationError, Revoked, assess, assess_until};
pub use scheme::{HashAlgorithm, Scheme, SchemeError};
pub use signature::{PeerHashes, SignatureError, sign, signature_hash_algorithms, verify};
pub use signing_key::{SigningError, SigningKey, SigningKeyError};
pub use staple::{Staple, Stapling};
pub use trust::{Credential, CredentialError, Pin, RevocationPolicy, RsaPadding, Trust};
pub use utc::Utc;
