//! The one place where a peer's proof of identity is checked (RFC 7296 §2.15, RFC 7427, RFC 7670).
//!
//! For a signature the order is: a path from the peer's certificate to an authority of ours or a pin, that the certificate
//! is one for the identity, the signature, and then, since it may take fetching, whether any of the path was revoked. So
//! only the holder of a trusted key can have us fetch anything.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::binding::BindingError;
use super::peer_proof::{PeerProof, Settled, assess};
use super::proof::{PeerWishes, Proof, Proving, SignedOctets};
use super::review::Sent;
use super::{Identity, psk};
use crate::config::{Connection, RemoteAuth};
use crate::crypto::Provider;
use crate::limits;
use crate::pki::{
    self, Answer, Assessment, Evidence, Fetch, Offered, OfferedError, PathError, Pin, RevocationError,
    SignatureError, SigningError, Staple, Trust, TrustedPath,
};
use crate::secret::Secret;
use crate::suite::Prf;
use crate::wire::{AuthData, AuthMethod, CertEncoding, IdData};

/// A peer that has proved to be the one a connection was configured for. Made by [`Examination::run`] alone, and an
/// established tunnel cannot be made without it.
#[derive(Debug)]
pub(crate) struct VerifiedPeer {
    connection: Arc<Connection>,
    identity: Identity,
    proof: PeerProof,
    /// Of one that signed.
    certificates: Option<Sent>,
}

impl VerifiedPeer {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn proof(&self) -> &PeerProof {
        &self.proof
    }

    /// The CERT payloads of one that signed.
    pub(super) fn certificates(&self) -> Option<&Sent> {
        self.certificates.as_ref()
    }

    /// Takes over what a review found.
    pub(super) fn replace(&mut self, connection: Arc<Connection>, proof: PeerProof) {
        (self.connection, self.proof) = (connection, proof);
    }

    /// Takes over a configuration that demands the same of the peer.
    pub(crate) fn renew(&mut self, connection: Arc<Connection>) {
        if self.connection.is_renewed_by(&connection) {
            self.connection = connection;
        }
    }
}

/// Why a proof was not accepted, or ours could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProofError {
    /// No connection is configured for the identity.
    Nobody,
    /// Not the method that is configured.
    Method(AuthMethod),
    /// The identity is not the configured one.
    Identity,
    /// The proof does not fit: another pre-shared key.
    Value,
    /// What the peer sent as certificates.
    Certificates(OfferedError),
    /// The peer sent no certificate, and none is pinned.
    NoCertificate,
    /// No path from the certificate to an authority of ours.
    Path(PathError),
    /// The certificate is not one for the identity.
    Binding(BindingError),
    /// The signature.
    Signature(SignatureError),
    /// A certificate was revoked, or nobody says that it was not.
    Revocation(RevocationError),
    /// The peer's proof is good, and ours could not be made.
    Ours(SigningError),
}

/// A peer's claim to an identity that is to be judged.
pub(crate) struct Examination {
    pub(crate) provider: Provider,
    pub(crate) prf: Prf,
    /// Chosen by the identity. Without one the claim is refused.
    pub(crate) connection: Option<Arc<Connection>>,
    /// One whose peer signs. A signature is judged by its trust if it is nobody's, or that of one who has no key to sign
    /// with, and refused: so that the time does not tell which identities exist.
    pub(crate) decoy: Option<Arc<Connection>>,
    pub(crate) id: IdData,
    pub(crate) octets: SignedOctets,
    pub(crate) proof: AuthData,
    /// The peer's CERT payloads.
    pub(crate) certificates: Vec<(CertEncoding, Vec<u8>)>,
    /// What was fetched about revocation.
    pub(crate) answers: Vec<Answer>,
    /// Seconds since 1970 UTC.
    pub(crate) wall: u64,
    /// When all was last to be asked anew about revocation, seconds since 1970 UTC; 0 if never.
    pub(crate) ordered: u64,
    /// What our own proof covers, which is made at once if the peer's is good: the responder's.
    pub(crate) ours: Option<Ours>,
}

/// What a responder's own proof is made of.
pub(crate) struct Ours {
    pub(crate) octets: SignedOctets,
    pub(crate) wishes: PeerWishes,
    pub(crate) staple: Option<Arc<Staple>>,
}

/// What is to be said of a peer's claim.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is who it says; and our own proof, if that was asked for.
    Accepted { peer: VerifiedPeer, ours: Option<Proof> },
    /// Its proof is good, and this is to be fetched to know whether its certificates were revoked.
    Unsettled { examination: Box<Examination>, missing: Vec<Fetch> },
    /// No.
    Refused(ProofError),
}

