//! MODP groups 14, 15 and 16 (RFC 3526): Diffie-Hellman modulo a safe prime, with generator 2.
//!
//! Exponents are short (RFC 3526 §8). Everything that touches one runs in constant time.

use std::marker::PhantomData;

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{EncodedUint, U256, U320, U384, U2048, U3072, U4096, Uint, const_monty_params};
use zeroize::Zeroizing;

use super::DiffieHellman;
use crate::crypto::CryptoError;
use crate::random::SecureRandom;
use crate::secret::Secret;

/// 256 bits of exponent for 112 bits of strength (NIST SP 800-57 part 1, table 2); RFC 3526 §8 asks for at least
/// 220.
pub(super) type Modp2048 = Modp<Prime2048, { U2048::LIMBS }, { U256::LIMBS }>;

/// 320 bits of exponent for 128 bits of strength; RFC 3526 §8 asks for at least 260.
pub(super) type Modp3072 = Modp<Prime3072, { U3072::LIMBS }, { U320::LIMBS }>;

/// 384 bits of exponent for about 150 bits of strength; RFC 3526 §8 asks for at least 300.
pub(super) type Modp4096 = Modp<Prime4096, { U4096::LIMBS }, { U384::LIMBS }>;

/// A private exponent of `X` limbs modulo a prime of `L` limbs.
pub(super) struct Modp<M, const L: usize, const X: usize> {
    exponent: Zeroizing<Uint<X>>,
    prime: PhantomData<M>,
}

impl<M: ConstMontyParams<L>, const L: usize, const X: usize> Modp<M, L, X> {
    /// `base ^ exponent mod p`, big endian, with the length of the prime. Every form on the way may be the secret.
    fn power(&self, base: &Uint<L>) -> Zeroizing<EncodedUint<L>> {
        let power = Zeroizing::new(ConstMontyForm::<M, L>::new(base).pow(&self.exponent));
        let power = Zeroizing::new(power.retrieve());
        Zeroizing::new(power.to_be_bytes())
    }
}

impl<M, const L: usize, const X: usize> DiffieHellman for Modp<M, L, X>
where
    M: ConstMontyParams<L> + Send + 'static,
{
    /// A number of exactly `X` limbs. Its top bit is always set, which costs one bit of 256 or more, and no broken
    /// source can make it so small that the public value gives it away.
    fn generate(random: &mut dyn SecureRandom) -> Result<Self, CryptoError> {
        let mut bytes = Zeroizing::new(vec![0; Uint::<X>::BYTES]);
        random.fill(&mut bytes);
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(CryptoError::BadRandom);
        }
        let top_bit = Uint::ONE.shl_vartime(Uint::<X>::BITS - 1);
        let exponent = Zeroizing::new(Uint::from_be_slice(&bytes).bitor(&top_bit));
        Ok(Self { exponent, prime: PhantomData })
    }

    /// "The length of the Diffie-Hellman public value for MODP groups MUST be equal to the length of the prime
    /// modulus ..., prepending zero bits" (RFC 7296 §3.4).
    fn public(&self) -> Vec<u8> {
        self.power(&Uint::from(2_u8)).to_vec()
    }

    /// Checked is the length, and `1 < y < p - 1` (RFC 6989 §2.1). That suffices: with p = 2q + 1 and q prime, the
    /// only subgroups have 1, 2, q and 2q elements. The first two are {1} and {1, p - 1}, which are refused. A
    /// value of order 2q instead of q could show its sender whether our exponent is odd, nothing more, and the
    /// exponent is used for no other exchange; the test that excludes it would cost a full exponentiation.
    ///
    /// The secret has the length of the prime too, padded with zeros on the left (RFC 7296 §2.14).
    fn agree(&self, peer: &[u8]) -> Result<Secret, CryptoError> {
        if peer.len() != Uint::<L>::BYTES {
            return Err(CryptoError::BadPublicValue);
        }
        let peer = Uint::<L>::from_be_slice(peer);
        let largest = M::PARAMS.modulus().wrapping_sub(&Uint::from(2_u8));
        if peer <= Uint::ONE || peer > largest {
            return Err(CryptoError::BadPublicValue);
        }
        Ok(Secret::new(self.power(&peer).to_vec()))
    }
}

const_monty_params!(
    Prime2048,
    U2048,
    concat!(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
        "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
        "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    ),
    "2^2048 - 2^1984 - 1 + 2^64 * {[2^1918 pi] + 124476} (RFC 3526 §3)."
);

const_monty_params!(
    Prime3072,
    U3072,
    concat!(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
        "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
        "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
        "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C",
        "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    ),
    "2^3072 - 2^3008 - 1 + 2^64 * {[2^2942 pi] + 1690314} (RFC 3526 §4)."
);

const_monty_params!(
    Prime4096,
    U4096,
    concat!(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
        "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
        "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
        "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
        "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C",
        "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7",
        "88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6",
        "287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9",
        "93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
    ),
    "2^4096 - 2^4032 - 1 + 2^64 * {[2^3966 pi] + 240904} (RFC 3526 §5)."
);
