//! Key exchange groups: one file a family.

mod modp;
mod nist;
mod x25519;

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
        Group::P521 => 132,
        Group::Modp4096 => 512,
        Group::Modp3072 => 384,
        Group::Modp2048 => 256,
    }
}

pub(super) struct Groups;

impl KeyExchangeFactory for Groups {
    fn begin(
        &self,
        group: Group,
        random: &mut dyn SecureRandom,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        match group {
            Group::X25519 => begin::<x25519::X25519>(group, random),
            Group::P256 => begin::<nist::P256>(group, random),
            Group::P384 => begin::<nist::P384>(group, random),
            Group::P521 => begin::<nist::P521>(group, random),
            Group::Modp4096 => begin::<modp::Modp4096>(group, random),
            Group::Modp3072 => begin::<modp::Modp3072>(group, random),
            Group::Modp2048 => begin::<modp::Modp2048>(group, random),
        }
    }

    fn respond(
        &self,
        group: Group,
        peer: &[u8],
        random: &mut dyn SecureRandom,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        match group {
            Group::X25519 => respond::<x25519::X25519>(peer, random),
            Group::P256 => respond::<nist::P256>(peer, random),
            Group::P384 => respond::<nist::P384>(peer, random),
            Group::P521 => respond::<nist::P521>(peer, random),
            Group::Modp4096 => respond::<modp::Modp4096>(peer, random),
            Group::Modp3072 => respond::<modp::Modp3072>(peer, random),
            Group::Modp2048 => respond::<modp::Modp2048>(peer, random),
        }
    }
}

/// A private value of a Diffie-Hellman group, for one use. Erased on drop.
trait DiffieHellman: Sized + Send + 'static {
    /// A fresh one.
    fn generate(random: &mut dyn SecureRandom) -> Result<Self, CryptoError>;
    /// The public value that belongs to it, as on the wire.
    fn public(&self) -> Vec<u8>;
    /// The shared secret with a peer's public value, **which it checks**: both belong to the same operation, so
    /// that an unchecked value cannot meet a private one (RFC 6989 §2).
    fn agree(&self, peer: &[u8]) -> Result<Secret, CryptoError>;
}

/// In Diffie-Hellman the responder does what the initiator does. The peer's value comes first: one that is refused
/// costs its sender nothing, so it shall not cost us a public value of our own.
fn respond<D: DiffieHellman>(
    peer: &[u8],
    random: &mut dyn SecureRandom,
) -> Result<(Vec<u8>, Secret), CryptoError> {
    let private = D::generate(random)?;
    let shared = private.agree(peer)?;
    Ok((private.public(), shared))
}

fn begin<D: DiffieHellman>(
    group: Group,
    random: &mut dyn SecureRandom,
) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
    let private = D::generate(random)?;
    let public = private.public();
    Ok(Box::new(InProgress { group, private, public }))
}

struct InProgress<D> {
    group: Group,
    private: D,
    public: Vec<u8>,
}

impl<D: DiffieHellman> ActiveKeyExchange for InProgress<D> {
    fn group(&self) -> Group {
        self.group
    }

    fn public(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer: &[u8]) -> Result<Secret, CryptoError> {
        self.private.agree(peer)
    }
}
