//! The NIST curves P-256, P-384 and P-521 (RFC 5903).

use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize, PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::DiffieHellman;
use crate::crypto::CryptoError;
use crate::random::SecureRandom;
use crate::secret::Secret;

pub(super) type P256 = Nist<p256::NistP256>;
pub(super) type P384 = Nist<p384::NistP384>;
pub(super) type P521 = Nist<p521::NistP521>;

pub(super) struct Nist<C: CurveArithmetic>(SecretKey<C>);

/// How many bits of a number's first byte a private value may have set: the order of P-521 has 521 bits, in 66 bytes.
pub(super) trait FirstByte {
    const MASK: u8;
}

impl FirstByte for p256::NistP256 {
    const MASK: u8 = 0xff;
}

impl FirstByte for p384::NistP384 {
    const MASK: u8 = 0xff;
}

impl FirstByte for p521::NistP521 {
    const MASK: u8 = 0x01;
}

/// A public value on the wire is x and y, each as long as the prime, without the byte 4 that SEC 1 puts before
/// them (RFC 5903 §7).
const UNCOMPRESSED: u8 = 4;

/// A draw fails once in 2^32 at most (P-256): a source that fails this often in a row is broken.
const DRAWS: usize = 16;

impl<C> DiffieHellman for Nist<C>
where
    C: CurveArithmetic + FirstByte,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    /// A number from 1 to the order less 1, each as likely as the other: drawn again until it is one.
    fn generate(random: &mut dyn SecureRandom) -> Result<Self, CryptoError> {
        let mut draw = || {
            let mut bytes = Zeroizing::new(FieldBytes::<C>::default());
            random.fill(&mut bytes);
            bytes.iter_mut().take(1).for_each(|first| *first &= C::MASK);
            SecretKey::from_bytes(&bytes).ok()
        };
        (0..DRAWS).find_map(|_| draw()).map(Self).ok_or(CryptoError::BadRandom)
    }

    fn public(&self) -> Vec<u8> {
        let point = self.0.public_key().to_sec1_point(false);
        point.as_bytes().iter().skip(1).copied().collect()
    }

    /// The secret is the x coordinate of the shared point, alone (RFC 5903 §9). Checked is that x and y are below
    /// the prime and lie on the curve (RFC 6989 §2.3); as the curve's order is prime and x|y cannot say "infinity",
    /// no point of small order is left.
    fn agree(&self, peer: &[u8]) -> Result<Secret, CryptoError> {
        if peer.len() != 2 * FieldBytes::<C>::default().len() {
            return Err(CryptoError::BadPublicValue);
        }
        let peer = PublicKey::<C>::from_sec1_bytes(&[&[UNCOMPRESSED], peer].concat())
            .map_err(|_| CryptoError::BadPublicValue)?;
        Ok(Secret::new(self.0.diffie_hellman(&peer).raw_secret_bytes().to_vec()))
    }
}
