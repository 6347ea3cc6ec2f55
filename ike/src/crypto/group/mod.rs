//! Key exchange groups: one file a family.

use super::{ActiveKeyExchange, CryptoError, KeyExchangeFactory};
use crate::random::SecureRandom;
use crate::secret::Secret;
use crate::suite::Group;

/// Bytes of a public value of this group on the wire.
pub fn public_length(group: Group) -> usize {
    match group {
        Group::X25519 => 32,
        Group::P256 => 64,
        Group::P384 => 96,
        Group::Modp3072 => 384,
        Group::Modp2048 => 256,
    }
}

pub(super) struct Groups;

#[expect(unused_variables, reason = "to be built")]
impl KeyExchangeFactory for Groups {
    fn begin(
        &self,
        group: Group,
        random: &mut dyn SecureRandom,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        todo!()
    }

    fn respond(
        &self,
        group: Group,
        peer: &[u8],
        random: &mut dyn SecureRandom,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        todo!()
    }
}
