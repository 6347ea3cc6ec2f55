//! What is known of perfect forward secrecy with each peer, over the life of a configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Endpoint;
use super::managed::Managed;
use crate::config::Name;
use crate::diagnosis::{Diagnosis, DiagnosisKind};
use crate::event::{ChildSaStatus, Event, Pfs, TunnelId};
use crate::identity::Identity;
use crate::limits;
use crate::sa::{PfsFinding, is_wanted};
use crate::time::Now;

/// By the peer, where there are many, and the place of the child.
#[derive(Debug, Default)]
pub(super) struct Proven(BTreeMap<(Option<Identity>, usize), Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// How often the peer was asked since it last answered that.
    asked: u32,
    verdict: Option<Verdict>,
}

#[derive(Debug)]
enum Verdict {
    Agreed,
    /// With the wall-clock time of it, and in which tunnel.
    Refused(u64, TunnelId, Box<Diagnosis>),
}

impl Standing {
    /// The peer has answered, which ends the count.
    fn of(verdict: Verdict) -> Self {
        Self { asked: 0, verdict: Some(verdict) }
    }
}

impl Proven {
    /// Whether the peer is to be asked once a tunnel stands: not again what it has agreed to, and no peer that falls silent
    /// when asked.
    fn is_open(&self, peer: Option<&Identity>, index: usize) -> bool {
        self.0.get(&(peer.cloned(), index)).is_none_or(|standing| {
            !matches!(standing.verdict, Some(Verdict::Agreed)) && standing.asked < limits::PFS_PROBES
        })
    }

    /// What deserves a look although traffic passes: of children that stand, in the tunnel that it is about, since it says until
    /// when.
    pub(super) fn warnings(&self, stands: impl Fn(TunnelId, usize) -> bool) -> Vec<(u64, Diagnosis)> {
        let refused = self.0.iter().filter_map(|((_, index), standing)| match &standing.verdict {
            Some(Verdict::Refused(at, tunnel, diagnosis)) if stands(*tunnel, *index) => {
                Some((*at, diagnosis.as_ref().clone()))
            }
            _ => None,
        });
        refused.take(limits::WARNINGS).collect()
    }

    fn standing(&mut self, peer: Option<&Identity>, index: usize) -> &mut Standing {
        self.0.entry((peer.cloned(), index)).or_default()
    }

    fn verdict_on(&self, peer: Option<&Identity>, index: usize) -> Option<&Verdict> {
        self.0.get(&(peer.cloned(), index))?.verdict.as_ref()
    }

    /// Of many peers only what is known of those that have a tunnel is kept: this one has none any more.
    pub(super) fn forget(&mut self, peer: &Identity) {
        let of_peer = |index| (Some(peer.clone()), index);
        let known: Vec<usize> =
            self.0.range(of_peer(0)..=of_peer(usize::MAX)).map(|((_, index), _)| *index).collect();
        known.into_iter().for_each(|index| {
            self.0.remove(&of_peer(index));
        });
    }

    /// None of them has.
    pub(super) fn forget_peers(&mut self) {
        self.0.retain(|(peer, _), _| peer.is_none());
    }
}

impl Endpoint {
    /// A tunnel that we set up stands: has its first Child SA rekeyed soon, unless that was proven before.
    pub(super) fn prove_pfs(&mut self, now: Now, id: TunnelId, name: &Name) {
        let initiated = self.tunnels.get(&id).is_some_and(|tunnel| tunnel.origin.initiated);
        let Some(managed) = self.connections.get(name).filter(|_| initiated) else { return };
        let peer = managed.one_of_many(id);
        let children = 0..managed.config.children.len();
        let open: Vec<bool> = children.map(|index| managed.proven.is_open(peer, index)).collect();
        self.with_tunnel(now, id, |tunnel, ctx| {
            tunnel.prove_pfs(ctx, |index| open.get(index).copied().unwrap_or(false));
        });
    }

    /// What a tunnel found out; the shell is told of a refusal that is no failure.
    pub(super) fn note_pfs(
        &mut self,
        now: Now,
        id: TunnelId,
        name: &Name,
        remote: IpAddr,
        findings: Vec<PfsFinding>,
    ) {
        let Some(managed) = self.connections.get_mut(name).filter(|_| !findings.is_empty()) else { return };
        let peer = managed.one_of_many(id).cloned();
        if peer.is_none() && managed.is_for_many() {
            // One of many whose tunnel is being taken down.
            return;
        }
        for finding in findings {
            let (proven, peer) = (&mut managed.proven, peer.as_ref());
            match finding {
                PfsFinding::Asked(index) => proven.standing(peer, index).asked += 1,
                PfsFinding::Agreed(index) => {
                    *proven.standing(peer, index) = Standing::of(Verdict::Agreed);
                }
                PfsFinding::Refused { index, diagnosis, told } => {
                    let refused = Verdict::Refused(now.wall, id, diagnosis.clone());
                    *proven.standing(peer, index) = Standing::of(refused);
                    if !told {
                        self.core.output.event(Event::NegotiationFailed {
                            connection: Some(name.clone()),
                            tunnel: Some(id),
                            remote: Some(remote),
                            diagnosis,
                            next_try: None,
                        });
                    }
                }
            }
        }
    }
}

fn is_about_pfs(kind: DiagnosisKind) -> bool {
    matches!(kind, DiagnosisKind::PfsMismatch | DiagnosisKind::KeyExchangeGroup)
}

/// Says of a Child SA without a key exchange of its own whether the next one will have one.
pub(super) fn refine(managed: &Managed, id: TunnelId, child: &mut ChildSaStatus) {
    let index = managed.config.children.iter().position(|config| config.name == child.child);
    let Some(index) = index.filter(|index| child.pfs == Pfs::First && is_wanted(&managed.config, *index))
    else {
        return;
    };
    child.pfs = match managed.proven.verdict_on(managed.one_of_many(id), index) {
        Some(Verdict::Agreed) => Pfs::First,
        Some(Verdict::Refused(_, _, diagnosis)) if is_about_pfs(diagnosis.kind) => Pfs::Refused,
        // Not tried yet, or refused for another reason, which says nothing of the key exchange.
        None | Some(Verdict::Refused(..)) => Pfs::Unproven,
    };
}
