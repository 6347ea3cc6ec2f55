//! Our half of a key exchange that we began (RFC 7296 §2.12).

use crate::crypto::{ActiveKeyExchange, CryptoError};
use crate::diagnose::{self, Negotiated};
use crate::diagnosis::Diagnosis;
use crate::exchange::KeyExchangeData;
use crate::secret::Secret;
use crate::suite::Group;
use crate::wire::ExchangeType;
use crate::work::Work;

/// From our public value to the shared secret.
#[derive(Debug)]
pub(crate) enum Share {
    /// Our public value is with the peer.
    Sent(Box<dyn ActiveKeyExchange>),
    /// The peer's value came, and the secret is being computed.
    Computing(Group),
    /// It is there, unless the peer's value was none of the group.
    Agreed(Group, Result<Secret, CryptoError>),
}

impl Share {
    pub(crate) fn group(&self) -> Group {
        match self {
            Self::Sent(active) => active.group(),
            Self::Computing(group) | Self::Agreed(group, _) => *group,
        }
    }

    /// The KE payload.
    pub(crate) fn to_wire(&self) -> KeyExchangeData {
        let data = match self {
            Self::Sent(active) => active.public().to_vec(),
            Self::Computing(_) | Self::Agreed(..) => Vec::new(),
        };
        KeyExchangeData { group: self.group().number(), data }
    }

    /// The work that is left once the peer's value is here, if it is one of our group.
    pub(crate) fn work(&mut self, theirs: &KeyExchangeData) -> Option<Work> {
        let group = self.group();
        if theirs.group != group.number() || !matches!(self, Self::Sent(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Computing(group)) {
            Self::Sent(active) => Some(Work::complete(active, theirs.data.clone())),
            Self::Computing(_) | Self::Agreed(..) => None,
        }
    }

    /// The work was done.
    pub(crate) fn agree(&mut self, secret: Result<Secret, CryptoError>) {
        *self = Self::Agreed(self.group(), secret);
    }

    /// The secret. `None` if there is no work behind it.
    pub(crate) fn into_secret(self) -> Option<Result<Secret, CryptoError>> {
        match self {
            Self::Agreed(_, secret) => Some(secret),
            Self::Sent(_) | Self::Computing(_) => None,
        }
    }
}

/// What an `INVALID_KE_PAYLOAD` answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// The group of our public value, if there was one.
    pub(crate) group: Option<Group>,
    /// It is too often that the peer asked for another one: it contradicts itself, and might go on for ever.
    pub(crate) too_often: bool,
}

/// The group that the peer asks for in `INVALID_KE_PAYLOAD` (RFC 7296 §1.3), if it is another one of those that we offered.
pub(crate) fn other_group(
    wanted: u16,
    offered: &[Group],
    tried: Tried,
    during: (Negotiated, ExchangeType),
) -> Result<Group, Diagnosis> {
    let is_new = |group: &Group| offered.contains(group) && Some(*group) != tried.group && !tried.too_often;
    let other = Group::from_number(wanted).filter(is_new);
    other.ok_or_else(|| diagnose::key_exchange_group(wanted, offered, during))
}
