//! Key exchange groups: one file a family.

mod modp;
mod nist;
mod x25519;

use super::{ActiveKeyExchange, CryptoError, KeyExchangeFactory, PrivateValue};
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
    fn draw(
        &self,
        group: Group,
        random: &mut dyn SecureRandom,
    ) -> Result<Box<dyn PrivateValue>, CryptoError> {
        match group {
            Group::X25519 => draw::<x25519::X25519>(group, random),
            Group::P256 => draw::<nist::P256>(group, random),
            Group::P384 => draw::<nist::P384>(group, random),
            Group::P521 => draw::<nist::P521>(group, random),
            Group::Modp4096 => draw::<modp::Modp4096>(group, random),
            Group::Modp3072 => draw::<modp::Modp3072>(group, random),
            Group::Modp2048 => draw::<modp::Modp2048>(group, random),
        }
    }
}

/// A private value of a Diffie-Hellman group, for one use. Erased on drop.
trait DiffieHellman: Sized + Send + 'static {
    /// A fresh one, cheaply: nothing but a draw.
    fn generate(random: &mut dyn SecureRandom) -> Result<Self, CryptoError>;
    /// The public value that belongs to it, as on the wire.
    fn public(&self) -> Vec<u8>;
    /// The shared secret with a peer's public value, **which it checks**: both belong to the same operation, so
    /// that an unchecked value cannot meet a private one (RFC 6989 §2).
    fn agree(&self, peer: &[u8]) -> Result<Secret, CryptoError>;
}

fn draw<D: DiffieHellman>(
    group: Group,
    random: &mut dyn SecureRandom,
) -> Result<Box<dyn PrivateValue>, CryptoError> {
    Ok(Box::new(Drawn { group, private: D::generate(random)? }))
}

struct Drawn<D> {
    group: Group,
    private: D,
}

impl<D: DiffieHellman> PrivateValue for Drawn<D> {
    fn group(&self) -> Group {
        self.group
    }

    fn begin(self: Box<Self>) -> Box<dyn ActiveKeyExchange> {
        let public = self.private.public();
        Box::new(InProgress { group: self.group, private: self.private, public })
    }

    /// In Diffie-Hellman the responder does what the initiator does. The peer's value comes first: one that is refused
    /// costs its sender nothing, so it shall not cost us a public value of our own.
    fn respond(self: Box<Self>, peer: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        let shared = self.private.agree(peer)?;
        Ok((self.private.public(), shared))
    }
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
