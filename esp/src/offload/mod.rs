//! Super-packets: what one read or write of a TUN with `IFF_VNET_HDR` carries (virtio 1.2 §5.1.6).

pub(crate) mod coalesce;
pub(crate) mod fuzz;
pub(crate) mod header;
mod rewrite;
pub(crate) mod segment;