impl Examination {
    /// Judges it. That the identity is the configured one is checked here again, where it counts.
    pub(crate) fn run(mut self: Box<Self>) -> Verdict {
        let Some(connection) = self.connection.clone() else {
            self.go_through_the_motions();
            return Verdict::Refused(ProofError::Nobody);
        };
        let peer = match self.verify(&connection) {
            Ok(Judged::Settled(peer)) => peer,
            Ok(Judged::Unsettled(missing)) => {
                return Verdict::Unsettled { examination: self, missing };
            }
            Err(error) => return Verdict::Refused(error),
        };
        let (provider, prf, wall) = (self.provider, self.prf, self.wall);
        let prove = |Ours { octets, wishes, staple }| {
            Proving { provider, prf, connection, octets, wishes, staple, wall }.run()
        };
        match self.ours.take().map(prove).transpose() {
            Ok(ours) => Verdict::Accepted { peer, ours },
            Err(error) => Verdict::Refused(ProofError::Ours(error)),
        }
    }

    fn verify(&self, connection: &Arc<Connection>) -> Result<Judged<VerifiedPeer>, ProofError> {
        let identity = Identity::from_wire(&self.id).filter(|id| connection.remote_id.matches(id));
        let identity = identity.ok_or(ProofError::Identity)?;
        if connection.check().is_err() {
            return Err(ProofError::Identity);
        }
        let is_psk = self.proof.method == AuthMethod::SHARED_KEY_MIC;
        let proof = match &connection.remote_auth {
            RemoteAuth::Psk(psk) if is_psk => self.verify_psk(psk)?,
            RemoteAuth::Signature(trust) if !is_psk => match self.verify_signature(trust, &identity)? {
                Judged::Settled(proof) => proof,
                Judged::Unsettled(missing) => return Ok(Judged::Unsettled(missing)),
            },
            _ => {
                self.go_through_the_motions();
                return Err(ProofError::Method(self.proof.method));
            }
        };
        let kept = |(encoding, _): &&(CertEncoding, Vec<u8>)| Offered::ENCODINGS.contains(encoding);
        let certificates = (!is_psk).then(|| self.certificates.iter().filter(kept).cloned().collect());
        Ok(Judged::Settled(VerifiedPeer {
            connection: Arc::clone(connection),
            identity,
            proof,
            certificates,
        }))
    }

    fn verify_psk(&self, psk: &Secret) -> Result<PeerProof, ProofError> {
        let value = psk::auth_value(&self.provider, self.prf, psk, self.octets.as_slice());
        if bool::from(value.expose().ct_eq(&self.proof.data)) {
            let method = "pre-shared key".to_owned();
            Ok(PeerProof { method, certificate: None, not_after: None, note: None, revocation: None })
        } else {
            Err(ProofError::Value)
        }
    }

    fn verify_signature(&self, trust: &Trust, identity: &Identity) -> Result<Judged<PeerProof>, ProofError> {
        let offered = self.certificates.iter().map(|(encoding, data)| (*encoding, data.as_slice()));
        let offered = Offered::read(offered).map_err(ProofError::Certificates)?;
        let path = trusted_path(&offered, trust, self.wall)?;
        path.binds(identity).map_err(ProofError::Binding)?;
        let AuthData { method, data } = &self.proof;
        let scheme = pki::verify(path.public_key(), self.octets.as_slice(), *method, data);
        let scheme = scheme.map_err(ProofError::Signature)?;
        let evidence = Evidence { stapled: offered.ocsp_responses, answers: self.answers.clone() };
        let since = self.ordered.saturating_add(limits::REVOCATION_CLOCK_SKEW);
        let since = since.max(self.wall.saturating_sub(limits::STAPLE_FRESH));
        let (assessment, known) = match assess(&path, trust, &evidence, since, self.wall) {
            (Assessment::Unknown { missing, .. }, _) if !missing.is_empty() => {
                return Ok(Judged::Unsettled(missing));
            }
            decided => decided,
        };
        let settled = Settled { path: &path, trust, assessment, known, wall: self.wall };
        let (proof, decided) = settled.proof(scheme.to_string());
        decided.map_err(ProofError::Revocation)?;
        Ok(Judged::Settled(proof))
    }

    /// Judges the claim as if it were for somebody. Returns what would be said of it, which counts for nothing.
    fn go_through_the_motions(&self) -> Option<ProofError> {
        if self.proof.method == AuthMethod::SHARED_KEY_MIC {
            return self.verify_psk(&Secret::new(vec![0; 32])).err();
        }
        let identity = Identity::from_wire(&self.id)?;
        match &self.decoy.as_ref()?.remote_auth {
            RemoteAuth::Signature(trust) => self.verify_signature(trust, &identity).err(),
            RemoteAuth::Psk(_) => None,
        }
    }
}

/// What a claim that is good so far comes to.
pub(super) enum Judged<T> {
    Settled(T),
    /// All is good but for revocation: this is to be fetched to know more of it.
    Unsettled(Vec<Fetch>),
}

