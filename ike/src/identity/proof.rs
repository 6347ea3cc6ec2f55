//! The one place where our proof of identity is made (RFC 7296 §2.15, RFC 7427).
//!
//! A signature is slow, so what makes one is a value that carries all it needs and can be run on another thread.

use std::fmt;
use std::sync::Arc;

use super::psk;
use crate::config::{Connection, LocalAuth};
use crate::crypto::{PrfKey, Provider};
use crate::pki::{self, PeerHashes, SigningError, Staple};
use crate::suite::Prf;
use crate::wire::{AuthData, AuthMethod, CertEncoding, IdData, Notify, NotifyType};

/// What a proof of identity covers: `message | peer_nonce | prf(SK_p, id_body)`.
#[derive(Debug)]
pub(crate) struct SignedOctets(Vec<u8>);

impl SignedOctets {
    /// `sk_p` is `SK_pi` or `SK_pr` and `id` the identity, both of the one who proves; `message` the first message that
    /// it sent, as it was on the wire; `peer_nonce` the nonce of the other side.
    pub(crate) fn new(sk_p: &dyn PrfKey, message: &[u8], peer_nonce: &[u8], id: &IdData) -> Self {
        Self(psk::signed_octets(sk_p, message, peer_nonce, &id.body()))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// What the peer has said of how it wants us to prove ourselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerWishes {
    /// The hashes that it can verify signatures with (RFC 7427 §4).
    pub(crate) hashes: PeerHashes,
    /// Its CERTREQ payloads.
    pub(crate) cert_requests: Vec<(CertEncoding, Vec<u8>)>,
}

impl PeerWishes {
    /// From what the peer sent in `IKE_SA_INIT`.
    pub(crate) fn new(notifies: &[Notify], cert_requests: Vec<(CertEncoding, Vec<u8>)>) -> Self {
        let hashes = notifies.iter().find(|n| n.kind == NotifyType::SIGNATURE_HASH_ALGORITHMS);
        let hashes = hashes.map_or_else(PeerHashes::absent, |n| PeerHashes::from_notify(&n.data));
        Self { hashes, cert_requests }
    }
}

/// The notification that says which signatures we can verify.
pub(crate) fn our_hashes() -> Notify {
    Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, pki::signature_hash_algorithms())
}

/// Our proof: what the CERT payloads and the AUTH payload hold.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) certificates: Vec<(CertEncoding, Vec<u8>)>,
    pub(crate) auth: AuthData,
}

/// A proof of our identity that is to be made.
pub(crate) struct Proving {
    pub(crate) provider: Provider,
    pub(crate) prf: Prf,
    pub(crate) connection: Arc<Connection>,
    pub(crate) octets: SignedOctets,
    pub(crate) wishes: PeerWishes,
    /// What a responder says of our certificate, if we have it already.
    pub(crate) staple: Option<Arc<Staple>>,
    /// Seconds since 1970 UTC.
    pub(crate) wall: u64,
}

impl Proving {
    /// Makes it.
    ///
    /// # Errors
    /// If our key makes no signature that the peer can verify.
    pub(crate) fn run(self) -> Result<Proof, SigningError> {
        let octets = self.octets.as_slice();
        match &self.connection.local_auth {
            LocalAuth::Psk(psk) => {
                let value = psk::auth_value(&self.provider, self.prf, psk, octets);
                let auth = AuthData { method: AuthMethod::SHARED_KEY_MIC, data: value.expose().to_vec() };
                Ok(Proof { certificates: Vec::new(), auth })
            }
            LocalAuth::Signature(credential) => {
                let (method, data) =
                    pki::sign(&credential.key, octets, &self.wishes.hashes, credential.rsa_padding)?;
                let requests = &self.wishes.cert_requests;
                let mut certificates = pki::cert_payloads(credential, requests);
                certificates.extend(self.staple.and_then(|staple| staple.payload(requests, self.wall)));
                Ok(Proof { certificates, auth: AuthData { method, data } })
            }
        }
    }
}

impl fmt::Debug for Proving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proving({})", self.connection.local_id)
    }
}
