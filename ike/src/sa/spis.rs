//! SPIs that give themselves back: a failed path leaves none behind.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::random::SecureRandom;
use crate::spi_allocator::SpiAllocator;
use crate::wire::{EspSpi, IkeSpi};

/// Gives out the local SPIs of IKE SAs, and through the shell's allocator those of ESP.
pub(crate) struct SpiPool {
    esp: Box<dyn SpiAllocator>,
    ike: BTreeSet<IkeSpi>,
    returned: Arc<Mutex<Returned>>,
}

#[derive(Default)]
struct Returned {
    esp: Vec<EspSpi>,
    ike: Vec<IkeSpi>,
}

impl SpiPool {
    pub(crate) fn new(esp: Box<dyn SpiAllocator>) -> Self {
        Self { esp, ike: BTreeSet::new(), returned: Arc::default() }
    }

    /// A fresh, unpredictable SPI for an IKE SA.
    pub(crate) fn ike(&mut self, random: &mut dyn SecureRandom) -> IkeSpiLease {
        loop {
            let spi = IkeSpi(random.bytes());
            if spi != IkeSpi::ZERO && self.ike.insert(spi) {
                return IkeSpiLease { spi, returned: Arc::clone(&self.returned) };
            }
        }
    }

    /// A fresh SPI for an inbound ESP SA with the peer at this address; `None` if there is none left.
    pub(crate) fn esp(&mut self, peer: SocketAddr, random: &mut dyn SecureRandom) -> Option<EspSpiLease> {
        let spi = self.esp.allocate(peer, random)?;
        Some(EspSpiLease { spi, returned: Arc::clone(&self.returned) })
    }

    /// Takes back what was dropped since the last call; the IKE SPIs among it.
    pub(crate) fn reclaim(&mut self) -> Vec<IkeSpi> {
        let returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        returned.esp.into_iter().for_each(|spi| self.esp.release(spi));
        for spi in &returned.ike {
            self.ike.remove(spi);
        }
        returned.ike
    }
}

macro_rules! lease {
    ($(#[$doc:meta])* $name:ident($spi:ty), $field:ident) => {
        $(#[$doc])*
        pub(crate) struct $name {
            spi: $spi,
            returned: Arc<Mutex<Returned>>,
        }

        impl $name {
            pub(crate) fn spi(&self) -> $spi {
                self.spi
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.returned.lock().unwrap_or_else(PoisonError::into_inner).$field.push(self.spi);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.spi.fmt(f)
            }
        }
    };
}

lease!(
    /// The local SPI of an IKE SA, given back on drop.
    IkeSpiLease(IkeSpi),
    ike
);
lease!(
    /// The inbound SPI of a Child SA, given back on drop.
    EspSpiLease(EspSpi),
    esp
);
