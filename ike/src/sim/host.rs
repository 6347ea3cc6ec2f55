//! One end: an endpoint, and a data path that only knows which SPI has which key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use super::desk::Desk;
use super::random::SeededRandom;
use crate::config::{EndpointConfig, Name};
use crate::diagnosis::Diagnosis;
use crate::endpoint::Endpoint;
use crate::event::{Assignment, ChildSaId, Command, ConnectionStatus, EndReason, Event, TunnelId};
use crate::negotiate::TrafficSelector;
use crate::path::Path;
use crate::random::SecureRandom;
use crate::spi_allocator::SpiAllocator;
use crate::time::Now;
use crate::wire::EspSpi;

/// A Child SA as the data path has it.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its tunnel.
    pub tunnel: TunnelId,
    /// The configured connection and child.
    pub child: (Name, Name),
    /// What our side may send from, and the peer's side.
    pub selectors: [Vec<TrafficSelector>; 2],
    /// What we receive on.
    pub inbound: (EspSpi, Vec<u8>),
    /// What we send with.
    pub outbound: (EspSpi, Vec<u8>),
    /// The way of its packets.
    pub path: Path,
    /// Whether ESP is in UDP.
    pub encapsulated: bool,
    first_packet_seen: bool,
}

/// One end of the world.
pub struct Host {
    /// Its address.
    pub address: IpAddr,
    /// The machine under test.
    pub endpoint: Endpoint,
    /// Where its jobs are done.
    pub desk: Desk,
    /// Every Child SA that can receive.
    pub installed: BTreeMap<ChildSaId, Installed>,
    /// Those that packets are sent on, the newest last.
    pub sending: Vec<ChildSaId>,
    /// Failures in the order they were told.
    pub failures: Vec<Diagnosis>,
    /// Addresses inside tunnels that were told, in order.
    pub assigned: Vec<Assignment>,
    /// Ended tunnels and why.
    pub ended: Vec<EndReason>,
    /// Ended Child SAs and why.
    pub retired: Vec<(ChildSaId, EndReason)>,
    /// IKE SAs set up or rekeyed.
    pub ike_sas_made: u32,
    /// Child SAs set up or rekeyed.
    pub child_sas_made: u32,
    /// User packets that arrived on an SPI with the right key.
    pub received: u64,
    /// User packets that arrived on an SPI that is not there.
    pub refused: u64,
    /// User packets sent.
    pub sent: u64,
    /// What a path was said to carry, and whether that was found out.
    pub path_mtus: Vec<(u16, bool)>,
    /// The last of it, of each tunnel that stands.
    pub carries: BTreeMap<TunnelId, (u16, bool)>,
    /// What its line carries: if it is known, the endpoint is told of each path, as by the shell.
    pub line: Option<u16>,
    /// Tunnels with a path that the endpoint was not told of.
    untold: Vec<TunnelId>,
    /// It says what it likes, see [`crate::exchange::tamper`].
    pub hostile: bool,
    spis: Arc<Mutex<BTreeSet<EspSpi>>>,
}

impl Host {
    pub(super) fn new(address: IpAddr, seed: u64, number: u64, config: &EndpointConfig) -> Self {
        let spis = Arc::new(Mutex::new(BTreeSet::new()));
        let random = Box::new(SeededRandom::new(seed, number));
        let endpoint = Endpoint::new(config.clone(), random, Box::new(Spis(Arc::clone(&spis))));
        Self {
            address,
            endpoint,
            desk: Desk::new(SeededRandom::new(seed, number + 1_000_000)),
            installed: BTreeMap::new(),
            sending: Vec::new(),
            failures: Vec::new(),
            assigned: Vec::new(),
            ended: Vec::new(),
            retired: Vec::new(),
            ike_sas_made: 0,
            child_sas_made: 0,
            received: 0,
            refused: 0,
            sent: 0,
            path_mtus: Vec::new(),
            carries: BTreeMap::new(),
            line: None,
            untold: Vec::new(),
            hostile: false,
            spis,
        }
    }

    /// The only connection's status.
    ///
    /// # Panics
    /// If there is not exactly one.
    pub fn status(&self) -> ConnectionStatus {
        match <[ConnectionStatus; 1]>::try_from(self.endpoint.status()) {
            Ok([status]) => status,
            Err(all) => panic!("{} connections instead of one", all.len()),
        }
    }

