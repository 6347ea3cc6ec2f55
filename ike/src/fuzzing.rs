//! The bodies of the fuzz targets; an ordinary test runs them over the corpus too.

use crate::crypto::Provider;
use crate::exchange::{
    AuthRequest, AuthResponse, CreateChildRequest, CreateChildResponse, Informational, InitRequest,
    InitResponse, Protected,
};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::secret::Secret;
use crate::suite::{Aead, Group, IkeSuite, Prf, Protection};
use crate::wire::{Body, Datagram, Encrypted, Header, IkeSpi, Malformed, Payload, PayloadType, emit_clear};

/// A datagram as it comes from the network: reading it never panics, and what we write of it reads back and writes
/// the same again.
pub fn message(data: &[u8]) {
    let Some((header, payloads)) = clear(data) else { return };
    let _ = InitRequest::read(payloads.clone());
    let _ = InitResponse::read(payloads.clone());
    let written = emit_clear(header, &payloads);
    let again = clear(&written).map(|(header, payloads)| emit_clear(header, &payloads));
    assert_eq!(Some(written), again, "what was written reads back");
}

fn clear(data: &[u8]) -> Option<(Header, Vec<Payload>)> {
    match Datagram::parse(data).ok()? {
        Datagram { header, body: Body::Clear(payloads), .. } => Some((header, payloads)),
        _ => None,
    }
}

/// A chain of payloads (the first byte is the type of the first) sealed with known keys, as a peer could: opened and
/// read as the message of every exchange.
pub fn payloads(data: &[u8]) {
    let Some((first, plaintext)) = data.split_first() else { return };
    let Some(keys) = known_keys() else { return };
    let associated = [0u8; 32];
    let mut sealing = keys.0.initiator;
    let Ok(sealed) = sealing.seal(&associated, plaintext.to_vec()) else { return };
    let first = PayloadType(*first);
    let open =
        || Protected::open(&Encrypted { first, associated: &associated, sealed: &sealed }, &keys.1.initiator);
    read(open().ok(), AuthRequest::read);
    read(open().ok(), AuthResponse::read);
    read(open().ok(), CreateChildRequest::read);
    read(open().ok(), CreateChildResponse::read);
    read(open().ok(), Informational::read);
}

fn read<T>(opened: Option<Protected<Vec<Payload>>>, read: fn(Vec<Payload>) -> Result<T, Malformed>) {
    let _ = opened.map(|payloads| payloads.try_map(read).is_ok());
}

/// The same keys for the one who seals and the one who opens.
fn known_keys() -> Option<(IkeKeys, IkeKeys)> {
    let protection = Protection::Aead(Aead::Aes128Gcm16);
    let suite = IkeSuite { protection, prf: Prf::HmacSha256, group: Group::X25519 };
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    let derive = || IkeKeys::derive(&Provider::ring(), suite, nonces, spis, &Secret::new(vec![3; 32])).ok();
    derive().zip(derive())
}
