//! `IKEv2` (RFC 7296) as a pure state machine: no socket, no clock, no file, no random source.
#![forbid(unsafe_code)]

pub mod config;
pub mod crypto;
mod diagnose;
pub mod diagnosis;
mod endpoint;
pub mod event;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
mod keys;
mod limits;
pub mod negotiate;
mod path;
pub mod pki;
mod random;
mod sa;
mod secret;
#[cfg(feature = "sim")]
pub mod sim;
mod spi_allocator;
pub mod suite;
mod time;
pub mod wire;
#[cfg(all(test, feature = "sim"))]
mod words;
mod work;

pub use endpoint::Endpoint;
pub use path::{Path, Transport};
pub use random::SecureRandom;
pub use secret::Secret;
pub use spi_allocator::SpiAllocator;
pub use time::{Instant, Now};
pub use work::{Class, Done, Work};
