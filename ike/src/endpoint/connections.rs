//! The configured connections: which one a peer is for, and how hard we try for each.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Connection, Encapsulation, Name, Remote, RemoteAuth};
use crate::diagnosis::Diagnosis;
use crate::event::{JobId, TunnelId};
use crate::identity::Identity;
use crate::limits;
use crate::path::Path;
use crate::pki;
use crate::sa::{Acceptable, Directory, Standing};
use crate::time::Instant;
use crate::wire::{CertEncoding, IkeSpi};

/// A connection and what we are doing for it.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) config: Arc<Connection>,
    /// An operator took it down.
    pub(super) admin_down: bool,
    pub(super) pursuit: Pursuit,
    /// Attempts that failed since the last success.
    pub(super) attempts: u32,
    /// The last failure since the last success, and its wall-clock time.
    pub(super) last_failure: Option<(u64, Diagnosis)>,
    /// Its tunnels that stand; more than one only while both ends sort out which.
    pub(super) tunnels: Vec<TunnelId>,
}

/// What we are doing to set a connection up.
#[derive(Debug)]
pub(super) enum Pursuit {
    Idle,
    /// A host is being resolved; those after it come next.
    Resolving {
        job: JobId,
        host: String,
        hosts: VecDeque<String>,
    },
    /// An attempt is on its way; then these paths, then these hosts.
    Trying {
        attempt: IkeSpi,
        paths: VecDeque<Path>,
        hosts: VecDeque<String>,
    },
    BackOff {
        until: Instant,
    },
}

impl Managed {
    pub(super) fn new(config: Arc<Connection>) -> Self {
        Self {
            config,
            admin_down: false,
            pursuit: Pursuit::Idle,
            attempts: 0,
            last_failure: None,
            tunnels: Vec::new(),
        }
    }

    pub(super) fn hosts(&self) -> VecDeque<String> {
        match &self.config.remote {
            Remote::Any => VecDeque::new(),
            Remote::Hosts(hosts) => hosts.clone().into(),
        }
    }

    /// Whether we are to set it up without being told.
    pub(super) fn is_ours_to_keep_up(&self) -> bool {
        self.config.initiate && !self.admin_down && !self.hosts().is_empty()
    }

    pub(super) fn trying(&self) -> Option<IkeSpi> {
        match &self.pursuit {
            Pursuit::Trying { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}

/// All connections, by name and by what a responder knows of a peer.
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_name: BTreeMap<Name, Managed>,
    by_remote_id: BTreeMap<Identity, Vec<Name>>,
    by_address: BTreeMap<IpAddr, Acceptable>,
    anywhere: Option<Acceptable>,
}

impl Connections {
    pub(super) fn get(&self, name: &Name) -> Option<&Managed> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &Name) -> Option<&mut Managed> {
        self.by_name.get_mut(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Managed> {
        self.by_name.values()
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.by_name.keys().cloned().collect()
    }

    pub(super) fn insert(&mut self, managed: Managed) {
        self.by_name.insert(managed.config.name.clone(), managed);
    }

    pub(super) fn remove(&mut self, name: &Name) {
        self.by_name.remove(name);
    }

    /// Makes the indexes anew after a change of the configuration.
    pub(super) fn index(&mut self) {
        self.by_remote_id.clear();
        self.by_address.clear();
        self.anywhere = None;
        for managed in self.by_name.values() {
            let config = &managed.config;
            self.by_remote_id.entry(config.remote_id.clone()).or_default().push(config.name.clone());
            let addresses: Vec<IpAddr> = managed.hosts().iter().filter_map(|h| h.parse().ok()).collect();
            for address in &addresses {
                merge(self.by_address.entry(*address).or_insert_with(nothing), config);
            }
            // A peer with a fixed address may still come from another one, as behind a NAT.
            merge(self.anywhere.get_or_insert_with(nothing), config);
        }
        // And another peer may come from that address: its suites come after those of the one that names it.
        for acceptable in self.by_address.values_mut() {
            self.by_name.values().for_each(|managed| merge(acceptable, &managed.config));
        }
    }

    /// What we would accept from this address: first that of the connections that name it, then of all.
    pub(super) fn acceptable(&self, remote: IpAddr) -> Option<&Acceptable> {
        self.by_address.get(&remote).or(self.anywhere.as_ref())
    }

    /// The one connection that names this address and is down: what a refused stranger there was probably for.
    pub(super) fn down_at(&self, remote: IpAddr) -> Option<Name> {
        let names_it = |m: &&Managed| m.hosts().iter().any(|host| host.parse() == Ok(remote));
        let mut there = self.by_name.values().filter(names_it);
        let only = there.next().filter(|_| there.next().is_none())?;
        only.tunnels.is_empty().then(|| only.config.name.clone())
    }
}

fn nothing() -> Acceptable {
    Acceptable { proposals: Vec::new(), encapsulation: Encapsulation::Detected, cert_requests: Vec::new() }
}

fn merge(acceptable: &mut Acceptable, config: &Connection) {
    for proposal in &config.proposals {
        if !acceptable.proposals.contains(proposal) {
            acceptable.proposals.push(proposal.clone());
        }
    }
    if config.encapsulation == Encapsulation::Forced {
        acceptable.encapsulation = Encapsulation::Forced;
    }
    if let RemoteAuth::Signature(trust) = &config.remote_auth {
        pki::cert_requests(trust).into_iter().for_each(|request| ask(&mut acceptable.cert_requests, request));
    }
}

/// One CERTREQ payload an encoding, with the authorities of all.
fn ask(requests: &mut Vec<(CertEncoding, Vec<u8>)>, (encoding, authorities): (CertEncoding, Vec<u8>)) {
    let Some((_, have)) = requests.iter_mut().find(|(other, _)| *other == encoding) else {
        return requests.push((encoding, authorities));
    };
    for hash in authorities.as_chunks::<20>().0 {
        let known = have.as_chunks::<20>().0;
        if known.len() < limits::CERTREQ_HASHES && !known.contains(hash) {
            have.extend_from_slice(hash);
        }
    }
}

impl Directory for Connections {
    fn find(&self, theirs: &Identity, ours: Option<&Identity>) -> Option<Arc<Connection>> {
        let named = self.by_remote_id.get(theirs)?.iter().filter_map(|name| self.by_name.get(name));
        named.map(|m| &m.config).find(|c| ours.is_none_or(|id| *id == c.local_id)).cloned()
    }

    fn standing(&self, connection: &Arc<Connection>) -> Standing {
        match self.by_name.get(&connection.name) {
            Some(managed) if managed.admin_down => Standing::Down,
            Some(managed) if managed.config == *connection => Standing::Allowed,
            _ => Standing::Gone,
        }
    }

    fn identities(&self) -> Vec<String> {
        let pairs = self.by_name.values().take(8);
        pairs.map(|m| format!("{} (as {})", m.config.remote_id, m.config.local_id)).collect()
    }
}
