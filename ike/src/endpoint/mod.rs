//! Many tunnels behind one set of ports.

use std::sync::Arc;

use crate::config::{Connection, EndpointConfig};
use crate::event::{
    Command, CommandError, Completion, ConnectionStatus, Deadline, Event, Job, JobId, Transmit,
};
use crate::path::Path;
use crate::random::SecureRandom;
use crate::time::Now;
use crate::wire::EspSpi;

/// Gives out inbound ESP SPIs: the shell's, because an SPI may carry the number of a data worker.
pub trait SpiAllocator: Send {
    /// A fresh SPI (not below [`EspSpi::MIN`], not in use), or `None` if there is none left.
    fn allocate(&mut self, random: &mut dyn SecureRandom) -> Option<EspSpi>;
    /// It will not be used again.
    fn release(&mut self, spi: EspSpi);
}

/// The poll contract. After each `handle_*`, the driver drains, in this order: `poll_event` (and acts on each),
/// `poll_job`, `poll_transmit`, and then asks `poll_timeout`. Events come first because a Child SA must be able
/// to receive before the message leaves that lets the peer send.
pub struct Endpoint {}

#[expect(unused_variables, clippy::unused_self, clippy::needless_pass_by_value, reason = "to be built")]
impl Endpoint {
    /// An endpoint with nothing configured.
    pub fn new(config: EndpointConfig, random: Box<dyn SecureRandom>, spis: Box<dyn SpiAllocator>) -> Self {
        Self {}
    }
    /// The network spoke: one datagram, the non-ESP marker taken off.
    pub fn handle_datagram(&mut self, now: Now, path: Path, bytes: &[u8]) {}
    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Now) {}
    /// An operator, the shell or the data path asks.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<(), CommandError> {
        Ok(())
    }
    /// Slow work came back.
    pub fn handle_completion(&mut self, now: Now, job: JobId, completion: Completion) {}
    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }
    /// The next slow work to do elsewhere.
    pub fn poll_job(&mut self) -> Option<Job> {
        None
    }
    /// The next fact for the shell.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    /// The next deadline and its reason.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        None
    }
    /// Every configured connection, also those that are down.
    pub fn status(&self) -> Vec<ConnectionStatus> {
        Vec::new()
    }
    /// Datagrams dropped and answers refused, by reason (stable words).
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
    /// After [`Command::Shutdown`]: whether every DELETE was answered or given up.
    pub fn is_idle(&self) -> bool {
        true
    }
}

const _: fn() = || {
    fn send<T: Send>() {}
    send::<Endpoint>();
    send::<Arc<Connection>>();
};
