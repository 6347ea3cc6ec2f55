//! What an endpoint of a test asks of the world: randomness of the system, and SPIs in a row.

use std::net::SocketAddr;

use ring::rand::{SecureRandom as _, SystemRandom};
use sekisho_ike::config::EndpointConfig;
use sekisho_ike::wire::EspSpi;
use sekisho_ike::{Endpoint, SecureRandom, SpiAllocator};

/// One with nothing configured.
pub fn endpoint(config: EndpointConfig) -> Endpoint {
    Endpoint::new(config, Box::new(Os(SystemRandom::new())), Box::new(Counting(0x1000)))
}

struct Os(SystemRandom);

impl SecureRandom for Os {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out).expect("randomness");
    }
}

struct Counting(u32);

impl SpiAllocator for Counting {
    fn allocate(&mut self, _: SocketAddr, _: &mut dyn SecureRandom) -> Option<EspSpi> {
        self.0 += 1;
        Some(EspSpi(self.0))
    }

    fn release(&mut self, _: EspSpi) {}
}
