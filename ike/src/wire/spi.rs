//! Security parameter indexes.

use std::fmt;

/// An IKE SA's SPI: eight bytes, never zero once chosen (RFC 7296 §2.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct IkeSpi(pub [u8; 8]);

impl IkeSpi {
    /// "Not chosen yet": the responder's SPI in the first message.
    pub const ZERO: Self = Self([0; 8]);
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ESP SA's SPI; 0 to 255 are reserved (RFC 4303 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EspSpi(pub u32);

impl EspSpi {
    /// The smallest that may be used.
    pub const MIN: u32 = 256;
}

/// A Child SA, by what one end receives on. RFC 7296 §3.10: "For notifications concerning Child SAs, this field MUST contain either (2) to
/// indicate AH or (3) to indicate ESP."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildSpi {
    /// One of ESP.
    Esp(EspSpi),
    /// One of AH, which we do not have.
    Ah([u8; 4]),
}

impl From<EspSpi> for ChildSpi {
    fn from(spi: EspSpi) -> Self {
        Self::Esp(spi)
    }
}

impl fmt::Display for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
