//! Agreeing on suites, traffic selectors and NAT traversal.

pub(crate) mod compare;
pub(crate) mod fragmentation;
mod left_out;
pub(crate) mod narrow;
pub(crate) mod nat;
pub(crate) mod overlap;
pub(crate) mod proposal;
mod selector;
#[cfg(test)]
mod tests;
mod transform;

pub use left_out::{in_words, left_out, left_out_in_words};
pub use selector::{Protocol, SelectorError, TrafficSelector};
