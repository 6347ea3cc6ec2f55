//! Cookies: proof that the peer receives at the address it sends from, before any work is done for it
//! (RFC 7296 §2.6).

use std::net::{IpAddr, SocketAddr};

use subtle::ConstantTimeEq;

use crate::crypto::Provider;
use crate::limits;
use crate::random::SecureRandom;
use crate::secret::Secret;
use crate::suite::Prf;
use crate::time::Instant;
use crate::wire::IkeSpi;

/// The secret behind the cookies, and the one before it.
#[derive(Debug)]
pub(super) struct CookieJar {
    generation: u8,
    secret: Secret,
    previous: Option<Secret>,
    renew_at: Instant,
}

impl CookieJar {
    pub(super) fn new(random: &mut dyn SecureRandom, now: Instant) -> Self {
        let secret = Secret::new(random.bytes::<32>().into());
        Self { generation: 0, secret, previous: None, renew_at: now + limits::COOKIE_SECRET_LIFETIME }
    }

    fn renew(&mut self, random: &mut dyn SecureRandom, now: Instant) {
        if now >= self.renew_at {
            let fresh = Secret::new(random.bytes::<32>().into());
            let secret = std::mem::replace(&mut self.secret, fresh);
            // Nobody may have asked for long: then it is not the one before, but one of hours ago.
            let missed = now >= self.renew_at + limits::COOKIE_SECRET_LIFETIME;
            self.previous = (!missed).then_some(secret);
            self.generation = self.generation.wrapping_add(1);
            self.renew_at = now + limits::COOKIE_SECRET_LIFETIME;
        }
    }

    /// The cookie for a request: it covers address, port, SPI and nonce.
    pub(super) fn bake(
        &mut self,
        provider: &Provider,
        random: &mut dyn SecureRandom,
        now: Instant,
        request: &Request<'_>,
    ) -> Vec<u8> {
        self.renew(random, now);
        request.cookie(provider, self.generation, &self.secret)
    }

    pub(super) fn is_good(
        &mut self,
        provider: &Provider,
        random: &mut dyn SecureRandom,
        now: Instant,
        request: &Request<'_>,
        cookie: &[u8],
    ) -> bool {
        self.renew(random, now);
        let secret = match cookie.first() {
            Some(generation) if *generation == self.generation => Some(&self.secret),
            Some(generation) if *generation == self.generation.wrapping_sub(1) => self.previous.as_ref(),
            _ => None,
        };
        let Some((secret, generation)) = secret.zip(cookie.first()) else { return false };
        request.cookie(provider, *generation, secret).ct_eq(cookie).into()
    }
}

/// What a cookie is for.
pub(in crate::endpoint) struct Request<'a> {
    pub(in crate::endpoint) remote: SocketAddr,
    pub(in crate::endpoint) spi_i: IkeSpi,
    pub(in crate::endpoint) nonce: &'a [u8],
}

impl Request<'_> {
    fn cookie(&self, provider: &Provider, generation: u8, secret: &Secret) -> Vec<u8> {
        let port = self.remote.port().to_be_bytes();
        let key = provider.prf.key(Prf::HmacSha256, secret.expose());
        let mac = match self.remote.ip() {
            IpAddr::V4(v4) => key.compute(&[&v4.octets(), &port, &self.spi_i.0, self.nonce]),
            IpAddr::V6(v6) => key.compute(&[&v6.octets(), &port, &self.spi_i.0, self.nonce]),
        };
        let mut cookie = vec![generation];
        cookie.extend_from_slice(mac.expose());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);
    impl SecureRandom for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            self.0 += 1;
            out.fill(self.0);
        }
    }

    /// Rule 14: a cookie covers address, port, SPI and nonce, and its secret rotates.
    #[test]
    fn a_cookie_is_good_for_its_sender_alone_and_for_two_generations() {
        let provider = Provider::ring();
        let mut random = Counting(0);
        let start = Instant::default();
        let mut jar = CookieJar::new(&mut random, start);
        let remote = SocketAddr::from(([192, 0, 2, 1], 500));
        let request = Request { remote, spi_i: IkeSpi([1; 8]), nonce: &[2; 32] };
        let cookie = jar.bake(&provider, &mut random, start, &request);
        assert!(cookie.len() <= limits::COOKIE);
        let mut good =
            |request: &Request<'_>, now| jar.is_good(&provider, &mut random, now, request, &cookie);
        assert!(good(&request, start));
        for other in ["192.0.2.1:501", "192.0.2.2:500", "[2001:db8::1]:500", "[::ffff:192.0.2.1]:500"] {
            assert!(!good(&Request { remote: other.parse().unwrap(), ..request }, start), "{other}");
        }
        assert!(!good(&Request { spi_i: IkeSpi([9; 8]), ..request }, start));
        assert!(!good(&Request { nonce: &[3; 32], ..request }, start));
        let later = start + limits::COOKIE_SECRET_LIFETIME;
        assert!(good(&request, later), "the generation before is still good");
        assert!(!good(&request, later + limits::COOKIE_SECRET_LIFETIME));
        assert!(!jar.is_good(&provider, &mut random, later, &request, &[]));
    }

    #[test]
    fn a_cookie_covers_all_of_an_ipv6_address() {
        let provider = Provider::ring();
        let mut random = Counting(0);
        let start = Instant::default();
        let mut jar = CookieJar::new(&mut random, start);
        let from = |remote: &str| Request {
            remote: remote.parse().unwrap(),
            spi_i: IkeSpi([1; 8]),
            nonce: &[2; 32],
        };
        let cookie = jar.bake(&provider, &mut random, start, &from("[2001:db8::1]:500"));
        for (remote, good) in [
            ("[2001:db8::1]:500", true),
            ("[2001:db8::1]:501", false),
            ("[2001:db8::2]:500", false),
            ("[2001:db9::1]:500", false),
            ("192.0.2.1:500", false),
        ] {
            assert_eq!(jar.is_good(&provider, &mut random, start, &from(remote), &cookie), good, "{remote}");
        }
    }

    /// The secret does not outlive its time while nobody asks.
    #[test]
    fn a_cookie_is_worth_nothing_after_a_quiet_time() {
        let provider = Provider::ring();
        let mut random = Counting(0);
        let start = Instant::default();
        let remote = SocketAddr::from(([192, 0, 2, 1], 500));
        let request = Request { remote, spi_i: IkeSpi([1; 8]), nonce: &[2; 32] };
        let life = limits::COOKIE_SECRET_LIFETIME;
        for (quiet, good) in [(life * 3 / 2, true), (life * 2, false), (life * 300, false)] {
            let mut jar = CookieJar::new(&mut random, start);
            let cookie = jar.bake(&provider, &mut random, start, &request);
            assert_eq!(
                jar.is_good(&provider, &mut random, start + quiet, &request, &cookie),
                good,
                "{quiet:?}"
            );
        }
    }
}
