//! The configured connections: which one a peer is for, and what it may ask for before it says who it is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::managed::Managed;
use super::near_misses::Callings;
use crate::config::{Childless, Connection, Encapsulation, Name, RemoteAuth, Uniqueness};
use crate::diagnose;
use crate::identity::Identity;
use crate::limits;
use crate::negotiate::TrafficSelector;
use crate::pki;
use crate::sa::{Acceptable, Directory, Standing};
use crate::wire::{CertEncoding, IdData};

/// All connections, by name and by what a responder knows of a peer.
#[derive(Debug, Default)]
pub(super) struct Connections {
    by_name: BTreeMap<Name, Managed>,
    by_remote_id: BTreeMap<Identity, Vec<Name>>,
    /// Those for many peers, the one with the longest pattern first.
    by_pattern: Vec<Name>,
    by_address: BTreeMap<IpAddr, Acceptable>,
    anywhere: Option<Acceptable>,
    callings: Callings,
    /// Whether a refusal will be told of: if not, nothing is looked for that would only explain it.
    explains: bool,
    /// The first whose peer signs.
    decoy: Option<Arc<Connection>>,
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

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Managed> {
        self.by_name.values_mut()
    }

    pub(super) fn names(&self) -> Vec<Name> {
        self.by_name.keys().cloned().collect()
    }

    /// The addresses by which other connections name their peers.
    pub(super) fn hosts_of_others(&self, connection: &Connection) -> impl Iterator<Item = IpAddr> {
        let others = self.by_name.values().filter(|other| other.config.name != connection.name);
        others.flat_map(Managed::hosts).filter_map(|host| host.parse().ok())
    }

    /// The networks that other connections speak of, where this one asks for an address: it must be in none of them. Who
    /// protects everything, protects what is left by the others.
    pub(super) fn networks_of_others(&self, connection: &Connection) -> Vec<TrafficSelector> {
        if !connection.internal_address.is_asked() {
            return Vec::new();
        }
        let others = self.by_name.values().map(|m| &m.config).filter(|other| other.name != connection.name);
        let children = others.flat_map(|other| &other.children);
        let networks = children.flat_map(|child| child.local.iter().chain(&child.remote));
        networks.filter(|network| !network.has_all_addresses()).cloned().collect()
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
        self.by_pattern.clear();
        self.by_address.clear();
        self.anywhere = None;
        for managed in self.by_name.values() {
            let config = &managed.config;
            match config.remote_id.exact() {
                Some(id) => self.by_remote_id.entry(id.clone()).or_default().push(config.name.clone()),
                None => self.by_pattern.push(config.name.clone()),
            }
            let addresses: Vec<IpAddr> = managed.hosts().iter().filter_map(|h| h.parse().ok()).collect();
            for address in &addresses {
                let acceptable = self.by_address.entry(*address).or_insert_with(nothing);
                merge(acceptable, config);
                force(acceptable, config);
            }
            // A peer with a fixed address may still come from another one, as behind a NAT.
            let acceptable = self.anywhere.get_or_insert_with(nothing);
            merge(acceptable, config);
            force(acceptable, config);
        }
        let mut all = self.by_name.values().map(|managed| &managed.config);
        self.decoy = all.find(|config| matches!(config.remote_auth, RemoteAuth::Signature(_))).cloned();
        self.callings = Callings::of(self.by_name.values().map(|managed| &managed.config));
        let by_name = &self.by_name;
        let weight = |name: &Name| by_name.get(name).map(|managed| managed.config.remote_id.weight());
        self.by_pattern.sort_by_key(|name| std::cmp::Reverse(weight(name)));
        // And another peer may come from that address: its suites come after those of the one that names it.
        for acceptable in self.by_address.values_mut() {
            self.by_name.values().for_each(|managed| merge(acceptable, &managed.config));
        }
    }

    /// What we would accept from this address: first that of the connections that name it, then of all.
    pub(super) fn acceptable(&self, remote: IpAddr) -> Option<&Acceptable> {
        self.by_address.get(&remote).or(self.anywhere.as_ref())
    }

