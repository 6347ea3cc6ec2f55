//! The operating system leaf: sockets, devices, clocks, routing and names. It knows neither IKE nor ESP.

pub mod peer;
