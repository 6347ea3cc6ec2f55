//! The leaf that touches the operating system; it knows neither IKE nor ESP.

pub mod netlink;
pub mod resolver;
