//! Who a peer says it is (RFC 7296 §3.5) and how it proves it (§2.15).

mod binding;
mod examination;
mod id;
mod peer_proof;
mod proof;
mod psk;
mod remote;
mod review;

pub use binding::{BindingError, binds};
pub(crate) use examination::{Examination, Ours, ProofError, Verdict, VerifiedPeer};
pub use id::{Identity, IdentityError};
pub use peer_proof::{PeerProof, Revocation};
pub(crate) use proof::{PeerWishes, Proof, Proving, SignedOctets, our_hashes};
pub use psk::{PskError, WeakPsk, auth_value, parse_psk, psk_strength, signed_octets};
pub use remote::{Pattern, RemoteId};
pub(crate) use review::{Renewal, Review, Reviewed};
