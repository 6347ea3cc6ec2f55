//! prf+ (RFC 7296 §2.13).

use super::{CryptoError, PrfKey};
use crate::secret::Secret;

/// A stream of `length` bytes from a key and a seed:
/// `T1 = prf(K, S | 1)`, `Tn = prf(K, Tn-1 | S | n)`, `prf+ = T1 | T2 | ..`
///
/// # Errors
/// [`CryptoError::TooLong`]: "the prf+ function is not defined beyond 255 times the size of the prf function
/// output" (RFC 7296 §2.13).
pub fn prf_plus(key: &dyn PrfKey, seed: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
    // Reserved at once: a vector that grew would leave key material behind in the memory that it outgrew.
    let mut stream = Vec::with_capacity(length);
    let mut block = Secret::new(Vec::new());
    let mut counter: u8 = 0;
    while stream.len() < length {
        let Some(next) = counter.checked_add(1) else {
            drop(Secret::new(stream));
            return Err(CryptoError::TooLong);
        };
        counter = next;
        let number = [counter];
        let parts: Vec<&[u8]> =
            std::iter::once(block.expose()).chain(seed.iter().copied()).chain([&number[..]]).collect();
        block = key.compute(&parts);
        stream.extend(block.expose().iter().take(length - stream.len()));
    }
    Ok(Secret::new(stream))
}
