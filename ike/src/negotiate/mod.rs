//! Agreeing on suites, traffic selectors and NAT traversal.

mod selector;

pub use selector::{Protocol, SelectorError, TrafficSelector};
