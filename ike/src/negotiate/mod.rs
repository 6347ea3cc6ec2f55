//! Agreeing on suites, traffic selectors and NAT traversal.

pub(crate) mod compare;
pub(crate) mod fragmentation;
pub(crate) mod narrow;
pub(crate) mod nat;
pub(crate) mod overlap;
pub(crate) mod proposal;
mod selector;
#[cfg(test)]
mod tests;
mod transform;

pub use selector::{Protocol, SelectorError, TrafficSelector};