    pub(super) fn explain_if(&mut self, told: bool) {
        self.explains = told;
    }

    pub(super) fn callings(&self) -> &Callings {
        &self.callings
    }

    /// The one connection that names this address and is down: what a refused stranger there was probably for.
    pub(super) fn down_at(&self, remote: IpAddr) -> Option<Name> {
        self.by_address.get(&remote)?;
        let names_it = |m: &&Managed| m.hosts().iter().any(|host| host.parse() == Ok(remote));
        let mut there = self.by_name.values().filter(names_it);
        let only = there.next().filter(|_| there.next().is_none())?;
        only.tunnels.is_empty().then(|| only.config.name.clone())
    }

    /// Whether a peer may come from an address that no connection names.
    pub(super) fn listens_anywhere(&self) -> bool {
        let named = |managed: &Managed| {
            let hosts = managed.hosts();
            !hosts.is_empty() && hosts.iter().all(|host| host.parse::<IpAddr>().is_ok())
        };
        self.by_name.values().any(|managed| !managed.admin_down && !named(managed))
    }
}

fn nothing() -> Acceptable {
    Acceptable {
        proposals: Vec::new(),
        encapsulation: Encapsulation::Detected,
        childless: false,
        cert_requests: Vec::new(),
    }
}

fn merge(acceptable: &mut Acceptable, config: &Connection) {
    for proposal in &config.proposals {
        if !acceptable.proposals.contains(proposal) {
            acceptable.proposals.push(proposal.clone());
        }
    }
    acceptable.childless |= config.childless != Childless::Never;
    if let RemoteAuth::Signature(trust) = &config.remote_auth {
        pki::cert_requests(trust).into_iter().for_each(|request| ask(&mut acceptable.cert_requests, request));
    }
}

/// Encapsulation is settled before the peer says who it is: where a connection names its address, by that one alone.
fn force(acceptable: &mut Acceptable, config: &Connection) {
    if config.encapsulation == Encapsulation::Forced {
        acceptable.encapsulation = Encapsulation::Forced;
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
        // Who is named exactly is meant; then the longest pattern.
        let exact = self.by_remote_id.get(theirs).into_iter().flatten();
        let named = exact.chain(&self.by_pattern).filter_map(|name| self.by_name.get(name));
        let fits =
            |c: &&Arc<Connection>| c.remote_id.matches(theirs) && ours.is_none_or(|id| *id == c.local_id);
        named.map(|m| &m.config).find(fits).cloned()
    }

    fn standing(&self, connection: &Arc<Connection>, peer: &Identity, initial_contact: bool) -> Standing {
        match self.by_name.get(&connection.name) {
            Some(managed) if managed.admin_down => Standing::Down,
            Some(managed) if managed.config == *connection => {
                let room = match connection.unique {
                    Uniqueness::Replace => true,
                    Uniqueness::Keep => initial_contact || managed.tunnels.of(peer).next().is_none(),
                    Uniqueness::Never => managed.tunnels.of(peer).count() < limits::TUNNELS_OF_ONE_PEER,
                };
                if room { Standing::Allowed } else { Standing::NotUnique }
            }
            _ => Standing::Gone,
        }
    }

    fn decoy(&self) -> Option<Arc<Connection>> {
        self.decoy.clone()
    }

    fn meant(&self, theirs: &IdData) -> Option<Arc<Connection>> {
        self.explains.then(|| self.meant_by(theirs)).flatten()
    }

    fn identities(&self, meant: Option<&Connection>) -> Vec<diagnose::Pair> {
        let most = if self.explains { limits::DIAGNOSIS_CANDIDATES } else { 0 };
        let all = self.by_name.values().map(|m| &*m.config).take(most);
        let others = all.filter(|config| meant.is_none_or(|meant| meant.name != config.name));
        meant
            .into_iter()
            .chain(others)
            .map(|c| diagnose::Pair { remote: c.remote_id.clone(), local: c.local_id.clone() })
            .collect()
    }
}
