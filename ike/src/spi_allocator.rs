//! Where inbound ESP SPIs come from.

use std::net::SocketAddr;

use crate::random::SecureRandom;
use crate::wire::EspSpi;

/// Gives out inbound ESP SPIs: the shell's, because an SPI may carry the number of a data worker.
pub trait SpiAllocator: Send {
    /// A fresh SPI (not below [`EspSpi::MIN`], not in use) for an SA with the peer at this address, or `None` if there is
    /// none left.
    fn allocate(&mut self, peer: SocketAddr, random: &mut dyn SecureRandom) -> Option<EspSpi>;
    /// It will not be used again.
    fn release(&mut self, spi: EspSpi);
}
