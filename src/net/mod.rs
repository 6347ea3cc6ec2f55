//! The operating system leaf: sockets, devices and clocks. It knows neither IKE nor ESP.

pub mod clock;
pub mod ready;
pub mod tun;
pub mod udp;
