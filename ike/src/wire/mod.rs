//! Bytes to values and back, without any policy (RFC 7296 §3).

mod spi;

pub use spi::{EspSpi, IkeSpi};
