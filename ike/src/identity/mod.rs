//! Who a peer says it is (RFC 7296 §3.5) and how it proves it (§2.15).

mod id;

pub use id::{Identity, IdentityError};
