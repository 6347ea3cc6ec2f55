//! The algorithms that we implement, and nothing weaker (RFC 8247, RFC 8221).
//!
//! A value that is not in these enums cannot be configured, offered or accepted. What a peer names beyond them
//! stays a number in [`crate::wire`].

mod algorithm;
mod profile;
mod proposal;

use std::fmt;

pub use algorithm::{Aead, Cbc, Esn, Group, Integrity, Prf, Protection, UnknownAlgorithm};
pub use profile::{Profile, UnknownProfile};
pub use proposal::{Ciphers, EspProposal, IkeProposal, NOPFS, ProposalError};

/// The algorithms of one IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeSuite {
    /// Protects SK payloads.
    pub protection: Protection,
    /// Derives the keys and proves the identities.
    pub prf: Prf,
    /// The key exchange.
    pub group: Group,
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.protection, self.prf, self.group)
    }
}

/// The algorithms of one Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspSuite {
    /// Protects packets.
    pub protection: Protection,
    /// The key exchange of its own, if it had one; the first Child SA of an IKE SA never has.
    pub group: Option<Group>,
    /// Width of the sequence numbers.
    pub esn: Esn,
}

impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protection)?;
        if let Some(group) = self.group {
            write!(f, "-{group}")?;
        }
        write!(f, "-{}", self.esn)
    }
}
