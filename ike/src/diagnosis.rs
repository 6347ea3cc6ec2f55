//! Why a negotiation failed, in words that tell the operator what to change.

use std::fmt;

/// What happened, which side refused, what was offered, what would have been accepted, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What happened.
    pub kind: DiagnosisKind,
    /// Which side refused.
    pub refused_by: Side,
    /// One sentence: what happened.
    pub summary: String,
    /// What was offered, if the failure is about an offer.
    pub offered: Option<String>,
    /// What would have been accepted, as far as it is known.
    pub acceptable: Option<String>,
    /// What to change, and where.
    pub advice: String,
}

/// Which side refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Here,
    /// The peer did.
    Peer,
    /// Nobody: nothing came back, or the machine itself failed.
    Nobody,
}

impl Side {
    /// A stable word for records.
    pub fn code(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Peer => "peer",
            Self::Nobody => "nobody",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiagnosisKind {
    /// No answer to any transmission.
    NoAnswer,
    /// The host name could not be resolved, or there is no route.
    Unreachable,
    /// No common suite for the IKE SA.
    NoIkeProposal,
    /// No common suite for the Child SA.
    NoChildProposal,
    /// The key exchange group could not be agreed on.
    KeyExchangeGroup,
    /// The proof of identity was wrong: most often another pre-shared key.
    AuthenticationFailed,
    /// The peer named an identity that is not configured.
    UnknownIdentity,
    /// The peer proved another identity than the configured one.
    WrongIdentity,
    /// The peer sent no certificate, and none is pinned.
    CertificateMissing,
    /// A certificate of the peer's path has expired.
    CertificateExpired,
    /// A certificate of the peer's path is not valid yet.
    CertificateNotYetValid,
    /// A certificate of the peer's path was revoked.
    CertificateRevoked,
    /// Nobody says whether it was, and the policy is strict.
    RevocationUnknown,
    /// A certificate may not be used for this, or an authority may not issue it.
    CertificateUsage,
    /// The certificate is one for other identities.
    CertificateName,
    /// No authority of ours stands behind the certificate.
    CertificateIssuer,
    /// The certificates issued each other.
    CertificateLoop,
    /// A key or a signature of the path is too weak, or of a kind that we do not have.
    CertificateWeak,
    /// The certificate cannot be read.
    CertificateMalformed,
    /// More or longer certificates than are looked at.
    CertificateTooLarge,
    /// The signature does not fit.
    SignatureWrong,
    /// A signature that one of both ends does not have.
    SignatureUnsupported,
    /// The traffic selectors have nothing in common.
    TrafficSelectors,
    /// The tunnel was taken down by an operator here.
    AdminDown,
    /// The identity has a tunnel, and is to have no second one.
    NotUnique,
    /// There is no address left that the peer could be given.
    PoolExhausted,
    /// The peer must ask for an address, and did not.
    AddressNotAsked,
    /// The peer gave us no address that we can use.
    AddressRefused,
    /// A Child SA was refused for another reason.
    ChildRefused,
    /// What the peer sent breaks the protocol.
    Malformed,
    /// The peer does not answer any more.
    PeerDead,
    /// The peer deleted the tunnel.
    DeletedByPeer,
    /// The peer answered with an error of another kind.
    PeerError,
    /// We could not do our part.
    Local,
}

impl DiagnosisKind {
    /// A stable word for records and scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Unreachable => "unreachable",
            Self::NoIkeProposal => "no_ike_proposal",
            Self::NoChildProposal => "no_child_proposal",
            Self::KeyExchangeGroup => "key_exchange_group",
            Self::AuthenticationFailed => "authentication_failed",
            Self::UnknownIdentity => "unknown_identity",
            Self::WrongIdentity => "wrong_identity",
            Self::CertificateMissing => "certificate_missing",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::CertificateRevoked => "certificate_revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::CertificateUsage => "certificate_usage",
            Self::CertificateName => "certificate_name",
            Self::CertificateIssuer => "certificate_issuer",
            Self::CertificateLoop => "certificate_loop",
            Self::CertificateWeak => "certificate_weak",
            Self::CertificateMalformed => "certificate_malformed",
            Self::CertificateTooLarge => "certificate_too_large",
            Self::SignatureWrong => "signature_wrong",
            Self::SignatureUnsupported => "signature_unsupported",
            Self::TrafficSelectors => "traffic_selectors",
            Self::AdminDown => "admin_down",
            Self::NotUnique => "not_unique",
            Self::PoolExhausted => "pool_exhausted",
            Self::AddressNotAsked => "address_not_asked",
            Self::AddressRefused => "address_refused",
            Self::ChildRefused => "child_refused",
            Self::Malformed => "malformed",
            Self::PeerDead => "peer_dead",
            Self::DeletedByPeer => "deleted_by_peer",
            Self::PeerError => "peer_error",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if let Some(offered) = &self.offered {
            write!(f, "; offered: {offered}")?;
        }
        if let Some(acceptable) = &self.acceptable {
            write!(f, "; acceptable: {acceptable}")?;
        }
        write!(f, ". {}", self.advice)
    }
}
