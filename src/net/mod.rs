//! The operating system leaf: sockets, devices, clocks, routing and names. It knows neither IKE nor ESP.

pub mod clock;
pub mod guard;
pub mod http;
pub mod icmp;
pub mod netlink;
pub mod offload;
pub mod packet;
pub mod peer;
pub mod ready;
pub mod resolver;
pub mod tun;
pub mod udp;
