//! The bodies of the fuzz targets; an ordinary test runs them over the corpus too.

use crate::crypto::Provider;
use crate::exchange::{
    AuthRequest, AuthResponse, CreateChildRequest, CreateChildResponse, Informational, InitRequest,
    InitResponse, Protected,
};
use crate::keys::{IkeKeys, Nonces, Spis};
use crate::secret::Secret;
use crate::suite::{Cipher, Group, IkeSuite, Prf};
use crate::wire::{Body, Datagram, Encrypted, IkeSpi, Malformed, Payload, PayloadType, emit_clear};

/// A datagram as it comes from the network: reading it never panics, and what was read writes back to something
/// that reads the same.
pub fn message(data: &[u8]) {
    let Ok(datagram) = Datagram::parse(data) else { return };
    let Body::Clear(payloads) = datagram.body else { return };
    let _ = InitRequest::read(payloads.clone());
    let _ = InitResponse::read(payloads.clone());
    let again = emit_clear(datagram.header, &payloads);
    let second = match Datagram::parse(&again) {
        Ok(Datagram { body: Body::Clear(second), .. }) => Some(second),
        _ => None,
    };
    assert_eq!(Some(without_unknown(payloads)), second.map(without_unknown), "it writes back as it was read");
}

/// The bodies of types that we do not use are not kept.
fn without_unknown(payloads: Vec<Payload>) -> Vec<Payload> {
    payloads.into_iter().filter(|p| !matches!(p, Payload::Other(_))).collect()
}

/// A chain of payloads (the first byte is the type of the first) sealed with known keys, as a peer could: opened and
/// read as the message of every exchange.
pub fn payloads(data: &[u8]) {
    let Some((first, plaintext)) = data.split_first() else { return };
    let Some(keys) = known_keys() else { return };
    let associated = [0u8; 32];
    let mut sealing = keys.0.initiator;
    let Ok((iv, sealed)) = sealing.seal(&associated, plaintext.to_vec()) else { return };
    let first = PayloadType(*first);
    let open = || {
        Protected::open(&Encrypted { first, associated: &associated, iv, sealed: &sealed }, &keys.1.initiator)
    };
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
    let suite = IkeSuite { cipher: Cipher::Aes128Gcm16, prf: Prf::HmacSha256, group: Group::X25519 };
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    let derive = || IkeKeys::derive(&Provider::ring(), suite, nonces, spis, &Secret::new(vec![3; 32])).ok();
    derive().zip(derive())
}
