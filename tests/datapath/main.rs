//! The data path between real devices and sockets, in network namespaces. Needs root: without it every test fails.
#![allow(clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod datagrams;
mod foreign;
mod hostile;
mod lifecycle;
mod marking;
mod namespace;
mod native;
mod on_demand;
mod path_mtu;
mod site;
mod slow_line;
mod sockets;
mod traffic;
mod trains;
mod workers;
