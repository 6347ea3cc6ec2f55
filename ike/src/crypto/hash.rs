//! Hashes without a key.

use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// SHA-1 of the parts in a row. Only for the NAT detection hashes, where RFC 7296 §2.23 prescribes it and where
/// nothing rests on its strength: whoever forges one can at most switch UDP encapsulation on.
pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    fixed(&SHA1_FOR_LEGACY_USE_ONLY, parts)
}

/// SHA-256 of the parts in a row.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    fixed(&SHA256, parts)
}

fn fixed<const N: usize>(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(context.finish().as_ref());
    out
}
