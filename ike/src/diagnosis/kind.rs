//! What can happen to a negotiation: one entry a kind, with its meaning and its stable word.

/// Makes the enum, and from the same lines all that is said of its variants, so that none is forgotten.
macro_rules! kinds {
    ($($(#[doc = $meaning:literal])+ $kind:ident = $code:literal,)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DiagnosisKind {
            $($(#[doc = $meaning])+ $kind,)+
        }

        impl DiagnosisKind {
            /// Every kind, in the order of a negotiation.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// A stable word for records and scripts.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!($($meaning),+).trim_start(),)+
                }
            }
        }
    };
}

kinds! {
    /// The host name could not be resolved, or there is no route to the peer.
    Unreachable = "unreachable",
    /// Our own datagrams did not leave this machine: a firewall here, or no route.
    NotSent = "not_sent",
    /// No answer to any transmission.
    NoAnswer = "no_answer",
    /// The peer answers on port 500 and is never heard on port 4500.
    NatPortFiltered = "nat_port_filtered",
    /// Short messages pass, long ones or their fragments do not.
    FragmentsLost = "fragments_lost",
    /// No common suite for the IKE SA.
    NoIkeProposal = "no_ike_proposal",
    /// No common suite for the Child SA.
    NoChildProposal = "no_child_proposal",
    /// Both ends agree on a Child SA but for the key exchange of its rekeys (perfect forward secrecy).
    PfsMismatch = "pfs_mismatch",
    /// The key exchange group could not be agreed on.
    KeyExchangeGroup = "key_exchange_group",
    /// The proof of identity was wrong: most often another pre-shared key.
    AuthenticationFailed = "authentication_failed",
    /// The peer named an identity that is not configured.
    UnknownIdentity = "unknown_identity",
    /// The peer proved another identity than the configured one.
    WrongIdentity = "wrong_identity",
    /// The clock of one end is wrong: something is dated in its future.
    ClockSkew = "clock_skew",
    /// The peer sent no certificate, and none is pinned.
    CertificateMissing = "certificate_missing",
    /// A certificate of the peer's path has expired.
    CertificateExpired = "certificate_expired",
    /// A certificate of the peer's path is not valid yet.
    CertificateNotYetValid = "certificate_not_yet_valid",
    /// A certificate of the peer's path was revoked.
    CertificateRevoked = "certificate_revoked",
    /// Nobody says whether it was revoked, and the policy is strict.
    RevocationUnknown = "revocation_unknown",
    /// A certificate may not be used for this, or an authority may not issue it.
    CertificateUsage = "certificate_usage",
    /// The certificate is one for other identities.
    CertificateName = "certificate_name",
    /// No authority of ours stands behind the certificate.
    CertificateIssuer = "certificate_issuer",
    /// The certificates issued each other.
    CertificateLoop = "certificate_loop",
    /// A key or a signature of the path is too weak, or of a kind that we do not have.
    CertificateWeak = "certificate_weak",
    /// The certificate cannot be read.
    CertificateMalformed = "certificate_malformed",
    /// More or longer certificates than are looked at.
    CertificateTooLarge = "certificate_too_large",
    /// The signature does not fit.
    SignatureWrong = "signature_wrong",
    /// A signature that one of both ends does not have.
    SignatureUnsupported = "signature_unsupported",
    /// The traffic selectors have nothing in common.
    TrafficSelectors = "traffic_selectors",
    /// The tunnel was taken down by an operator here.
    AdminDown = "admin_down",
    /// The peer refuses for the time being: most often an operator took the tunnel down there.
    PutOff = "put_off",
    /// The identity has a tunnel, and is to have no second one.
    NotUnique = "not_unique",
    /// Another peer of the same connection has the networks.
    NetworkTaken = "network_taken",
    /// There is no address left that the peer could be given.
    PoolExhausted = "pool_exhausted",
    /// The peer asks for an address, and its tunnel has no pool.
    NoPool = "no_pool",
    /// The peer must ask for an address, and did not.
    AddressNotAsked = "address_not_asked",
    /// The peer gave us no address that we can use.
    AddressRefused = "address_refused",
    /// A Child SA was refused for another reason.
    ChildRefused = "child_refused",
    /// What the peer sent breaks the protocol.
    Malformed = "malformed",
    /// The peer does not answer any more.
    PeerDead = "peer_dead",
    /// The peer deleted the tunnel.
    DeletedByPeer = "deleted_by_peer",
    /// The peer answered with an error of another kind.
    PeerError = "peer_error",
    /// We could not do our part.
    Local = "local",
}
