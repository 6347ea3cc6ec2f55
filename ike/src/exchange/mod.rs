//! The four exchanges as typed messages: what each must and may hold (RFC 7296 §1.2 to §1.4).

mod auth;
mod configuration;
mod create_child;
#[cfg(test)]
mod fragment_tests;
mod informational;
mod init;
mod message;
mod parts;
mod protected;
mod reassembly;
#[cfg(feature = "sim")]
pub mod tamper;
#[cfg(test)]
mod tests;

pub(crate) use auth::{AuthRequest, AuthResponse, ChildAnswer, ChildOffer};
pub(crate) use configuration::{AddressWish, ConfigReply, ConfigRequest};
pub(crate) use create_child::{ChildRequest, CreateChildRequest, CreateChildResponse, IkeRequest};
pub(crate) use informational::Informational;
pub(crate) use init::{InitRequest, InitResponse, KeyExchangeData};
pub(crate) use message::{Message, seal};
pub(crate) use protected::OpenError;
pub use protected::Protected;
pub(crate) use reassembly::{Reassembly, Received};
