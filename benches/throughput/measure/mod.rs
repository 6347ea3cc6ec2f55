//! What is measured between two addresses, whatever lies between them.

pub mod echo;
pub mod tcp;
pub mod udp;
pub mod usage;

use std::net::IpAddr;

use crate::{lab, namespace};

/// A network namespace in which sockets can be made.
pub trait Inside: Sync {
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T;
}

impl Inside for lab::Namespace {
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.run(work)
    }
}

impl Inside for namespace::Namespace {
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.run(work)
    }
}

/// Two addresses, each with its namespace.
pub struct Ends<'a, N> {
    pub here: (&'a N, IpAddr),
    pub there: (&'a N, IpAddr),
}

impl<N> Clone for Ends<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Ends<'_, N> {}

impl<N> Ends<'_, N> {
    /// The other direction.
    pub fn turned(self) -> Self {
        Self { here: self.there, there: self.here }
    }
}