/// From what the peer sent to a key that may be believed. A peer that sends nothing is taken for the pinned one, if just
/// one is pinned.
pub(super) fn trusted_path(offered: &Offered, trust: &Trust, wall: u64) -> Result<TrustedPath, ProofError> {
    let path = match (&offered.end_entity, &offered.raw_key, trust.pinned.as_slice()) {
        (Some(end_entity), _, _) => pki::trust(end_entity, &offered.others, trust, wall),
        (None, Some(key), _) => pki::trust_key(key, trust),
        (None, None, [Pin::Certificate(pinned)]) => pki::trust(pinned, &[], trust, wall),
        (None, None, [Pin::Key(pinned)]) => pki::trust_key(pinned, trust),
        (None, None, _) => return Err(ProofError::NoCertificate),
    };
    path.map_err(ProofError::Path)
}

impl fmt::Debug for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examination({})", Identity::describe(&self.id))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;
    use crate::config::LocalAuth;
    use crate::pki::Certificate;

    fn certificate(pem: &str) -> Certificate {
        let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        Certificate::from_der(&BASE64.decode(text.as_bytes()).expect("base64")).expect("a certificate")
    }

    fn connection(remote_id: &str, remote_auth: RemoteAuth) -> Arc<Connection> {
        let id = |text: &str| text.parse::<Identity>().expect("an identity");
        let local = (id("hub.example"), LocalAuth::Psk(Secret::new(vec![7; 32])));
        Arc::new(Connection::new("link".into(), local, (id(remote_id).into(), remote_auth), Vec::new()))
    }

    /// A claim to be this identity by the certificate of the fixtures, with a signature that is none.
    fn claim(id: &str, wall: u64) -> Box<Examination> {
        let id = id.parse::<Identity>().expect("an identity").to_wire();
        let provider = Provider::ring();
        let leaf = certificate(include_str!("../../tests/pki/fixtures/leaf.pem"));
        let key = provider.prf.key(Prf::HmacSha256, &[1; 32]);
        Box::new(Examination {
            provider,
            prf: Prf::HmacSha256,
            connection: None,
            decoy: None,
            octets: SignedOctets::new(&*key, b"message", &[2; 32], &id),
            id,
            proof: AuthData { method: AuthMethod::DIGITAL_SIGNATURE, data: vec![0; 80] },
            certificates: vec![(CertEncoding::X509_SIGNATURE, leaf.der().to_vec())],
            answers: Vec::new(),
            wall,
            ordered: 0,
            ours: None,
        })
    }

    fn refused(verdict: Verdict) -> ProofError {
        match verdict {
            Verdict::Refused(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Whoever is not configured, or has no key to sign with, is judged as far as one who is, and only then refused.
    #[test]
    fn a_stranger_costs_what_a_known_peer_does() {
        const YEAR: u64 = 365 * 86_400;
        let root = certificate(include_str!("../../tests/pki/fixtures/root.pem"));
        let trusts = [Trust { anchors: vec![root], ..Trust::default() }, Trust::default()];
        let mut kinds = Vec::new();
        for (id, wall, trust) in [
            ("clinic-17.example", 60 * YEAR, &trusts[0]),
            ("other.example", 60 * YEAR, &trusts[0]),
            ("clinic-17.example", 200 * YEAR, &trusts[0]),
            ("clinic-17.example", 60 * YEAR, &trusts[1]),
        ] {
            let signs = || RemoteAuth::Signature(Arc::new(trust.clone()));
            let mut known = claim(id, wall);
            known.connection = Some(connection(id, signs()));
            let of_known = refused(known.run());

            let mut stranger = claim(id, wall);
            stranger.decoy = Some(connection("decoy.example", signs()));
            assert_eq!(stranger.go_through_the_motions().as_ref(), Some(&of_known));
            assert_eq!(refused(stranger.run()), ProofError::Nobody);

            let mut keyed = claim(id, wall);
            keyed.decoy = Some(connection("decoy.example", signs()));
            keyed.connection = Some(connection(id, RemoteAuth::Psk(Secret::new(vec![8; 32]))));
            assert_eq!(keyed.go_through_the_motions().as_ref(), Some(&of_known));
            assert_eq!(refused(keyed.run()), ProofError::Method(AuthMethod::DIGITAL_SIGNATURE));
            kinds.push(std::mem::discriminant(&of_known));
        }
        assert_ne!(kinds[0], kinds[1], "signature and name");
        assert_ne!(kinds[1], kinds[2], "name and path");
    }

    /// A decoy lets nobody in, not even whom it is for.
    #[test]
    fn a_decoy_opens_no_door() {
        let psk = || Secret::new(vec![0; 32]);
        let mut stranger = claim("clinic-17.example", 0);
        let value = psk::auth_value(&stranger.provider, stranger.prf, &psk(), stranger.octets.as_slice());
        stranger.proof = AuthData { method: AuthMethod::SHARED_KEY_MIC, data: value.expose().to_vec() };
        stranger.decoy = Some(connection("clinic-17.example", RemoteAuth::Psk(psk())));
        assert_eq!(stranger.go_through_the_motions(), None, "its proof is right for the key of nobody");
        assert_eq!(refused(stranger.run()), ProofError::Nobody);
    }
}
