//! One connection, and what we are doing for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::proven::Proven;
use super::strangers::is_same;
use crate::config::{Connection, Remote, Start};
use crate::diagnosis::Diagnosis;
use crate::event::{JobId, NearMiss, Trigger, TunnelId};
use crate::identity::Identity;
use crate::path::Path;
use crate::time::Instant;
use crate::wire::IkeSpi;

/// A connection and what we are doing for it.
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) config: Arc<Connection>,
    /// An operator took it down.
    pub(super) admin_down: bool,
    pub(super) pursuit: Pursuit,
    /// Attempts that failed since the last success.
    pub(super) attempts: u32,
    pub(super) wanted: Wanted,
    pub(super) failures: Failures,
    pub(super) last_time: LastTime,
    /// What is known of the peer and perfect forward secrecy.
    pub(super) proven: Proven,
    pub(super) tunnels: Tunnels,
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

/// What was asked for while there is no tunnel.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Children, by their place, each with the first packet that asked.
    pub(super) children: BTreeMap<usize, Option<Box<Trigger>>>,
    /// An operator wants the IKE SA, also without a child that is ours to set up.
    pub(super) bare: bool,
}

/// What went wrong since it last stood.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) last: Option<Failure>,
    /// Refusals that named no tunnel and were perhaps meant for this one, the newest last.
    pub(super) near_misses: Vec<NearMiss>,
    /// Half-open SAs from its address that came to nothing.
    pub(super) unfinished: u32,
}

/// A failure, as often as it came one after the other.
#[derive(Debug)]
pub(super) struct Failure {
    /// Wall-clock time.
    pub(super) at: u64,
    pub(super) diagnosis: Diagnosis,
    pub(super) times: u32,
    /// Whose request that was, if one was refused.
    pub(super) from: Option<IpAddr>,
}

/// What is known from when it last stood.
#[derive(Debug, Default)]
pub(super) struct LastTime {
    /// Where its peer was.
    pub(super) address: Option<IpAddr>,
    /// The addresses that the peer gave us: we ask for them again, also of one that has forgotten.
    pub(super) given: Vec<IpAddr>,
}

/// The tunnels of a connection that stand, and who their peers have proved to be. There are several of one peer only where they
/// may stand side by side, and while both ends sort out which.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// In the order they came up.
    ids: Vec<TunnelId>,
    peers: BTreeMap<TunnelId, Identity>,
}

impl Managed {
    pub(super) fn new(config: Arc<Connection>) -> Self {
        Self {
            config,
            admin_down: false,
            pursuit: Pursuit::Idle,
            attempts: 0,
            wanted: Wanted::default(),
            failures: Failures::default(),
            last_time: LastTime::default(),
            proven: Proven::default(),
            tunnels: Tunnels::default(),
        }
    }

    /// Whether no peer in particular is meant.
    pub(super) fn is_for_many(&self) -> bool {
        self.config.remote_id.exact().is_none()
    }

    /// A child of it stands, with its peer there. `whole`: none is missing, and nothing went wrong.
    pub(super) fn stands(&mut self, remote: IpAddr, whole: bool) {
        self.attempts = 0;
        self.last_time.address = Some(remote);
        self.failures.unfinished = 0;
        if !self.is_for_many() {
            self.failures.near_misses.clear();
        }
        if whole {
            self.failures.last = None;
        }
    }

    /// A tunnel does not stand any more.
    pub(super) fn forget(&mut self, id: TunnelId) {
        if let Some(peer) = self.tunnels.remove(id) {
            self.proven.forget(&peer);
        }
    }

    /// Whose a tunnel is, where the connection is for many peers.
    pub(super) fn one_of_many(&self, id: TunnelId) -> Option<&Identity> {
        self.tunnels.peer(id).filter(|_| self.is_for_many())
    }

    pub(super) fn hosts(&self) -> VecDeque<String> {
        match &self.config.remote {
            // Of many peers there is none in particular to be called.
            _ if self.is_for_many() => VecDeque::new(),
            Remote::Any => VecDeque::new(),
            Remote::Hosts(hosts) => hosts.clone().into(),
        }
    }

    /// Whether we are to set it up without being told.
    pub(super) fn is_ours_to_keep_up(&self) -> bool {
        self.config.always().next().is_some() && !self.admin_down && !self.hosts().is_empty()
    }

    /// Whether a packet for one of its children has it set up.
    pub(super) fn is_on_demand(&self) -> bool {
        let on_demand = self.config.children.iter().any(|child| child.start == Start::OnDemand);
        on_demand && self.config.initiate && !self.admin_down && !self.hosts().is_empty()
    }

    /// The children that an attempt is to set up, by their place.
    pub(super) fn to_start(&self) -> Vec<usize> {
        let wanted = self.wanted.children.keys().copied();
        self.config.always().chain(wanted).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn trying(&self) -> Option<IkeSpi> {
        match &self.pursuit {
            Pursuit::Trying { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}

impl Failures {
    /// One more, at this wall-clock time.
    pub(super) fn add(&mut self, at: u64, diagnosis: Diagnosis) {
        let same = self.last.take().filter(|last| is_same(Some(&diagnosis), &last.diagnosis));
        let times = same.map_or(0, |last| last.times).saturating_add(1);
        self.last = Some(Failure { at, diagnosis, times, from: None });
    }
}

impl Tunnels {
    pub(super) fn add(&mut self, id: TunnelId, peer: Identity) {
        self.ids.push(id);
        self.peers.insert(id, peer);
    }

    /// Its peer, if it has no other one.
    fn remove(&mut self, id: TunnelId) -> Option<Identity> {
        self.ids.retain(|have| *have != id);
        let peer = self.peers.remove(&id)?;
        (!self.peers.values().any(|other| *other == peer)).then_some(peer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn has(&self, id: TunnelId) -> bool {
        self.peers.contains_key(&id)
    }

    /// In the order they came up.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = TunnelId> {
        self.ids.iter().copied()
    }

    pub(super) fn newest(&self) -> Option<TunnelId> {
        self.ids.last().copied()
    }

    pub(super) fn peer(&self, id: TunnelId) -> Option<&Identity> {
        self.peers.get(&id)
    }

    /// Those of this peer.
    pub(super) fn of(&self, peer: &Identity) -> impl Iterator<Item = TunnelId> {
        self.ids().filter(move |id| self.peer(*id) == Some(peer))
    }
}