    /// ESP SPIs that were given out and not given back.
    pub fn spis_in_use(&self) -> usize {
        self.spis.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The SA that a user packet would be sent on.
    pub fn outbound(&self) -> Option<&Installed> {
        self.installed.get(self.sending.last()?)
    }

    pub(super) fn handle_event(&mut self, event: Event) {
        match event {
            Event::TunnelUp(sa) => {
                self.ike_sas_made += 1;
                self.untold.push(sa.tunnel);
            }
            Event::IkeSaRekeyed(_) => self.ike_sas_made += 1,
            Event::TunnelDown { tunnel, reason, .. } => {
                self.carries.remove(&tunnel);
                self.ended.push(reason);
            }
            Event::AddressesAssigned(assignment) => self.assigned.push(*assignment),
            Event::InboundReady(child) => {
                self.child_sas_made += 1;
                let installed = Installed {
                    tunnel: child.tunnel,
                    child: (child.connection.clone(), child.child.clone()),
                    selectors: [child.local.clone(), child.remote.clone()],
                    inbound: (child.inbound.spi, child.inbound.keymat.expose().to_vec()),
                    outbound: (child.outbound.spi, child.outbound.keymat.expose().to_vec()),
                    path: child.path,
                    encapsulated: child.encapsulated,
                    first_packet_seen: false,
                };
                self.installed.insert(child.id, installed);
            }
            Event::OutboundSwitch { child_sa } => {
                let child = self.installed.get(&child_sa).map(|i| (i.tunnel, i.child.clone()));
                let same = |i: &Installed| child == Some((i.tunnel, i.child.clone()));
                self.sending.retain(|id| !self.installed.get(id).is_some_and(same));
                self.sending.push(child_sa);
            }
            Event::OutboundStop { child_sa } => self.sending.retain(|id| *id != child_sa),
            Event::Retired { child_sa, reason } => {
                self.sending.retain(|id| *id != child_sa);
                self.installed.remove(&child_sa);
                self.retired.push((child_sa, reason));
            }
            Event::PathChanged { tunnel, path, encapsulated } => {
                for child in self.installed.values_mut().filter(|i| i.tunnel == tunnel) {
                    (child.path, child.encapsulated) = (path, encapsulated);
                }
                self.carries.remove(&tunnel);
                self.untold.push(tunnel);
            }
            Event::PathMtu { tunnel, mtu, proven } => {
                self.path_mtus.push((mtu, proven));
                self.carries.insert(tunnel, (mtu, proven));
            }
            Event::NegotiationFailed { diagnosis, .. } => self.failures.push(*diagnosis),
        }
    }

    /// Tells of new paths what the line carries.
    pub(super) fn tell_lines(&mut self, now: Now) {
        for tunnel in std::mem::take(&mut self.untold) {
            if let Some(line) = self.line {
                // Of a tunnel that is gone by now nothing is asked.
                let _ = self.endpoint.handle_command(now, Command::LineCarries(tunnel, line));
            }
        }
    }

    /// A user packet came in.
    pub(super) fn receive_esp(&mut self, now: Now, spi: EspSpi, key: &[u8]) {
        let found = self.installed.iter_mut().find(|(_, i)| i.inbound.0 == spi && i.inbound.1 == key);
        let Some((id, installed)) = found else {
            self.refused += 1;
            return;
        };
        let id = *id;
        self.received += 1;
        if !std::mem::replace(&mut installed.first_packet_seen, true) {
            // Cannot be refused.
            let _ = self.endpoint.handle_command(now, Command::FirstPacket(id));
        }
    }
}

/// ESP SPIs, and which are given out.
struct Spis(Arc<Mutex<BTreeSet<EspSpi>>>);

impl SpiAllocator for Spis {
    fn allocate(&mut self, _: SocketAddr, random: &mut dyn SecureRandom) -> Option<EspSpi> {
        let mut given_out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let spi = EspSpi(u32::from_be_bytes(random.bytes()));
            if spi.0 >= EspSpi::MIN && given_out.insert(spi) {
                return Some(spi);
            }
        }
    }

    fn release(&mut self, spi: EspSpi) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&spi);
    }
}
